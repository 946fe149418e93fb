//! What a transaction promises: all or nothing, nothing stale, nothing twice.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rand::Rng;
use sprag::StoreOptions;
use sprag::{
    Account, DurableStore, Environment, Error, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore,
    PreKeyStore, ProtocolAddress, ProtocolError, SessionRecord, SessionStore, System, Timestamp,
    Transaction,
    backend::{
        AccountId, Backend, BackendError, Batch, CommitOutcome, Kind, MemoryBackend, OperationId,
        Record, RecordKey, Version,
    },
    protocol::{
        identity::{IdentityKey, IdentityKeyPair},
        pre_key::{KyberPreKeyRecord, PreKeyRecord},
    },
};
use sprag_testkit::{
    backend::{Call, Fault, FaultyBackend},
    vault,
};

type Faulty = FaultyBackend<MemoryBackend>;

/// A store that can fail, and the same store on another path that does not.
struct Setup {
    backend: Faulty,
    store: DurableStore<Faulty>,
    other: DurableStore<MemoryBackend>,
    alice: ProtocolAddress,
}

impl Setup {
    async fn new() -> Self {
        let memory = MemoryBackend::new();
        let backend = FaultyBackend::new(memory.clone());
        let other = DurableStore::open(memory, vault::shared()).await.unwrap();
        let alice = address("alice", 1);
        Account::create(other.clone(), alice.clone()).await.unwrap();
        Self {
            store: DurableStore::open(backend.clone(), vault::shared())
                .await
                .unwrap(),
            backend,
            other,
            alice,
        }
    }

    fn begin(&self) -> Transaction<Faulty> {
        self.store.begin(&self.alice)
    }

    /// Commits something at once, as another process does.
    async fn meanwhile(&self, change: impl AsyncFnOnce(&Transaction<MemoryBackend>)) {
        let transaction = self.other.begin(&self.alice);
        change(&transaction).await;
        transaction.commit().await.unwrap();
    }

    /// Somebody else saves an identity.
    async fn learn(&self, address: &ProtocolAddress, key: &IdentityKey) {
        self.meanwhile(async |tx| {
            tx.save_identity(address, key).await.unwrap();
        })
        .await;
    }

    /// What the operations of accounts can change.
    async fn records(&self) -> BTreeMap<RecordKey, Record> {
        let mut records = BTreeMap::new();
        for (key, record) in self.backend.inner().scan_all(None, 1000).await.unwrap() {
            if key.kind() != Kind::Header {
                records.insert(key, record);
            }
        }
        records
    }
}

fn address(name: &str, device_id: u32) -> ProtocolAddress {
    ProtocolAddress::new(name, device_id).unwrap()
}

fn identity_key() -> IdentityKey {
    *IdentityKeyPair::generate(&mut rand::rng()).identity_key()
}

fn pre_key(id: u32) -> PreKeyRecord {
    PreKeyRecord::generate(id.into(), &mut rand::rng())
}

fn is_conflict(outcome: Result<(), Error>) -> bool {
    matches!(outcome, Err(Error::Conflict))
}

mod commit {
    use super::*;

    #[tokio::test]
    async fn applies_all_or_nothing() {
        let setup = Setup::new().await;
        let (bob, carol) = (address("bob", 1), address("carol", 1));
        let transaction = setup.begin();
        transaction
            .save_identity(&bob, &identity_key())
            .await
            .unwrap();
        transaction
            .store_pre_key(5.into(), pre_key(5))
            .await
            .unwrap();
        // Only read, and changed by somebody else.
        assert_eq!(transaction.load_identity(&carol).await.unwrap(), None);
        let key = identity_key();
        setup.learn(&carol, &key).await;
        assert!(is_conflict(transaction.commit().await));

        let after = setup.begin();
        assert_eq!(after.load_identity(&bob).await.unwrap(), None);
        assert_eq!(after.pre_key_ids().await.unwrap(), []);
        assert_eq!(after.load_identity(&carol).await.unwrap(), Some(key));
    }

    #[tokio::test]
    async fn refuses_the_second_of_two_that_read_the_same_session() {
        let setup = Setup::new().await;
        let bob = address("bob", 1);
        let (first, second) = (setup.begin(), setup.begin());
        for transaction in [&first, &second] {
            assert!(transaction.load_session(&bob).await.unwrap().is_none());
            let record = SessionRecord::new_fresh();
            transaction.store_session(&bob, record).await.unwrap();
        }
        first.commit().await.unwrap();
        assert!(is_conflict(second.commit().await));
    }

    #[tokio::test]
    async fn reads_what_it_overwrites_or_deletes_blindly() {
        let setup = Setup::new().await;
        let bob = address("bob", 1);
        let (blind, remover) = (setup.begin(), setup.begin());
        let record = SessionRecord::new_fresh();
        blind.store_session(&bob, record.clone()).await.unwrap();
        remover.delete_session(&bob).await.unwrap();
        setup
            .meanwhile(async |tx| tx.store_session(&bob, record).await.unwrap())
            .await;
        assert!(is_conflict(blind.commit().await));
        assert!(is_conflict(remover.commit().await));
        assert!(setup.begin().contains_session(&bob).await.unwrap());
    }

    #[tokio::test]
    async fn validates_when_there_is_nothing_to_write() {
        let setup = Setup::new().await;
        let bob = address("bob", 1);
        let (stale, fresh) = (setup.begin(), setup.begin());
        stale.load_identity(&bob).await.unwrap();
        let key = identity_key();
        setup.learn(&bob, &key).await;
        assert!(is_conflict(stale.validate().await));
        assert!(is_conflict(stale.commit().await));
        fresh.load_identity(&bob).await.unwrap();
        fresh.validate().await.unwrap();
        fresh.commit().await.unwrap();
        setup.begin().commit().await.unwrap();
    }

    #[tokio::test]
    async fn notices_a_record_that_was_deleted_and_made_again() {
        let setup = Setup::new().await;
        let record = pre_key(5);
        setup
            .meanwhile(async |tx| tx.store_pre_key(5.into(), record.clone()).await.unwrap())
            .await;
        let transaction = setup.begin();
        transaction.load_pre_key(5.into()).await.unwrap();
        transaction
            .store_pre_key(6.into(), pre_key(6))
            .await
            .unwrap();
        setup
            .meanwhile(async |tx| tx.remove_pre_key(5.into()).await.unwrap())
            .await;
        setup
            .meanwhile(async |tx| tx.store_pre_key(5.into(), record.clone()).await.unwrap())
            .await;
        assert!(is_conflict(transaction.commit().await));
    }

    #[tokio::test]
    async fn does_not_write_what_did_not_change() {
        let setup = Setup::new().await;
        let (bob, key) = (address("bob", 1), identity_key());
        setup.learn(&bob, &key).await;
        let before = setup.records().await;
        let transaction = setup.begin();
        transaction.save_identity(&bob, &key).await.unwrap();
        transaction.delete_session(&bob).await.unwrap();
        transaction.remove_pre_key(1.into()).await.unwrap();
        transaction
            .store_pre_key(2.into(), pre_key(2))
            .await
            .unwrap();
        transaction.remove_pre_key(2.into()).await.unwrap();
        transaction.commit().await.unwrap();
        let mut after = setup.records().await;
        // But for the stamp of a set that had a member for a while.
        after.retain(|key, _| before.contains_key(key));
        assert_eq!(after, before);
    }

    #[tokio::test]
    async fn is_forgotten_when_the_transaction_is_dropped() {
        let setup = Setup::new().await;
        let before = setup.records().await;
        let transaction = setup.begin();
        let key = identity_key();
        transaction
            .save_identity(&address("bob", 1), &key)
            .await
            .unwrap();
        drop(transaction);
        assert_eq!(setup.records().await, before);
    }

    #[tokio::test]
    async fn resolves_an_unknown_outcome() {
        let setup = Setup::new().await;
        let (bob, key) = (address("bob", 1), identity_key());
        let attempt = async || {
            let transaction = setup.begin();
            transaction.save_identity(&bob, &key).await.unwrap();
            transaction.commit().await
        };
        setup.backend.inject(Call::Commit, 1, Fault::UnknownLost);
        assert!(
            is_conflict(attempt().await),
            "nothing was applied: run again"
        );
        assert_eq!(setup.begin().load_identity(&bob).await.unwrap(), None);
        setup.backend.inject(Call::Commit, 1, Fault::UnknownApplied);
        attempt().await.unwrap();
        assert_eq!(setup.begin().load_identity(&bob).await.unwrap(), Some(key));
    }

    #[tokio::test]
    async fn says_so_when_an_unknown_outcome_stays_unknown() {
        let setup = Setup::new().await;
        let transaction = setup.begin();
        let key = identity_key();
        transaction
            .save_identity(&address("bob", 1), &key)
            .await
            .unwrap();
        let poisoned = BackendError::Poisoned {
            detail: "test".into(),
        };
        setup.backend.inject(Call::Commit, 1, Fault::UnknownApplied);
        setup
            .backend
            .inject(Call::Committed, 1, Fault::FailBefore(poisoned));
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.code(), "outcome-unknown");
    }
}

mod reads {
    use super::*;

    #[tokio::test]
    async fn are_answered_once_and_see_own_writes() {
        let setup = Setup::new().await;
        let (bob, key) = (address("bob", 1), identity_key());
        let transaction = setup.begin();
        let before = setup.backend.calls(Call::Read);
        for _ in 0..3 {
            assert_eq!(transaction.load_identity(&bob).await.unwrap(), None);
        }
        assert_eq!(setup.backend.calls(Call::Read), before + 1);
        transaction.save_identity(&bob, &key).await.unwrap();
        assert_eq!(transaction.load_identity(&bob).await.unwrap(), Some(key));
        assert_eq!(setup.backend.calls(Call::Read), before + 1);
        assert_eq!(setup.begin().load_identity(&bob).await.unwrap(), None);
    }

    /// However recently this handle used the same records.
    #[tokio::test]
    async fn of_a_transaction_that_was_begun_come_from_the_storage() {
        let setup = Setup::new().await;
        let (bob, old, new) = (&address("bob", 1), identity_key(), identity_key());
        let save =
            |tx: Arc<Transaction<Faulty>>| async move { Ok(tx.save_identity(bob, &old).await?) };
        setup.store.run(&setup.alice, save).await.unwrap();
        setup.learn(bob, &new).await;
        let loaded = setup.begin().load_identity(bob).await;
        assert_eq!(loaded.unwrap(), Some(new));
        // An operation that is run may begin with what it remembers, but does not end with it.
        let load = |tx: Arc<Transaction<Faulty>>| async move { Ok(tx.load_identity(bob).await?) };
        let loaded = setup.store.run(&setup.alice, load).await;
        assert_eq!(loaded.unwrap(), Some(new));
    }

    #[tokio::test]
    async fn report_what_the_backend_reports() {
        let setup = Setup::new().await;
        let busy = Fault::FailBefore(BackendError::Busy);
        setup.backend.inject(Call::Read, 1, busy);
        let error = setup.begin().load_identity(&address("bob", 1)).await;
        let error = error.unwrap_err();
        assert_eq!(
            (error.code(), error.operation()),
            ("store-busy", "load_identity")
        );
    }

    /// A record that was put in the place of another one is not taken for it.
    #[tokio::test]
    async fn refuse_records_that_were_moved_or_damaged() {
        let setup = Setup::new().await;
        let (bob, carol) = (address("bob", 1), address("carol", 1));
        let before = setup.records().await;
        let save = async |address: &ProtocolAddress| {
            let key = identity_key();
            setup.learn(address, &key).await;
        };
        save(&bob).await;
        let with_bob = setup.records().await;
        save(&carol).await;
        let with_carol = setup.records().await;
        let new = |new: &BTreeMap<RecordKey, Record>, old: &BTreeMap<_, _>| {
            let mut added = new.iter().filter(|(key, _)| !old.contains_key(*key));
            let (key, record) = added.next().unwrap();
            (*key, record.clone())
        };
        let (place, _) = new(&with_bob, &before);
        let (_, carol_record) = new(&with_carol, &with_bob);
        for bytes in [
            carol_record.bytes.clone(),
            carol_record.bytes.slice(..20),
            "".into(),
        ] {
            let operation = OperationId::random(&mut rand::rng());
            let version = Version::random(&mut rand::rng());
            let batch = Batch::new(operation).put(place, version, bytes);
            let outcome = setup.backend.inner().commit(batch).await.unwrap();
            assert_eq!(outcome, CommitOutcome::Committed);
            let error = setup.begin().load_identity(&bob).await.unwrap_err();
            assert_eq!(error.code(), "store-tampered");
        }
    }

    #[tokio::test]
    async fn refuse_names_beyond_reason() {
        let setup = Setup::new().await;
        let endless = address(&"x".repeat(70_000), 1);
        let error = setup.begin().load_session(&endless).await.unwrap_err();
        assert_eq!(error.code(), "store-limit-exceeded");
        let long = address(&"x".repeat(60_000), 1);
        assert!(setup.begin().load_session(&long).await.unwrap().is_none());
    }
}

mod sets {
    use super::*;

    async fn add_session(setup: &Setup, address: &ProtocolAddress) {
        let record = SessionRecord::new_fresh();
        setup
            .meanwhile(async |tx| tx.store_session(address, record).await.unwrap())
            .await;
    }

    #[tokio::test]
    async fn of_devices_have_no_phantoms() {
        let setup = Setup::new().await;
        add_session(&setup, &address("bob", 1)).await;
        add_session(&setup, &address("bob", 2)).await;
        let list = async || {
            let transaction = setup.begin();
            let devices = transaction.sub_device_sessions("bob").await.unwrap();
            (transaction, devices.len())
        };

        let (stale, count) = list().await;
        assert_eq!(count, 2);
        add_session(&setup, &address("bob", 3)).await;
        assert!(is_conflict(stale.commit().await), "a device was added");

        let (stale, count) = list().await;
        assert_eq!(count, 3);
        setup
            .meanwhile(async |tx| tx.delete_session(&address("bob", 1)).await.unwrap())
            .await;
        assert!(is_conflict(stale.commit().await), "a device was removed");

        let (sound, count) = list().await;
        assert_eq!(count, 2);
        add_session(&setup, &address("bob", 2)).await;
        add_session(&setup, &address("carol", 1)).await;
        sound.commit().await.unwrap();
    }

    #[tokio::test]
    async fn of_pre_keys_have_no_phantoms() {
        let setup = Setup::new().await;
        let add = async |id: u32| {
            let record = pre_key(id);
            setup
                .meanwhile(async |tx| tx.store_pre_key(id.into(), record).await.unwrap())
                .await;
        };
        add(1).await;
        add(2).await;

        let stale = setup.begin();
        assert_eq!(stale.pre_key_ids().await.unwrap(), [1.into(), 2.into()]);
        add(3).await;
        assert!(is_conflict(stale.commit().await), "a pre-key was added");

        let stale = setup.begin();
        assert_eq!(stale.pre_key_ids().await.unwrap().len(), 3);
        setup
            .meanwhile(async |tx| tx.remove_pre_key(2.into()).await.unwrap())
            .await;
        assert!(is_conflict(stale.commit().await), "a pre-key was removed");

        let sound = setup.begin();
        assert_eq!(sound.pre_key_ids().await.unwrap(), [1.into(), 3.into()]);
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        let now = Timestamp::from_millis(0);
        let kyber = KyberPreKeyRecord::generate(1.into(), now, &identity, &mut rand::rng());
        setup
            .meanwhile(async |tx| {
                let kind = KyberPreKeyKind::OneTime;
                tx.store_kyber_pre_key(1.into(), kyber, kind).await.unwrap();
            })
            .await;
        sound.commit().await.unwrap();
    }

    #[tokio::test]
    async fn of_many_pages_are_complete() {
        let setup = Setup::new().await;
        setup
            .meanwhile(async |tx| {
                for id in 0..1500 {
                    tx.store_pre_key(id.into(), pre_key(id)).await.unwrap();
                }
            })
            .await;
        let transaction = setup.begin();
        transaction.remove_pre_key(7.into()).await.unwrap();
        transaction
            .store_pre_key(2000.into(), pre_key(2000))
            .await
            .unwrap();
        let ids = transaction.pre_key_ids().await.unwrap();
        let expected = (0..1500).filter(|id| *id != 7).chain([2000]);
        assert_eq!(ids, expected.map(Into::into).collect::<Vec<_>>());
        transaction.commit().await.unwrap();
    }

    /// First messages from different peers must not get in each other's way.
    #[tokio::test]
    async fn of_pre_keys_do_not_make_removals_conflict() {
        let setup = Setup::new().await;
        for id in 1..=2 {
            let record = pre_key(id);
            setup
                .meanwhile(async |tx| tx.store_pre_key(id.into(), record).await.unwrap())
                .await;
        }
        let (first, second) = (setup.begin(), setup.begin());
        first.remove_pre_key(1.into()).await.unwrap();
        second.remove_pre_key(2.into()).await.unwrap();
        first.commit().await.unwrap();
        second.commit().await.unwrap();
    }
}

mod run {
    use super::*;

    #[tokio::test]
    async fn goes_again_from_fresh_reads_with_fresh_randomness() {
        let setup = Setup::new().await;
        let bob = &address("bob", 1);
        let drawn = &Mutex::new(Vec::new());
        let seen = &Mutex::new(Vec::new());
        setup.backend.inject(Call::Commit, 1, Fault::Conflict);
        setup.backend.inject(Call::Commit, 2, Fault::UnknownLost);
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            let known = tx.load_identity(bob).await?;
            seen.lock().unwrap().push(known);
            drawn.lock().unwrap().push(tx.rng()?.next_u64());
            Ok(tx.save_identity(bob, &identity_key()).await?)
        };
        setup.store.run(&setup.alice, step).await.unwrap();
        let mut drawn = drawn.lock().unwrap().clone();
        drawn.dedup();
        assert_eq!(drawn.len(), 3);
        assert_eq!(*seen.lock().unwrap(), [None, None, None]);
    }

    #[tokio::test]
    async fn does_not_repeat_what_was_applied() {
        let setup = Setup::new().await;
        let bob = &address("bob", 1);
        let runs = &AtomicUsize::new(0);
        setup.backend.inject(Call::Commit, 1, Fault::UnknownApplied);
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(tx.save_identity(bob, &identity_key()).await?)
        };
        setup.store.run(&setup.alice, step).await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn gives_up_in_the_end_and_leaves_nothing() {
        let setup = Setup::new().await;
        let before = setup.records().await;
        let bob = &address("bob", 1);
        for nth in 1..=1000 {
            setup.backend.inject(Call::Commit, nth, Fault::Conflict);
        }
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            Ok(tx.save_identity(bob, &identity_key()).await?)
        };
        let error = setup.store.run(&setup.alice, step).await.unwrap_err();
        assert_eq!(error.code(), "store-conflict");
        assert!((2..1000).contains(&setup.backend.calls(Call::Commit)));
        assert_eq!(setup.records().await, before);
    }

    /// An error that came from a stale read is not handed out.
    #[tokio::test]
    async fn does_not_believe_a_stale_error() {
        let setup = &Setup::new().await;
        let bob = &address("bob", 1);
        let runs = &AtomicUsize::new(0);
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            if tx.load_session(bob).await?.is_some() {
                return Ok("there is one");
            }
            if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                let record = SessionRecord::new_fresh();
                setup
                    .meanwhile(async |tx| tx.store_session(bob, record).await.unwrap())
                    .await;
            }
            Err(ProtocolError::SessionNotFound(None).into())
        };
        let outcome = setup.store.run(&setup.alice, step).await;
        assert_eq!(outcome.unwrap(), "there is one");

        let carol = &address("carol", 1);
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            tx.load_session(carol).await?;
            Err::<(), _>(ProtocolError::SessionNotFound(None).into())
        };
        let error = setup.store.run(&setup.alice, step).await.unwrap_err();
        assert_eq!(error.code(), "no-session");
    }

    /// If the error cannot be validated, the storage's error is what counts.
    #[tokio::test]
    async fn prefers_the_error_of_the_storage_to_one_it_cannot_validate() {
        let setup = Setup::new().await;
        let bob = &address("bob", 1);
        let busy = Fault::FailBefore(BackendError::Busy);
        setup.backend.inject(Call::Commit, 1, busy);
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            tx.load_session(bob).await?;
            Err::<(), _>(ProtocolError::SessionNotFound(None).into())
        };
        let error = setup.store.run(&setup.alice, step).await.unwrap_err();
        assert_eq!(error.code(), "store-busy");
    }

    #[tokio::test]
    async fn has_a_clock_and_seeds_that_a_test_can_bring() {
        struct Still;
        impl Environment for Still {
            fn now(&self) -> Timestamp {
                Timestamp::from_millis(5)
            }
            fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
                System.seed(seed)
            }
        }
        struct Dry;
        impl Environment for Dry {
            fn now(&self) -> Timestamp {
                Timestamp::from_millis(5)
            }
            fn seed(&self, _: &mut [u8; 32]) -> Result<(), Error> {
                Err(Error::NoRandomness)
            }
        }
        let memory = MemoryBackend::new();
        let dry = StoreOptions::new().environment(Dry);
        let dry = dry.open(memory.clone(), vault::shared()).await;
        assert_eq!(dry.err().unwrap().code(), "no-randomness");
        assert!(memory.is_empty());
        let still = StoreOptions::new().environment(Still);
        let still = still.open(memory, vault::shared()).await.unwrap();
        assert_eq!(still.begin(&address("alice", 1)).now().as_millis(), 5);
    }
}

mod header {
    use super::*;

    fn key() -> RecordKey {
        RecordKey::fixed(AccountId::STORE, Kind::Header, [])
    }

    async fn rewrite(backend: &MemoryBackend, bytes: bytes::Bytes) {
        let operation = OperationId::random(&mut rand::rng());
        let batch = Batch::new(operation).put(key(), Version::random(&mut rand::rng()), bytes);
        let outcome = backend.commit(batch).await.unwrap();
        assert_eq!(outcome, CommitOutcome::Committed);
    }

    async fn bytes(backend: &MemoryBackend) -> bytes::Bytes {
        let record = backend.read(&[key()]).await.unwrap().remove(0);
        record.unwrap().bytes
    }

    /// Whoever changes the header shuts out writers that do not know yet.
    #[tokio::test]
    async fn is_expected_by_every_commit() {
        let setup = Setup::new().await;
        let bob = &address("bob", 1);
        let stale = setup.begin();
        stale.save_identity(bob, &identity_key()).await.unwrap();
        setup.other.new_epoch().await.unwrap();
        assert!(is_conflict(stale.commit().await));

        setup.other.new_epoch().await.unwrap();
        let step = |tx: Arc<Transaction<Faulty>>| async move {
            Ok(tx.save_identity(bob, &identity_key()).await?)
        };
        setup.store.run(&setup.alice, step).await.unwrap();
    }

    #[tokio::test]
    async fn of_another_store_is_an_error() {
        let setup = Setup::new().await;
        let another = Setup::new().await;
        let bytes = bytes(another.backend.inner()).await;
        rewrite(setup.backend.inner(), bytes).await;
        let transaction = setup.begin();
        transaction.load_identity(&address("bob", 1)).await.unwrap();
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.code(), "store-tampered");
    }

    #[tokio::test]
    async fn that_is_not_readable_is_an_error() {
        let memory = MemoryBackend::new();
        for garbage in ["", "garbage", "garbage garbage garbage"] {
            rewrite(&memory, garbage.into()).await;
            let opened = DurableStore::open(memory.clone(), vault::shared()).await;
            assert_eq!(opened.err().unwrap().code(), "store-tampered");
            let opened = StoreOptions::new().dangerously_open_in_clear_text(memory.clone());
            assert_eq!(opened.await.err().unwrap().code(), "store-corrupt");
        }
    }

    /// Of two that open an empty store at once, one makes it.
    #[tokio::test]
    async fn is_made_once() {
        for fault in [Fault::Conflict, Fault::UnknownLost, Fault::UnknownApplied] {
            let backend = FaultyBackend::new(MemoryBackend::new());
            backend.inject(Call::Commit, 1, fault);
            let store = DurableStore::open(backend.clone(), vault::shared())
                .await
                .unwrap();
            let alice = address("alice", 1);
            Account::create(store, alice.clone()).await.unwrap();
            let again = DurableStore::open(backend, vault::shared()).await.unwrap();
            assert_eq!(
                again.accounts().await.unwrap(),
                std::slice::from_ref(&alice)
            );
            Account::open(again, alice).await.unwrap();
        }
    }
}
