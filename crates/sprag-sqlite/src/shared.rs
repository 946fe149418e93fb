//! What the handle of a store and its threads know in common.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use sprag::backend::{BackendError, RecordKey};

use crate::abandoned::Abandoned;

/// What the handle and its threads know in common.
#[derive(Default)]
pub(crate) struct Shared {
    /// The handle takes no further calls.
    closed: AtomicBool,
    poison: OnceLock<BackendError>,
    deletions: Mutex<Deletions>,
    pub(crate) abandoned: Abandoned,
}

/// Which records were deleted, but not yet durably.
#[derive(Default)]
pub(crate) struct Deletions {
    /// How many times each.
    times: HashMap<RecordKey, usize>,
    waiting: usize,
}

impl Deletions {
    /// How many deletions wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a record waits to be deleted.
    pub(crate) fn concern(&self, key: &RecordKey) -> bool {
        self.times.contains_key(key)
    }

    /// The records that wait to be deleted.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &RecordKey> {
        self.times.keys()
    }
}

impl Shared {
    /// Refuses to go on after a failure that leaves the state of the disk in doubt.
    pub(crate) fn check(&self) -> Result<(), BackendError> {
        self.poison.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Refuses everything from now on.
    pub(crate) fn poison(&self, error: &BackendError) {
        tracing::error!(code = error.code(), %error, "the store must be opened anew");
        let poison = match error.clone() {
            BackendError::Moved => BackendError::Moved,
            BackendError::Io { detail } => BackendError::Poisoned { detail },
            error => BackendError::Poisoned {
                detail: error.to_string(),
            },
        };
        let _ = self.poison.set(poison);
    }

    /// Takes no further calls.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn check_open(&self) -> Result<(), BackendError> {
        if self.closed.load(Ordering::SeqCst) {
            Err(BackendError::Closed)
        } else {
            self.check()
        }
    }

    /// Why a thread does not answer: the store was closed, or the thread came to grief.
    pub(crate) fn gone(&self) -> BackendError {
        self.check_open().err().unwrap_or_else(Self::grief)
    }

    /// A thread ended that should not have.
    pub(crate) fn grief() -> BackendError {
        BackendError::Poisoned {
            detail: "a thread of the store ended".to_owned(),
        }
    }

    /// Records will be deleted durably later.
    pub(crate) fn deleting(&self, keys: &[RecordKey]) {
        let mut deletions = self.deletions();
        deletions.waiting += keys.len();
        for key in keys {
            *deletions.times.entry(*key).or_default() += 1;
        }
    }

    /// Records were deleted durably, or will not be.
    pub(crate) fn deleted(&self, keys: impl IntoIterator<Item = RecordKey>) {
        let Deletions { times, waiting } = &mut *self.deletions();
        for key in keys {
            if let Some(left) = times.get_mut(&key) {
                *waiting -= 1;
                *left -= 1;
                if *left == 0 {
                    times.remove(&key);
                }
            }
        }
    }

    /// Never locked across an await; nothing under the lock can fail half way.
    pub(crate) fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletions on their way to the writer. If they do not get there they are none.
pub(crate) struct Waiting<'a> {
    shared: &'a Shared,
    keys: &'a [RecordKey],
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(shared: &'a Shared, keys: &'a [RecordKey]) -> Self {
        shared.deleting(keys);
        Self { shared, keys }
    }

    pub(crate) fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.deleted(self.keys.iter().copied());
    }
}
