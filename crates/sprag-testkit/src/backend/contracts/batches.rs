//! Batches: all or nothing, on condition; and the operations that a store remembers.

use std::sync::Arc;

use sprag::backend::CommitOutcome::{Committed, Conflict};
use sprag::backend::{Kind, Limits, OperationId};

use super::super::Fixture;
use super::super::sample::{
    ALICE, BOB, all_records, batch, bytes_at, commit, delete, numbered, place, put, read,
    records_of, session, version,
};

/// A batch computed from an older version of a record is refused.
pub async fn conflict_if_the_record_changed(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let stale = put(backend, key, b"1").await;
    let current = put(backend, key, b"2").await;
    let change = batch()
        .expect(key, Some(stale))
        .put(key, version(), &b"3"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    let record = read(backend, key).await.expect("the record is there");
    assert_eq!((record.version, &record.bytes[..]), (current, &b"2"[..]));
}

/// A batch that expects no record is refused if there is one.
pub async fn conflict_if_the_record_appeared(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;
    let change = batch().expect(key, None).put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
}

/// A batch that expects a record is refused if there is none any more.
pub async fn conflict_if_the_record_vanished(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let before = put(backend, key, b"1").await;
    delete(backend, key).await;
    let change = batch()
        .expect(key, Some(before))
        .put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(read(backend, key).await, None);
}

/// Records that the operation read but does not write count as much as those that it writes.
pub async fn conflict_if_a_record_that_was_only_read_changed(fixture: Fixture) {
    let backend = fixture.backend();
    let (header, key) = (place(ALICE, Kind::Header, b""), session(b"one"));
    let stale = put(backend, header, b"epoch 1").await;
    put(backend, header, b"epoch 2").await;
    let change = batch()
        .expect(header, Some(stale))
        .put(key, version(), &b"1"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(read(backend, key).await, None);

    let phantom = batch().expect(header, None).put(key, version(), &b"1"[..]);
    assert_eq!(commit(backend, phantom).await, Conflict);
    assert_eq!(read(backend, key).await, None);
}

/// One failed expectation, the last of many, and none of the puts and deletes is applied.
pub async fn a_conflict_applies_nothing(fixture: Fixture) {
    let backend = fixture.backend();
    let (kept, changed) = (session(b"kept"), place(BOB, Kind::Identity, b"changed"));
    put(backend, kept, b"1").await;
    let current = put(backend, changed, b"1").await;

    let mut change = batch().delete(kept).put(changed, version(), &b"2"[..]);
    for index in 0..20 {
        change = change
            .expect(numbered(index), None)
            .put(numbered(index), version(), &b"x"[..]);
    }
    let change = change
        .expect(changed, Some(current))
        .expect(session(b"absent"), Some(version()));
    assert_eq!(commit(backend, change).await, Conflict);

    assert_eq!(bytes_at(backend, kept).await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bytes_at(backend, changed).await.as_deref(), Some(&b"1"[..]));
    assert_eq!(
        records_of(backend, ALICE, Kind::Session, 100).await.len(),
        1
    );
}

/// A batch without puts and deletes says whether its expectations hold, and changes nothing.
pub async fn an_empty_batch_validates(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let stale = put(backend, key, b"1").await;
    let current = put(backend, key, b"2").await;
    let absent = session(b"absent");
    for (validation, outcome) in [
        (batch(), Committed),
        (batch().expect(key, Some(current)), Committed),
        (
            batch().expect(key, Some(current)).expect(absent, None),
            Committed,
        ),
        (batch().expect(key, Some(stale)), Conflict),
        (batch().expect(key, None), Conflict),
        (batch().expect(absent, Some(current)), Conflict),
        (
            batch()
                .expect(key, Some(current))
                .expect(absent, Some(stale)),
            Conflict,
        ),
    ] {
        assert_eq!(
            commit(backend, validation.clone()).await,
            outcome,
            "{validation:?}"
        );
    }
    assert_eq!(
        read(backend, key).await.map(|record| record.version),
        Some(current)
    );
}

/// A record that was deleted and made anew is another record, even with the same bytes.
pub async fn a_recreated_record_is_not_the_old_one(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let before = put(backend, key, b"same bytes").await;
    delete(backend, key).await;
    let after = put(backend, key, b"same bytes").await;
    let change = batch()
        .expect(key, Some(before))
        .put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(
        commit(backend, batch().expect(key, Some(after))).await,
        Committed
    );
}

/// Without an expectation, a put replaces and a delete removes whatever is there.
pub async fn blind_writes_need_no_expectation(fixture: Fixture) {
    let backend = fixture.backend();
    let (put_over, put_new, gone) = (session(b"over"), session(b"new"), session(b"gone"));
    put(backend, put_over, b"1").await;
    put(backend, gone, b"1").await;
    let change = batch()
        .put(put_over, version(), &b"2"[..])
        .put(put_new, version(), &b"2"[..])
        .delete(gone);
    assert_eq!(commit(backend, change).await, Committed);
    assert_eq!(
        bytes_at(backend, put_over).await.as_deref(),
        Some(&b"2"[..])
    );
    assert_eq!(bytes_at(backend, put_new).await.as_deref(), Some(&b"2"[..]));
    assert_eq!(read(backend, gone).await, None);
}

/// A committed operation is found, also after as many later ones as the limits of every backend
/// promise, and one that deletes only as well.
pub async fn operations_are_remembered(fixture: Fixture) {
    let backend = fixture.backend();
    let first = batch().put(session(b"one"), version(), &b"1"[..]);
    assert_eq!(commit(backend, first.clone()).await, Committed);
    assert_eq!(backend.committed(first.operation).await, Ok(true));

    let deleting = batch().delete(session(b"one"));
    assert_eq!(commit(backend, deleting.clone()).await, Committed);
    assert_eq!(backend.committed(deleting.operation).await, Ok(true));

    let later = Limits::MINIMUM.remembered_operations as usize - 2;
    for chunk in (0..later).collect::<Vec<_>>().chunks(64) {
        let tasks: Vec<_> = chunk
            .iter()
            .map(|index| {
                let (backend, key) = (Arc::clone(backend), numbered(*index));
                tokio::spawn(async move { put(&backend, key, b"later").await })
            })
            .collect();
        for task in tasks {
            task.await.expect("a blind put succeeds");
        }
    }
    assert_eq!(backend.committed(first.operation).await, Ok(true));
}

/// An operation that conflicted, failed, only validated or never happened is not in the store.
pub async fn operations_that_wrote_nothing_are_not_in_the_store(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;

    let conflicting = batch().expect(key, None).put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, conflicting.clone()).await, Conflict);
    let failing = batch().delete(key).delete(key);
    assert!(backend.commit(failing.clone()).await.is_err());
    let validating = batch().expect(session(b"absent"), None);
    assert_eq!(commit(backend, validating.clone()).await, Committed);

    for operation in [
        conflicting.operation,
        failing.operation,
        validating.operation,
        OperationId::random(&mut rand::rng()),
    ] {
        assert_eq!(backend.committed(operation).await, Ok(false));
    }
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
}

/// A deletion that nobody waits for is seen by whatever the same handle is asked next.
pub async fn deletions_that_wait_are_seen_at_once(fixture: Fixture) {
    let backend = fixture.backend();
    let soon = async |key| {
        let outcome = backend.delete_soon(batch().delete(key)).await;
        assert_eq!(outcome, Ok(Committed));
    };
    let mut versions = Vec::new();
    for index in 0..5 {
        versions.push(put(backend, numbered(index), b"x").await);
    }
    soon(numbered(0)).await;
    assert_eq!(read(backend, numbered(0)).await, None);

    soon(numbered(1)).await;
    let there = batch().expect(numbered(1), Some(versions[1]));
    assert_eq!(commit(backend, there).await, Conflict);
    let absent = batch().expect(numbered(1), None);
    assert_eq!(commit(backend, absent).await, Committed);

    soon(numbered(2)).await;
    let found = records_of(backend, ALICE, Kind::Session, 100).await;
    let left = [numbered(3), numbered(4)].map(|key| key.key().to_vec());
    assert!(found.into_iter().map(|(key, _)| key).eq(left));

    soon(numbered(4)).await;
    let found = all_records(backend, 100).await;
    assert!(found.into_iter().map(|(key, _)| key).eq([numbered(3)]));

    // In the order in which they are asked for.
    soon(numbered(3)).await;
    let anew = batch()
        .expect(numbered(3), None)
        .put(numbered(3), version(), &b"y"[..]);
    assert_eq!(commit(backend, anew).await, Committed);
    assert!(read(backend, numbered(3)).await.is_some());

    let more = batch().expect(numbered(4), None).delete(numbered(4));
    let refused = backend
        .delete_soon(more)
        .await
        .map_err(|error| error.code());
    assert_eq!(refused, Err("store-invalid-batch"));
}
