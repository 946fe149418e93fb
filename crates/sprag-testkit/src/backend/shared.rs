//! The contracts on several handles over one store at once: two processes on a file, two hosts on a
//! server. For these the [`Fixture`] is made by [`Fixture::reopening`].

use std::sync::Arc;

use sprag::backend::{BackendError, CommitOutcome};

use super::Fixture;
use super::contracts::skew;
use super::sample::{batch, bytes_at, commit, increment, number, put, read, session, version};

/// What one handle committed, the other reads, at once.
pub async fn commits_are_seen_through_the_other_handle(fixture: Fixture) {
    let (left, right) = (fixture.backend(), &fixture.second().await);
    let key = session(b"one");
    for round in 0..20_u8 {
        let (writer, reader) = if round % 2 == 0 {
            (left, right)
        } else {
            (right, left)
        };
        put(writer, key, &[round]).await;
        assert_eq!(bytes_at(reader, key).await, Some(vec![round]));
    }
}

/// What one handle read is stale once the other has written it.
pub async fn conflicts_are_found_across_handles(fixture: Fixture) {
    let (left, right) = (fixture.backend(), &fixture.second().await);
    let key = session(b"one");
    let stale = put(left, key, b"1").await;
    put(right, key, b"2").await;
    let change = batch()
        .expect(key, Some(stale))
        .put(key, version(), &b"3"[..]);
    assert_eq!(commit(left, change).await, CommitOutcome::Conflict);
    assert_eq!(
        commit(left, batch().expect(key, Some(stale))).await,
        CommitOutcome::Conflict
    );
    assert_eq!(bytes_at(left, key).await.as_deref(), Some(&b"2"[..]));
}

/// What one handle read is stale once the other has deleted it and made it again, with the same bytes.
pub async fn a_recreated_record_is_not_the_old_one_across_handles(fixture: Fixture) {
    let (left, right) = (fixture.backend(), &fixture.second().await);
    let key = session(b"one");
    let stale = put(left, key, b"same bytes").await;
    assert_eq!(
        commit(right, batch().delete(key)).await,
        CommitOutcome::Committed
    );
    put(right, key, b"same bytes").await;
    for change in [
        batch().expect(key, Some(stale)),
        batch().expect(key, None),
        batch()
            .expect(key, Some(stale))
            .put(key, version(), &b"3"[..]),
    ] {
        assert_eq!(commit(left, change).await, CommitOutcome::Conflict);
    }
}

/// Tasks on both handles add to one counter, and every addition counts.
pub async fn increments_through_two_handles_lose_nothing(fixture: Fixture) {
    let key = session(b"counter");
    let handles = [Arc::clone(fixture.backend()), fixture.second().await];
    let tasks: Vec<_> = (0..6)
        .map(|index| {
            let handle = Arc::clone(&handles[index % 2]);
            tokio::spawn(async move {
                let mut additions = 0;
                while additions < 10 {
                    match increment(&handle, key).await {
                        Ok(()) => additions += 1,
                        Err(BackendError::Busy) => {}
                        Err(error) => unreachable!("only Busy is to be expected, not {error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    let record = read(fixture.backend(), key)
        .await
        .expect("the counter is there");
    assert_eq!(number(&record.bytes), 60);
}

/// Two operations that read the same two records and write one each, through different handles,
/// cannot both be applied.
pub async fn write_skew_is_impossible_across_handles(fixture: Fixture) {
    let second = fixture.second().await;
    skew(fixture.backend(), &second).await;
}

/// An operation is known to a handle that was opened before it, and to one opened after.
pub async fn operations_are_known_to_the_other_handle(fixture: Fixture) {
    let before = fixture.second().await;
    let change = batch().put(session(b"one"), version(), &b"1"[..]);
    assert_eq!(
        commit(fixture.backend(), change.clone()).await,
        CommitOutcome::Committed
    );
    assert_eq!(before.committed(change.operation).await, Ok(true));
    assert_eq!(
        fixture.second().await.committed(change.operation).await,
        Ok(true)
    );
}

/// Closing a handle, or dropping it, takes nothing from the others.
pub async fn closing_one_handle_leaves_the_other(fixture: Fixture) {
    let key = session(b"one");
    let (closed, dropped) = (fixture.second().await, fixture.second().await);
    put(&closed, key, b"1").await;
    closed.close().await.expect("close");
    assert_eq!(
        bytes_at(fixture.backend(), key).await.as_deref(),
        Some(&b"1"[..])
    );
    put(&dropped, key, b"2").await;
    drop(dropped);
    assert_eq!(
        bytes_at(fixture.backend(), key).await.as_deref(),
        Some(&b"2"[..])
    );
    put(fixture.backend(), key, b"3").await;
    assert_eq!(
        bytes_at(&fixture.second().await, key).await.as_deref(),
        Some(&b"3"[..])
    );
}
