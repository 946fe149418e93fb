//! Contracts on what is there when the stores are opened again. They find stores that answer from
//! memory and write later, or not at all.

use std::{any::Any, pin::Pin};

use sprag::{
    KyberPreKeyKind::{LastResort, OneTime},
    KyberPreKeyUse, SessionRecord,
};
use uuid::Uuid;

use super::{
    Peer, StoreSet,
    conversations::{bundle, first_message, sound},
    sample::{
        address, assert_same, identity_key, kyber_pre_key, must, pre_key, public_key, sender_key,
        session, signed_pre_key,
    },
};

/// Stores that can be opened again and again.
///
/// ```
/// use std::sync::Arc;
///
/// use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend};
/// use sprag_testkit::stores::{CommittedStores, ReopenableStores, StoreSet};
///
/// async fn reopenable() -> ReopenableStores {
///     // In place of a file or server:
///     let backend = MemoryBackend::new();
///     ReopenableStores::new(move || {
///         let backend = backend.clone();
///         async move {
///             let we = ProtocolAddress::new("we", 1).unwrap();
///             let store = DurableStore::open(backend, sprag_testkit::vault::shared()).await.unwrap();
///             Account::open_or_create(store.clone(), we.clone()).await.unwrap();
///             StoreSet::all_in(Arc::new(CommittedStores::new(store, we)))
///         }
///     })
/// }
///
/// sprag_testkit::durable_store_suite!(reopenable);
/// # fn main() {}
/// ```
pub struct ReopenableStores {
    open: Opener,
    kept: Vec<Box<dyn Any + Send>>,
}

type Opener = Box<dyn Fn() -> Pin<Box<dyn Future<Output = StoreSet> + Send>> + Send>;

impl ReopenableStores {
    /// Stores that `open` opens. All that it returned before is dropped before it is called again, and
    /// nothing else is done for a good end.
    #[must_use]
    pub fn new<F, Fut>(open: F) -> Self
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = StoreSet> + Send + 'static,
    {
        Self {
            open: Box::new(move || Box::pin(open())),
            kept: Vec::new(),
        }
    }

    /// Keeps something alive as long as the stores, for instance the folder that they lie in.
    #[must_use]
    pub fn keeping(mut self, resource: impl Any + Send) -> Self {
        self.kept.push(Box::new(resource));
        self
    }

    /// Opens the stores.
    pub async fn open(&self) -> StoreSet {
        (self.open)().await
    }
}

const LATE: &str = "what a call stored must be there when the stores are opened again";

/// The last session stored is there, and a deleted one is not.
pub async fn sessions_survive(stores: ReopenableStores) {
    let (bob, gone) = (address("bob", 1), address("bob", 2));
    let mut last = None;
    for _ in 0..3 {
        let sessions = stores.open().await.sessions;
        if let Some(record) = &last {
            let loaded = must(sessions.load_session(&bob).await);
            assert_same(record, loaded, &format!("load_session: {LATE}"));
        }
        let devices = must(sessions.sub_device_sessions("bob").await);
        assert_eq!(
            devices.len(),
            usize::from(last.is_some()),
            "the devices of a name with a deleted session, opened again"
        );
        for address in [&bob, &gone] {
            must(
                sessions
                    .store_session(address, SessionRecord::new_fresh())
                    .await,
            );
        }
        let record = session().await;
        must(sessions.store_session(&bob, record.clone()).await);
        must(sessions.delete_session(&gone).await);
        last = Some(record);
    }
}

/// Our identity stays, and so do those of others.
pub async fn identities_survive(stores: ReopenableStores) {
    let (bob, old, new) = (address("bob", 1), identity_key(), identity_key());
    let (own, registration_id) = {
        let identities = stores.open().await.identities;
        must(identities.save_identity(&bob, &old).await);
        let own = must(identities.identity_key_pair().await).serialize();
        (own, must(identities.local_registration_id().await))
    };
    {
        let identities = stores.open().await.identities;
        assert!(
            must(identities.identity_key_pair().await).serialize() == own,
            "identity_key_pair must be the same when the stores are opened again"
        );
        assert_eq!(
            must(identities.local_registration_id().await),
            registration_id,
            "local_registration_id must be the same when the stores are opened again"
        );
        let loaded = must(identities.load_identity(&bob).await);
        assert_eq!(loaded, Some(old), "load_identity: {LATE}");
        must(identities.save_identity(&bob, &new).await);
    }
    let identities = stores.open().await.identities;
    let loaded = must(identities.load_identity(&bob).await);
    assert_eq!(loaded, Some(new), "load_identity: {LATE}");
}

/// What was stored is there, and what was removed is not.
pub async fn pre_keys_survive(stores: ReopenableStores) {
    let (one_time, signed, kyber) = (pre_key(5), signed_pre_key(5), kyber_pre_key(5));
    {
        let stores = stores.open().await;
        for (id, record) in [(5, one_time.clone()), (6, pre_key(6))] {
            must(stores.pre_keys.store_pre_key(id.into(), record).await);
        }
        for (id, record) in [(5, signed.clone()), (6, signed_pre_key(6))] {
            let store = &stores.signed_pre_keys;
            must(store.store_signed_pre_key(id.into(), record).await);
        }
        for (id, record) in [(5, kyber.clone()), (6, kyber_pre_key(6))] {
            let store = &stores.kyber_pre_keys;
            must(store.store_kyber_pre_key(id.into(), record, OneTime).await);
        }
    }
    {
        let stores = stores.open().await;
        assert!(
            must(stores.pre_keys.load_pre_key(5.into()).await)
                .is_some_and(|loaded| loaded.serialize() == one_time.serialize()),
            "load_pre_key: {LATE}"
        );
        let loaded = must(stores.signed_pre_keys.load_signed_pre_key(5.into()).await);
        assert!(
            loaded.is_some_and(|loaded| loaded.serialize() == signed.serialize()),
            "load_signed_pre_key: {LATE}"
        );
        let loaded = must(stores.kyber_pre_keys.load_kyber_pre_key(5.into()).await);
        assert!(
            loaded.is_some_and(|loaded| loaded.serialize() == kyber.serialize()),
            "load_kyber_pre_key: {LATE}"
        );
        must(stores.pre_keys.remove_pre_key(5.into()).await);
        must(stores.signed_pre_keys.remove_signed_pre_key(5.into()).await);
        must(stores.kyber_pre_keys.remove_kyber_pre_key(5.into()).await);
    }
    let stores = stores.open().await;
    let gone = "a pre-key that was removed must not come back when the stores are opened again";
    assert_eq!(
        must(stores.pre_keys.pre_key_ids().await),
        [6.into()],
        "{gone}"
    );
    let ids = must(stores.signed_pre_keys.signed_pre_key_ids().await);
    assert_eq!(ids, [6.into()], "{gone}");
    let ids = must(stores.kyber_pre_keys.kyber_pre_key_ids().await);
    assert_eq!(ids, [6.into()], "{gone}");
}

/// What a Kyber pre-key was used for is remembered, and its kind is, too.
pub async fn uses_of_kyber_pre_keys_survive(stores: ReopenableStores) {
    let (used, later) = (public_key(), public_key());
    {
        let kyber = stores.open().await.kyber_pre_keys;
        for (id, kind) in [(5, OneTime), (6, LastResort), (7, OneTime)] {
            let record = kyber_pre_key(id);
            must(kyber.store_kyber_pre_key(id.into(), record, kind).await);
        }
        for id in [5, 6] {
            let mark = kyber.mark_kyber_pre_key_used(id.into(), 1.into(), &used);
            must(mark.await);
        }
    }
    let kyber = stores.open().await.kyber_pre_keys;
    assert_eq!(
        must(kyber.kyber_pre_key_ids().await),
        [6.into(), 7.into()],
        "a one-time Kyber pre-key that was marked used must not come back when the stores are opened \
         again, and one of last resort must not go"
    );
    let cases = [
        (5, used, KyberPreKeyUse::Repeated),
        (6, used, KyberPreKeyUse::Repeated),
        (6, later, KyberPreKeyUse::First),
        (7, later, KyberPreKeyUse::First),
        (7, later, KyberPreKeyUse::Repeated),
    ];
    for (id, base_key, expected) in cases {
        let mark = kyber.mark_kyber_pre_key_used(id.into(), 1.into(), &base_key);
        assert_eq!(
            must(mark.await),
            expected,
            "mark_kyber_pre_key_used of {id} (5 and 7 are one-time keys, 6 is of last resort) must know \
             what was marked before the stores were opened again"
        );
    }
}

/// The last sender key stored is there.
pub async fn sender_keys_survive(stores: ReopenableStores) {
    let (bob, group) = (address("bob", 1), Uuid::from_u128(1));
    let mut last = None;
    for _ in 0..3 {
        let sender_keys = stores.open().await.sender_keys;
        let loaded = must(sender_keys.load_sender_key(&bob, group).await);
        let loaded = loaded.map(|record| record.serialize());
        assert!(loaded == last, "load_sender_key: {LATE}");
        let record = sender_key();
        last = Some(record.serialize());
        must(sender_keys.store_sender_key(&bob, group, record).await);
    }
}

/// A conversation goes on when we open our stores again for each step, and no message is read twice.
pub async fn a_conversation_survives(stores: ReopenableStores) {
    let us = async || Peer::over("we", stores.open().await);
    let peer = Peer::new("peer");
    let bundle = bundle(&us().await, OneTime).await;
    let ours = us().await.address;
    let mut message = first_message(&peer, &us().await, &bundle).await;
    for _ in 0..4 {
        let read = us().await.decrypt(&peer.address, &message).await;
        sound(read, "decrypting with stores opened again");
        let again = us().await.decrypt(&peer.address, &message).await;
        let code = again.err().map(|error| error.code());
        assert_eq!(
            code,
            Some("duplicate-message"),
            "a message that was read before the stores were opened again; {LATE}"
        );
        let answer = us().await.encrypt(&peer.address, b"answer").await;
        let answer = sound(answer, "encrypting with stores opened again");
        let read = peer.decrypt(&ours, &answer).await;
        sound(read, "the peer's decrypting");
        message = sound(peer.encrypt(&ours, b"next").await, "the peer's encrypting");
    }
}
