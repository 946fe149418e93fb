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

mod breaks;
pub mod broken;
pub mod broken_groups;
pub mod broken_peers;
pub mod broken_sealed;
pub mod concurrent;
pub mod conversations;
pub mod groups;
pub mod identities;
pub mod keys;
pub mod mailboxes;
mod records;
pub mod retry;
pub mod safety;
mod sample;
pub mod sealed;
pub mod sending;
pub mod upkeep;

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
            what_is_not_in_the_outbox_may_be_sent_again
            what_waits_is_listed_oldest_first
            the_status_counts_everything
        }
        $crate::__account_contract_tests! { $fixture, sending:
            a_text_with_a_key_is_sent_once
            a_key_used_by_many_at_once_is_sent_once
            a_key_is_remembered_for_its_time
            a_key_belongs_to_its_recipient_and_account
            a_text_goes_to_all_devices_or_to_none
            our_other_devices_are_sent_to_but_not_ourselves
            a_session_is_put_aside_or_forgotten
            one_store_holds_many_accounts
        }
        $crate::__account_contract_tests! { $fixture, groups:
            every_member_speaks_across_restarts
            group_messages_may_be_late_or_lost
            a_sender_key_is_good_from_joining_to_renewal
            a_sender_key_may_be_taken_again
            groups_and_senders_are_apart
            group_messages_wait_in_the_mailboxes
            no_group_message_key_is_used_twice
        }
        $crate::__account_contract_tests! { $fixture, sealed:
            a_sealed_message_tells_its_recipient_alone_who_sent_it
            a_sealed_plaintext_waits_until_it_is_done
            nothing_sealed_is_believed_without_a_valid_certificate
            nothing_is_sealed_with_a_certificate_that_is_not_ours
            a_sealed_text_with_a_key_is_sent_once
            what_cannot_be_decrypted_can_be_asked_for_again
            a_sealed_group_message_is_cut_for_every_member
            a_sealed_group_message_needs_a_session_with_every_device
            a_sealed_group_text_with_a_key_is_sent_once
            a_changed_identity_is_told_and_not_sealed_for
        }
        $crate::__account_contract_tests! { $fixture, identities:
            policies_hold
            an_identity_may_be_that_of_a_name
            a_changed_identity_waits_for_approval
            an_identity_may_be_approved_from_a_bundle
            a_changed_identity_puts_other_devices_aside
            what_is_verified_is_what_was_compared
            identities_are_listed
            a_policy_is_that_of_the_account
            a_policy_holds_for_every_handle_at_once
            nobody_changes_an_identity_under_our_name
            events_follow_the_commit
            a_change_that_breaks_is_whole_or_nothing
        }
        $crate::__account_contract_tests! { $fixture, concurrent:
            no_message_key_is_used_twice
            one_envelope_received_at_once_is_delivered_once
            two_handles_share_one_account
            without_turns_no_message_key_is_used_twice
            a_handle_notices_what_another_one_did
            a_session_made_anew_is_not_taken_for_the_old_one
            many_conversations_at_once_get_through
        }
        $crate::__account_contract_tests! { $fixture, safety:
            both_people_see_one_safety_number
            account_ids_count_as_their_bytes
            a_safety_number_needs_an_identity
            a_safety_number_changes_with_an_identity
        }
        $crate::__account_contract_tests! { $fixture, retry:
            a_lost_session_is_renewed
            a_session_that_moved_on_is_left_alone
            requests_about_something_else
            an_archived_session_still_reads
            plaintext_content_is_not_decrypted
            an_archiving_that_breaks_can_be_repeated
        }
        $crate::__account_contract_tests! { $fixture, upkeep:
            a_new_account_supplies_its_server
            bundles_by_hand_share_no_one_time_key_with_the_server
            a_server_that_runs_low_or_loses_keys_is_refilled
            one_time_keys_that_were_used_are_not_published_again
            keys_are_replaced_and_deleted_in_time
            bundles_alone_look_after_their_keys
            nothing_is_sent_with_keys_that_are_too_old
            a_first_message_with_a_last_resort_key_is_taken_once
            an_upkeep_is_due_in_time_and_after_a_first_message
            an_upkeep_that_breaks_goes_on_where_it_stopped
            several_upkeeps_at_once_do_no_harm
        }
        $crate::__account_contract_tests! { $fixture, broken:
            a_send_that_breaks_loses_nothing
            a_send_with_a_key_that_breaks_is_just_done_again
            a_send_to_all_devices_that_breaks_reaches_all_or_none
            a_receive_that_breaks_loses_nothing
            a_first_receive_that_breaks_loses_nothing
            a_bundle_that_breaks_is_not_handed_out_twice
            a_creation_that_breaks_can_be_repeated
            an_acknowledgement_that_breaks_can_be_repeated
            a_hand_over_that_breaks_can_be_repeated
            a_hand_over_with_a_key_that_breaks_can_be_repeated
            a_sweep_of_forgotten_keys_that_breaks_is_made_up_for
        }
        $crate::__account_contract_tests! { $fixture, broken_peers:
            a_session_start_that_breaks_leaves_the_old_session
            a_deletion_of_a_session_that_breaks_can_be_repeated
            an_approval_that_breaks_can_be_repeated
            a_verification_that_breaks_can_be_repeated
            a_policy_that_breaks_can_be_set_again
        }
        $crate::__account_contract_tests! { $fixture, broken_sealed:
            a_sealed_send_that_breaks_loses_nothing
            a_sealed_receive_that_breaks_loses_nothing
            a_sealed_group_send_that_breaks_loses_nothing
            a_sealed_group_receive_that_breaks_loses_nothing
            a_retry_request_that_breaks_can_be_sent_again
        }
        $crate::__account_contract_tests! { $fixture, broken_groups:
            a_distribution_that_breaks_hands_out_one_key
            a_renewal_that_breaks_leaves_one_key
            a_joining_that_breaks_can_be_repeated
            a_group_send_that_breaks_loses_nothing
            a_group_send_with_a_key_that_breaks_is_just_done_again
            a_group_receive_that_breaks_loses_nothing
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
