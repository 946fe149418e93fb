//! Several processes with several handles each, whose tasks race. Each says which version it put in the place of which,
//! and no version may have been replaced twice.
//!
//! The test program starts itself again as the other processes: a test that finds its orders in the environment carries
//! them out instead.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use sprag::backend::{Backend, Batch, CommitOutcome, OperationId, RecordKey, Version};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_torture::pace::{generator, say, seeds};

use super::{bytes, keys};

/// The seed of a process, and the file.
const ORDERS: &str = "SPRAG_TORTURE_ORDERS";
const PLACE: &str = "SPRAG_TORTURE_PLACE";

const PROCESSES: u64 = 3;
const HANDLES: usize = 2;
const TASKS: usize = 3;
const COMMITS: usize = 60;

/// A version of the record in some place, or none, was replaced by another, or none.
type Move = (usize, Option<u64>, Option<u64>);

#[test]
fn no_version_is_replaced_twice() {
    for seed in seeds() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("sprag.db");
        let start = |process: u64| {
            Command::new(env::current_exe().unwrap())
                .args([
                    "race::a_process_that_was_started_by_another_test",
                    "--exact",
                ])
                .args(["--nocapture", "--test-threads=1"])
                .env(ORDERS, (seed * PROCESSES + process).to_string())
                .env(PLACE, &path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let processes: Vec<_> = (0..PROCESSES).map(start).collect();
        let mut moves = Vec::new();
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success());
            let said = String::from_utf8(output.stdout).unwrap();
            moves.extend(said.lines().filter_map(understand));
        }
        let recreated = moves.iter().filter(|(_, before, _)| before.is_none());
        say(&format!(
            "seed {seed}: {} records replaced, {} of them made again",
            moves.len(),
            recreated.count()
        ));
        assert!(moves.len() > 100);
        add_up(&moves, &last(&path));
    }
}

/// What a process carries out.
#[test]
fn a_process_that_was_started_by_another_test() {
    let (Some(path), Ok(seed)) = (env::var_os(PLACE), env::var(ORDERS)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for handle in 0..HANDLES {
            let backend = Arc::new(open(Path::new(&path)).await);
            for task in 0..TASKS {
                let seed = seed.parse::<u64>().unwrap() * 100 + (handle * TASKS + task) as u64;
                tasks.push(tokio::spawn(go_on(Arc::clone(&backend), seed)));
            }
        }
        // The harness has begun a line.
        println!();
        for task in tasks {
            for (place, before, after) in task.await.unwrap() {
                println!("moved {place} {} {}", written(before), written(after));
            }
        }
    });
}

/// Replaces records, by what it has read, some of it long ago.
async fn go_on(backend: Arc<SqliteBackend>, seed: u64) -> Vec<Move> {
    let (mut rng, keys) = (generator(seed), keys());
    let mut seen: BTreeMap<usize, Option<Version>> = BTreeMap::new();
    let mut moves = Vec::new();
    for _ in 0..COMMITS {
        for (place, key) in keys.iter().enumerate() {
            if !seen.contains_key(&place) || rng.random_ratio(1, 2) {
                let read = backend.read(&[*key]).await.unwrap().remove(0);
                seen.insert(place, read.map(|record| record.version));
            }
        }
        let places: Vec<_> = (0..keys.len()).collect();
        let mut batch = Batch::new(OperationId::random(&mut rng));
        let mut after = Vec::new();
        for place in places.sample(&mut rng, 2) {
            let (key, before) = (keys[*place], seen[place]);
            batch = batch.expect(key, before);
            if before.is_some() && rng.random() {
                batch = batch.delete(key);
                after.push((*place, before, None));
            } else {
                let version = Version::random(&mut rng);
                batch = batch.put(key, version, bytes(&mut rng));
                after.push((*place, before, Some(version)));
            }
        }
        if backend.commit(batch).await.unwrap() == CommitOutcome::Committed {
            let number = |version: Option<Version>| version.map(Version::number);
            for (place, before, after) in after {
                seen.insert(place, after);
                moves.push((place, number(before), number(after)));
            }
        }
    }
    moves
}

/// Each version was put once and replaced once at most, and the one that was not replaced is there.
fn add_up(moves: &[Move], last: &[Option<u64>]) {
    for (place, last) in last.iter().enumerate() {
        let (mut put, mut replaced) = (BTreeSet::new(), BTreeSet::new());
        for (_, before, after) in moves.iter().filter(|(other, ..)| *other == place) {
            if let Some(before) = before {
                assert!(replaced.insert(*before), "{before} was replaced twice");
            }
            put.extend(*after);
        }
        assert!(replaced.is_subset(&put));
        let left: Vec<_> = put.difference(&replaced).copied().collect();
        let there: Vec<_> = last.iter().copied().collect();
        assert_eq!(left, there, "what was not replaced, and what is there");
    }
}

fn last(path: &Path) -> Vec<Option<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(async {
        let backend = open(path).await;
        let keys: Vec<RecordKey> = keys();
        let read = backend.read(&keys).await.unwrap();
        backend.close().await.unwrap();
        let number = |record: sprag::backend::Record| record.version.number();
        read.into_iter().map(|record| record.map(number)).collect()
    })
}

async fn open(path: &Path) -> SqliteBackend {
    let options = SqliteOptions::file(path).busy_timeout(Duration::from_secs(60));
    options.readers(1).open().await.unwrap()
}

fn written(version: Option<u64>) -> String {
    version.map_or_else(|| "-".to_owned(), |version| version.to_string())
}

fn understand(line: &str) -> Option<Move> {
    let mut words = line.strip_prefix("moved ")?.split(' ');
    let place = words.next()?.parse().ok()?;
    let mut version = || Some(words.next()?.parse().ok());
    Some((place, version()?, version()?))
}
