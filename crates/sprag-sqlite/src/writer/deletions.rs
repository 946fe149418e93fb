//! Deletions that nobody waits for: they go into the transaction that is open, or the next one; if none
//! comes they get one of their own. They stay in the writer's hands until they are durable.
//!
//! One that meets damage in the file would meet it in every transaction from then on. It is given up,
//! and the record stays. SQLite does not promise to undo what a statement did before it met damage, so
//! the transaction is rolled back and done again without it.

use std::time::{Duration, Instant};

use sprag::backend::{BackendError, RecordKey};

use super::{Failure, Writer};
use crate::error::explain;
use crate::reader::execute;

/// How long they may wait for a commit to join, and how many of them.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
const MOST_WAITING: usize = 512;

impl Writer {
    /// Takes deletions.
    pub(super) fn accept(&mut self, keys: Vec<RecordKey>) {
        let were_many = self.deletions.len() >= MOST_WAITING;
        self.keep(keys);
        if !were_many && self.deletions.len() >= MOST_WAITING {
            // What fails is tried again later, and not for each that comes meanwhile.
            let _ = self.flush();
        }
    }

    /// Keeps deletions until there is a transaction for them.
    pub(super) fn keep(&mut self, keys: Vec<RecordKey>) {
        if !keys.is_empty() {
            self.deletions.extend(keys);
            let deadline = Instant::now() + LONGEST_WAIT;
            self.deadline.get_or_insert(deadline);
        }
    }

    /// Makes the deletions durable that wait, in a transaction of their own.
    pub(super) fn flush(&mut self) -> Result<(), BackendError> {
        let flushed = loop {
            if self.deletions.is_empty() {
                self.deadline = None;
                return Ok(());
            }
            match self.flush_once() {
                Err(Failure::GaveUp) => self.roll_back(),
                Err(Failure::Error(error)) => break Err(error),
                Ok(()) => break Ok(()),
            }
        };
        match &flushed {
            Ok(()) => self.deletions_are_durable(Vec::new()),
            Err(error) => {
                tracing::warn!(code = error.code(), "deletions must wait longer");
                self.roll_back();
                self.deadline = Some(Instant::now() + LONGEST_WAIT);
            }
        }
        if self.shared.check().is_err() {
            // They never will be: after a crash, too, the records are there again.
            self.deadline = None;
        }
        flushed
    }

    fn flush_once(&mut self) -> Result<(), Failure> {
        self.begin()?;
        if self.delete_waiting()? {
            self.end()?;
        } else {
            let failed = |error| explain("ending a transaction", &error);
            execute(&self.connection, "ROLLBACK").map_err(failed)?;
        }
        Ok(())
    }

    /// Applies the deletions that wait, first in the open transaction; whether there was anything to
    /// delete.
    pub(super) fn delete_waiting(&mut self) -> Result<bool, Failure> {
        let mut keys = std::mem::take(&mut self.deletions);
        let deleted = self.delete(&mut keys);
        self.deletions = keys;
        deleted
    }

    /// Applies deletions within the open transaction; whether there was anything to delete.
    pub(super) fn delete(&mut self, keys: &mut Vec<RecordKey>) -> Result<bool, Failure> {
        let mut deleted = false;
        for place in 0..keys.len() {
            match self.rows.delete(&self.connection, &keys[place]) {
                Ok(there) => deleted |= there,
                Err(error @ BackendError::Corrupt { .. }) => {
                    let key = keys.remove(place);
                    tracing::warn!(kind = key.kind().name(), %error, "a record stays that was deleted");
                    self.shared.deleted([key]);
                    return Err(Failure::GaveUp);
                }
                Err(error) => return Err(Failure::Error(error)),
            }
        }
        Ok(deleted)
    }

    /// The deletions that waited are durable, and those that came meanwhile.
    pub(super) fn deletions_are_durable(&mut self, came: Vec<RecordKey>) {
        self.shared.deleted(self.deletions.drain(..).chain(came));
        self.deadline = None;
    }
}
