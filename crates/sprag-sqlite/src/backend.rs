//! The handle on a store: passes every call on to the writer or the readers.

use std::sync::{Arc, Mutex};
use std::thread;

use async_trait::async_trait;
use rusqlite::Connection;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};
use tokio::sync::{oneshot, watch};

use crate::abandoned::Call;
use crate::location::{self, Watch};
use crate::options::{Location, SqliteOptions};
use crate::queue;
use crate::reader::{ReadJob, Readers, Reply, Scan};
use crate::shared::{Deletions, Shared, Waiting};
use crate::walk::Walk;
use crate::writer::{End, Job, Log, Request, Writer};
use crate::{open, schema};

/// How many deletions may wait that nobody waits for. Beyond that each is an ordinary commit, so that
/// whoever asks learns what is in the way.
const MOST_DELETIONS: usize = 16 << 10;

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
    end: watch::Receiver<End>,
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

    /// Waits before something is read: until deletions are durable that may be among it, and commits
    /// are over for which nobody waits any more.
    async fn settle(&self, concerned: impl FnOnce(&Deletions) -> bool) -> Result<(), BackendError> {
        let settled = if concerned(&self.shared.deletions()) {
            self.write(Job::Flush).await?
        } else if self.shared.abandoned.any() {
            self.write(Job::Pass).await?
        } else {
            return Ok(());
        };
        settled.ok_or_else(|| self.shared.gone())
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
        self.settle(|deleted| keys.iter().any(|key| deleted.concern(key)))
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
                let mut keys = expect.iter().map(|expected| &expected.key);
                keys.any(|key| deleted.concern(key))
            };
            self.settle(concerned).await?;
            return self
                .read_by(|reply| ReadJob::Validation { expect, reply })
                .await;
        }
        self.shared.check_open()?;
        let (reply, answer) = oneshot::channel();
        let sent = self
            .writer
            .send(Job::Commit(Request { batch, reply }))
            .await;
        sent.map_err(|_| self.shared.gone())?;
        let answer = Call::new(answer, &self.shared.abandoned).answer().await;
        answer.unwrap_or(Ok(CommitOutcome::Unknown))
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        batch.require_deletes_only()?;
        self.limits().check_batch(&batch)?;
        schema::check_kinds(batch.deletes.iter().map(RecordKey::kind))?;
        self.shared.check_open()?;
        if self.shared.deletions().waiting() >= MOST_DELETIONS {
            return self.commit(batch).await;
        }
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
        self.settle(|deleted| deleted.keys().any(in_it)).await?;
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
        self.settle(|deleted| deleted.waiting() > 0).await?;
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
        self.shared.close();
        if let Some(readers) = &self.readers {
            // Fails if they were told before.
            let _ = readers.send_now(ReadJob::Stop);
        }
        // So does this.
        let _ = self.writer.send_now(Job::Close);
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|end| end.clone());
        ended.unwrap_or_else(|| Err(Shared::grief()))
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
    assemble(connection, &options)
}

/// The same on a connection that writes.
fn assemble(
    connection: Connection,
    options: &SqliteOptions,
) -> Result<(SqliteBackend, impl FnOnce() + use<>), BackendError> {
    let shared = Arc::new(Shared::default());
    let (writer_sender, writer_queue) = queue::bounded(options.queue_length);
    let (mut readers, mut threads, mut watch) = (None, Vec::new(), None);
    if let Location::File(path) = &options.location {
        watch = Some(Watch::new(path)?);
        let (sender, queue) = queue::bounded(options.queue_length);
        let queue = Arc::new(Mutex::new(Readers::new(queue)));
        for _ in 0..options.readers {
            let connection = open::reader(path, options)?;
            let queue = Arc::clone(&queue);
            threads.push(spawn("sprag-sqlite-reader", move || {
                Readers::serve(&queue, &connection)
            })?);
        }
        readers = Some(sender);
    }
    let log = Log::new(options.truncate_log_every, options.busy_timeout);
    let writer = Writer::new(connection, watch, Arc::clone(&shared), log);
    let (ending, end) = watch::channel(None);
    let backend = SqliteBackend {
        writer: writer_sender,
        readers,
        shared,
        end,
    };
    let run = move || writer.run(writer_queue, threads, &ending);
    Ok((backend, run))
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

#[cfg(test)]
mod tests;
