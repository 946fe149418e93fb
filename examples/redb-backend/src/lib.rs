//! An example: a [`Backend`] over redb, an embedded key-value store in pure Rust.
//!
//! It shows how little the waist asks of a store: ordered keys, a snapshot to read from, and one
//! transaction that writes. It is sound (it passes the same suite as our own backends, see
//! `tests/conformance.rs`) and short, not tuned: every commit is an fsync of its own, and redb
//! leaves old versions of records in its file until their pages are used again.
//!
//! It wants to run within tokio, to whose blocking threads it hands redb's calls. Such a call goes
//! on when the future that waits for it is dropped, so that a commit is never left half done. Whoever
//! reads afterwards waits for it first.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    TableDefinition, TableError,
};
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Expectation, Kind, Limits,
    OperationId, Record, RecordKey, Version,
};
use tokio::sync::watch;

/// account (16 bytes), kind (1), key (0 to 64) -> version (8, big-endian), bytes
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sprag.records.1");

/// A number that rises -> the id of an operation.
const OPERATIONS: TableDefinition<'_, u64, [u8; 16]> = TableDefinition::new("sprag.operations.1");

/// A [`Backend`] over one redb database, which one process has to itself.
pub struct RedbBackend {
    /// None once closed.
    database: Mutex<Option<Open>>,
    /// Ends when the database is closed.
    closed: watch::Receiver<()>,
    /// Commits for which nobody waits any more.
    abandoned: Mutex<Vec<UnderWay>>,
}

/// The database, and what tells those who wait, by being dropped, that it is closed.
struct Open {
    database: Arc<Database>,
    closing: watch::Sender<()>,
}

/// A commit, as long as its end of the channel is there.
type UnderWay = watch::Receiver<()>;

/// Waits for a commit. Whoever drops this abandons the commit, if it is still under way.
struct Waiting<'a> {
    backend: &'a RedbBackend,
    commit: UnderWay,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.backend.abandoned().push(self.commit.clone());
    }
}

impl RedbBackend {
    /// Opens the database at `path`, or makes it.
    ///
    /// # Errors
    /// [`BackendError::Busy`] if it is open already, otherwise what redb reports.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BackendError> {
        let database = Database::create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => BackendError::Busy,
            error => io(error),
        })?;
        // Make the tables, so that readers find them.
        let transaction = database.begin_write().map_err(io)?;
        transaction.open_table(RECORDS).map_err(not_ours)?;
        transaction.open_table(OPERATIONS).map_err(not_ours)?;
        transaction.commit().map_err(io)?;
        let database = Arc::new(database);
        let (closing, closed) = watch::channel(());
        Ok(Self {
            database: Mutex::new(Some(Open { database, closing })),
            closed,
            abandoned: Mutex::default(),
        })
    }

    /// Does something with the database on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let open = self
            .opened()
            .as_ref()
            .map(|open| Arc::clone(&open.database));
        let database = open.ok_or(BackendError::Closed)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&database);
            // The handle goes before the answer, so that after closing nobody holds the file.
            drop(database);
            result
        });
        done.await.unwrap_or_else(|error| Err(io(error)))
    }

    /// Reads, when no commit is under way any more that was abandoned before: nobody is to look and
    /// find nothing, and then see it come.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let abandoned = self.abandoned().clone();
        for mut commit in abandoned {
            // Nothing is ever sent: this ends when the commit does.
            let _ = commit.changed().await;
        }
        self.run(work).await
    }

    fn opened(&self) -> MutexGuard<'_, Option<Open>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abandoned(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        let abandoned = self.abandoned.lock();
        let mut abandoned = abandoned.unwrap_or_else(PoisonError::into_inner);
        abandoned.retain(|commit| commit.has_changed().is_ok());
        abandoned
    }
}

#[async_trait]
impl Backend for RedbBackend {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.limits().check_read(keys)?;
        let keys = keys.to_vec();
        self.look(move |database| {
            let records = database
                .begin_read()
                .map_err(io)?
                .open_table(RECORDS)
                .map_err(io)?;
            keys.iter().map(|key| find(&records, key)).collect()
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.limits().check_batch(&batch)?;
        if batch.is_read_only() {
            let holds = self.look(move |database| {
                let records = database
                    .begin_read()
                    .map_err(io)?
                    .open_table(RECORDS)
                    .map_err(io)?;
                holds(&records, &batch.expect)
            });
            return Ok(if holds.await? {
                CommitOutcome::Committed
            } else {
                CommitOutcome::Conflict
            });
        }
        let (over, commit) = watch::channel(());
        let backend = self;
        let _waiting = Waiting { backend, commit };
        self.run(move |database| {
            let _over = over;
            // There is one writer at a time; one that is dropped changes nothing.
            let transaction = database.begin_write().map_err(io)?;
            {
                let mut records = transaction.open_table(RECORDS).map_err(io)?;
                if !holds(&records, &batch.expect)? {
                    return Ok(CommitOutcome::Conflict);
                }
                for put in &batch.puts {
                    let value = [&put.version.number().to_be_bytes()[..], &put.bytes].concat();
                    records
                        .insert(&place(&put.key)[..], &value[..])
                        .map_err(storage)?;
                }
                for key in &batch.deletes {
                    records.remove(&place(key)[..]).map_err(storage)?;
                }
                let mut operations = transaction.open_table(OPERATIONS).map_err(io)?;
                let last = operations
                    .last()
                    .map_err(storage)?
                    .map_or(0, |(number, _)| number.value());
                operations
                    .insert(last + 1, batch.operation.as_bytes())
                    .map_err(storage)?;
                if operations.len().map_err(storage)? > Limits::default().remembered_operations + 1
                {
                    operations.pop_first().map_err(storage)?;
                }
            }
            // After a failed commit only redb knows, once the database is opened again.
            Ok(transaction
                .commit()
                .map_or(CommitOutcome::Unknown, |()| CommitOutcome::Committed))
        })
        .await
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        self.look(move |database| {
            // A transaction that writes comes after all that were begun before it.
            let transaction = database.begin_write().map_err(io)?;
            let operations = transaction.open_table(OPERATIONS).map_err(io)?;
            for entry in operations.iter().map_err(storage)?.rev() {
                if entry.map_err(storage)?.1.value() == *operation.as_bytes() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        let limit = self.limits().page(limit)?;
        let prefix = place(&RecordKey::fixed(*account, kind, []));
        // The least key that is greater than `after` has one zero byte more.
        let start = after.map_or_else(|| prefix.clone(), |key| [&prefix, key, &[0]].concat());
        self.look(move |database| {
            let records = database
                .begin_read()
                .map_err(io)?
                .open_table(RECORDS)
                .map_err(io)?;
            let mut page = Vec::new();
            for entry in records.range(&start[..]..).map_err(storage)?.take(limit) {
                let (place, value) = entry.map_err(storage)?;
                match place.value().strip_prefix(&prefix[..]) {
                    Some(key) => page.push((key.to_vec(), record(value.value())?)),
                    None => break,
                }
            }
            Ok(page)
        })
        .await
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        let limit = self.limits().page(limit)?;
        let start = after.map_or_else(Vec::new, |key| [&place(key)[..], &[0]].concat());
        let mut last = after.copied();
        self.look(move |database| {
            let records = database
                .begin_read()
                .map_err(io)?
                .open_table(RECORDS)
                .map_err(io)?;
            let mut page = Vec::new();
            for entry in records.range(&start[..]..).map_err(storage)?.take(limit) {
                let (place, value) = entry.map_err(storage)?;
                let key = key_at(place.value())?;
                if last.replace(key).is_some_and(|last| last >= key) {
                    return Err(damaged("records that are not in order"));
                }
                page.push((key, record(value.value())?));
            }
            Ok(page)
        })
        .await
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// There is no log: a commit writes new pages in the file and frees the old ones.
    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.run(|_| Ok(Checkpoint::Complete)).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        let open = self.opened().take();
        if let Some(Open {
            mut database,
            closing,
        }) = open
        {
            tokio::task::spawn_blocking(move || {
                // Whoever began before us still holds the database; the last one closes it.
                while Arc::get_mut(&mut database).is_none() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                drop(database);
                drop(closing);
            });
        }
        // Nothing is ever sent: this ends when the database is closed, by whomever.
        let _ = self.closed.clone().changed().await;
        Ok(())
    }
}

/// The key in the table of records.
fn place(key: &RecordKey) -> Vec<u8> {
    [
        &key.account().as_bytes()[..],
        &[key.kind().code()],
        key.key(),
    ]
    .concat()
}

/// The key of the record that lies at a place.
fn key_at(place: &[u8]) -> Result<RecordKey, BackendError> {
    let strange = || damaged("a record in a strange place");
    let (account, rest) = place.split_first_chunk().ok_or_else(strange)?;
    let (code, key) = rest.split_first().ok_or_else(strange)?;
    let kind = Kind::from_code(*code).ok_or_else(strange)?;
    RecordKey::new(AccountId::from_bytes(*account), kind, key).map_err(|_| strange())
}

/// The record in a value.
fn record(value: &[u8]) -> Result<Record, BackendError> {
    let without_version = || damaged("a record without a version");
    let (version, bytes) = value.split_first_chunk().ok_or_else(without_version)?;
    let version = Version::new(u64::from_be_bytes(*version)).ok_or_else(without_version)?;
    Ok(Record {
        version,
        bytes: bytes.to_vec().into(),
    })
}

fn find(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &RecordKey,
) -> Result<Option<Record>, BackendError> {
    let value = records.get(&place(key)[..]).map_err(storage)?;
    value.map(|value| record(value.value())).transpose()
}

/// Whether all expectations hold.
fn holds(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    expect: &[Expectation],
) -> Result<bool, BackendError> {
    for expected in expect {
        if find(records, &expected.key)?.map(|record| record.version) != expected.version {
            return Ok(false);
        }
    }
    Ok(true)
}

fn storage(error: StorageError) -> BackendError {
    match error {
        StorageError::Corrupted(detail) => BackendError::Corrupt { detail },
        StorageError::PreviousIo => BackendError::Poisoned {
            detail: error.to_string(),
        },
        error => io(error),
    }
}

fn not_ours(error: TableError) -> BackendError {
    BackendError::NotAStore {
        detail: error.to_string(),
    }
}

fn io(error: impl Display) -> BackendError {
    BackendError::Io {
        detail: error.to_string(),
    }
}

fn damaged(detail: &str) -> BackendError {
    BackendError::Corrupt {
        detail: detail.to_owned(),
    }
}
