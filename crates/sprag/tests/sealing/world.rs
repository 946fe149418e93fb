//! Two accounts in one sealed store that have talked, and copies of the store.

use sprag::{
    Account, DurableStore, Envelope, Error, ProtocolAddress,
    backend::{Backend, Batch, CommitOutcome, MemoryBackend, OperationId, Record, RecordKey},
    vault::Vault,
};
use sprag_testkit::{backend::FaultyBackend, vault::FaultyVault};

pub(crate) type Storage = FaultyBackend<MemoryBackend>;

/// Alice's and Bob's store, and where they are in their conversation.
pub(crate) struct World {
    pub(crate) storage: Storage,
    pub(crate) vault: FaultyVault,
    pub(crate) alice: Account<Storage>,
    pub(crate) bob: Account<Storage>,
}

pub(crate) fn address(name: &str) -> ProtocolAddress {
    ProtocolAddress::new(name, 1).unwrap()
}

impl World {
    /// They have a session that both have used; something waits in outbox and inbox.
    pub(crate) async fn new() -> Self {
        let storage = FaultyBackend::new(MemoryBackend::new());
        let vault = FaultyVault::new();
        let store = DurableStore::open(storage.clone(), vault.clone())
            .await
            .unwrap();
        let alice = Account::create(store.clone(), address("alice"))
            .await
            .unwrap();
        let bob = Account::create(store, address("bob")).await.unwrap();
        let bundle = bob.bundle().await.unwrap();
        alice.start_session(bob.address(), &bundle).await.unwrap();
        let world = Self {
            storage,
            vault,
            alice,
            bob,
        };
        world.talk().await;
        world.alice.bundle().await.unwrap();
        let waiting = world
            .alice
            .send(world.bob.address(), b"waiting")
            .await
            .unwrap();
        world.deliver(&waiting).await;
        world
    }

    /// The same store, opened anew without faults.
    pub(crate) async fn reopened(&self) -> Result<Self, Error> {
        self.storage.heal();
        self.vault.heal();
        let store = DurableStore::open(self.storage.clone(), self.vault.clone()).await?;
        Ok(Self {
            storage: self.storage.clone(),
            vault: self.vault.clone(),
            alice: Account::open(store.clone(), address("alice")).await?,
            bob: Account::open(store, address("bob")).await?,
        })
    }

    pub(crate) fn store(&self) -> &DurableStore<Storage> {
        self.alice.store()
    }

    /// A message each way, acknowledged.
    pub(crate) async fn talk(&self) {
        let there = self.alice.send(self.bob.address(), b"there").await.unwrap();
        let delivery = self.deliver(&there).await;
        self.bob.done(delivery).await.unwrap();
        self.alice.sent(there.id).await.unwrap();
        let back = self.bob.send(self.alice.address(), b"back").await.unwrap();
        let delivery = self
            .alice
            .receive(self.bob.address(), back.message_type, &back.bytes)
            .await
            .unwrap();
        self.alice.done(delivery.id).await.unwrap();
        self.bob.sent(back.id).await.unwrap();
    }

    async fn deliver(&self, envelope: &Envelope) -> sprag::InboxId {
        let from = self.alice.address();
        let delivery = self
            .bob
            .receive(from, envelope.message_type, &envelope.bytes)
            .await;
        delivery.unwrap().id
    }

    /// A copy of the files.
    pub(crate) async fn copy(&self) -> MemoryBackend {
        copy_of(&records(self.storage.inner()).await).await
    }
}

/// All records of a backend.
pub(crate) async fn records(backend: &impl Backend) -> Vec<(RecordKey, Record)> {
    backend.scan_all(None, 1000).await.unwrap()
}

/// A backend with these records.
pub(crate) async fn copy_of(records: &[(RecordKey, Record)]) -> MemoryBackend {
    let copy = MemoryBackend::new();
    let batch = Batch::new(OperationId::random(&mut rand::rng()));
    let batch = records.iter().fold(batch, |batch, (key, record)| {
        batch.put(*key, record.version, record.bytes.clone())
    });
    assert_eq!(copy.commit(batch).await, Ok(CommitOutcome::Committed));
    copy
}

/// The code with which opening fails.
pub(crate) async fn refused(backend: MemoryBackend, vault: impl Vault) -> &'static str {
    match DurableStore::open(backend, vault).await {
        Ok(_) => "opened",
        Err(error) => error.code(),
    }
}
