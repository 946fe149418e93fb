//! Deletions that nobody waits for.

use std::thread;

use rusqlite::params;

use super::*;

/// Deletions that nobody waits for join the commit beside them, in the order in which they came.
#[test]
fn deletions_join_a_commit() {
    let bench = Bench::new();
    let shared = Arc::clone(&bench.shared);
    let put = bench.commit(batch().put(key(1), version(1), vec![1]));
    bench.delete_soon(1);
    let gone = bench.commit(
        batch()
            .expect(key(1), None)
            .put(key(2), version(1), vec![1]),
    );
    bench.delete_soon(9);
    assert_eq!(bench.run(), 1);
    assert_eq!(
        [outcome(put), outcome(gone)],
        [Ok(Committed), Ok(Committed)]
    );
    assert_eq!(shared.deletions().waiting(), 0);
}

/// If there is no commit, they get one of their own before the store is left.
#[test]
fn deletions_alone_are_committed_in_the_end() {
    let bench = Bench::new();
    let shared = Arc::clone(&bench.shared);
    let put = bench.commit(batch().put(key(1), version(1), vec![1]));
    let flushed = bench.flush();
    bench.delete_soon(1);
    assert_eq!(bench.run(), 2);
    assert_eq!((outcome(put), outcome(flushed)), (Ok(Committed), Ok(())));
    assert_eq!(shared.deletions().waiting(), 0);
}

/// A group that fails keeps them for the next one.
#[test]
fn deletions_outlast_a_group_that_fails() {
    let bench = Bench::new();
    let shared = Arc::clone(&bench.shared);
    limit_pages(&bench, 20);
    let put = bench.commit(batch().put(key(1), version(1), vec![1]));
    let flushed = bench.flush();
    let first = bench.commit(batch().put(key(2), version(1), vec![1]));
    bench.delete_soon(1);
    let full = bench.commit(batch().put(key(3), version(1), vec![1; 200_000]));
    let after = bench.commit(
        batch()
            .expect(key(1), None)
            .put(key(2), version(1), vec![1]),
    );
    bench.run();
    assert_eq!((outcome(put), outcome(flushed)), (Ok(Committed), Ok(())));
    let full_disk = Err(BackendError::Full);
    assert_eq!(
        [outcome(first), outcome(full)],
        [full_disk.clone(), full_disk]
    );
    assert_eq!(outcome(after), Ok(Committed));
    assert_eq!(shared.deletions().waiting(), 0);
}

/// What waits when a group fails has a deadline, whenever it came.
#[test]
fn deletions_that_came_within_a_group_that_fails_do_not_wait_for_another() {
    let bench = Bench::new();
    limit_pages(&bench, 20);
    let shared = Arc::clone(&bench.shared);
    let put = bench.commit(batch().put(key(1), version(1), vec![1]));
    let flushed = bench.flush();
    let first = bench.commit(batch().put(key(2), version(1), vec![1]));
    bench.delete_soon(1);
    let full = bench.commit(batch().put(key(3), version(1), vec![1; 200_000]));
    let Bench {
        connection,
        queue,
        jobs,
        ..
    } = bench;
    let (log, handle) = (Log::new(Duration::MAX, Duration::ZERO), Arc::clone(&shared));
    let writer = thread::spawn(move || {
        Writer::new(connection, None, handle, log).run(jobs, Vec::new(), &watch::channel(None).0);
    });
    let begun = Instant::now();
    while shared.deletions().waiting() > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "they wait for ever"
        );
        thread::sleep(Duration::from_millis(5));
    }
    drop(queue);
    writer.join().unwrap();
    assert_eq!((outcome(put), outcome(flushed)), (Ok(Committed), Ok(())));
    let full_disk = Err(BackendError::Full);
    assert_eq!(
        [outcome(first), outcome(full)],
        [full_disk.clone(), full_disk]
    );
}

/// What SQLite says when it meets damage, and what it may do with the transaction then.
const DAMAGE: [&str; 2] = ["ABORT", "ROLLBACK"];

/// A store with the records 0 to 9, of which 1 and 3 cannot be deleted.
fn damaged(sort: &str) -> Bench {
    let bench = Bench::new();
    for number in 0..10_u32 {
        let row = params![AccountId::STORE.as_bytes(), number.to_be_bytes()];
        let insert = "INSERT INTO session (account, key, version, updated_at, bytes)
            VALUES (?1, ?2, 1, 0, x'01')";
        bench.connection.execute(insert, row).unwrap();
    }
    let trigger = format!(
        "CREATE TRIGGER damage BEFORE DELETE ON session
         WHEN old.key IN (x'00000001', x'00000003')
         BEGIN SELECT RAISE({sort}, 'damaged'); END"
    );
    bench.connection.execute_batch(&trigger).unwrap();
    bench
}

/// The numbers of those of the records 0 to 9 that are there.
fn there(records: Answer<Vec<Option<Record>>>) -> Vec<usize> {
    let records = outcome(records).unwrap().into_iter().enumerate();
    let there = records.filter_map(|(number, record)| record.map(|_| number));
    there.collect()
}

#[test]
fn a_deletion_that_meets_damage_is_given_up_alone() {
    for sort in DAMAGE {
        let bench = damaged(sort);
        let shared = Arc::clone(&bench.shared);
        for number in [0, 1, 2, 3, 4] {
            bench.delete_soon(number);
        }
        let flushed = bench.flush();
        let looked = bench.look(0..10);
        assert_eq!(bench.run(), 1);
        assert_eq!(outcome(flushed), Ok(()));
        assert_eq!(there(looked), [1, 3, 5, 6, 7, 8, 9]);
        assert_eq!(shared.deletions().waiting(), 0);
    }
}

/// The commits beside it go on: those before it and those after it, each done once and in its order.
#[test]
fn a_deletion_that_meets_damage_fails_no_commit() {
    for sort in DAMAGE {
        let bench = damaged(sort);
        let shared = Arc::clone(&bench.shared);
        let step = |from, to| batch().expect(key(20), from).put(key(20), to, vec![1]);
        let conflicting = bench.commit(step(Some(version(9)), version(10)));
        bench.delete_soon(0);
        bench.delete_soon(1);
        let group = [
            bench.commit(step(None, version(1))),
            bench.commit(batch().put(key(2), version(2), vec![2])),
        ];
        bench.delete_soon(2);
        bench.delete_soon(3);
        bench.delete_soon(4);
        let later = [
            bench.commit(
                batch()
                    .expect(key(2), None)
                    .put(key(4), version(2), vec![2]),
            ),
            bench.commit(step(Some(version(1)), version(2))),
        ];
        let looked = bench.look(0..10);
        let commits = bench.run();
        assert_eq!(outcome(conflicting), Ok(Conflict));
        for answer in group.into_iter().chain(later) {
            assert_eq!(outcome(answer), Ok(Committed));
        }
        assert_eq!(there(looked), [1, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(commits, 1);
        assert_eq!(shared.deletions().waiting(), 0);
    }
}
