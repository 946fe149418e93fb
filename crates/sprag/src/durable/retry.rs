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

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicU64, Ordering},
        task::Waker,
    };

    use sprag_core::time::Timestamp;

    use super::*;

    /// Random numbers that a test can have again.
    struct Seeded(AtomicU64);

    impl Environment for Seeded {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            seed[..8].copy_from_slice(&number.to_le_bytes());
            Ok(())
        }
    }

    /// How often a task gives way after each of its conflicts, until it gives up.
    fn pauses(seed: u64) -> Vec<u32> {
        let environment = Seeded(AtomicU64::new(seed << 32));
        let (mut attempts, mut pauses) = (Attempts::new(), Vec::new());
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let mut pause = pin!(attempts.again(&environment));
            let mut turns = 0;
            let end = loop {
                match pause.as_mut().poll(&mut context) {
                    Poll::Ready(end) => break end,
                    Poll::Pending => turns += 1,
                }
            };
            match end {
                Ok(()) => pauses.push(turns),
                Err(error) => {
                    assert_eq!(error.code(), "store-conflict");
                    return pauses;
                }
            }
        }
    }

    #[test]
    fn attempts_and_pauses_are_bounded() {
        let pauses = pauses(1);
        assert_eq!(pauses.len() + 1, MAX_ATTEMPTS as usize);
        for (number, pause) in (1..).zip(&pauses) {
            assert!(*pause < 1 << u32::min(number, 6), "{number}: {pause} turns");
        }
        assert!(pauses.iter().any(|pause| *pause > 0), "nobody goes first");
    }

    /// Who met once does not meet again and again.
    #[test]
    fn two_tasks_do_not_pause_alike() {
        let (one, other) = (pauses(1), pauses(2));
        assert_eq!(pauses(1), one, "the seed decides");
        let alike = one.iter().zip(&other).filter(|(one, other)| one == other);
        assert!(alike.count() < one.len() / 4, "{one:?} and {other:?}");
        // Nor does one task keep to its pace.
        let mut lengths = one.clone();
        lengths.sort_unstable();
        lengths.dedup();
        assert!(lengths.len() > one.len() / 4, "{one:?}");
    }
}
