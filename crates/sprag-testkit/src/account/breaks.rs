//! The breaks of an operation: a call of the backend fails, before or after its effect, a commit conflicts or ends
//! unknown, or the future is dropped there, as by a crash or a timeout. Whatever breaks, the records of the store are those
//! before, or those after.

use std::{future::poll_fn, pin::pin, task::Poll};

use sprag::{Error, backend::BackendError};

use super::{records::Records, sample::AnyBackend};
use crate::backend::{Call, Fault, FaultyBackend};

/// Where and how an operation breaks.
#[derive(Clone)]
pub(super) struct Break {
    nth: u64,
    fault: Fault,
    /// Calls of which sort are counted; `None` for all.
    calls: Option<Call>,
    /// Nobody can tell what became of a commit that ended unknown.
    for_good: bool,
}

/// What became of an operation that was to break.
pub(super) struct Broken<T> {
    /// `None` if it hung and was cancelled.
    pub(super) outcome: Option<Result<T, Error>>,
    /// Whether it came as far as the call that was to break.
    pub(super) reached: bool,
}

impl Break {
    /// Runs `operation`, whose calls go to `backend`, then heals that. The operation is one commit: afterwards the
    /// store holds what it held before, or that with one batch of the operation applied, and nothing else.
    pub(super) async fn run<T>(
        &self,
        backend: &FaultyBackend<AnyBackend>,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Broken<T> {
        let (broken, commits) = self.run_compared(backend, operation).await;
        match &broken.outcome {
            Some(Ok(_)) => assert_eq!(commits, 1, "done is what was committed once"),
            Some(Err(error)) if error.code() != "outcome-unknown" => {
                assert_eq!(commits, 0, "failed, and has changed the store: {error}");
            }
            _ => assert!(commits <= 1, "one operation, {commits} commits"),
        }
        broken
    }

    /// The same of an operation that is several commits: the store holds what it held before and those that were
    /// applied.
    pub(super) async fn run_in_steps<T>(
        &self,
        backend: &FaultyBackend<AnyBackend>,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Broken<T> {
        self.run_compared(backend, operation).await.0
    }

    /// Compares the records of the whole store, and counts the commits that made the difference.
    async fn run_compared<T>(
        &self,
        backend: &FaultyBackend<AnyBackend>,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> (Broken<T>, usize) {
        let before = Records::of(backend.inner()).await;
        backend.record();
        let broken = self.run_alone(backend, operation).await;
        let passed = backend.recorded();
        let after = Records::of(backend.inner()).await;
        let commits = before.commits_to(&after, passed);
        (broken, commits)
    }

    async fn run_alone<T>(
        &self,
        backend: &FaultyBackend<AnyBackend>,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Broken<T> {
        let hangs = matches!(self.fault, Fault::HangBefore | Fault::HangAfter);
        let calls = || match self.calls {
            Some(call) => backend.calls(call),
            None => backend.log().len() as u64,
        };
        let place = calls() + self.nth;
        match self.calls {
            Some(call) => backend.inject(call, self.nth, self.fault.clone()),
            None => backend.inject_any(self.nth, self.fault.clone()),
        }
        if self.for_good {
            backend.inject(Call::Committed, 1, Fault::FailBefore(injected()));
        }
        let outcome = {
            let mut operation = pin!(operation);
            let poll = poll_fn(|context| match operation.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if hangs && calls() >= place => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            poll.await
        };
        let reached = calls() >= place;
        backend.heal();
        Broken { outcome, reached }
    }
}

/// Goes through all breaks of an operation. `attempt` runs it once, between the accounts of this number, and
/// checks what is left; it answers whether the break was reached.
pub(super) async fn everywhere(attempt: impl AsyncFn(usize, Break) -> bool) {
    let (mut number, mut changes) = (0, 0);
    for breaks in sorts_of_breaks() {
        for nth in 1.. {
            number += 1;
            let breaks = breaks.clone();
            let in_change = breaks.calls.is_some();
            if !attempt(number, Break { nth, ..breaks }).await {
                assert!(nth > 1 || in_change, "the operation made no call");
                break;
            }
            changes += usize::from(in_change);
        }
    }
    assert!(changes > 0, "the operation changed nothing");
}

fn sorts_of_breaks() -> Vec<Break> {
    let sort = |calls, for_good| {
        move |fault| Break {
            nth: 1,
            fault,
            calls,
            for_good,
        }
    };
    let anywhere = [
        Fault::FailBefore(injected()),
        Fault::FailAfter(injected()),
        Fault::HangBefore,
        Fault::HangAfter,
    ];
    let mut sorts: Vec<_> = anywhere.map(sort(None, false)).into();
    for call in [Call::Commit, Call::DeleteSoon] {
        let outcomes = [Fault::UnknownApplied, Fault::UnknownLost, Fault::Conflict];
        let for_good = [Fault::UnknownApplied, Fault::UnknownLost];
        sorts.extend(outcomes.map(sort(Some(call), false)));
        sorts.extend(for_good.map(sort(Some(call), true)));
    }
    sorts
}

fn injected() -> BackendError {
    BackendError::Io {
        detail: "injected".into(),
    }
}
