//! Vaults that are not the store's own.

use sprag::{
    Advice, DurableStore, StoreOptions,
    backend::{BackendError, MemoryBackend},
    vault::{MemoryVault, Secret, Vault, VaultError},
};
use sprag_testkit::{
    backend::{Call, Fault, FaultyBackend},
    vault::{FaultyVault, VaultFault},
};

use super::world::{World, records, refused};

/// A vault of another sort.
struct Other(MemoryVault);

#[async_trait::async_trait]
impl Vault for Other {
    fn kind(&self) -> &str {
        "other"
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        self.0.create(name, secret).await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.0.load(name).await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        self.0.destroy(name).await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        self.0.anchor(name).await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        self.0.raise_anchor(name, value).await
    }
}

#[tokio::test]
async fn another_vault_is_refused_and_nothing_changes() {
    let world = World::new().await;
    let copy = world.copy().await;
    let before = records(&copy).await;
    assert_eq!(
        refused(copy.clone(), MemoryVault::new()).await,
        "store-root-missing"
    );
    let other = Other(MemoryVault::new());
    assert_eq!(refused(copy.clone(), other).await, "store-wrong-vault");
    let clear = StoreOptions::new().dangerously_open_in_clear_text(copy.clone());
    assert_eq!(clear.await.err().unwrap().code(), "store-sealed");
    assert!(records(&copy).await == before);
    assert_eq!(refused(copy, world.vault.clone()).await, "opened");
}

#[tokio::test]
async fn a_store_in_clear_text_is_not_taken_for_a_sealed_one() {
    let backend = MemoryBackend::new();
    let clear = StoreOptions::new().dangerously_open_in_clear_text(backend.clone());
    let store = clear.await.unwrap();
    assert_eq!(
        store.new_epoch().await.unwrap_err().code(),
        "store-not-sealed"
    );
    assert_eq!(store.upkeep().await.unwrap(), None);
    assert_eq!(
        refused(backend, MemoryVault::new()).await,
        "store-not-sealed"
    );
}

/// The store does not fall back on anything, and leaves the vault's error as it is.
#[tokio::test]
async fn what_the_vault_reports_is_passed_on() {
    let world = World::new().await;
    let calls = world.vault.calls();
    world.reopened().await.unwrap();
    let calls = world.vault.calls() - calls;
    assert!(calls >= 3, "root, anchor, and the anchor again: {calls}");
    for nth in 1..=calls {
        world.vault.inject(nth, VaultFault::Before);
        let opened = DurableStore::open(world.storage.clone(), world.vault.clone()).await;
        let error = opened.err().unwrap();
        assert_eq!(
            (error.code(), error.advice()),
            ("vault-locked", Advice::Retry)
        );
    }
    world.reopened().await.unwrap().talk().await;
}

/// Of two that make a store at once one wins, and the root of the other does not stay.
#[tokio::test]
async fn a_store_that_was_made_twice_leaves_one_root() {
    for fault in [Fault::Conflict, Fault::UnknownLost, Fault::UnknownApplied] {
        let backend = FaultyBackend::new(MemoryBackend::new());
        backend.inject(Call::Commit, 1, fault);
        let vault = FaultyVault::new();
        DurableStore::open(backend, vault.clone()).await.unwrap();
        assert_eq!(vault.secrets().len(), 1);
    }
}

#[tokio::test]
async fn a_store_that_could_not_be_made_leaves_no_root() {
    let backend = FaultyBackend::new(MemoryBackend::new());
    backend.inject(Call::Commit, 1, Fault::FailBefore(BackendError::Busy));
    let vault = FaultyVault::new();
    let opened = DurableStore::open(backend, vault.clone()).await;
    assert_eq!(opened.err().unwrap().code(), "store-busy");
    assert!(vault.secrets().is_empty());
}
