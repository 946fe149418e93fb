//! Commits whose callers went away before they were answered.
//!
//! Such a commit may wait in the queue, or be under way. Whoever looks afterwards must not find it
//! missing and then see it come. So they are counted until the writer is done with them, and as long
//! as there are any whoever reads waits for what is in the queue. Without them a commit or a read
//! costs no more than a look at the count.

use std::sync::atomic::{AtomicUsize, Ordering};

use sprag::backend::{BackendError, CommitOutcome};
use tokio::sync::oneshot;

use crate::reader::Reply;

/// How many commits are under way for which nobody waits any more.
#[derive(Default)]
pub(crate) struct Abandoned(AtomicUsize);

/// The caller's end of a commit that was sent to the writer.
pub(crate) struct Call<'a> {
    answer: oneshot::Receiver<Result<CommitOutcome, BackendError>>,
    answered: bool,
    abandoned: &'a Abandoned,
}

impl Abandoned {
    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// Tells the caller what became of a commit, or takes it off if nobody waits for it.
    pub(crate) fn answer(
        &self,
        reply: Reply<CommitOutcome>,
        answer: Result<CommitOutcome, BackendError>,
    ) {
        if reply.send(answer).is_err() {
            self.0.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        answer: oneshot::Receiver<Result<CommitOutcome, BackendError>>,
        abandoned: &'a Abandoned,
    ) -> Self {
        Self {
            answer,
            answered: false,
            abandoned,
        }
    }

    /// Waits for the answer; `None` if the writer came to grief before.
    pub(crate) async fn answer(mut self) -> Option<Result<CommitOutcome, BackendError>> {
        let answer = (&mut self.answer).await;
        self.answered = true;
        answer.ok()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // Counted first, so that the writer never takes off what is not counted yet.
        self.abandoned.0.fetch_add(1, Ordering::Relaxed);
        self.answer.close();
        if self.answer.try_recv().is_ok() {
            self.abandoned.0.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::task::{Context, Waker};

    use super::*;

    const COMMITTED: Result<CommitOutcome, BackendError> = Ok(CommitOutcome::Committed);

    /// A call that was polled once, without an answer.
    fn waiting(
        answer: oneshot::Receiver<Result<CommitOutcome, BackendError>>,
        abandoned: &Abandoned,
    ) -> impl Future<Output = Option<Result<CommitOutcome, BackendError>>> + Unpin {
        let mut call = Box::pin(Call::new(answer, abandoned).answer());
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        call
    }

    #[test]
    fn an_abandoned_call_counts_until_it_is_answered() {
        let abandoned = Abandoned::default();
        let (one, answer) = oneshot::channel();
        let first = waiting(answer, &abandoned);
        let (other, answer) = oneshot::channel();
        let second = Call::new(answer, &abandoned);
        assert!(!abandoned.any());
        drop((first, second));
        abandoned.answer(one, COMMITTED);
        assert!(abandoned.any());
        abandoned.answer(other, COMMITTED);
        assert!(!abandoned.any());
    }

    /// Whether or not the caller has seen the answer.
    #[tokio::test]
    async fn an_answered_call_does_not_count() {
        let abandoned = Abandoned::default();
        let (reply, answer) = oneshot::channel();
        let call = waiting(answer, &abandoned);
        abandoned.answer(reply, COMMITTED);
        assert_eq!(call.await, Some(COMMITTED));
        let (reply, answer) = oneshot::channel();
        let call = waiting(answer, &abandoned);
        abandoned.answer(reply, COMMITTED);
        drop(call);
        assert!(!abandoned.any());
    }
}
