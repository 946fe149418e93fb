//! The writer with a queue that is filled before it starts, so that what goes into one group is
//! certain.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};

use sprag::backend::{AccountId, Kind, RecordKey, Version};
use tokio::sync::oneshot;

use super::*;
use crate::queue;

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
        Writer::new(connection, None, shared, Duration::ZERO).run(jobs, Vec::new());
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

/// A full disk fails all batches of the group, those before and after the one that met it, and no
/// other group.
#[test]
fn a_full_disk_fails_the_whole_group() {
    let bench = Bench::new();
    let pages = schema::number(&bench.connection, "PRAGMA page_count").unwrap();
    schema::number(
        &bench.connection,
        &format!("PRAGMA max_page_count = {}", pages + 20),
    )
    .unwrap();
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
    let (reply, closed) = oneshot::channel();
    bench.send(Job::Close(reply));
    let accepted = bench.commit(batch().put(key(2), version(1), vec![1]));
    bench.run();
    assert_eq!(outcome(before), Ok(Committed));
    assert_eq!(outcome(accepted), Ok(Committed));
    assert_eq!(outcome(closed), Ok(()));
}

#[test]
fn the_table_of_operations_is_bounded() {
    let connection = Connection::open_in_memory().unwrap();
    schema::migrate(&connection).unwrap();
    let id = |number: i64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    };
    let last = 3 * REMEMBERED + 7;
    connection.execute_batch("BEGIN").unwrap();
    for number in 1..=last {
        remember(&connection, id(number)).unwrap();
    }
    let rows = schema::number(&connection, "SELECT count(*) FROM operation").unwrap();
    assert!(
        (REMEMBERED..REMEMBERED + FORGET_EVERY).contains(&rows),
        "{rows}"
    );
    for (number, expected) in [
        (last, true),
        (last - REMEMBERED + 1, true),
        (last - REMEMBERED - FORGET_EVERY, false),
    ] {
        let found = connection.query_row(schema::REMEMBERED, [id(number)], |row| row.get(0));
        assert_eq!(found, Ok(expected), "{number}");
    }
}
