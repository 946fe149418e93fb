//! What a last-resort Kyber pre-key was used for goes with the key, and nothing else does.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use sprag::{
    Account, KyberPreKeyKind, KyberPreKeyStore, KyberPreKeyUse, ProtocolAddress, StoreOptions,
    backend::MemoryBackend,
    protocol::{
        curve::KeyPair,
        pre_key::{KyberPreKeyId, KyberPreKeyRecord},
    },
    upkeep::Policy,
    vault::MemoryVault,
};
use sprag_testkit::{Clock, MemoryKeyServer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct World {
    clock: Clock,
    backend: MemoryBackend,
    server: MemoryKeyServer,
    alice: Account<MemoryBackend>,
}

impl World {
    async fn new() -> Self {
        let (clock, backend) = (Clock::new(), MemoryBackend::new());
        let options = StoreOptions::new().environment(clock.clone());
        let store = options.open(backend.clone(), MemoryVault::new()).await;
        let address = ProtocolAddress::new("alice", 1).unwrap();
        let alice = Account::create(store.unwrap(), address).await.unwrap();
        let mut policy = Policy::default();
        policy.batch = 10;
        (policy.keep_replaced, policy.keep_newest_replaced) = (DAY, 0);
        Self {
            clock,
            backend,
            server: MemoryKeyServer::new(),
            alice: alice.with_key_policy(policy),
        }
    }

    async fn upkeep(&self) -> KyberPreKeyId {
        self.alice.upkeep(&self.server).await.unwrap();
        self.server.published().unwrap().last_resort.id
    }

    /// Uses a key so many times.
    async fn use_up(&self, id: KyberPreKeyId, times: usize) {
        for _ in 0..times.div_ceil(100) {
            let tx = self.alice.store().begin(self.alice.address());
            for _ in 0..times.min(100) {
                let base_key = KeyPair::generate(&mut tx.rng().unwrap()).public_key;
                let used = tx.mark_kyber_pre_key_used(id, 7.into(), &base_key);
                assert_eq!(used.await.unwrap(), KyberPreKeyUse::First);
            }
            tx.commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_upkeep_deletes_the_uses_of_what_it_deletes() {
    let world = World::new().await;
    let first = world.upkeep().await;
    let bare = world.backend.len();
    world.use_up(first, 500).await;
    assert_eq!(world.backend.len(), bare + 500);
    world.clock.advance(2 * DAY);
    let second = world.upkeep().await;
    assert_ne!(first, second);
    world.use_up(second, 3).await;
    // A second pair of signed keys.
    assert_eq!(world.backend.len(), bare + 500 + 3 + 2);
    world.clock.advance(DAY);
    world.upkeep().await;
    assert_eq!(world.backend.len(), bare + 3);
}

#[tokio::test]
async fn a_transaction_that_removes_a_key_removes_its_uses() {
    let world = World::new().await;
    let kept = world.upkeep().await;
    world.use_up(kept, 2).await;
    let bare = world.backend.len();
    let tx = world.alice.store().begin(world.alice.address());
    let identity = sprag::IdentityKeyStore::identity_key_pair(&tx)
        .await
        .unwrap();
    let (id, now) = (KyberPreKeyId::from(0x100_0000), tx.now());
    let record = KyberPreKeyRecord::generate(id, now, &identity, &mut tx.rng().unwrap());
    let stored = tx.store_kyber_pre_key(id, record, KyberPreKeyKind::LastResort);
    stored.await.unwrap();
    tx.commit().await.unwrap();
    world.use_up(id, 5).await;
    assert_eq!(world.backend.len(), bare + 6);
    let tx = world.alice.store().begin(world.alice.address());
    tx.remove_kyber_pre_key(id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.backend.len(), bare);
}
