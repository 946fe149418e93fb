//! A store that is locked, deleted, replaced, truncated or altered gives a clear error: no panic,
//! no hang, and never an answer that the disk does not bear out.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{ACCOUNT, batch, key, make_store, open, place, put};
use rusqlite::Connection;
use sprag::backend::{Backend, BackendError, Checkpoint, CommitOutcome, Kind, Version};
use sprag_sqlite::SqliteOptions;

#[tokio::test]
async fn while_another_writes_commits_are_busy() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    let backend = open(&path).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    assert_eq!(
        backend.commit(put(1, b"x".to_vec())).await,
        Err(BackendError::Busy)
    );
    let [one, two] = [put(1, b"x".to_vec()), put(2, b"x".to_vec())];
    let both = (backend.commit(one), backend.commit(two.clone()));
    let (one, two_again) = tokio::join!(both.0, both.1);
    assert_eq!(
        (one, two_again),
        (Err(BackendError::Busy), Err(BackendError::Busy))
    );
    assert_eq!(
        backend.committed(two.operation).await,
        Err(BackendError::Busy)
    );
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        backend.commit(put(1, b"x".to_vec())).await,
        Ok(CommitOutcome::Committed)
    );
}

/// The writer waits for another process, and nobody who reads waits for the writer.
#[tokio::test]
async fn while_a_commit_waits_for_another_writer_reads_go_on() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    let options = SqliteOptions::file(&path).busy_timeout(Duration::from_secs(60));
    let backend = options.open().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let all_the_while = async {
        for _ in 0..20 {
            let read = backend.read(&[key(1)]).await.unwrap().remove(0).unwrap();
            assert_eq!(read.bytes, vec![1; 3000]);
            let validation = batch().expect(key(1), Some(read.version));
            let validated = backend.commit(validation).await;
            assert_eq!(validated, Ok(CommitOutcome::Committed));
            let scanned = backend.scan(&ACCOUNT, Kind::Session, None, 10).await;
            assert_eq!(scanned.unwrap()[1].1, read);
            assert_eq!(backend.scan_all(None, 10).await.unwrap()[1].1, read);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let commit = backend.commit(put(1, b"x".to_vec()));
    tokio::select! {
        biased;
        committed = commit => panic!("another writes, but {committed:?}"),
        looked = tokio::time::timeout(Duration::from_secs(20), all_the_while) => looked.unwrap(),
    }
    other.execute_batch("ROLLBACK").unwrap();
    let read = backend.read(&[key(1)]).await.unwrap().remove(0).unwrap();
    assert_eq!(read.bytes, &b"x"[..], "the commit that was given up");
}

#[tokio::test]
async fn a_commit_waits_for_another_writer() {
    let (_folder, path) = place();
    make_store(&path, 1).await;
    let backend = SqliteOptions::file(&path)
        .busy_timeout(Duration::from_secs(60))
        .open()
        .await
        .unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commit = tokio::spawn(async move { backend.commit(put(1, b"x".to_vec())).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!commit.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(commit.await.unwrap(), Ok(CommitOutcome::Committed));
}

/// While somebody reads an older state, the log cannot be emptied; afterwards it can, and holds no
/// byte.
#[tokio::test]
async fn a_checkpoint_says_whether_the_log_is_empty() {
    let (_folder, path) = place();
    make_store(&path, 1).await;
    let backend = open(&path).await.unwrap();
    let _ = backend.commit(put(1, b"old".to_vec())).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN").unwrap();
    other
        .query_row("SELECT count(*) FROM session", [], |_| Ok(()))
        .unwrap();
    let _ = backend.commit(put(1, b"new".to_vec())).await.unwrap();
    let log = || {
        fs::metadata(format!("{}-wal", path.display()))
            .unwrap()
            .len()
    };

    assert_eq!(backend.checkpoint().await, Ok(Checkpoint::Busy));
    assert!(log() > 0);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(backend.checkpoint().await, Ok(Checkpoint::Complete));
    assert_eq!(log(), 0);
    assert_eq!(
        backend.read(&[key(1)]).await.unwrap()[0]
            .as_ref()
            .unwrap()
            .bytes,
        &b"new"[..]
    );
}

/// What was overwritten or deleted is nowhere in the files after a checkpoint.
#[tokio::test]
async fn what_was_replaced_is_gone_after_a_checkpoint() {
    let (folder, path) = place();
    let backend = open(&path).await.unwrap();
    let marker = |number: u32| format!("marker-{number:08}-").into_bytes();
    for number in 0..50 {
        let _ = backend
            .commit(put(number, marker(number).repeat(200)))
            .await
            .unwrap();
    }
    let found = || {
        let files = common::contents(folder.path());
        let holds =
            |bytes: &Vec<u8>, mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        (0..50)
            .filter(|number| files.values().any(|bytes| holds(bytes, &marker(*number))))
            .count()
    };
    assert_eq!(found(), 50, "the search finds what is there");
    for number in 0..50 {
        let change = if number % 2 == 0 {
            put(number, b"short".to_vec())
        } else {
            batch().delete(key(number))
        };
        let _ = backend.commit(change).await.unwrap();
    }
    assert_eq!(backend.checkpoint().await, Ok(Checkpoint::Complete));
    assert_eq!(found(), 0);
}

/// To say what became of an operation, the store writes: only then does no crash bring back what a
/// failed commit left in the log, and only then is what was found there durable.
#[tokio::test]
async fn to_resolve_an_operation_is_to_settle_it() {
    let (_folder, path) = place();
    let backend = open(&path).await.unwrap();
    let change = put(1, b"x".to_vec());
    let _ = backend.commit(change.clone()).await.unwrap();
    let other = Connection::open(&path).unwrap();
    let commits_seen = || {
        other
            .query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    for (operation, expected) in [(change.operation, true), (batch().operation, false)] {
        let before = commits_seen();
        assert_eq!(backend.committed(operation).await, Ok(expected));
        assert_ne!(commits_seen(), before);
    }
}

/// The log does not grow without bounds while nobody asks for a checkpoint.
#[tokio::test]
async fn the_log_is_moved_into_the_file_now_and_then() {
    let (_folder, path) = place();
    let backend = open(&path).await.unwrap();
    for round in 0..100_u8 {
        let _ = backend.commit(put(1, vec![round; 200_000])).await.unwrap();
    }
    let log = fs::metadata(format!("{}-wal", path.display()))
        .unwrap()
        .len();
    assert!(
        log < 8 << 20,
        "20 MB were written, {log} bytes are in the log"
    );
}

#[cfg(unix)]
mod moved {
    use super::*;

    /// Does something to the file while it is open; the next commit must not be answered
    /// `Committed`.
    async fn noticed(accident: impl FnOnce(&Path)) {
        let (_folder, path) = place();
        let backend = open(&path).await.unwrap();
        let _ = backend.commit(put(1, b"x".to_vec())).await.unwrap();
        accident(&path);
        assert_eq!(
            backend.commit(put(1, b"y".to_vec())).await,
            Ok(CommitOutcome::Unknown)
        );
        assert_eq!(
            backend.commit(put(1, b"z".to_vec())).await,
            Err(BackendError::Moved)
        );
        assert_eq!(backend.read(&[key(1)]).await, Err(BackendError::Moved));
        backend.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_deleted_file_is_noticed() {
        noticed(|path| fs::remove_file(path).unwrap()).await;
    }

    #[tokio::test]
    async fn a_renamed_file_is_noticed() {
        noticed(|path| fs::rename(path, path.with_extension("old")).unwrap()).await;
    }

    #[tokio::test]
    async fn a_restored_copy_is_noticed() {
        noticed(|path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_deleted_log_is_noticed() {
        noticed(|path| fs::remove_file(format!("{}-wal", path.display())).unwrap()).await;
    }
}

/// Opens a damaged store and asks for everything in it. Whatever happens must be an answer or a
/// clear error; a refusal to open leaves the file as it is.
async fn ask_everything(path: &Path) -> Result<(), BackendError> {
    let before = fs::read(path).unwrap();
    let backend = match open(path).await {
        Ok(backend) => backend,
        Err(error) => {
            assert!(
                fs::read(path).unwrap() == before,
                "a refused file was touched"
            );
            return Err(error);
        }
    };
    let keys: Vec<_> = (0..20).map(key).collect();
    let read = backend.read(&keys).await.map(|_| ());
    let scanned = backend
        .scan(&ACCOUNT, Kind::Session, None, 100)
        .await
        .map(|_| ());
    let validated = backend
        .commit(
            keys.iter()
                .fold(batch(), |batch, key| batch.expect(*key, None)),
        )
        .await
        .map(|_| ());
    let mut rng = rand::rng();
    let everything = keys.iter().fold(batch(), |batch, key| {
        batch.put(*key, Version::random(&mut rng), vec![7; 3000])
    });
    let written = backend.commit(everything).await.map(|_| ());
    let found = backend.committed(batch().operation).await.map(|_| ());
    let closed = backend.close().await;
    read.and(scanned)
        .and(validated)
        .and(written)
        .and(found)
        .and(closed)
}

fn is_clear(result: &Result<(), BackendError>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => [
            "store-corrupt",
            "not-a-store",
            "store-too-new",
            // A format of SQLite that its library writes no more or not yet.
            "store-read-only",
        ]
        .contains(&error.code()),
    }
}

#[tokio::test]
async fn truncated_files() {
    let (_folder, path) = place();
    make_store(&path, 20).await;
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for part in 1..40 {
        let (_folder, path) = place();
        fs::write(&path, &whole[..whole.len() * part / 40 + part % 3]).unwrap();
        let result = ask_everything(&path).await;
        assert!(is_clear(&result), "{part}: {result:?}");
        refused += usize::from(result.is_err());
    }
    assert_eq!(
        refused, 39,
        "a store of which the end is missing is never taken for whole"
    );
}

#[tokio::test]
async fn altered_files() {
    let (_folder, path) = place();
    make_store(&path, 20).await;
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    // The first bytes, where the format lies, and places all over the file.
    let places = (0..108).chain((0..100).map(|step| step * 7919 % whole.len()));
    for place_of_damage in places {
        let (_folder, path) = place();
        let mut altered = whole.clone();
        altered[place_of_damage] ^= 1 << (place_of_damage % 8);
        fs::write(&path, altered).unwrap();
        let result = ask_everything(&path).await;
        assert!(is_clear(&result), "{place_of_damage}: {result:?}");
        refused += usize::from(result.is_err());
    }
    assert!(refused > 20, "damage to the format is found ({refused})");
}
