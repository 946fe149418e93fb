//! The handle on a store: passes every call on to the writer or the readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use async_trait::async_trait;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};
use tokio::sync::oneshot;

use crate::location::{self, Watch};
use crate::options::{Location, SqliteOptions};
use crate::queue;
use crate::reader::{ReadJob, Readers, Reply, Scan};
use crate::walk::Walk;
use crate::writer::{Job, Log, Request, Writer};
use crate::{open, schema};

/// A [`Backend`] in one SQLite file. See the [crate page](crate).
///
/// Put it into an [`Arc`] to share it within a process. Dropping it loses nothing that was
/// committed, but only [`close`](Backend::close) tells when its threads have ended and whether the
/// log could be emptied.
pub struct SqliteBackend {
    writer: queue::Sender<Job>,
    /// None for a store in memory, whose writer also reads.
    readers: Option<queue::Sender<ReadJob>>,
    shared: Arc<Shared>,
}

impl SqliteBackend {
    /// Opens the store at a URL (`sqlite:PATH` or `sqlite::memory:`), or makes it, with the default
    /// [options](SqliteOptions).
    ///
    /// # Errors
    /// [`BackendError::InvalidUrl`], and those of [`SqliteOptions::open`].
    pub async fn open(url: &str) -> Result<Self, BackendError> {
        SqliteOptions::from_url(url)?.open().await
    }

    /// Has the writer do something, and waits for the answer; `None` if it was accepted and the
    /// writer came to grief before it answered.
    async fn write<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<Option<T>, BackendError> {
        self.shared.check_open()?;
        let (reply, answer) = oneshot::channel();
        self.writer
            .send(job(reply))
            .await
            .map_err(|_| self.shared.gone())?;
        answer.await.ok().transpose()
    }

    /// Has the writer make its deletions durable before something is read that may be among them.
    async fn settle_deletions(
        &self,
        concerned: impl FnOnce(&Deletions) -> bool,
    ) -> Result<(), BackendError> {
        if concerned(&self.shared.deletions()) {
            let flushed = self.write(Job::Flush).await?;
            return flushed.ok_or_else(|| self.shared.gone());
        }
        Ok(())
    }

    /// Has a reader do something, and waits for the answer.
    async fn read_by<T>(&self, job: impl FnOnce(Reply<T>) -> ReadJob) -> Result<T, BackendError> {
        self.shared.check_open()?;
        let (reply, answer) = oneshot::channel();
        let accepted = match &self.readers {
            Some(readers) => readers.send(job(reply)).await.is_ok(),
            None => self.writer.send(Job::Read(job(reply))).await.is_ok(),
        };
        if !accepted {
            return Err(self.shared.gone());
        }
        answer.await.map_err(|_| self.shared.gone())?
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.limits().check_read(keys)?;
        schema::check_kinds(keys.iter().map(RecordKey::kind))?;
        self.settle_deletions(|deleted| keys.iter().any(|key| deleted.contains_key(key)))
            .await?;
        self.read_by(|reply| ReadJob::Records {
            keys: keys.to_vec(),
            reply,
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.limits().check_batch(&batch)?;
        let places = batch.expect.iter().map(|expected| &expected.key);
        let places = places
            .chain(batch.puts.iter().map(|put| &put.key))
            .chain(&batch.deletes);
        schema::check_kinds(places.map(RecordKey::kind))?;
        if batch.is_read_only() {
            let expect = batch.expect;
            let concerned = |deleted: &Deletions| {
                expect
                    .iter()
                    .any(|expected| deleted.contains_key(&expected.key))
            };
            self.settle_deletions(concerned).await?;
            return self
                .read_by(|reply| ReadJob::Validation { expect, reply })
                .await;
        }
        let outcome = self
            .write(|reply| Job::Commit(Request { batch, reply }))
            .await?;
        Ok(outcome.unwrap_or(CommitOutcome::Unknown))
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        batch.require_deletes_only()?;
        self.limits().check_batch(&batch)?;
        schema::check_kinds(batch.deletes.iter().map(RecordKey::kind))?;
        self.shared.check_open()?;
        let waiting = Waiting::new(&self.shared, &batch.deletes);
        let sent = self.writer.send(Job::Delete(batch.deletes.clone())).await;
        sent.map_err(|_| self.shared.gone())?;
        waiting.hand_over();
        Ok(CommitOutcome::Committed)
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        let found = self.write(|reply| Job::Committed(operation, reply)).await?;
        found.ok_or_else(|| self.shared.gone())
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        let limit = self.limits().page(limit)?;
        schema::check_kinds([kind])?;
        let in_it = |key: &RecordKey| key.account() == account && key.kind() == kind;
        self.settle_deletions(|deleted| deleted.keys().any(in_it))
            .await?;
        let scan = Scan {
            account: *account,
            kind,
            after: after.map(<[u8]>::to_vec),
            limit,
        };
        self.read_by(|reply| ReadJob::Scan { scan, reply }).await
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        let limit = self.limits().page(limit)?;
        schema::check_kinds(after.map(RecordKey::kind))?;
        self.settle_deletions(|deleted| !deleted.is_empty()).await?;
        let after = after.copied();
        let walk = Walk { after, limit };
        self.read_by(|reply| ReadJob::Walk { walk, reply }).await
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        let done = self.write(Job::Checkpoint).await?;
        done.ok_or_else(|| self.shared.gone())
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Some(readers) = &self.readers {
            // Fails if they were told before.
            let _ = readers.send_now(ReadJob::Stop);
        }
        let (reply, answer) = oneshot::channel();
        if self.writer.send_now(Job::Close(reply)).is_err() {
            return Ok(());
        }
        answer.await.unwrap_or(Ok(()))
    }
}

/// Which records were deleted, but not yet durably, and how many times.
type Deletions = HashMap<RecordKey, usize>;

/// What the handle and its threads know in common.
#[derive(Default)]
pub(crate) struct Shared {
    /// The handle takes no further calls.
    closed: AtomicBool,
    poison: OnceLock<BackendError>,
    deletions: Mutex<Deletions>,
}

impl Shared {
    /// Refuses to go on after a failure that leaves the state of the disk in doubt.
    pub(crate) fn check(&self) -> Result<(), BackendError> {
        self.poison.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Refuses everything from now on.
    pub(crate) fn poison(&self, error: &BackendError) {
        tracing::error!(code = error.code(), %error, "the store must be opened anew");
        let poison = match error.clone() {
            BackendError::Moved => BackendError::Moved,
            BackendError::Io { detail } => BackendError::Poisoned { detail },
            error => BackendError::Poisoned {
                detail: error.to_string(),
            },
        };
        let _ = self.poison.set(poison);
    }

    /// Records will be deleted durably later.
    pub(crate) fn deleting(&self, keys: &[RecordKey]) {
        let mut deletions = self.deletions();
        for key in keys {
            *deletions.entry(*key).or_default() += 1;
        }
    }

    /// Records were deleted durably, or will not be.
    pub(crate) fn deleted(&self, keys: impl IntoIterator<Item = RecordKey>) {
        let mut deletions = self.deletions();
        for key in keys {
            if let Some(times) = deletions.get_mut(&key) {
                *times -= 1;
                if *times == 0 {
                    deletions.remove(&key);
                }
            }
        }
    }

    /// Never locked across an await; nothing under the lock can fail half way.
    pub(crate) fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), BackendError> {
        if self.closed.load(Ordering::SeqCst) {
            Err(BackendError::Closed)
        } else {
            self.check()
        }
    }

    /// Why a thread does not answer: the store was closed, or the thread came to grief.
    fn gone(&self) -> BackendError {
        let grief = BackendError::Poisoned {
            detail: "a thread of the store ended".to_owned(),
        };
        self.check_open().err().unwrap_or(grief)
    }
}

/// Deletions on their way to the writer. If they do not get there they are none.
struct Waiting<'a> {
    shared: &'a Shared,
    keys: &'a [RecordKey],
}

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared, keys: &'a [RecordKey]) -> Self {
        shared.deleting(keys);
        Self { shared, keys }
    }

    fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.deleted(self.keys.iter().copied());
    }
}

/// Opens a store. All that may block is done on the thread that becomes the writer.
pub(crate) async fn open(options: SqliteOptions) -> Result<SqliteBackend, BackendError> {
    let (reply, opened) = oneshot::channel();
    spawn("sprag-sqlite-writer", move || match start(options) {
        Ok((backend, run)) => {
            // If nobody waits any more, the backend is dropped here and the writer finds that it
            // may end.
            let _ = reply.send(Ok(backend));
            run();
        }
        Err(error) => drop(reply.send(Err(error))),
    })?;
    let grief = BackendError::Io {
        detail: "the thread that opens the store ended".to_owned(),
    };
    opened.await.unwrap_or(Err(grief))
}

/// Opens all connections, starts the readers, and gives the handle and what the writer is to run.
fn start(mut options: SqliteOptions) -> Result<(SqliteBackend, impl FnOnce()), BackendError> {
    if let Location::File(path) = &mut options.location {
        *path = location::resolve(path)?;
    }
    let connection = open::writer(&options)?;
    let shared = Arc::new(Shared::default());
    let (writer_sender, writer_queue) = queue::bounded(options.queue_length);
    let (mut readers, mut threads, mut watch) = (None, Vec::new(), None);
    if let Location::File(path) = &options.location {
        watch = Some(Watch::new(path)?);
        let (sender, queue) = queue::bounded(options.queue_length);
        let queue = Arc::new(Mutex::new(Readers::new(queue)));
        for _ in 0..options.readers {
            let connection = open::reader(path, &options)?;
            let queue = Arc::clone(&queue);
            threads.push(spawn("sprag-sqlite-reader", move || {
                Readers::serve(&queue, &connection)
            })?);
        }
        readers = Some(sender);
    }
    let log = Log::new(options.truncate_log_every, options.busy_timeout);
    let writer = Writer::new(connection, watch, Arc::clone(&shared), log);
    let backend = SqliteBackend {
        writer: writer_sender,
        readers,
        shared,
    };
    Ok((backend, move || writer.run(writer_queue, threads)))
}

fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, BackendError> {
    let failed = |error| BackendError::Io {
        detail: format!("starting a thread: {error}"),
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(failed)
}
