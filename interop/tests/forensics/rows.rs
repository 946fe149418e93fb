//! Every sealed row that was ever written, and whether it opens today.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sprag::backend::{
    Backend, BackendError, Batch, CommitOutcome, Kind, MemoryBackend, OperationId, Record,
    RecordKey,
};
use sprag::{DurableStore, vault::Vault};
use sprag_sqlite::SqliteBackend;
use sprag_testkit::backend::PassThrough;

use crate::disk;

/// All rows at one moment.
pub(crate) type Rows = BTreeMap<RecordKey, Record>;

/// SQLite, with every commit written down.
pub(crate) struct Recorder {
    inner: SqliteBackend,
    commits: Arc<Mutex<Vec<Batch>>>,
}

impl Recorder {
    pub(crate) fn new(inner: SqliteBackend) -> Self {
        Self {
            inner,
            commits: Arc::default(),
        }
    }

    pub(crate) fn commits(&self) -> Vec<Batch> {
        self.commits.lock().unwrap().clone()
    }

    fn record(&self, batch: Batch, outcome: &Result<CommitOutcome, BackendError>) {
        assert_eq!(*outcome, Ok(CommitOutcome::Committed), "nobody disturbs");
        self.commits.lock().unwrap().push(batch);
    }
}

#[async_trait]
impl PassThrough for Recorder {
    type Inner = SqliteBackend;

    fn inner(&self) -> &SqliteBackend {
        &self.inner
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let outcome = self.inner.commit(batch.clone()).await;
        self.record(batch, &outcome);
        outcome
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let outcome = self.inner.delete_soon(batch.clone()).await;
        self.record(batch, &outcome);
        outcome
    }
}

sprag_testkit::pass_through!(Recorder);

/// The rows after each commit.
pub(crate) fn moments(commits: &[Batch]) -> impl Iterator<Item = Rows> {
    commits.iter().scan(Rows::new(), |rows, batch| {
        for put in &batch.puts {
            let (version, bytes) = (put.version, put.bytes.clone());
            rows.insert(put.key, Record { version, bytes });
        }
        batch.deletes.iter().for_each(|key| drop(rows.remove(key)));
        Some(rows.clone())
    })
}

/// The rows that are there now.
pub(crate) async fn live(backend: &impl Backend) -> Rows {
    let page = backend.scan_all(None, 1000).await.unwrap();
    assert!(page.len() < 1000);
    page.into_iter().collect()
}

pub(crate) fn without(rows: &Rows, live: &Rows) -> Rows {
    let dead = rows
        .iter()
        .filter(|(key, record)| live.get(key) != Some(record));
    dead.map(|(key, record)| (*key, record.clone())).collect()
}

pub(crate) fn headers(rows: &Rows) -> impl Iterator<Item = (&RecordKey, &Record)> {
    rows.iter().filter(|(key, _)| key.kind() == Kind::Header)
}

fn others(rows: &Rows) -> impl Iterator<Item = (&RecordKey, &Record)> {
    rows.iter().filter(|(key, _)| key.kind() != Kind::Header)
}

/// A store with today's header and today's vault, into which rows of other days are put.
pub(crate) struct Copy(DurableStore<MemoryBackend>);

impl Copy {
    pub(crate) async fn new(today: &Rows, vault: impl Vault) -> Self {
        let backend = MemoryBackend::new();
        put(&backend, headers(today), &Rows::new()).await;
        Self(DurableStore::open(backend, vault).await.unwrap())
    }

    /// How many rows there are to be opened.
    pub(crate) fn rows(&self, rows: &Rows) -> usize {
        others(rows).count()
    }

    /// How many of `rows`, the headers aside, open in the places that they had. They must be the whole of a moment, or only
    /// such as do not open: a session whose parts are missing does not count as opened.
    pub(crate) async fn opened(&self, rows: &Rows) -> usize {
        let before = live(self.0.backend()).await;
        put(self.0.backend(), others(rows), &before).await;
        let examination = self.0.examine().await.unwrap();
        self.rows(rows) - examination.damaged.len()
    }
}

/// Puts rows in the place of all those before, the headers aside.
async fn put(
    backend: &MemoryBackend,
    rows: impl Iterator<Item = (&RecordKey, &Record)>,
    before: &Rows,
) {
    let batch = |batch| async move {
        assert_eq!(backend.commit(batch).await, Ok(CommitOutcome::Committed));
    };
    let new = || Batch::new(OperationId::random(&mut rand::rng()));
    batch(others(before).fold(new(), |batch, (key, _)| batch.delete(*key))).await;
    batch(rows.fold(new(), |batch, (key, record)| {
        batch.put(*key, record.version, record.bytes.clone())
    }))
    .await;
}

/// How many rows are still somewhere on the disk, wholly or in part.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) live: usize,
    pub(crate) dead: usize,
}

pub(crate) fn found_in(files: &[Vec<u8>], commits: &[Batch], live: &Rows) -> Found {
    let live: HashSet<_> = live.values().map(|record| &record.bytes).collect();
    let written = || commits.iter().flat_map(|batch| &batch.puts);
    // The header's clear part is in every version of it.
    let written = || written().filter(|put| put.key.kind() != Kind::Header);
    let found = disk::found(written().map(|put| &*put.bytes), files);
    let found = written().zip(found).filter(|(_, found)| *found);
    let (live, dead): (Vec<_>, Vec<_>) = found.partition(|(put, _)| live.contains(&put.bytes));
    Found {
        live: live.len(),
        dead: dead.len(),
    }
}
