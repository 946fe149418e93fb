//! The handle while the writer is held up in the middle of a COMMIT.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sprag::backend::{CommitOutcome::Committed, Version};

use super::*;

/// Holds up each COMMIT.
struct Gate {
    reached: mpsc::Receiver<()>,
    open: mpsc::Sender<()>,
    _folder: tempfile::TempDir,
}

fn gated() -> (SqliteBackend, Gate) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::file(folder.path().join("sprag.db"));
    let connection = open::writer(&options).unwrap();
    let (tell, reached) = mpsc::channel();
    let (open, wait) = mpsc::channel();
    let hold_up = move || {
        let _ = tell.send(());
        // Goes on as well when the test has ended.
        let _ = wait.recv();
        false
    };
    connection.commit_hook(Some(hold_up)).unwrap();
    let (backend, run) = assemble(connection, &options).unwrap();
    thread::spawn(run);
    let gate = Gate {
        reached,
        open,
        _folder: folder,
    };
    (backend, gate)
}

const ACCOUNT: AccountId = AccountId::STORE;

fn key(number: u32) -> RecordKey {
    RecordKey::fixed(ACCOUNT, Kind::Session, number.to_be_bytes())
}

fn batch() -> Batch {
    Batch::new(OperationId::random(&mut rand::rng()))
}

fn put(number: u32) -> Batch {
    batch().put(key(number), Version::new(1).unwrap(), vec![1; 3000])
}

/// Whether a record is there, asked for in every way.
async fn look(backend: &SqliteBackend, number: u32) -> [bool; 4] {
    let read = async { backend.read(&[key(number)]).await.unwrap()[0].is_some() };
    let scanned = async {
        let page = backend.scan(&ACCOUNT, Kind::Session, None, 1000).await;
        let names = page.unwrap().into_iter().map(|(name, _)| name);
        names.into_iter().any(|name| name == key(number).key())
    };
    let walked = async {
        let page = backend.scan_all(None, 1000).await.unwrap();
        page.iter().any(|(found, _)| *found == key(number))
    };
    let validated = async {
        let absent = batch().expect(key(number), None);
        backend.commit(absent).await.unwrap() == CommitOutcome::Conflict
    };
    tokio::join!(read, scanned, walked, validated).into()
}

fn poll<F: Future>(call: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn who_reads_does_not_wait_for_a_commit() {
    let (backend, gate) = gated();
    let mut commits: Vec<_> = (0..64)
        .map(|number| Box::pin(backend.commit(put(number))))
        .collect();
    for commit in &mut commits {
        assert!(poll(commit).is_pending());
    }
    gate.reached.recv().unwrap();
    for number in [0, 63, 64] {
        let looked = tokio::time::timeout(Duration::from_secs(30), look(&backend, number));
        assert_eq!(looked.await, Ok([false; 4]));
    }
    drop(gate.open);
    for commit in commits {
        assert_eq!(commit.await, Ok(Committed));
    }
    assert_eq!(look(&backend, 63).await, [true; 4]);
}

/// But for one that was given up: nobody looks in vain and sees it come.
#[tokio::test]
async fn who_reads_waits_for_a_commit_that_was_given_up() {
    let (backend, gate) = gated();
    for number in 0..10 {
        let mut commit = Box::pin(backend.commit(put(number)));
        assert!(poll(&mut commit).is_pending());
        gate.reached.recv().unwrap();
        drop(commit);
        let mut looked = Box::pin(look(&backend, number));
        assert!(poll(&mut looked).is_pending());
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(poll(&mut looked).is_pending());
        gate.open.send(()).unwrap();
        assert_eq!(looked.await, [true; 4]);
        assert!(!backend.shared.abandoned.any());
    }
}
