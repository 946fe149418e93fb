//! The contracts on what a store still holds when it is opened again. For these the
//! [`Fixture`] is made by [`Fixture::reopening`].

use std::sync::Arc;

use sprag::backend::{BackendError, CommitOutcome, Kind};

use super::Fixture;
use super::contracts::Stalled;
use super::sample::{
    ALICE, BOB, batch, commit, numbered, place, put, read, records_of, session, version,
};

/// Records of every kind are there with their versions after closing and opening.
pub async fn records_survive_closing(fixture: Fixture) {
    let backend = fixture.backend();
    let mut written = Vec::new();
    for account in [ALICE, BOB] {
        for kind in Kind::ALL {
            let key = place(account, *kind, b"name");
            written.push((key, put(backend, key, &[kind.code(); 6000]).await));
        }
    }
    backend.close().await.expect("close");

    let fixture = fixture.reopened().await;
    for (key, version) in written {
        let record = read(fixture.backend(), key)
            .await
            .expect("the record survived");
        assert_eq!(
            (record.version, &record.bytes[..]),
            (version, &[key.kind().code(); 6000][..])
        );
    }
}

/// What was answered `Committed` is there although the handle was dropped without closing.
pub async fn records_survive_without_closing(fixture: Fixture) {
    for index in 0..10 {
        put(fixture.backend(), numbered(index), b"x").await;
    }
    let fixture = fixture.reopened().await;
    assert_eq!(
        records_of(fixture.backend(), ALICE, Kind::Session, 100)
            .await
            .len(),
        10
    );
    put(fixture.backend(), session(b"later"), b"1").await;
}

/// An unknown outcome can be resolved after the store was opened again.
pub async fn operations_survive(fixture: Fixture) {
    let change = batch().put(session(b"one"), version(), &b"1"[..]);
    let refused = batch()
        .expect(session(b"one"), None)
        .delete(session(b"one"));
    assert_eq!(
        commit(fixture.backend(), change.clone()).await,
        CommitOutcome::Committed
    );
    assert_eq!(
        commit(fixture.backend(), refused.clone()).await,
        CommitOutcome::Conflict
    );

    let fixture = fixture.reopened().await;
    assert_eq!(
        fixture.backend().committed(change.operation).await,
        Ok(true)
    );
    assert_eq!(
        fixture.backend().committed(refused.operation).await,
        Ok(false)
    );
}

/// A deletion that nobody waited for is durable once the store is closed.
pub async fn deletions_that_wait_are_done_by_closing(fixture: Fixture) {
    put(fixture.backend(), session(b"one"), b"1").await;
    let deleted = fixture
        .backend()
        .delete_soon(batch().delete(session(b"one")));
    assert_eq!(deleted.await, Ok(CommitOutcome::Committed));
    fixture.backend().close().await.expect("close");
    let fixture = fixture.reopened().await;
    assert_eq!(read(fixture.backend(), session(b"one")).await, None);
}

/// Commits that race with closing are refused and absent, or committed and there.
pub async fn closing_finishes_what_was_accepted(fixture: Fixture) {
    let tasks: Vec<_> = (0..64)
        .map(|index| {
            let backend = Arc::clone(fixture.backend());
            let change = batch().put(numbered(index), version(), vec![0; 3000]);
            tokio::spawn(async move { backend.commit(change).await })
        })
        .collect();
    tokio::task::yield_now().await;
    fixture.backend().close().await.expect("close");
    let mut committed = Vec::new();
    for (index, task) in tasks.into_iter().enumerate() {
        match task.await.expect("no task panics") {
            Ok(CommitOutcome::Committed) => committed.push(numbered(index).key().to_vec()),
            Err(BackendError::Closed) => {}
            other => unreachable!("a blind put is committed or refused, not {other:?}"),
        }
    }
    let fixture = fixture.reopened().await;
    let scanned = records_of(fixture.backend(), ALICE, Kind::Session, 100).await;
    assert_eq!(
        scanned.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        committed
    );
}

/// Whoever closes while somebody else does, or after somebody began to and left it alone, waits for the
/// same end: what was accepted is done then, and the store may be opened anew.
pub async fn closing_again_waits_for_the_end(fixture: Fixture) {
    let commits: Vec<_> = (0..64)
        .map(|index| {
            let backend = Arc::clone(fixture.backend());
            let change = batch().put(numbered(index), version(), vec![0; 3000]);
            Stalled::after_one_poll(async move { backend.commit(change).await })
        })
        .collect();
    let backend = Arc::clone(fixture.backend());
    let left_alone = Stalled::after_one_poll(async move { backend.close().await });
    fixture.backend().close().await.expect("close again");
    let fixture = fixture.reopened().await;
    let scanned = records_of(fixture.backend(), ALICE, Kind::Session, 100).await;

    assert_eq!(left_alone.resume().await, Ok(()));
    let mut committed = Vec::new();
    for (index, commit) in commits.into_iter().enumerate() {
        if commit.resume().await == Ok(CommitOutcome::Committed) {
            committed.push(numbered(index).key().to_vec());
        }
    }
    let there: Vec<_> = scanned.into_iter().map(|(key, _)| key).collect();
    assert_eq!(there, committed);
}
