//! Concurrency: many callers at once have the same result as some order one after the other.

use std::collections::HashSet;
use std::sync::Arc;

use sprag::backend::CommitOutcome::{Committed, Conflict};
use sprag::backend::{Backend, Kind, OperationId, RecordKey};

use super::super::Fixture;
use super::super::sample::{
    ALICE, BOB, batch, commit, increment, number, numbered, place, put, read, records_of, session,
    version,
};

/// Many tasks add to one counter by compare-and-swap, and every addition counts.
pub async fn concurrent_increments_lose_nothing(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"counter");
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let backend = Arc::clone(backend);
            tokio::spawn(async move {
                for _ in 0..10 {
                    increment(&backend, key).await.expect("increment");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    let record = read(backend, key).await.expect("the counter is there");
    assert_eq!(number(&record.bytes), 120);
}

/// Commits at once that share nothing but a record that all only read are all applied.
pub async fn unrelated_commits_do_not_conflict(fixture: Fixture) {
    let backend = fixture.backend();
    let header = place(ALICE, Kind::Header, b"");
    let epoch = put(backend, header, b"epoch").await;
    let tasks: Vec<_> = (0..64)
        .map(|index| {
            let (backend, key) = (Arc::clone(backend), numbered(index));
            let change = batch().expect(header, Some(epoch)).expect(key, None).put(
                key,
                version(),
                &b"x"[..],
            );
            tokio::spawn(async move { commit(&backend, change).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no task panics"), Committed);
    }
    assert_eq!(
        records_of(backend, ALICE, Kind::Session, 1000).await.len(),
        64
    );
}

/// Two operations that read the same two records and write one each cannot both be applied.
pub async fn write_skew_is_impossible(fixture: Fixture) {
    let backend = fixture.backend();
    skew(backend, backend).await;
}

/// The rounds of [`write_skew_is_impossible`], over two handles.
pub(in crate::backend) async fn skew(left: &Arc<dyn Backend>, right: &Arc<dyn Backend>) {
    let (one, two) = (session(b"one"), session(b"two"));
    for _ in 0..50 {
        let (one_version, two_version) = (
            put(left, one, b"on duty").await,
            put(left, two, b"on duty").await,
        );
        let both = batch()
            .expect(one, Some(one_version))
            .expect(two, Some(two_version));
        let tasks = [(left, one), (right, two)].map(|(handle, key)| {
            let handle = Arc::clone(handle);
            let mut change = both.clone().put(key, version(), &b"off duty"[..]);
            change.operation = OperationId::random(&mut rand::rng());
            tokio::spawn(async move { commit(&handle, change).await })
        });
        let mut outcomes = HashSet::new();
        for task in tasks {
            outcomes.insert(task.await.expect("no task panics") == Committed);
        }
        assert_eq!(
            outcomes,
            HashSet::from([true, false]),
            "exactly one of the two is committed"
        );
    }
}

/// While a writer changes two records together, a read of both never sees one changed and the other
/// not.
pub async fn reads_are_snapshots(fixture: Fixture) {
    let backend = fixture.backend();
    let keys = pair();
    let writer = keep_changing(backend, keys);
    let (mut changes, mut last) = (0, None);
    while changes < 100 {
        let records = backend.read(&keys).await.expect("read");
        let bytes: Vec<_> = records
            .iter()
            .map(|record| record.as_ref().map(|record| &record.bytes))
            .collect();
        assert_eq!(bytes[0], bytes[1], "both records are of one commit");
        changes += usize::from(records[0] != last);
        last = records.into_iter().next().flatten();
        tokio::task::yield_now().await;
    }
    writer.abort();
}

/// While a writer changes two records together, the old version of one and the new version of the
/// other never validate.
pub async fn validations_are_snapshots(fixture: Fixture) {
    let backend = fixture.backend();
    let keys = pair();
    let writer = keep_changing(backend, keys);
    let mut changes = 0;
    while changes < 50 {
        let old = backend.read(&keys).await.expect("read");
        tokio::task::yield_now().await;
        let new = backend.read(&keys).await.expect("read");
        let [old, new] = [old, new].map(|records| {
            records
                .into_iter()
                .map(|record| record.map(|record| record.version))
                .collect::<Vec<_>>()
        });
        if old[0] != new[0] {
            changes += 1;
            let mixed = batch().expect(keys[0], old[0]).expect(keys[1], new[1]);
            assert_eq!(commit(backend, mixed).await, Conflict);
        }
    }
    writer.abort();
}

fn pair() -> [RecordKey; 2] {
    [session(b"left"), place(BOB, Kind::Identity, b"right")]
}

/// A task that keeps putting the same fresh bytes into both records by one commit.
fn keep_changing(backend: &Arc<dyn Backend>, keys: [RecordKey; 2]) -> tokio::task::JoinHandle<()> {
    let backend = Arc::clone(backend);
    tokio::spawn(async move {
        for round in 0_u64.. {
            let bytes = round.to_be_bytes().to_vec();
            let change = keys.iter().fold(batch(), |batch, key| {
                batch.put(*key, version(), bytes.clone())
            });
            assert_eq!(commit(&backend, change).await, Committed);
            tokio::task::yield_now().await;
        }
    })
}
