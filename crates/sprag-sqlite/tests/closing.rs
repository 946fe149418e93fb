//! Whoever closes a store learns how that ended, and not before it has.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{batch, key, make_store, place};
use rusqlite::Connection;
use sprag::backend::{Backend, BackendError, CommitOutcome::Committed};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

/// A store that still has a deletion to do when it is closed.
async fn unfinished(path: &Path, patience: Duration) -> SqliteBackend {
    make_store(path, 1).await;
    let options = SqliteOptions::file(path).busy_timeout(patience);
    let backend = options.open().await.unwrap();
    let outcome = backend.delete_soon(batch().delete(key(0))).await;
    assert_eq!(outcome, Ok(Committed));
    backend
}

/// Calls once and does not wait; whether there was an answer.
fn call<F: Future>(call: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn all_who_close_learn_that_it_failed() {
    let (_folder, path) = place();
    let backend = unfinished(&path, Duration::from_millis(50)).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (one, two) = tokio::join!(backend.close(), backend.close());
    let later = backend.close().await;
    let busy = Err(BackendError::Busy);
    assert_eq!([one, two, later], [busy.clone(), busy.clone(), busy]);
}

/// Although the writer takes no more jobs then, and the first one may not care.
#[tokio::test]
async fn closing_again_waits_for_the_end() {
    let (_folder, path) = place();
    let backend = unfinished(&path, Duration::from_secs(60)).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut left_alone = Box::pin(backend.close());
    assert!(call(&mut left_alone).is_pending());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut second = Box::pin(backend.close());
    assert!(call(&mut second).is_pending());

    other.execute_batch("COMMIT").unwrap();
    drop(other);
    assert_eq!(second.await, Ok(()));
    assert_eq!(call(&mut left_alone), Poll::Ready(Ok(())));
    let log = fs::metadata(format!("{}-wal", path.display()));
    assert!(log.is_err(), "the last connection takes the log with it");
}
