//! A backend that counts how its commits end.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use sprag::backend::{Backend, BackendError, Batch, CommitOutcome};
use sprag_testkit::backend::PassThrough;

/// Passes everything on, and counts. Deletions that nobody waits for do not count: they are part of somebody's commit,
/// or of one of their own.
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
impl<B: Backend> PassThrough for Counting<B> {
    type Inner = B;

    fn inner(&self) -> &B {
        &self.inner
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
}

sprag_testkit::pass_through!(<B: Backend> Counting<B>);
