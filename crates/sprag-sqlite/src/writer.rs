//! Writing: one thread for each store takes batches from a queue and commits as many of them
//! together as wait there.
//!
//! Within a group each batch is validated completely before it writes anything, and sees what the
//! batches before it wrote. A conflict fails its own batch only. Any other failure rolls back the
//! group, since SQLite itself rolls back the whole transaction on a full disk or an I/O error;
//! savepoints would not help. A failure of the COMMIT itself leaves open whether the group is in
//! the store.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, params};
use sprag::backend::{BackendError, Batch, Checkpoint, CommitOutcome, OperationId};

use crate::backend::Shared;
use crate::error::{explain, leaves_doubt_about_the_disk};
use crate::location::Watch;
use crate::queue::Receiver;
use crate::reader::{ReadJob, Reply, answer, execute, find, prepare};
use crate::schema;

/// A group takes no further batch beyond this many batches or bytes.
const GROUP_BATCHES: usize = 512;
const GROUP_BYTES: usize = 16 << 20;

/// The log is moved into the file when it has this many pages.
const LOG_PAGES: i32 = 1000;

/// How many operations stay remembered at least, and how often the older ones are removed.
const REMEMBERED: i64 = 8192;
const FORGET_EVERY: i64 = 256;

/// How long a checkpoint waits for readers before it gives up. The writer does nothing else
/// meanwhile.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(250);

thread_local! {
    /// Pages in the log after the last commit of this thread, which has one connection.
    static PAGES_IN_LOG: Cell<i32> = const { Cell::new(0) };
}

/// Something for the writer to do.
pub(crate) enum Job {
    Commit(Request),
    Committed(OperationId, Reply<bool>),
    /// On a store in memory.
    Read(ReadJob),
    Checkpoint(Reply<Checkpoint>),
    Close(Reply<()>),
}

/// A batch that writes something, and where its outcome goes.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) reply: Reply<CommitOutcome>,
}

/// The thread's belongings.
pub(crate) struct Writer {
    connection: Connection,
    /// None for a store in memory.
    watch: Option<Watch>,
    shared: Arc<Shared>,
    busy_timeout: Duration,
}

/// The batches of one transaction.
#[derive(Default)]
struct Group {
    /// Where the outcomes go; `Conflict` until the batch is applied.
    outcomes: Vec<(Reply<CommitOutcome>, CommitOutcome)>,
    bytes: usize,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        watch: Option<Watch>,
        shared: Arc<Shared>,
        busy_timeout: Duration,
    ) -> Self {
        connection.wal_hook(Some(|_: &Wal, pages| {
            PAGES_IN_LOG.set(pages);
            Ok(())
        }));
        Self {
            connection,
            watch,
            shared,
            busy_timeout,
        }
    }

    /// Does one job after the other until the store is closed or nobody can ask any more.
    pub(crate) fn run(self, mut queue: Receiver<Job>, readers: Vec<JoinHandle<()>>) {
        let mut closing = Vec::new();
        let mut next = None;
        while let Some(job) = next.take().or_else(|| queue.wait()) {
            match job {
                Job::Commit(first) => next = self.commit_group(first, &mut queue),
                Job::Committed(operation, reply) => answer(reply, self.committed(operation)),
                Job::Read(job) => ReadJob::run_all(vec![job], &self.connection),
                Job::Checkpoint(reply) => answer(reply, self.checkpoint()),
                Job::Close(reply) => {
                    // From here on nobody can ask; what was asked before is still done.
                    queue.close();
                    closing.push(reply);
                }
            }
        }
        drop(queue);
        for reader in readers {
            // A reader that panicked has nothing left to say.
            let _ = reader.join();
        }
        self.close(closing);
    }

    /// Commits a batch, and all others that wait. Gives the first job in the queue that is none.
    fn commit_group(&self, first: Request, queue: &mut Receiver<Job>) -> Option<Job> {
        let mut group = Group::default();
        match self.fill(&mut group, first, queue) {
            Ok(next) => {
                self.conclude(group);
                self.checkpoint_if_due();
                next
            }
            Err(error) => {
                self.roll_back();
                group.fail(&error);
                // Others would wait as long for the same in vain.
                let others_too = matches!(error, BackendError::Busy);
                if others_too {
                    fail_waiting(queue, &error)
                } else {
                    None
                }
            }
        }
    }

    /// Opens a transaction and applies what is there to be applied.
    fn fill(
        &self,
        group: &mut Group,
        first: Request,
        queue: &mut Receiver<Job>,
    ) -> Result<Option<Job>, BackendError> {
        let mut request = first;
        let mut begun = false;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        loop {
            group
                .outcomes
                .push((request.reply, CommitOutcome::Conflict));
            if !begun {
                self.begin()?;
                begun = true;
            }
            if apply(&self.connection, &request.batch, now)? {
                group.succeed();
                group.bytes += request.batch.bytes();
            }
            if group.is_full() {
                return Ok(None);
            }
            request = match queue.next() {
                Some(Job::Commit(request)) => request,
                other => return Ok(other),
            };
        }
    }

    fn begin(&self) -> Result<(), BackendError> {
        self.shared.check()?;
        execute(&self.connection, "BEGIN IMMEDIATE")
            .map_err(|error| explain("beginning a transaction", &error))
    }

    /// Commits the group, and tells everyone.
    fn conclude(&self, group: Group) {
        if !group.has_changes() {
            self.roll_back();
            return group.answer(Ok(CommitOutcome::Committed));
        }
        match self.end() {
            Ok(()) => group.answer(Ok(CommitOutcome::Committed)),
            Err(BackendError::Busy) => group.answer(Err(BackendError::Busy)),
            Err(_) => group.answer(Ok(CommitOutcome::Unknown)),
        }
    }

    /// Commits the transaction. `Busy` says that it was not even tried; after any other error it is
    /// unknown whether it is in the store.
    fn end(&self) -> Result<(), BackendError> {
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
        Ok(())
    }

    /// Ends the transaction without changing anything, unless SQLite already did.
    fn roll_back(&self) {
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
    fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        let failed = |error| explain("looking for an operation", &error);
        self.begin()?;
        let found = prepare(&self.connection, schema::REMEMBERED)
            .and_then(|mut statement| {
                statement
                    .query_row([operation.as_bytes()], |row| row.get(0))
                    .map_err(failed)
            })
            .and_then(|found| remember(&self.connection, [0; 16]).map(|()| found));
        match found {
            Ok(found) => self.end().map(|()| found),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.shared.check()?;
        if self.watch.is_none() {
            return Ok(Checkpoint::Complete);
        }
        let patience = self.busy_timeout.min(CHECKPOINT_PATIENCE);
        let failed = |error| explain("emptying the log", &error);
        self.connection.busy_timeout(patience).map_err(failed)?;
        let done = self.checkpoint_by("PRAGMA wal_checkpoint(TRUNCATE)");
        self.connection
            .busy_timeout(self.busy_timeout)
            .map_err(failed)?;
        done
    }

    /// Keeps the log from growing. Nobody waits for it, and it waits for nobody.
    fn checkpoint_if_due(&self) {
        if PAGES_IN_LOG.get() >= LOG_PAGES && self.shared.check().is_ok() {
            PAGES_IN_LOG.set(0);
            let _ = self.checkpoint_by("PRAGMA wal_checkpoint(PASSIVE)");
        }
    }

    fn checkpoint_by(&self, statement: &'static str) -> Result<Checkpoint, BackendError> {
        let failed = |error| explain("emptying the log", &error);
        let busy = prepare(&self.connection, statement)
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)).map_err(failed));
        match busy {
            Ok(0) => Ok(Checkpoint::Complete),
            Ok(1..) | Err(BackendError::Busy) => Ok(Checkpoint::Busy),
            Ok(_) => Err(BackendError::Corrupt {
                detail: "a checkpoint without a result".to_owned(),
            }),
            Err(error) => {
                if leaves_doubt_about_the_disk(&error) {
                    self.shared.poison(&error);
                }
                Err(error)
            }
        }
    }

    /// Empties the log and lets go of the file.
    fn close(self, closing: Vec<Reply<()>>) {
        let emptied = match self.shared.check() {
            Ok(()) if !closing.is_empty() => self.checkpoint().map(|_| ()),
            // Nobody waits, or nothing may be written: SQLite does what it can when the connection
            // goes.
            _ => Ok(()),
        };
        let closed = self
            .connection
            .close()
            .map_err(|(_, error)| explain("closing the store", &error));
        for reply in closing {
            answer(reply, emptied.clone().and(closed.clone()));
        }
    }
}

impl Group {
    fn succeed(&mut self) {
        if let Some((_, outcome)) = self.outcomes.last_mut() {
            *outcome = CommitOutcome::Committed;
        }
    }

    fn has_changes(&self) -> bool {
        self.outcomes
            .iter()
            .any(|(_, outcome)| *outcome == CommitOutcome::Committed)
    }

    fn is_full(&self) -> bool {
        self.outcomes.len() >= GROUP_BATCHES || self.bytes >= GROUP_BYTES
    }

    /// Tells the batches that were applied what became of them, and the others that they
    /// conflicted.
    fn answer(self, applied: Result<CommitOutcome, BackendError>) {
        for (reply, outcome) in self.outcomes {
            match outcome {
                CommitOutcome::Committed => answer(reply, applied.clone()),
                conflict => answer(reply, Ok(conflict)),
            }
        }
    }

    /// Tells all batches that nothing was done.
    fn fail(self, error: &BackendError) {
        for (reply, _) in self.outcomes {
            answer(reply, Err(error.clone()));
        }
    }
}

/// Fails the batches that wait. Gives the first job in the queue that is none.
fn fail_waiting(queue: &mut Receiver<Job>, error: &BackendError) -> Option<Job> {
    loop {
        match queue.next() {
            Some(Job::Commit(request)) => answer(request.reply, Err(error.clone())),
            other => return other,
        }
    }
}

/// Applies a batch within the open transaction if all of its expectations hold; tells whether they
/// did.
fn apply(connection: &Connection, batch: &Batch, now: i64) -> Result<bool, BackendError> {
    let mut rows = HashMap::with_capacity(batch.expect.len());
    for expected in &batch.expect {
        let row = find(connection, &expected.key)?;
        if row.map(|row| row.version) != expected.version {
            return Ok(false);
        }
        rows.insert(&expected.key, row);
    }
    let row = |key| {
        rows.get(key)
            .copied()
            .map_or_else(|| find(connection, key), Ok)
    };
    for put in &batch.puts {
        let table = schema::table(put.key.kind())?;
        let version = put.version.number() as i64;
        let written = match row(&put.key)? {
            Some(row) => prepare(connection, table.update)?.execute(params![
                row.id,
                version,
                now,
                &put.bytes[..]
            ]),
            None => prepare(connection, table.insert)?.execute(params![
                put.key.account().as_bytes(),
                put.key.key(),
                version,
                now,
                &put.bytes[..]
            ]),
        };
        written.map_err(|error| explain("writing a record", &error))?;
    }
    for key in &batch.deletes {
        if let Some(row) = row(key)? {
            let deleted = prepare(connection, schema::table(key.kind())?.delete)?.execute([row.id]);
            deleted.map_err(|error| explain("deleting a record", &error))?;
        }
    }
    remember(connection, *batch.operation.as_bytes())?;
    Ok(true)
}

/// Remembers an operation, and now and then forgets old ones.
fn remember(connection: &Connection, operation: [u8; 16]) -> Result<(), BackendError> {
    let failed = |error| explain("remembering an operation", &error);
    prepare(connection, schema::REMEMBER)?
        .execute([operation])
        .map_err(failed)?;
    let sequence = connection.last_insert_rowid();
    if sequence % FORGET_EVERY == 0 {
        prepare(connection, schema::FORGET)?
            .execute([sequence - REMEMBERED])
            .map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
