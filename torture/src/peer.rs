//! Whom the account talks to: an account in memory that can be had again as it was at any moment.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sprag::backend::{Backend, BackendError, Batch, CommitOutcome, MemoryBackend};
use sprag::{Account, ProtocolAddress, StoreOptions};
use sprag_testkit::backend::PassThrough;

/// Which of the peers is in the group.
pub const MEMBER: usize = 0;

/// A backend in memory that remembers its commits.
#[derive(Clone, Default)]
pub struct Remembering {
    inner: MemoryBackend,
    commits: Arc<Mutex<Vec<Batch>>>,
}

/// An account over it.
pub struct Peer {
    /// The account.
    pub account: Account<Remembering>,
    backend: Remembering,
}

impl Peer {
    /// A new account.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn new(address: ProtocolAddress) -> Self {
        let backend = Remembering::default();
        let store = StoreOptions::new()
            .dangerously_open_in_clear_text(backend.clone())
            .await
            .unwrap();
        let account = Account::create(store, address).await.unwrap();
        Self { account, backend }
    }

    /// How far its life has come.
    pub fn moment(&self) -> usize {
        self.backend.commits().len()
    }

    /// The account as it was at that moment, apart from this one.
    ///
    /// # Panics
    /// If the moment was before the account was made.
    pub async fn at(&self, moment: usize) -> Account<MemoryBackend> {
        let copy = MemoryBackend::new();
        let commits = self.backend.commits()[..moment].to_vec();
        for batch in commits {
            assert_eq!(copy.commit(batch).await, Ok(CommitOutcome::Committed));
        }
        let store = StoreOptions::new()
            .dangerously_open_in_clear_text(copy)
            .await
            .unwrap();
        let address = self.account.address().clone();
        Account::open(store, address).await.unwrap()
    }
}

/// The first device of a name.
///
/// # Panics
/// Never.
pub fn address(name: &str) -> ProtocolAddress {
    device(name, 1)
}

/// A device of a name.
///
/// # Panics
/// Unless the id is one of a device.
pub fn device(name: &str, id: u32) -> ProtocolAddress {
    ProtocolAddress::new(name, id).expect("1 to 127")
}

impl Remembering {
    fn commits(&self) -> std::sync::MutexGuard<'_, Vec<Batch>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PassThrough for Remembering {
    type Inner = MemoryBackend;

    fn inner(&self) -> &MemoryBackend {
        &self.inner
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let outcome = self.inner.commit(batch.clone()).await;
        if outcome == Ok(CommitOutcome::Committed) {
            self.commits().push(batch);
        }
        outcome
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        PassThrough::commit(self, batch).await
    }
}

sprag_testkit::pass_through!(Remembering);
