//! A backend that fails where a test wants it to, and tells what was asked of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};

/// Wraps a backend, counts the calls, and makes chosen ones fail, conflict, hang or end in an
/// unknown outcome.
///
/// Clones share the wrapped backend, the faults and the counts, so that a test keeps one while the
/// code under test owns the other. Without faults it behaves like the backend that it wraps.
///
/// ```
/// use sprag::backend::{Backend, BackendError, Batch, CommitOutcome, MemoryBackend, OperationId};
/// use sprag_testkit::backend::{Call, Fault, FaultyBackend};
///
/// # async fn example() -> Result<(), BackendError> {
/// let backend = FaultyBackend::new(MemoryBackend::new());
/// backend.inject(Call::Commit, 2, Fault::UnknownLost);
///
/// let batch = || Batch::new(OperationId::random(&mut rand::rng()));
/// assert_eq!(backend.commit(batch()).await?, CommitOutcome::Committed);
/// assert_eq!(backend.commit(batch()).await?, CommitOutcome::Unknown);
/// assert_eq!(backend.commit(batch()).await?, CommitOutcome::Committed);
/// assert_eq!(backend.calls(Call::Commit), 3);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct FaultyBackend<B> {
    inner: Arc<B>,
    plan: Arc<Mutex<Plan>>,
}

/// The calls of a [`Backend`] that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Backend::read`]
    Read,
    /// [`Backend::commit`], of batches that only validate as well
    Commit,
    /// [`Backend::delete_soon`]
    DeleteSoon,
    /// [`Backend::committed`]
    Committed,
    /// [`Backend::scan`]
    Scan,
    /// [`Backend::scan_all`]
    ScanAll,
    /// [`Backend::checkpoint`]
    Checkpoint,
    /// [`Backend::close`]
    Close,
}

/// What happens to a chosen call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call has no effect and gives this error.
    FailBefore(BackendError),
    /// The call has its effect, then its answer is lost and this error is given. A commit or a
    /// deletion, whose errors promise that nothing was applied, gives [`CommitOutcome::Unknown`]
    /// instead, as an honest backend does.
    FailAfter(BackendError),
    /// The batch is applied if its expectations hold, but the outcome is unknown. Commits and
    /// deletions only.
    UnknownApplied,
    /// The batch is not applied, and the outcome is unknown. Commits and deletions only.
    UnknownLost,
    /// The batch is not applied; it is answered with a conflict. Commits and deletions only.
    Conflict,
    /// The call has no effect and never answers: the caller is to be cancelled, as by a crash just
    /// before.
    HangBefore,
    /// The call has its effect and never answers: the caller is to be cancelled, as by a crash just
    /// after.
    HangAfter,
}

/// A batch that changes something and was passed on to the wrapped backend.
#[derive(Debug, Clone)]
pub struct Passed {
    /// What it was asked to apply.
    pub batch: Batch,
    /// Whether it did; `None` if nobody waited for the answer, or the answer was that it is unknown.
    pub applied: Option<bool>,
}

impl Call {
    /// Whether the call takes a batch.
    fn is_of_a_batch(self) -> bool {
        matches!(self, Self::Commit | Self::DeleteSoon)
    }
}

impl Fault {
    fn is_for_batches_only(&self) -> bool {
        matches!(
            self,
            Self::UnknownApplied | Self::UnknownLost | Self::Conflict
        )
    }
}

#[derive(Default)]
struct Plan {
    log: Vec<Call>,
    counts: HashMap<Call, u64>,
    /// Faults by call and its number, counted from 1.
    by_call: HashMap<(Call, u64), Fault>,
    /// Faults by the number of the call among all, counted from 1.
    by_position: HashMap<u64, Fault>,
    /// Given to every call as long as it stands.
    broken: Option<BackendError>,
    /// What was passed on since somebody asked for it.
    recorded: Option<Vec<Passed>>,
}

impl<B> FaultyBackend<B> {
    /// Wraps `inner`, with no fault planned.
    pub fn new(inner: B) -> Self {
        Self {
            inner: Arc::new(inner),
            plan: Arc::default(),
        }
    }

    /// Plans a fault for the `nth` call of this sort from now: 1 is the next.
    ///
    /// # Panics
    /// If `nth` is 0, or the fault is for commits and deletions only and the call is another.
    pub fn inject(&self, call: Call, nth: u64, fault: Fault) {
        assert!(nth > 0, "calls are counted from 1");
        assert!(
            call.is_of_a_batch() || !fault.is_for_batches_only(),
            "{fault:?} is for commits and deletions"
        );
        let mut plan = self.plan();
        let number = plan.count(call) + nth;
        plan.by_call.insert((call, number), fault);
    }

    /// Plans a fault for the `nth` call of any sort from now: 1 is the next. To go through all
    /// places where an operation may break, raise `nth` until the operation passes.
    ///
    /// # Panics
    /// If `nth` is 0, or the fault is for commits and deletions only.
    pub fn inject_any(&self, nth: u64, fault: Fault) {
        assert!(nth > 0, "calls are counted from 1");
        assert!(
            !fault.is_for_batches_only(),
            "{fault:?} is for commits and deletions"
        );
        let mut plan = self.plan();
        let position = plan.log.len() as u64 + nth;
        plan.by_position.insert(position, fault);
    }

    /// Makes every call fail from now on, as a poisoned store does, until [`heal`](Self::heal).
    pub fn break_with(&self, error: BackendError) {
        self.plan().broken = Some(error);
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.by_call.clear();
        plan.by_position.clear();
        plan.broken = None;
    }

    /// How many calls of this sort there were, failed ones included.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.plan().count(call)
    }

    /// All calls in their order, failed ones included.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.plan().log.clone()
    }

    /// From now on writes down the batches that are passed on.
    pub fn record(&self) {
        self.plan().recorded = Some(Vec::new());
    }

    /// The batches that were passed on since [`record`](Self::record), in their order; those that only validate are
    /// left out. Nothing more is written down.
    #[must_use]
    pub fn recorded(&self) -> Vec<Passed> {
        self.plan().recorded.take().unwrap_or_default()
    }

    /// The wrapped backend, which knows no faults.
    #[must_use]
    pub fn inner(&self) -> &B {
        &self.inner
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and gives what is planned for it.
    fn arrive(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        plan.log.push(call);
        *plan.counts.entry(call).or_default() += 1;
        let (number, position) = (plan.count(call), plan.log.len() as u64);
        let planned = plan.by_call.remove(&(call, number));
        let planned = planned.or_else(|| plan.by_position.remove(&position));
        plan.broken.clone().map(Fault::FailBefore).or(planned)
    }

    /// Passes on a call that takes no batch, with its fault.
    async fn pass<T>(
        &self,
        call: Call,
        effect: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        match self.arrive(call) {
            Some(Fault::FailBefore(error)) => Err(error),
            Some(Fault::FailAfter(error)) => {
                drop(effect.await?);
                Err(error)
            }
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                drop(effect.await?);
                std::future::pending().await
            }
            Some(Fault::UnknownApplied | Fault::UnknownLost | Fault::Conflict) | None => {
                effect.await
            }
        }
    }

    /// Passes on a call that takes a batch, with its fault.
    async fn pass_batch(
        &self,
        call: Call,
        effect: impl Future<Output = Result<CommitOutcome, BackendError>>,
    ) -> Result<CommitOutcome, BackendError> {
        match self.arrive(call) {
            None => effect.await,
            Some(Fault::FailBefore(error)) => Err(error),
            Some(Fault::FailAfter(_) | Fault::UnknownApplied) => {
                effect.await.map(|_| CommitOutcome::Unknown)
            }
            Some(Fault::UnknownLost) => Ok(CommitOutcome::Unknown),
            Some(Fault::Conflict) => Ok(CommitOutcome::Conflict),
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                let _ = effect.await?;
                std::future::pending().await
            }
        }
    }
}

impl<B: Backend> FaultyBackend<B> {
    /// Gives a batch to the wrapped backend, and writes down what becomes of it.
    async fn have_applied<F>(
        &self,
        batch: Batch,
        effect: impl FnOnce(Batch) -> F,
    ) -> Result<CommitOutcome, BackendError>
    where
        F: Future<Output = Result<CommitOutcome, BackendError>>,
    {
        let number = self.plan().note_passed(&batch);
        let outcome = effect(batch).await;
        if let Some(number) = number {
            self.plan().note_answer(number, &outcome);
        }
        outcome
    }
}

impl Plan {
    fn count(&self, call: Call) -> u64 {
        self.counts.get(&call).copied().unwrap_or_default()
    }

    /// The place of the batch among those that are written down, if it is.
    fn note_passed(&mut self, batch: &Batch) -> Option<usize> {
        let recorded = self.recorded.as_mut()?;
        if batch.is_read_only() {
            return None;
        }
        recorded.push(Passed {
            batch: batch.clone(),
            applied: None,
        });
        Some(recorded.len() - 1)
    }

    fn note_answer(&mut self, number: usize, outcome: &Result<CommitOutcome, BackendError>) {
        let recorded = self.recorded.as_mut();
        if let Some(passed) = recorded.and_then(|recorded| recorded.get_mut(number)) {
            passed.applied = match outcome {
                Ok(CommitOutcome::Committed) => Some(true),
                Ok(CommitOutcome::Conflict) | Err(_) => Some(false),
                Ok(CommitOutcome::Unknown) => None,
            };
        }
    }
}

impl<B> Clone for FaultyBackend<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            plan: Arc::clone(&self.plan),
        }
    }
}

#[async_trait]
impl<B: Backend> Backend for FaultyBackend<B> {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.pass(Call::Read, self.inner.read(keys)).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let effect = self.have_applied(batch, |batch| self.inner.commit(batch));
        self.pass_batch(Call::Commit, effect).await
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let effect = self.have_applied(batch, |batch| self.inner.delete_soon(batch));
        self.pass_batch(Call::DeleteSoon, effect).await
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        self.pass(Call::Committed, self.inner.committed(operation))
            .await
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        self.pass(Call::Scan, self.inner.scan(account, kind, after, limit))
            .await
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        self.pass(Call::ScanAll, self.inner.scan_all(after, limit))
            .await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.pass(Call::Checkpoint, self.inner.checkpoint()).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.pass(Call::Close, self.inner.close()).await
    }
}
