//! Group commit: whatever waits goes into one transaction.
//!
//! Within a group each batch is validated completely before it writes anything, and sees what the
//! batches before it wrote. A conflict fails its own batch only. Any other failure of a batch rolls
//! back the group, since SQLite itself rolls back the whole transaction on a full disk or an I/O
//! error; savepoints would not help.

use std::time::{Duration, Instant, SystemTime};

use sprag::backend::{BackendError, Batch, CommitOutcome, OperationId, RecordKey};

use super::{Failure, Job, Request, Writer};
use crate::queue::Receiver;
use crate::reader::Reply;
use crate::shared::Shared;

/// A group takes no further batch beyond this many batches or bytes.
pub(super) const GROUP_BATCHES: usize = 512;
pub(super) const GROUP_BYTES: usize = 16 << 20;

/// From so many callers on a group is good that half of them share; fewer share one.
const MANY_CALLERS: usize = 16;

/// The longest time that is waited for a group to grow.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);

/// What goes into one transaction.
#[derive(Default)]
struct Group {
    /// In the order in which it was asked for.
    steps: Vec<Step>,
    batches: usize,
    bytes: usize,
    /// Of the batches that were applied.
    operations: Vec<OperationId>,
    /// Records were deleted for which nobody waits.
    deleted: bool,
}

enum Step {
    /// The outcome is `Conflict` until the batch is applied.
    Commit(Request, CommitOutcome),
    /// Nobody waits for these.
    Delete(Vec<RecordKey>),
}

impl Writer {
    /// Commits a batch, and all others that wait. Gives the first job in the queue that is none.
    pub(super) fn commit_group(
        &mut self,
        first: Request,
        queue: &mut Receiver<Job>,
    ) -> Option<Job> {
        let mut group = Group::default();
        self.gather(queue);
        let mut next = Some(Job::Commit(first));
        match self.fill(&mut group, &mut next, queue) {
            Ok(()) => self.conclude(group, queue),
            Err(Failure::GaveUp) => {
                self.roll_back();
                queue.put_back(group.into_jobs());
            }
            Err(Failure::Error(error)) => {
                self.roll_back();
                self.keep(group.take_deletions());
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
    ) -> Result<(), Failure> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        loop {
            match next.take() {
                Some(Job::Commit(request)) => {
                    let applied = self.apply(group, &request.batch, now);
                    group.push(request, matches!(applied, Ok(true)));
                    applied?;
                }
                Some(Job::Delete(mut keys)) => {
                    let deleted = self.delete(&mut keys);
                    group.steps.push(Step::Delete(keys));
                    group.deleted |= deleted?;
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

    /// Applies a batch if all of its expectations hold; tells whether they did. The first of a group
    /// opens the transaction.
    fn apply(&mut self, group: &mut Group, batch: &Batch, now: i64) -> Result<bool, Failure> {
        if group.steps.is_empty() {
            self.begin()?;
            group.deleted = self.delete_waiting()?;
        }
        Ok(self.rows.apply(&self.connection, batch, now)?)
    }

    /// Commits the group, and tells everyone.
    fn conclude(&mut self, mut group: Group, queue: &Receiver<Job>) {
        let deletions = group.take_deletions();
        if !group.has_changes() && !group.deleted {
            self.roll_back();
            self.deletions_are_durable(deletions);
            return group.answer(Ok(CommitOutcome::Committed), &self.shared);
        }
        let begun = Instant::now();
        let ended = self.end();
        self.last = (group.batches + queue.waiting(), begun.elapsed());
        match &ended {
            Ok(()) => self.deletions_are_durable(deletions),
            Err(_) => self.keep(deletions),
        }
        let answer = match ended {
            Ok(()) => Ok(CommitOutcome::Committed),
            Err(BackendError::Busy) => Err(BackendError::Busy),
            Err(_) => Ok(CommitOutcome::Unknown),
        };
        group.answer(answer, &self.shared);
    }
}

impl Group {
    fn push(&mut self, request: Request, applied: bool) {
        self.batches += 1;
        let outcome = if applied {
            self.operations.push(request.batch.operation);
            self.bytes += request.batch.bytes();
            CommitOutcome::Committed
        } else {
            CommitOutcome::Conflict
        };
        self.steps.push(Step::Commit(request, outcome));
    }

    fn has_changes(&self) -> bool {
        !self.operations.is_empty()
    }

    fn is_full(&self) -> bool {
        self.batches >= GROUP_BATCHES || self.bytes >= GROUP_BYTES
    }

    /// Takes the deletions out.
    fn take_deletions(&mut self) -> Vec<RecordKey> {
        let mut deletions = Vec::new();
        for step in &mut self.steps {
            if let Step::Delete(keys) = step {
                deletions.append(keys);
            }
        }
        deletions
    }

    /// Tells the batches that were applied what became of them, and the others that they
    /// conflicted.
    fn answer(self, applied: Result<CommitOutcome, BackendError>, shared: &Shared) {
        for (reply, outcome) in self.replies() {
            match outcome {
                CommitOutcome::Committed => shared.abandoned.answer(reply, applied.clone()),
                conflict => shared.abandoned.answer(reply, Ok(conflict)),
            }
        }
    }

    /// Tells all batches that nothing was done.
    fn fail(self, error: &BackendError, shared: &Shared) {
        for (reply, _) in self.replies() {
            shared.abandoned.answer(reply, Err(error.clone()));
        }
    }

    fn replies(self) -> impl Iterator<Item = (Reply<CommitOutcome>, CommitOutcome)> {
        self.steps.into_iter().filter_map(|step| match step {
            Step::Commit(request, outcome) => Some((request.reply, outcome)),
            Step::Delete(_) => None,
        })
    }

    /// What was asked for, to be done again.
    fn into_jobs(self) -> impl DoubleEndedIterator<Item = Job> {
        self.steps.into_iter().map(|step| match step {
            Step::Commit(request, _) => Job::Commit(request),
            Step::Delete(keys) => Job::Delete(keys),
        })
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
