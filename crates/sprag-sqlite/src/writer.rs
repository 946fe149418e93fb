//! Writing: one thread for each store takes batches from a queue and commits as many of them
//! together as wait there.
//!
//! Within a group each batch is validated completely before it writes anything, and sees what the
//! batches before it wrote. A conflict fails its own batch only. Any other failure rolls back the
//! group, since SQLite itself rolls back the whole transaction on a full disk or an I/O error;
//! savepoints would not help. A failure of the COMMIT itself leaves open whether the group is in
//! the store.
//!
//! Deletions that nobody waits for go into the transaction that is open, or the next one; if none
//! comes they get one of their own. They stay in the writer's hands until they are durable.

mod log;
mod rows;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use sprag::backend::{BackendError, Batch, Checkpoint, CommitOutcome, OperationId, RecordKey};

use crate::error::{explain, leaves_doubt_about_the_disk};
use crate::location::Watch;
use crate::queue::{Receiver, Wait};
use crate::reader::{ReadJob, Reply, answer, execute};
use crate::shared::Shared;
pub(crate) use log::Log;
use rows::Rows;

/// A group takes no further batch beyond this many batches or bytes.
const GROUP_BATCHES: usize = 512;
const GROUP_BYTES: usize = 16 << 20;

/// From so many callers on a group is good that half of them share; fewer share one.
const MANY_CALLERS: usize = 16;

/// The longest time that is waited for a group to grow.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);

/// How long deletions that nobody waits for may wait for a commit to join, and how many of them.
const DELETIONS_WAIT: Duration = Duration::from_millis(100);
const WAITING_DELETIONS: usize = 512;

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

/// The batches of one transaction.
#[derive(Default)]
struct Group {
    /// Where the outcomes go; `Conflict` until the batch is applied.
    outcomes: Vec<(Reply<CommitOutcome>, CommitOutcome)>,
    /// Those that were applied.
    operations: Vec<OperationId>,
    bytes: usize,
    /// Records were deleted for which nobody waits.
    deleted: bool,
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
    pub(crate) fn run(mut self, mut queue: Receiver<Job>, readers: Vec<JoinHandle<()>>) {
        let mut closing = Vec::new();
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
    fn commit_group(&mut self, first: Request, queue: &mut Receiver<Job>) -> Option<Job> {
        let mut group = Group::default();
        self.gather(queue);
        let mut next = Some(Job::Commit(first));
        match self.fill(&mut group, &mut next, queue) {
            Ok(()) => {
                self.conclude(group, queue);
            }
            Err(error) => {
                self.roll_back();
                group.fail(&error, &self.shared);
                // Others would wait as long for the same in vain.
                if error == BackendError::Busy && next.is_none() {
                    next = fail_waiting(queue, &error, &self.shared);
                }
            }
        }
        next
    }

    /// Waits a little for more batches if several callers are at work: until as many are there as
    /// make a good group, at most as long as a COMMIT takes. A lone caller never waits.
    fn gather(&self, queue: &mut Receiver<Job>) {
        let (callers, took) = self.last;
        let enough = match callers {
            0..MANY_CALLERS => callers,
            // If all of them waited for one COMMIT, nobody would compute meanwhile.
            _ => GROUP_BATCHES.min(callers / 2),
        };
        if enough > 1 {
            queue.gather(enough - 1, Instant::now() + took.min(LONGEST_GATHERING));
        }
    }

    /// Opens a transaction and applies what is there to be applied, from the commit that is `next`
    /// to the job that then is.
    fn fill(
        &mut self,
        group: &mut Group,
        next: &mut Option<Job>,
        queue: &mut Receiver<Job>,
    ) -> Result<(), BackendError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let mut begun = false;
        loop {
            match next.take() {
                Some(Job::Commit(Request { batch, reply })) => {
                    group.outcomes.push((reply, CommitOutcome::Conflict));
                    if !begun {
                        self.begin()?;
                        group.deleted = self.delete(0)?;
                        begun = true;
                    }
                    if self.rows.apply(&self.connection, &batch, now)? {
                        group.succeed(&batch);
                    }
                }
                Some(Job::Delete(keys)) => {
                    let first = self.deletions.len();
                    self.deletions.extend(keys);
                    group.deleted |= self.delete(first)?;
                }
                other => {
                    *next = other;
                    break;
                }
            }
            if !group.is_full() {
                *next = queue.next();
            }
        }
        if group.has_changes() {
            self.rows.remember(&self.connection, &group.operations)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), BackendError> {
        self.shared.check()?;
        execute(&self.connection, "BEGIN IMMEDIATE")
            .map_err(|error| explain("beginning a transaction", &error))?;
        self.rows.begin(&self.connection)
    }

    /// Takes deletions that nobody waits for.
    fn accept(&mut self, keys: Vec<RecordKey>) {
        self.deletions.extend(keys);
        let deadline = Instant::now() + DELETIONS_WAIT;
        self.deadline.get_or_insert(deadline);
        if self.deletions.len() >= WAITING_DELETIONS {
            // What fails is tried again later.
            let _ = self.flush();
        }
    }

    /// Applies the deletions from the position `first` on within the open transaction; whether
    /// there was anything to delete.
    fn delete(&mut self, first: usize) -> Result<bool, BackendError> {
        let mut deleted = false;
        for key in &self.deletions[first..] {
            deleted |= self.rows.delete(&self.connection, key)?;
        }
        Ok(deleted)
    }

    /// Makes the deletions durable that wait, in a transaction of their own.
    fn flush(&mut self) -> Result<(), BackendError> {
        if self.deletions.is_empty() {
            return Ok(());
        }
        let flushed = self.begin().and_then(|()| match self.delete(0)? {
            true => self.end(),
            false => execute(&self.connection, "ROLLBACK")
                .map_err(|error| explain("ending a transaction", &error)),
        });
        match &flushed {
            Ok(()) => self.deletions_are_durable(),
            Err(error) => {
                tracing::warn!(code = error.code(), "deletions must wait longer");
                self.roll_back();
                self.deadline = Some(Instant::now() + DELETIONS_WAIT);
            }
        }
        if self.shared.check().is_err() {
            // They never will be: after a crash, too, the records are there again.
            self.deadline = None;
        }
        flushed
    }

    fn deletions_are_durable(&mut self) {
        self.shared.deleted(self.deletions.drain(..));
        self.deadline = None;
    }

    /// Commits the group, and tells everyone.
    fn conclude(&mut self, group: Group, queue: &Receiver<Job>) {
        if !group.has_changes() && !group.deleted {
            self.roll_back();
            self.deletions_are_durable();
            return group.answer(Ok(CommitOutcome::Committed), &self.shared);
        }
        let begun = Instant::now();
        let ended = self.end();
        self.last = (group.outcomes.len() + queue.waiting(), begun.elapsed());
        match ended {
            Ok(()) => {
                self.deletions_are_durable();
                group.answer(Ok(CommitOutcome::Committed), &self.shared);
            }
            Err(BackendError::Busy) => group.answer(Err(BackendError::Busy), &self.shared),
            Err(_) => group.answer(Ok(CommitOutcome::Unknown), &self.shared),
        }
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

    /// Empties the log and lets go of the file.
    fn close(mut self, closing: Vec<Reply<()>>) {
        let flushed = self.flush();
        let emptied = match self.shared.check() {
            Ok(()) if !closing.is_empty() => flushed.and(self.checkpoint().map(|_| ())),
            // Nobody waits, or nothing may be written: SQLite does what it can when the connection
            // goes. Deletions that were not durable yet are lost then, and whoever waits hears of it.
            _ => flushed,
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
    fn succeed(&mut self, batch: &Batch) {
        self.operations.push(batch.operation);
        self.bytes += batch.bytes();
        if let Some((_, outcome)) = self.outcomes.last_mut() {
            *outcome = CommitOutcome::Committed;
        }
    }

    fn has_changes(&self) -> bool {
        !self.operations.is_empty()
    }

    fn is_full(&self) -> bool {
        self.outcomes.len() >= GROUP_BATCHES || self.bytes >= GROUP_BYTES
    }

    /// Tells the batches that were applied what became of them, and the others that they
    /// conflicted.
    fn answer(self, applied: Result<CommitOutcome, BackendError>, shared: &Shared) {
        for (reply, outcome) in self.outcomes {
            match outcome {
                CommitOutcome::Committed => shared.abandoned.answer(reply, applied.clone()),
                conflict => shared.abandoned.answer(reply, Ok(conflict)),
            }
        }
    }

    /// Tells all batches that nothing was done.
    fn fail(self, error: &BackendError, shared: &Shared) {
        for (reply, _) in self.outcomes {
            shared.abandoned.answer(reply, Err(error.clone()));
        }
    }
}

/// Fails the batches that wait. Gives the first job in the queue that is none.
fn fail_waiting(queue: &mut Receiver<Job>, error: &BackendError, shared: &Shared) -> Option<Job> {
    loop {
        match queue.next() {
            Some(Job::Commit(Request { reply, .. })) => {
                shared.abandoned.answer(reply, Err(error.clone()));
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests;
