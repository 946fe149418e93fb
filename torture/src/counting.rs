//! A backend that counts how its commits end.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};

/// Passes everything on, and counts.
pub struct Counting<B> {
    inner: B,
    commits: AtomicU64,
    conflicts: AtomicU64,
}

impl<B> Counting<B> {
    /// Counts what `inner` does.
    pub fn new(inner: B) -> Self {
        Self {
            inner,
            commits: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
        }
    }

    /// How many commits there were, and how many conflicts.
    pub fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.commits), load(&self.conflicts))
    }
}

#[async_trait]
impl<B: Backend> Backend for Counting<B> {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.inner.read(keys).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let outcome = self.inner.commit(batch).await;
        match outcome {
            Ok(CommitOutcome::Committed) => self.commits.fetch_add(1, Ordering::Relaxed),
            Ok(CommitOutcome::Conflict) => self.conflicts.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        outcome
    }

    /// Part of somebody's commit, or of one that nobody waits for.
    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.inner.delete_soon(batch).await
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        self.inner.committed(operation).await
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        self.inner.scan(account, kind, after, limit).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.inner.checkpoint().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.inner.close().await
    }
}
