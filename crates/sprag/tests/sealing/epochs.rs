//! A new epoch: what was sealed before is unreadable, whatever breaks on the way.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sprag::{
    Account, DurableStore, Environment, Error, StoreOptions, System, Timestamp,
    backend::{Backend, BackendError, Batch, Checkpoint, Kind, MemoryBackend, OperationId},
    vault::MemoryVault,
};
use sprag_testkit::{
    backend::{Call, Fault, PassThrough},
    vault::{FaultyVault, VaultFault},
};

use super::world::{World, address, records, refused};

#[tokio::test]
async fn all_records_are_sealed_anew_and_stay_what_they_are() {
    let world = World::new().await;
    let before = records(world.storage.inner()).await;
    let change = world.store().new_epoch().await.unwrap();
    assert_eq!(
        (change.epoch, change.damaged, change.forgotten),
        (2, 0, true)
    );
    let after = records(world.storage.inner()).await;
    assert_eq!(
        (change.records + 1, before.len()),
        (after.len() as u64, after.len())
    );
    for ((key, old), (same_key, new)) in before.iter().zip(&after) {
        assert_eq!(key, same_key);
        assert_ne!(old.bytes, new.bytes, "{key:?}");
        assert_eq!(old.version == new.version, !key.key().is_empty(), "{key:?}");
    }
    assert_eq!(world.vault.secrets().len(), 1);
    world.talk().await;
    world.reopened().await.unwrap().talk().await;
}

/// With today's vault nothing of yesterday opens: not the store, not one row put in the place of today's.
#[tokio::test]
async fn an_old_copy_opens_nowhere() {
    let world = World::new().await;
    let old = records(world.storage.inner()).await;
    let copy = world.copy().await;
    world.store().new_epoch().await.unwrap();
    assert_eq!(
        refused(copy, world.vault.clone()).await,
        "store-rolled-back"
    );
    let header = |kind| kind == Kind::Header;
    for (key, record) in old.iter().filter(|(key, _)| !header(key.kind())) {
        let batch = Batch::new(OperationId::random(&mut rand::rng()));
        let batch = batch.put(*key, record.version, record.bytes.clone());
        world.storage.inner().commit(batch).await.map(drop).unwrap();
    }
    let damaged = world.store().examine().await.unwrap().damaged;
    let places: BTreeSet<_> = damaged.iter().map(|damage| damage.kind).collect();
    let kinds: BTreeSet<_> = old
        .iter()
        .map(|(key, _)| key.kind())
        .filter(|kind| !header(*kind))
        .collect();
    assert_eq!(places, kinds);
}

/// Every call of backend and vault fails once, before or after its effect, and the process dies of it. What was there
/// is there afterwards, the change is finished, and the old root is gone.
#[tokio::test]
async fn a_change_that_breaks_anywhere_ends_well() {
    let world = World::new().await;
    let (before, vault_before) = (world.storage.log().len(), world.vault.calls());
    world.store().new_epoch().await.unwrap();
    let calls = (world.storage.log().len() - before) as u64;
    let vault_calls = world.vault.calls() - vault_before;
    assert!(calls >= 6 && vault_calls >= 2, "{calls} {vault_calls}");

    let mut broken = 0;
    for fault in [
        Fault::FailBefore(BackendError::Busy),
        Fault::FailAfter(BackendError::Busy),
    ] {
        for nth in 1..=calls {
            let world = World::new().await;
            world.storage.inject_any(nth, fault.clone());
            broken += u64::from(ends_well(&world).await);
        }
    }
    for fault in [VaultFault::Before, VaultFault::After] {
        for nth in 1..=vault_calls {
            let world = World::new().await;
            world.vault.inject(nth, fault);
            broken += u64::from(ends_well(&world).await);
        }
    }
    assert!(broken >= calls + vault_calls, "{broken}");
}

/// Whether the change broke.
async fn ends_well(world: &World) -> bool {
    let old = world.vault.secrets();
    let copy = world.copy().await;
    let change = world.store().new_epoch().await;
    let broke = change.is_err();
    let world = world.reopened().await.unwrap();
    assert_eq!(world.store().examine().await.unwrap().damaged, []);
    world.talk().await;
    world.store().upkeep().await.unwrap();
    let unfinished = old.is_subset(&world.vault.secrets());
    if unfinished {
        // The header never came to name the new root.
        assert!(broke);
        world.store().new_epoch().await.unwrap();
    }
    assert!(old.is_disjoint(&world.vault.secrets()));
    assert!(
        world.vault.secrets().len() <= 2,
        "one, and perhaps one that was never used"
    );
    world.talk().await;
    assert_eq!(
        refused(copy, world.vault.clone()).await,
        "store-rolled-back"
    );
    broke
}

/// A future may be dropped wherever it waits.
#[tokio::test]
async fn a_change_that_was_dropped_is_finished_by_upkeep() {
    for call in [Call::Commit, Call::ScanAll, Call::Checkpoint] {
        for (nth, fault) in [
            (1, Fault::HangBefore),
            (2, Fault::HangAfter),
            (3, Fault::HangAfter),
        ] {
            let world = World::new().await;
            world.storage.inject(call, nth, fault);
            let change = tokio::time::timeout(Duration::from_millis(50), world.store().new_epoch());
            let _ = change.await;
            let world = world.reopened().await.unwrap();
            world.talk().await;
            world.store().upkeep().await.unwrap();
            world.talk().await;
            assert_eq!(world.store().examine().await.unwrap().damaged, []);
        }
    }
}

/// Somebody else with the store open goes on through the change, from a header that is not true any more.
#[tokio::test]
async fn others_go_on_meanwhile() {
    let world = World::new().await;
    let stale = world.reopened().await.unwrap();
    for _ in 0..3 {
        world.store().new_epoch().await.unwrap();
        stale.talk().await;
        assert_eq!(stale.alice.outbox_pending().await.unwrap().len(), 1);
        world.talk().await;
        stale.store().new_epoch().await.unwrap();
        world.talk().await;
    }
    let busy = async {
        for _ in 0..30 {
            stale.talk().await;
        }
    };
    let changing = async {
        for _ in 0..10 {
            world.store().new_epoch().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(busy, changing);
    assert_eq!(world.store().examine().await.unwrap().damaged, []);
    assert_eq!(world.vault.secrets().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_change_at_once() {
    let world = World::new().await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let store = DurableStore::open(world.storage.clone(), world.vault.clone())
            .await
            .unwrap();
        tasks.push(tokio::spawn(async move { store.new_epoch().await }));
    }
    world.talk().await;
    for task in tasks {
        assert!(task.await.unwrap().unwrap().epoch > 1);
    }
    assert_eq!(world.vault.secrets().len(), 1);
    world.talk().await;
    world.reopened().await.unwrap().talk().await;
}

/// A backend whose log is in use as long as the number is not 0.
#[derive(Clone)]
struct Busy(MemoryBackend, Arc<AtomicU64>);

#[async_trait::async_trait]
impl PassThrough for Busy {
    type Inner = MemoryBackend;

    fn inner(&self) -> &MemoryBackend {
        &self.0
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        Ok(match self.1.load(Ordering::Relaxed) {
            0 => Checkpoint::Complete,
            _ => Checkpoint::Busy,
        })
    }
}

sprag_testkit::pass_through!(Busy);

/// As long as somebody reads the log the old root stays.
#[tokio::test]
async fn a_log_in_use_postpones_the_forgetting() {
    let vault = FaultyVault::new();
    let busy = Busy(MemoryBackend::new(), Arc::new(AtomicU64::new(1)));
    let store = DurableStore::open(busy.clone(), vault.clone())
        .await
        .unwrap();
    assert!(!store.new_epoch().await.unwrap().forgotten);
    assert_eq!(vault.secrets().len(), 2);
    assert!(!store.upkeep().await.unwrap().unwrap().forgotten);
    busy.1.store(0, Ordering::Relaxed);
    assert!(store.upkeep().await.unwrap().unwrap().forgotten);
    assert_eq!(
        (vault.secrets().len(), store.upkeep().await.unwrap()),
        (1, None)
    );
}

#[tokio::test]
async fn a_new_epoch_is_due_after_a_week_and_when_the_clock_went_back() {
    #[derive(Clone)]
    struct Clock(Arc<AtomicU64>);
    impl Environment for Clock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
        fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
            System.seed(seed)
        }
    }
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let clock = Clock(Arc::new(AtomicU64::new(100 * DAY)));
    let options = || StoreOptions::new().environment(clock.clone());
    let (backend, vault) = (MemoryBackend::new(), MemoryVault::new());
    let store = options()
        .open(backend.clone(), vault.clone())
        .await
        .unwrap();
    let account = Account::create(store.clone(), address("alice"))
        .await
        .unwrap();
    let epoch = async |days| {
        clock.0.store(days * DAY, Ordering::Relaxed);
        store.upkeep().await.unwrap().map(|change| change.epoch)
    };
    assert_eq!(epoch(106).await, None);
    assert_eq!(epoch(107).await, Some(2));
    assert_eq!(epoch(107).await, None);
    assert_eq!(epoch(50).await, Some(3));
    assert_eq!(epoch(50).await, None);
    account.bundle().await.unwrap();
    // Somebody with the store open from before knows that it was done.
    let other = options()
        .open(backend.clone(), vault.clone())
        .await
        .unwrap();
    assert_eq!(epoch(57).await, Some(4));
    assert_eq!(other.upkeep().await.unwrap(), None);
    let daily = options().epoch_length(Duration::from_secs(24 * 60 * 60));
    let store = daily.open(backend, vault).await.unwrap();
    clock.0.store(58 * DAY, Ordering::Relaxed);
    assert_eq!(store.upkeep().await.unwrap().unwrap().epoch, 5);
}
