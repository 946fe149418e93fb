//! Turns: tasks of one process that work on the same record go one after the other.
//!
//! Without them they would do the same work at once, and all but one in vain. Nothing depends on turns for its
//! correctness.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::backend::RecordKey;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// Who works on what.
#[derive(Default)]
pub(super) struct Turns {
    locks: Mutex<HashMap<RecordKey, Lock>>,
}

/// The right to work on a record, or the wait for it. Passed on when dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    key: RecordKey,
    lock: Lock,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    pub(super) async fn wait(&self, key: RecordKey) -> Turn<'_> {
        let lock = Arc::clone(self.locks().entry(key).or_default());
        let mut turn = Turn {
            turns: self,
            key,
            lock: Arc::clone(&lock),
            guard: None,
        };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<RecordKey, Lock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut locks = self.turns.locks();
        self.guard = None;
        // One is in the map and one is ours: nobody else waits.
        if Arc::strong_count(&self.lock) == 2 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::task::{Context, Waker};

    use super::*;
    use crate::backend::{AccountId, Kind};

    fn key(name: u8) -> RecordKey {
        RecordKey::fixed(AccountId::STORE, Kind::Session, [name])
    }

    #[tokio::test]
    async fn turns_are_taken_one_after_the_other_and_leave_nothing() {
        let turns = Turns::default();
        let mut context = Context::from_waker(Waker::noop());
        let first = turns.wait(key(1)).await;
        let other = turns.wait(key(2)).await;
        let mut cancelled = Box::pin(turns.wait(key(1)));
        assert!(cancelled.as_mut().poll(&mut context).is_pending());
        let mut second = Box::pin(turns.wait(key(1)));
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(cancelled);
        drop(first);
        assert!(second.as_mut().poll(&mut context).is_ready());
        drop(second);
        drop(other);
        assert!(turns.locks().is_empty());
    }
}
