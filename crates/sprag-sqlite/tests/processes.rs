//! Several processes on one file, one of them killed. The test program starts itself again as the
//! other process: a test that finds its orders in the environment carries them out instead.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{batch, key, place, put};
use sprag::backend::{Backend, CommitOutcome, RecordKey, Version};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

const ORDERS: &str = "SPRAG_SQLITE_TEST_PATH";

/// Starts this program again to run one of its tests with a path for orders.
fn start(test: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDERS, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn ordered() -> Option<SqliteBackend> {
    let path = std::env::var_os(ORDERS)?;
    Some(SqliteOptions::file(path).open().await.unwrap())
}

/// Writes a line that the parent reads; `println!` would keep it back.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

async fn count_up(backend: &SqliteBackend, key: RecordKey) {
    loop {
        let before = backend.read(&[key]).await.unwrap().remove(0);
        let count = before.as_ref().map_or(0, |record| {
            u64::from_be_bytes(record.bytes[..].try_into().unwrap())
        });
        let next = batch()
            .expect(key, before.map(|record| record.version))
            .put(
                key,
                Version::random(&mut rand::rng()),
                (count + 1).to_be_bytes().to_vec(),
            );
        if backend.commit(next).await.unwrap() == CommitOutcome::Committed {
            return;
        }
    }
}

#[tokio::test]
async fn child_counts_up() {
    if let Some(backend) = ordered().await {
        for _ in 0..30 {
            count_up(&backend, key(0)).await;
        }
        backend.close().await.unwrap();
    }
}

/// Two processes and this one add to one counter, and every addition counts.
#[tokio::test]
async fn processes_share_a_counter() {
    let (_folder, path) = place();
    let backend = SqliteOptions::file(&path).open().await.unwrap();
    let children = [
        start("child_counts_up", &path),
        start("child_counts_up", &path),
    ];
    for _ in 0..30 {
        count_up(&backend, key(0)).await;
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let record = backend.read(&[key(0)]).await.unwrap().remove(0).unwrap();
    assert_eq!(record.bytes[..], 90_u64.to_be_bytes());
}

#[tokio::test]
async fn child_commits_until_it_is_killed() {
    if let Some(backend) = ordered().await {
        for number in 0.. {
            let change = put(number, vec![number as u8; 3000]).put(
                key(u32::MAX - number),
                Version::random(&mut rand::rng()),
                vec![number as u8; 3000],
            );
            assert_eq!(backend.commit(change).await, Ok(CommitOutcome::Committed));
            say(&format!("committed {number}"));
        }
    }
}

/// A process is killed while it commits. All that it was told to be committed is there, whole, and
/// at most one commit more.
#[tokio::test]
async fn a_killed_process_loses_nothing() {
    let (_folder, path) = place();
    let mut last = 0;
    for _ in 0..3 {
        let mut child = start("child_commits_until_it_is_killed", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            // The harness writes the name of the test in front of the first line.
            if let Some((_, number)) = line.unwrap().split_once("committed ") {
                last = number.parse::<u32>().unwrap();
                if last >= 30 {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            if let Ok(line) = line
                && let Some(Ok(number)) = line.strip_prefix("committed ").map(str::parse)
            {
                last = number;
            }
        }

        let backend = SqliteOptions::file(&path).open().await.unwrap();
        for number in 0..=last + 2 {
            let pair = backend
                .read(&[key(number), key(u32::MAX - number)])
                .await
                .unwrap();
            let there = pair.iter().map(Option::is_some).collect::<Vec<_>>();
            match number {
                number if number <= last => assert_eq!(there, [true, true], "{number} of {last}"),
                number if number == last + 1 => assert_eq!(there[0], there[1]),
                _ => assert_eq!(there, [false, false]),
            }
            let clean = batch().delete(key(number)).delete(key(u32::MAX - number));
            let _ = backend.commit(clean).await.unwrap();
        }
    }
}

/// The mode of a new file does not depend on the umask.
#[cfg(unix)]
mod umask {
    use super::*;

    #[tokio::test]
    async fn child_makes_a_store() {
        if let Some(backend) = ordered().await {
            let _ = backend.commit(put(1, vec![1; 3000])).await.unwrap();
            say("made");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
    }

    #[tokio::test]
    async fn the_mode_of_a_new_store_is_0600_under_any_umask() {
        use std::os::unix::fs::PermissionsExt;
        for umask in ["000", "022", "277"] {
            let (folder, path) = place();
            let program = std::env::current_exe().unwrap();
            let mut child = Command::new("sh")
                .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
                .arg(program)
                .args(["umask::child_makes_a_store", "--exact", "--nocapture"])
                .env(ORDERS, &path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(
                lines.any(|line| line.unwrap().contains("made")),
                "the child makes a store"
            );
            for name in ["sprag.db", "sprag.db-wal", "sprag.db-shm"] {
                let mode = std::fs::metadata(folder.path().join(name))
                    .unwrap()
                    .permissions()
                    .mode();
                assert_eq!(mode & 0o777, 0o600, "{name} under umask {umask}");
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
