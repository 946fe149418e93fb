//! Writing: one thread for each store takes batches from a queue and commits as many of them
//! together as wait there.
//!
//! What goes into one transaction is a `group`; `deletions` are those that nobody waits for. A failure
//! of the COMMIT itself leaves open whether the group is in the store.

mod deletions;
mod group;
mod log;
mod rows;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sprag::backend::{BackendError, Batch, Checkpoint, CommitOutcome, OperationId, RecordKey};
use tokio::sync::watch;

use crate::error::{explain, leaves_doubt_about_the_disk};
use crate::location::Watch;
use crate::queue::{Receiver, Wait};
use crate::reader::{ReadJob, Reply, answer, execute};
use crate::shared::Shared;
pub(crate) use log::Log;
use rows::Rows;

/// Something for the writer to do.
pub(crate) enum Job {
    Commit(Request),
    /// Nobody waits for these.
    Delete(Vec<RecordKey>),
    /// Makes the deletions durable that wait.
    Flush(Reply<()>),
    /// Answers when it comes to it: whatever was asked before is over then.
    Pass(Reply<()>),
    Committed(OperationId, Reply<bool>),
    /// On a store in memory.
    Read(ReadJob),
    Checkpoint(Reply<Checkpoint>),
    Close,
}

/// How closing the store ended, once it has.
pub(crate) type End = Option<Result<(), BackendError>>;

/// A batch that writes something, and where its outcome goes.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) reply: Reply<CommitOutcome>,
}

/// Why a transaction did not come to its end.
enum Failure {
    /// A deletion that nobody waits for met damage. It was given up; all else can be done again.
    GaveUp,
    /// It cannot be done now.
    Error(BackendError),
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Error(error)
    }
}

/// The thread's belongings.
pub(crate) struct Writer {
    connection: Connection,
    /// None for a store in memory.
    watch: Option<Watch>,
    shared: Arc<Shared>,
    log: Log,
    rows: Rows,
    /// Deleted, but not yet durably.
    deletions: Vec<RecordKey>,
    /// Until when these may wait, if there are any.
    deadline: Option<Instant>,
    /// How many callers were at work when the last group was committed (its own, and those that came
    /// meanwhile), and how long its COMMIT took.
    last: (usize, Duration),
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        watch: Option<Watch>,
        shared: Arc<Shared>,
        log: Log,
    ) -> Self {
        Log::watch(&connection);
        Self {
            connection,
            watch,
            shared,
            log,
            rows: Rows::default(),
            deletions: Vec::new(),
            deadline: None,
            last: (0, Duration::ZERO),
        }
    }

    /// Does one job after the other until the store is closed or nobody can ask any more.
    pub(crate) fn run(
        mut self,
        mut queue: Receiver<Job>,
        readers: Vec<JoinHandle<()>>,
        end: &watch::Sender<End>,
    ) {
        let mut is_asked = false;
        let mut next = None;
        loop {
            self.look_after_log();
            let until = self.deadline.into_iter().chain(self.log.due()).min();
            let waited = next
                .take()
                .map_or_else(|| queue.wait_until(until), Wait::Job);
            let job = match waited {
                Wait::Job(job) => job,
                Wait::Nothing => {
                    // What fails is tried again later.
                    let _ = self.flush();
                    continue;
                }
                Wait::Closed => break,
            };
            match job {
                Job::Commit(first) => next = self.commit_group(first, &mut queue),
                Job::Delete(keys) => self.accept(keys),
                Job::Flush(reply) => {
                    let flushed = self.flush();
                    answer(reply, flushed);
                }
                Job::Pass(reply) => answer(reply, Ok(())),
                Job::Committed(operation, reply) => {
                    let committed = self.committed(operation);
                    answer(reply, committed);
                }
                Job::Read(job) => ReadJob::run_all(vec![job], &self.connection),
                Job::Checkpoint(reply) => {
                    let done = self.flush().and_then(|()| self.checkpoint());
                    answer(reply, done);
                }
                Job::Close => {
                    // From here on nobody can ask; what was asked before is still done.
                    queue.close();
                    is_asked = true;
                }
            }
        }
        drop(queue);
        for reader in readers {
            // A reader that panicked has nothing left to say.
            let _ = reader.join();
        }
        let closed = self.close(is_asked);
        end.send_replace(Some(closed));
    }

    fn begin(&mut self) -> Result<(), BackendError> {
        self.shared.check()?;
        execute(&self.connection, "BEGIN IMMEDIATE")
            .map_err(|error| explain("beginning a transaction", &error))?;
        self.rows.begin(&self.connection)
    }

    /// Commits the transaction. `Busy` says that it was not even tried; after any other error it is
    /// unknown whether it is in the store.
    fn end(&mut self) -> Result<(), BackendError> {
        let ended =
            execute(&self.connection, "COMMIT").map_err(|error| explain("committing", &error));
        if let Err(error) = &ended {
            self.roll_back();
            if leaves_doubt_about_the_disk(error) {
                self.shared.poison(error);
            }
            return ended;
        }
        if self
            .watch
            .as_ref()
            .is_some_and(|watch| !watch.is_in_place())
        {
            self.shared.poison(&BackendError::Moved);
            return Err(BackendError::Moved);
        }
        self.log.written();
        Ok(())
    }

    /// Ends the transaction without changing anything, unless SQLite already did.
    fn roll_back(&mut self) {
        self.rows.forget();
        if !self.connection.is_autocommit()
            && let Err(error) = execute(&self.connection, "ROLLBACK")
        {
            self.shared.poison(&explain("rolling back", &error));
        }
    }

    /// Whether an operation is in the store, for good.
    ///
    /// A commit whose fsync failed may have left pages in the log that a crash would bring back to
    /// life; and what a killed process left there may not be durable yet. Either way a transaction
    /// that writes settles it: it overwrites those pages, or makes them durable together with
    /// itself.
    fn committed(&mut self, operation: OperationId) -> Result<bool, BackendError> {
        self.begin()?;
        let found = rows::is_remembered(&self.connection, operation).and_then(|found| {
            let nothing = OperationId::from_bytes([0; 16]);
            self.rows.remember(&self.connection, &[nothing])?;
            Ok(found)
        });
        match found {
            Ok(found) => self.end().map(|()| found),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, BackendError> {
        self.shared.check()?;
        if self.watch.is_none() {
            return Ok(Checkpoint::Complete);
        }
        let emptied = self.log.empty(&self.connection);
        self.distrust(emptied)
    }

    /// Keeps the log short, and empties it when it is time to.
    fn look_after_log(&mut self) {
        if self.watch.is_none() || self.shared.check().is_err() {
            self.log.give_up();
            return;
        }
        // What fails without doubt about the disk is tried again later.
        let shortened = self.log.shorten_if_due(&self.connection);
        if self.distrust(shortened).is_ok() {
            let emptied = self.log.empty_if_due(&self.connection);
            let _ = self.distrust(emptied);
        }
    }

    /// Refuses to go on after a checkpoint that failed in a way that leaves the disk in doubt.
    fn distrust<T>(&self, outcome: Result<T, BackendError>) -> Result<T, BackendError> {
        if let Err(error) = &outcome {
            tracing::debug!(code = error.code(), "a checkpoint failed");
            if leaves_doubt_about_the_disk(error) {
                self.shared.poison(error);
            }
        }
        outcome
    }

    /// Lets go of the file, and empties the log before if somebody asked for it.
    fn close(mut self, is_asked: bool) -> Result<(), BackendError> {
        let flushed = self.flush();
        let emptied = match self.shared.check() {
            Ok(()) if is_asked => flushed.and(self.checkpoint().map(|_| ())),
            // Nobody waits, or nothing may be written: SQLite does what it can when the connection
            // goes. Deletions that were not durable yet are lost then, and whoever waits hears of it.
            _ => flushed,
        };
        let failed = |(_, error)| explain("closing the store", &error);
        let closed = self.connection.close().map_err(failed);
        emptied.and(closed)
    }
}

#[cfg(test)]
mod tests;
