//! What was deleted or overwritten is soon nowhere in the files of a store, in use or idle. Two
//! things are needed for that, and neither alone is enough.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{batch, key, place, put};
use rusqlite::Connection;
use sprag::backend::{Backend, Checkpoint};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

const RECORDS: u32 = 40;

fn marker(number: u32) -> Vec<u8> {
    format!("marker-{number:08}-").into_bytes()
}

/// How many of the markers are in the file, and in the log.
fn found(path: &Path) -> (usize, usize) {
    let log = std::fs::read(format!("{}-wal", path.display())).unwrap_or_default();
    let among = |bytes: &[u8]| {
        let holds = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        (0..RECORDS)
            .filter(|number| holds(&marker(*number)))
            .count()
    };
    (among(&std::fs::read(path).unwrap()), among(&log))
}

/// A store that empties its log so often.
async fn open_with(path: &Path, every: Duration) -> SqliteBackend {
    let options = SqliteOptions::file(path).truncate_log_every(every);
    options.open().await.unwrap()
}

/// Puts the markers, moves them into the file, and deletes them or writes something short over them.
async fn put_and_forget(backend: &SqliteBackend) {
    for number in 0..RECORDS {
        let put = put(number, marker(number).repeat(50));
        let _ = backend.commit(put).await.unwrap();
    }
    assert_eq!(backend.checkpoint().await, Ok(Checkpoint::Complete));
    for number in 0..RECORDS {
        let change = match number % 2 {
            0 => batch().delete(key(number)),
            _ => put(number, b"short".to_vec()),
        };
        let _ = backend.commit(change).await.unwrap();
    }
}

/// Waits for something that happens by itself. What takes a minute does not happen.
async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_idle_store_forgets_by_itself() {
    let (_folder, path) = place();
    let backend = open_with(&path, Duration::from_millis(20)).await;
    put_and_forget(&backend).await;
    eventually("forgotten", || found(&path) == (0, 0)).await;
}

/// Nor does it need a pause.
#[tokio::test]
async fn a_busy_store_forgets_by_itself() {
    let (_folder, path) = place();
    let backend = open_with(&path, Duration::from_millis(20)).await;
    put_and_forget(&backend).await;
    let begun = Instant::now();
    while found(&path) != (0, 0) {
        assert!(begun.elapsed() < Duration::from_secs(60), "forgotten");
        for number in 0..10 {
            let work = put(1000 + number, vec![7; 3000]);
            let _ = backend.commit(work).await.unwrap();
            backend.read(&[key(1000)]).await.unwrap();
        }
    }
}

/// So does one that finds what a killed process left in the log.
#[tokio::test]
async fn an_opened_store_forgets_what_another_left() {
    let (_folder, path) = place();
    let (_other_folder, copy) = place();
    let backend = open_with(&path, Duration::MAX).await;
    put_and_forget(&backend).await;
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&path), name(&copy)).unwrap();
    }
    assert_ne!(found(&copy), (0, 0));
    let _backend = open_with(&copy, Duration::from_millis(20)).await;
    eventually("forgotten", || found(&copy) == (0, 0)).await;
}

/// `secure_delete` alone: although the deletions were moved into the file, the log still holds what was
/// there before.
#[tokio::test]
async fn an_erased_record_is_still_in_the_log() {
    let (_folder, path) = place();
    let backend = open_with(&path, Duration::MAX).await;
    for number in 0..RECORDS {
        let put = put(number, marker(number).repeat(50));
        let _ = backend.commit(put).await.unwrap();
    }
    for number in 0..RECORDS {
        let _ = backend.commit(batch().delete(key(number))).await.unwrap();
    }
    let reader = Connection::open(&path).unwrap();
    reader
        .execute_batch("PRAGMA wal_checkpoint(PASSIVE)")
        .unwrap();
    assert_eq!(found(&path), (0, RECORDS as usize));
    assert_eq!(backend.checkpoint().await, Ok(Checkpoint::Complete));
    assert_eq!(found(&path), (0, 0));
}

/// An emptied log alone: a connection that does not erase leaves it in the file.
#[tokio::test]
async fn without_erasing_an_emptied_log_is_not_enough() {
    let (_folder, path) = place();
    let backend = open_with(&path, Duration::MAX).await;
    for number in 0..RECORDS {
        let put = put(number, marker(number).repeat(50));
        let _ = backend.commit(put).await.unwrap();
    }
    backend.close().await.unwrap();
    let careless = Connection::open(&path).unwrap();
    careless
        .execute_batch(
            "PRAGMA secure_delete = OFF;
             DELETE FROM session;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    let (in_file, in_log) = found(&path);
    assert_eq!(in_log, 0);
    assert!(in_file > 0, "left in free pages");
}

const ORDERS: &str = "SPRAG_SQLITE_TEST_READS";

/// The other process: reads an older state until its input ends.
#[test]
fn child_reads() {
    if let Some(path) = std::env::var_os(ORDERS) {
        let reader = Connection::open(path).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        reader
            .query_row("SELECT count(*) FROM session", [], |_| Ok(()))
            .unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "reading").unwrap();
        out.flush().unwrap();
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

/// While another process reads an older state the log stays, and whoever asks is told. As soon as it
/// has done the log is emptied without anybody asking.
#[tokio::test]
async fn a_reader_in_another_process_delays_forgetting() {
    let (_folder, path) = place();
    let every = Duration::from_millis(20);
    let backend = open_with(&path, every).await;
    let _ = backend.commit(put(0, marker(0).repeat(50))).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_reads", "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDERS, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("reading")));

    let _ = backend.commit(batch().delete(key(0))).await.unwrap();
    assert_eq!(backend.checkpoint().await, Ok(Checkpoint::Busy));
    tokio::time::sleep(10 * every).await;
    assert_ne!(found(&path), (0, 0), "the reader still sees it");
    // Nobody else has to wait for the reader.
    let _ = backend.commit(put(1, b"work".to_vec())).await.unwrap();

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    eventually("forgotten", || found(&path) == (0, 0)).await;
}
