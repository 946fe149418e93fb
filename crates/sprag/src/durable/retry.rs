//! What to do when somebody else came first.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use rand_core::Rng;

use crate::{
    Error,
    environment::{Environment, generator},
};

/// More than a store under any sane load needs: of all that conflict, one always gets through.
const MAX_ATTEMPTS: u32 = 64;

/// Whether an error says nothing that was computed from reads, so that there is nothing to validate.
pub(super) fn stands_by_itself(error: &Error) -> bool {
    match error {
        Error::Backend(_) | Error::OutcomeUnknown(_) | Error::NoRandomness => true,
        Error::Store(error) => error.as_backend().is_some(),
        _ => false,
    }
}

/// Counts attempts, and lets others go first between two of them.
pub(super) struct Attempts(u32);

impl Attempts {
    pub(super) fn new() -> Self {
        Self(1)
    }

    /// [`again`](Self::again) if the error is a conflict; otherwise the error.
    pub(super) async fn after(
        &mut self,
        error: Error,
        environment: &dyn Environment,
    ) -> Result<(), Error> {
        match error {
            Error::Conflict => self.again(environment).await,
            error => Err(error),
        }
    }

    /// Waits a random little while, longer with every attempt.
    ///
    /// The library knows no timer: a while is a number of turns given to other tasks.
    pub(super) async fn again(&mut self, environment: &dyn Environment) -> Result<(), Error> {
        if self.0 == MAX_ATTEMPTS {
            return Err(Error::Conflict);
        }
        let longest = 1 << self.0.min(6);
        let turns = generator(environment)?.next_u32() % longest;
        for _ in 0..turns {
            give_way().await;
        }
        self.0 += 1;
        Ok(())
    }
}

/// Lets the executor run other tasks once.
async fn give_way() {
    let mut given = false;
    poll_fn(|context: &mut Context<'_>| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
