//! Accounts end to end over any backend: one suite of whole conversations, restarts, crashes and
//! cancelled futures, to be run over every [`Backend`](sprag::backend::Backend).
//!
//! Each contract is an async function over a [`Fixture`](crate::backend::Fixture) made by
//! [`Fixture::reopening`](crate::backend::Fixture::reopening). [`account_suite!`](crate::account_suite)
//! makes ordinary tests of them:
//!
//! ```
//! use sprag::backend::MemoryBackend;
//! use sprag_testkit::backend::Fixture;
//!
//! async fn fixture() -> Fixture {
//!     let backend = MemoryBackend::new();
//!     Fixture::reopening(move || std::future::ready(backend.clone())).await
//! }
//!
//! sprag_testkit::account_suite!(fixture);
//! # fn main() {}
//! ```

pub mod broken;
pub mod concurrent;
pub mod conversations;
pub mod keys;
pub mod mailboxes;
mod sample;

/// Makes a test of each contract of accounts.
///
/// The argument is an `async fn() -> Fixture` that uses
/// [`Fixture::reopening`](crate::backend::Fixture::reopening).
#[macro_export]
macro_rules! account_suite {
    ($fixture:path) => {
        $crate::__account_contract_tests! { $fixture, keys:
            an_account_is_made_once_and_opened_again
            accounts_of_one_store_are_apart
            no_two_bundles_share_a_one_time_key
            a_first_message_uses_up_its_keys
            a_changed_identity_waits_for_approval
        }
        $crate::__account_contract_tests! { $fixture, conversations:
            a_conversation_goes_on_across_restarts
            both_may_start_at_once
            a_session_may_be_started_anew
            messages_may_be_late_or_lost
            without_a_session_nothing_is_sent_or_read
            a_forged_bundle_starts_nothing
        }
        $crate::__account_contract_tests! { $fixture, mailboxes:
            an_envelope_waits_until_it_was_sent
            a_plaintext_waits_until_it_is_done
            what_waits_is_listed_oldest_first
            the_status_counts_everything
        }
        $crate::__account_contract_tests! { $fixture, concurrent:
            no_message_key_is_used_twice
            one_envelope_received_at_once_is_delivered_once
            two_handles_share_one_account
            a_handle_notices_what_another_one_did
            a_session_made_anew_is_not_taken_for_the_old_one
            many_conversations_at_once_get_through
        }
        $crate::__account_contract_tests! { $fixture, broken:
            a_send_that_breaks_loses_nothing
            a_receive_that_breaks_loses_nothing
            a_first_receive_that_breaks_loses_nothing
            a_bundle_that_breaks_is_not_handed_out_twice
            a_session_start_that_breaks_leaves_the_old_session
            a_creation_that_breaks_can_be_repeated
            an_acknowledgement_that_breaks_can_be_repeated
            a_hand_over_that_breaks_can_be_repeated
            an_approval_that_breaks_can_be_repeated
        }
    };
}

/// One `#[test]` for each named contract of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! __account_contract_tests {
    ($fixture:path, $module:ident: $($contract:ident)*) => {
        $(
            #[test]
            fn $contract() {
                $crate::backend::run($fixture, $crate::account::$module::$contract);
            }
        )*
    };
}
