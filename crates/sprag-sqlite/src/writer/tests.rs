//! The writer with a queue that is filled before it starts, so that what goes into one group is
//! certain.
#![allow(clippy::unwrap_used, reason = "tests")]

mod deletions;

use std::sync::atomic::{AtomicUsize, Ordering};

use sprag::backend::{AccountId, Kind, Record, RecordKey, Version};
use tokio::sync::oneshot;

use super::group::{GROUP_BATCHES, GROUP_BYTES};
use super::rows::{FORGET_EVERY, REMEMBERED, Rows};
use super::*;
use crate::{queue, schema};

type Answer<T> = oneshot::Receiver<Result<T, BackendError>>;

/// A store in memory and a queue of jobs for it.
struct Bench {
    connection: Connection,
    shared: Arc<Shared>,
    queue: queue::Sender<Job>,
    jobs: queue::Receiver<Job>,
}

impl Bench {
    fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        schema::migrate(&connection).unwrap();
        let (queue, jobs) = queue::bounded(2 * GROUP_BATCHES);
        Self {
            connection,
            shared: Arc::default(),
            queue,
            jobs,
        }
    }

    fn commit(&self, batch: Batch) -> Answer<CommitOutcome> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Commit(Request { batch, reply }));
        answer
    }

    fn committed(&self, batch: &Batch) -> Answer<bool> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Committed(batch.operation, reply));
        answer
    }

    fn flush(&self) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Flush(reply));
        answer
    }

    /// Deletes without waiting for it.
    fn delete_soon(&self, number: u32) {
        self.shared.deleting(&[key(number)]);
        self.send(Job::Delete(vec![key(number)]));
    }

    /// Which of the records are there.
    fn look(&self, numbers: impl IntoIterator<Item = u32>) -> Answer<Vec<Option<Record>>> {
        let (reply, answer) = oneshot::channel();
        let keys = numbers.into_iter().map(key).collect();
        self.send(Job::Read(ReadJob::Records { keys, reply }));
        answer
    }

    fn send(&self, job: Job) {
        assert!(self.queue.send_now(job).is_ok());
    }

    /// Has the writer do everything that waits. Gives how many transactions it committed.
    fn run(self) -> usize {
        let commits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&commits);
        self.connection
            .commit_hook(Some(move || {
                counter.fetch_add(1, Ordering::SeqCst);
                false
            }))
            .unwrap();
        self.start();
        commits.load(Ordering::SeqCst)
    }

    fn start(self) {
        let Self {
            connection,
            shared,
            queue,
            jobs,
        } = self;
        drop(queue);
        let log = Log::new(Duration::MAX, Duration::ZERO);
        let (end, _) = watch::channel(None);
        Writer::new(connection, None, shared, log).run(jobs, Vec::new(), &end);
        assert_eq!(*end.borrow(), Some(Ok(())));
    }
}

fn key(number: u32) -> RecordKey {
    RecordKey::fixed(AccountId::STORE, Kind::Session, number.to_be_bytes())
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn batch() -> Batch {
    Batch::new(OperationId::random(&mut rand::rng()))
}

fn outcome<T>(mut answer: Answer<T>) -> Result<T, BackendError> {
    answer.try_recv().expect("an answer was given")
}

use CommitOutcome::{Committed, Conflict, Unknown};

#[test]
fn what_waits_is_committed_together() {
    let bench = Bench::new();
    let answers: Vec<_> = (0..100)
        .map(|number| {
            bench.commit(
                batch()
                    .expect(key(number), None)
                    .put(key(number), version(1), vec![1]),
            )
        })
        .collect();
    assert_eq!(bench.run(), 1);
    assert!(
        answers
            .into_iter()
            .all(|answer| outcome(answer) == Ok(Committed))
    );
}

#[test]
fn groups_are_bounded() {
    let bench = Bench::new();
    let many: Vec<_> = (0..GROUP_BATCHES as u32 + 1)
        .map(|number| bench.commit(batch().put(key(number), version(1), vec![1])))
        .collect();
    let big: Vec<_> = (0..3)
        .map(|number| bench.commit(batch().put(key(number), version(2), vec![1; GROUP_BYTES / 2])))
        .collect();
    assert_eq!(
        bench.run(),
        3,
        "512 small ones, one small and two big ones, one big one"
    );
    assert!(
        many.into_iter()
            .chain(big)
            .all(|answer| outcome(answer) == Ok(Committed))
    );
}

#[test]
fn later_batches_see_earlier_ones_of_their_group() {
    let bench = Bench::new();
    let answers = [
        bench.commit(
            batch()
                .expect(key(1), None)
                .put(key(1), version(1), vec![1]),
        ),
        bench.commit(
            batch()
                .expect(key(1), Some(version(1)))
                .put(key(1), version(2), vec![2]),
        ),
        bench.commit(
            batch()
                .expect(key(1), Some(version(1)))
                .put(key(1), version(3), vec![3]),
        ),
        bench.commit(batch().expect(key(1), Some(version(2))).delete(key(1))),
        bench.commit(
            batch()
                .expect(key(1), None)
                .put(key(1), version(4), vec![4]),
        ),
    ];
    assert_eq!(bench.run(), 1);
    assert_eq!(
        answers.map(outcome),
        [
            Ok(Committed),
            Ok(Committed),
            Ok(Conflict),
            Ok(Committed),
            Ok(Committed)
        ]
    );
}

#[test]
fn a_conflict_fails_its_own_batch_only() {
    let bench = Bench::new();
    let conflicting = batch()
        .put(key(2), version(1), vec![1])
        .delete(key(1))
        .expect(key(9), Some(version(1)));
    let first = batch().put(key(1), version(1), vec![1]);
    let answers = [
        bench.commit(first.clone()),
        bench.commit(conflicting.clone()),
        bench.commit(
            batch()
                .expect(key(1), Some(version(1)))
                .expect(key(2), None)
                .put(key(3), version(1), vec![1]),
        ),
    ];
    let remembered = [bench.committed(&first), bench.committed(&conflicting)];
    bench.run();
    assert_eq!(
        answers.map(outcome),
        [Ok(Committed), Ok(Conflict), Ok(Committed)]
    );
    assert_eq!(remembered.map(outcome), [Ok(true), Ok(false)]);
}

#[test]
fn conflicts_alone_commit_nothing() {
    let bench = Bench::new();
    let answer = bench.commit(batch().expect(key(1), Some(version(1))).put(
        key(1),
        version(2),
        vec![1],
    ));
    assert_eq!(bench.run(), 0);
    assert_eq!(outcome(answer), Ok(Conflict));
}

/// The disk is full when there are so many more pages.
fn limit_pages(bench: &Bench, more: i64) {
    let pages = schema::number(&bench.connection, "PRAGMA page_count").unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + more);
    schema::number(&bench.connection, &limit).unwrap();
}

/// A full disk fails all batches of the group, those before and after the one that met it, and no
/// other group.
#[test]
fn a_full_disk_fails_the_whole_group() {
    let bench = Bench::new();
    limit_pages(&bench, 20);
    let small = || batch().put(key(1), version(1), vec![1]);
    let big = batch().put(key(2), version(1), vec![1; 200_000]);
    let conflicting = batch().expect(key(3), Some(version(9))).delete(key(3));

    let before = small();
    let group = [
        bench.commit(before.clone()),
        bench.commit(conflicting),
        bench.commit(big),
        bench.commit(small()),
    ];
    let asked = bench.committed(&before);
    let later = small();
    let next_group = [
        bench.commit(later.clone()),
        bench.commit(batch().expect(key(2), None).delete(key(2))),
    ];
    let asked_again = bench.committed(&later);
    bench.run();
    // The batch after the big one was not yet taken; it is the first of a group of its own.
    let [first, conflicted, full, alone] = group.map(outcome);
    assert_eq!(
        [first, conflicted, full],
        [const { Err(BackendError::Full) }; 3]
    );
    assert_eq!(alone, Ok(Committed));
    assert_eq!(outcome(asked), Ok(false));
    assert_eq!(next_group.map(outcome), [Ok(Committed), Ok(Committed)]);
    assert_eq!(outcome(asked_again), Ok(true));
}

/// A failure of the COMMIT leaves the outcome open and poisons the handle; what waits behind is
/// refused, not tried.
#[test]
fn a_failed_commit_is_unknown_and_poisons() {
    let bench = Bench::new();
    bench.connection.commit_hook(Some(|| true)).unwrap();
    let group = [
        bench.commit(batch().put(key(1), version(1), vec![1])),
        bench.commit(
            batch()
                .expect(key(1), None)
                .put(key(2), version(1), vec![1]),
        ),
        bench.commit(batch().put(key(3), version(1), vec![1])),
    ];
    let (asked, behind) = (
        bench.committed(&batch()),
        bench.commit(batch().delete(key(1))),
    );
    let shared = Arc::clone(&bench.shared);
    bench.start();
    assert_eq!(group.map(outcome), [Ok(Unknown), Ok(Conflict), Ok(Unknown)]);
    let poison = shared.check().unwrap_err();
    assert_eq!(poison.code(), "store-poisoned");
    assert_eq!(
        (outcome(asked), outcome(behind)),
        (Err(poison.clone()), Err(poison))
    );
}

#[test]
fn what_was_asked_before_closing_is_done() {
    let bench = Bench::new();
    let before = bench.commit(batch().put(key(1), version(1), vec![1]));
    bench.send(Job::Close);
    let accepted = bench.commit(batch().put(key(2), version(1), vec![1]));
    bench.run();
    assert_eq!(outcome(before), Ok(Committed));
    assert_eq!(outcome(accepted), Ok(Committed));
}

#[test]
fn the_table_of_operations_is_bounded() {
    let connection = Connection::open_in_memory().unwrap();
    schema::migrate(&connection).unwrap();
    let id = |number: i64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        OperationId::from_bytes(id)
    };
    let mut rows = Rows::default();
    connection.execute_batch("BEGIN").unwrap();
    let (mut last, mut size) = (0, 1);
    while last < 3 * REMEMBERED {
        let group: Vec<_> = (last + 1..=last + size).map(id).collect();
        rows.remember(&connection, &group).unwrap();
        last += size;
        // As large as groups may be, and the rows may be known or not.
        size = size % GROUP_BATCHES as i64 + 7;
        if size % 2 == 0 {
            rows.forget();
        }
    }
    let kept = "SELECT sum(length(operations)) / 16 FROM operation";
    let kept = schema::number(&connection, kept).unwrap();
    let most = REMEMBERED + FORGET_EVERY + 2 * GROUP_BATCHES as i64;
    assert!((REMEMBERED..most).contains(&kept), "{kept}");
    for (number, expected) in [
        (last, true),
        (last - REMEMBERED + 1, true),
        (last - most, false),
    ] {
        let found = rows::is_remembered(&connection, id(number));
        assert_eq!(found, Ok(expected), "{number}");
    }
}

/// What another connection did is noticed, although the rows were known.
#[test]
fn known_rows_are_forgotten_when_others_write_and_when_they_are_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.db");
    let connection = Connection::open(&path).unwrap();
    schema::migrate(&connection).unwrap();
    let other = Connection::open(&path).unwrap();
    let mut rows = Rows::default();
    let mut apply = |batch: Batch, end: &str| {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        rows.begin(&connection).unwrap();
        let applied = rows.apply(&connection, &batch, 0).unwrap();
        connection.execute_batch(end).unwrap();
        if end == "ROLLBACK" {
            rows.forget();
        }
        applied
    };
    let step = |from, to| {
        batch()
            .expect(key(1), from)
            .put(key(1), version(to), vec![to as u8])
    };
    assert!(apply(step(None, 1), "COMMIT"));
    assert!(apply(step(Some(version(1)), 2), "COMMIT"));
    assert!(apply(step(Some(version(2)), 3), "ROLLBACK"));
    assert!(!apply(step(Some(version(3)), 4), "COMMIT"));
    other
        .execute_batch("UPDATE session SET version = 9")
        .unwrap();
    assert!(!apply(step(Some(version(2)), 5), "COMMIT"));
    assert!(apply(step(Some(version(9)), 6), "COMMIT"));
    other.execute_batch("DELETE FROM session").unwrap();
    assert!(!apply(step(Some(version(6)), 7), "COMMIT"));
    assert!(apply(step(None, 8), "COMMIT"));
}
