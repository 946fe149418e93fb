//! Deletions that nobody waits for, while the store cannot do them.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::{batch, key, make_store, open, place, put};
use rusqlite::Connection;
use sprag::backend::{Backend, BackendError, CommitOutcome::Committed};
use sprag_sqlite::SqliteBackend;

async fn delete_soon(backend: &SqliteBackend, numbers: impl IntoIterator<Item = u32>) {
    let numbers = numbers.into_iter();
    let deletion = numbers.fold(batch(), |batch, number| batch.delete(key(number)));
    assert_eq!(backend.delete_soon(deletion).await, Ok(Committed));
}

/// Spoils the page on which a record of [`make_store`] lies alone.
fn damage(path: &Path, number: u8) {
    let mut file = std::fs::read(path).unwrap();
    let holds = |page: &&mut [u8]| {
        page.windows(2000)
            .any(|part| part.iter().all(|byte| *byte == number))
    };
    let page = file.chunks_mut(4096).find(holds).unwrap();
    page[0] = 0xff;
    std::fs::write(path, file).unwrap();
}

/// A record that cannot be deleted because its page is damaged stays, and is in nobody's way.
#[tokio::test]
async fn a_damaged_page_stops_no_commit() {
    let (_folder, path) = place();
    make_store(&path, 20).await;
    damage(&path, 7);
    let backend = open(&path).await.unwrap();
    // Not those beside it: a page that becomes empty is joined with its neighbours.
    delete_soon(&backend, [2, 7, 12]).await;
    assert_eq!(backend.commit(put(30, vec![1])).await, Ok(Committed));

    // Within a group, too.
    let (one, _, two) = tokio::join!(
        backend.commit(put(31, vec![1])),
        delete_soon(&backend, [7]),
        backend.commit(put(32, vec![1])),
    );
    assert_eq!((one, two), (Ok(Committed), Ok(Committed)));

    let others = [2, 12, 30, 31, 32].map(key);
    let records = backend.read(&others).await.unwrap();
    let there: Vec<_> = records.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, false, true, true, true]);
    let damaged = backend.read(&[key(7)]).await;
    assert_eq!(damaged.unwrap_err().code(), "store-corrupt");
    assert_eq!(backend.close().await, Ok(()));
}

/// Whoever asks for a record whose deletion waits must wait as well, and nobody else.
#[tokio::test]
async fn while_another_writes_a_deleted_record_cannot_be_asked_for() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    let backend = open(&path).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    delete_soon(&backend, [1]).await;
    assert_eq!(backend.read(&[key(1)]).await, Err(BackendError::Busy));
    let absent = batch().expect(key(1), None);
    assert_eq!(backend.commit(absent).await, Err(BackendError::Busy));
    assert!(backend.read(&[key(2)]).await.unwrap()[0].is_some());

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(backend.read(&[key(1)]).await, Ok(vec![None]));
}

/// As long as they cannot be done, only so many are taken.
#[tokio::test]
async fn while_another_writes_only_so_many_deletions_may_wait() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    let backend = open(&path).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let deletion = || (0..1000).fold(batch(), |batch, number| batch.delete(key(number)));
    let mut taken = 0;
    let refused = loop {
        match backend.delete_soon(deletion()).await {
            Ok(outcome) => assert_eq!(outcome, Committed),
            Err(error) => break error,
        }
        taken += 1;
        assert!(taken < 100, "they are taken without end");
    };
    assert_eq!(refused, BackendError::Busy);
    assert!(taken > 10);

    other.execute_batch("ROLLBACK").unwrap();
    delete_soon(&backend, 0..1000).await;
    assert_eq!(backend.read(&[key(1)]).await, Ok(vec![None]));
}
