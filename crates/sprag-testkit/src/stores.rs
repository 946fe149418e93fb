//! Conformance of stores that you write yourself: contracts that every implementation of the six store
//! traits must keep, and [`FaultyStores`], which makes sound stores fail where a test wants it.
//!
//! Each contract is an async function over a [`StoreSet`] that panics, and says what is wrong, if the
//! contract is broken. [`store_suite!`](crate::store_suite) makes ordinary tests of them, one for each.
//! [`durable_store_suite!`](crate::durable_store_suite) does so with those on what is there when the stores are
//! opened again.
//!
//! ```
//! use sprag::protocol::identity::IdentityKeyPair;
//! use sprag_testkit::stores::StoreSet;
//!
//! /// Six empty stores, but for an identity of our own.
//! async fn stores() -> StoreSet {
//!     StoreSet::in_memory(IdentityKeyPair::generate(&mut rand::rng()), 7)
//! }
//!
//! sprag_testkit::store_suite!(stores);
//! # fn main() {}
//! ```

mod committed;
pub mod conversations;
pub mod durable;
mod faulty;
pub mod identities;
mod peer;
pub mod pre_keys;
mod sample;
pub mod sender_keys;
pub mod sessions;

use std::{sync::Arc, time::Duration};

use sprag::{
    IdentityKeyStore, InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore, InMemoryPreKeyStore,
    InMemorySenderKeyStore, InMemorySessionStore, InMemorySignedPreKeyStore, KyberPreKeyStore,
    PreKeyStore, PreKeyStores, SenderKeyStore, SessionStore, SignedPreKeyStore,
    protocol::identity::IdentityKeyPair,
};

pub use self::committed::CommittedStores;
pub use self::durable::ReopenableStores;
pub use self::faulty::{FaultyStores, StoreFault};
pub use self::peer::Peer;

/// The six stores of one party, of any make.
#[derive(Clone)]
pub struct StoreSet {
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Our own identity and those of others.
    pub identities: Arc<dyn IdentityKeyStore>,
    /// One-time EC pre-keys.
    pub pre_keys: Arc<dyn PreKeyStore>,
    /// Signed EC pre-keys.
    pub signed_pre_keys: Arc<dyn SignedPreKeyStore>,
    /// Kyber pre-keys.
    pub kyber_pre_keys: Arc<dyn KyberPreKeyStore>,
    /// Sender keys.
    pub sender_keys: Arc<dyn SenderKeyStore>,
}

/// All six store traits at once.
pub trait AllStores:
    SessionStore
    + IdentityKeyStore
    + PreKeyStore
    + SignedPreKeyStore
    + KyberPreKeyStore
    + SenderKeyStore
{
}

impl<T> AllStores for T where
    T: SessionStore
        + IdentityKeyStore
        + PreKeyStore
        + SignedPreKeyStore
        + KyberPreKeyStore
        + SenderKeyStore
{
}

impl StoreSet {
    /// Six in-memory stores.
    #[must_use]
    pub fn in_memory(identity: IdentityKeyPair, registration_id: u32) -> Self {
        Self {
            sessions: Arc::new(InMemorySessionStore::new()),
            identities: Arc::new(InMemoryIdentityKeyStore::new(identity, registration_id)),
            pre_keys: Arc::new(InMemoryPreKeyStore::new()),
            signed_pre_keys: Arc::new(InMemorySignedPreKeyStore::new()),
            kyber_pre_keys: Arc::new(InMemoryKyberPreKeyStore::new()),
            sender_keys: Arc::new(InMemorySenderKeyStore::new()),
        }
    }

    /// One value that is all six.
    #[must_use]
    pub fn all_in<S: AllStores + 'static>(store: Arc<S>) -> Self {
        Self {
            sessions: store.clone(),
            identities: store.clone(),
            pre_keys: store.clone(),
            signed_pre_keys: store.clone(),
            kyber_pre_keys: store.clone(),
            sender_keys: store,
        }
    }

    /// The three that a first message asks for besides sessions and identities.
    #[must_use]
    pub fn pre_key_stores(&self) -> PreKeyStores<'_> {
        PreKeyStores {
            pre_keys: &*self.pre_keys,
            signed_pre_keys: &*self.signed_pre_keys,
            kyber_pre_keys: &*self.kyber_pre_keys,
        }
    }
}

/// Runs one contract on fresh stores, as the macros do: a [`StoreSet`] or [`ReopenableStores`].
///
/// # Panics
/// If the contract is broken, or the stores do not answer for two minutes.
pub fn run<M, MFut, S, C, CFut>(make: M, contract: C)
where
    M: FnOnce() -> MFut,
    MFut: Future<Output = S>,
    C: FnOnce(S) -> CFut,
    CFut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let contract = async { contract(make().await).await };
        let finished = tokio::time::timeout(Duration::from_secs(120), contract).await;
        assert!(finished.is_ok(), "the stores do not answer");
    });
}

/// Makes a test of each contract that holds for all stores.
///
/// The argument is an `async fn() -> StoreSet` that makes six stores, empty but for an identity of our
/// own.
#[macro_export]
macro_rules! store_suite {
    ($stores:path) => {
        $crate::__store_contract_tests! { $stores, sessions:
            an_unknown_session_is_none
            a_stored_session_comes_back
            a_session_is_replaced
            sessions_of_devices_are_apart
            sessions_of_names_are_apart
            a_deleted_session_is_gone
            all_sessions_of_a_name_are_deleted_and_no_others
            devices_with_sessions_are_listed
            existing_sessions_come_in_the_order_asked_for
            a_missing_session_is_an_error_where_all_must_exist
            a_large_session_is_kept_whole
            sessions_stored_at_once_are_all_kept
            a_cancelled_store_leaves_the_old_or_the_new_session
        }
        $crate::__store_contract_tests! { $stores, identities:
            our_identity_stays
            our_registration_id_is_in_range
            an_unknown_identity_is_none_and_trusted
            asking_for_trust_saves_nothing
            a_saved_identity_comes_back_and_is_trusted
            another_identity_is_not_trusted
            saving_tells_what_changed
            identities_of_addresses_are_apart
        }
        $crate::__store_contract_tests! { $stores, pre_keys:
            unknown_pre_keys_are_none
            a_pre_key_comes_back
            a_pre_key_is_replaced
            a_removed_pre_key_is_gone
            pre_key_ids_are_listed_in_order
            a_signed_pre_key_comes_back
            a_removed_signed_pre_key_is_gone
            signed_pre_key_ids_are_listed_in_order
            a_kyber_pre_key_comes_back
            kyber_pre_key_ids_are_listed_in_order
            a_kyber_pre_key_is_replaced_with_its_kind
            a_removed_kyber_pre_key_is_gone
            a_one_time_kyber_pre_key_goes_when_it_is_marked
            a_last_resort_kyber_pre_key_remembers_each_base_key
            a_last_resort_kyber_pre_key_stored_again_remembers_its_uses
            a_kyber_pre_key_is_marked_for_the_first_time_only_once
            pre_keys_of_three_sorts_may_share_an_id
        }
        $crate::__store_contract_tests! { $stores, sender_keys:
            an_unknown_sender_key_is_none
            a_sender_key_comes_back_and_is_replaced
            sender_keys_are_apart_by_sender_and_distribution
        }
        $crate::__store_contract_tests! { $stores, conversations:
            a_conversation_that_the_peer_starts
            a_conversation_that_we_start
            failed_messages_change_nothing
            a_forged_first_message_uses_up_nothing
            a_replayed_first_message_is_refused
        }
    };
}

/// Makes a test of each contract on what is there when the stores are opened again; see
/// [`durable`](crate::stores::durable).
///
/// The argument is an `async fn() -> ReopenableStores`, empty as for [`store_suite!`](crate::store_suite).
#[macro_export]
macro_rules! durable_store_suite {
    ($stores:path) => {
        $crate::__store_contract_tests! { $stores, durable:
            sessions_survive
            identities_survive
            pre_keys_survive
            uses_of_kyber_pre_keys_survive
            sender_keys_survive
            a_conversation_survives
        }
    };
}

/// One `#[test]` for each named contract of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_contract_tests {
    ($stores:path, $module:ident: $($contract:ident)*) => {
        $(
            #[test]
            fn $contract() {
                $crate::stores::run($stores, $crate::stores::$module::$contract);
            }
        )*
    };
}
