//! Reading: what the reader threads do, each with a connection of its own. A store in memory has
//! its writer do it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use sprag::backend::{
    AccountId, BackendError, CommitOutcome, Expectation, Kind, Record, RecordKey, Version,
};
use tokio::sync::oneshot;

use crate::error::explain;
use crate::queue::Receiver;
use crate::schema;
use crate::walk::{Steps, Walk};

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, BackendError>>;

/// A page of a scan: keys and records.
pub(crate) type Page = Vec<(Vec<u8>, Record)>;

/// A page of a scan ends once its records have this many bytes.
pub(crate) const PAGE_BYTES: usize = 4 << 20;

/// How many jobs a reader takes at once, and does in one snapshot.
const JOBS_AT_ONCE: usize = 32;

/// Something to read.
pub(crate) enum ReadJob {
    Records {
        keys: Vec<RecordKey>,
        reply: Reply<Vec<Option<Record>>>,
    },
    Validation {
        expect: Vec<Expectation>,
        reply: Reply<CommitOutcome>,
    },
    Scan {
        scan: Scan,
        reply: Reply<Page>,
    },
    Walk {
        walk: Walk,
        reply: Reply<Steps>,
    },
    /// Nobody asks any more after this: finish what is there and end.
    Stop,
}

/// Which page of which records.
pub(crate) struct Scan {
    pub(crate) account: AccountId,
    pub(crate) kind: Kind,
    pub(crate) after: Option<Vec<u8>>,
    pub(crate) limit: usize,
}

/// What the reader threads have in common: the jobs that wait for them.
pub(crate) struct Readers {
    jobs: Receiver<ReadJob>,
}

impl Readers {
    pub(crate) fn new(jobs: Receiver<ReadJob>) -> Self {
        Self { jobs }
    }

    /// Does jobs until there are no more. Several threads share the queue: one waits in it, the
    /// others wait for their turn to do so or are at work.
    pub(crate) fn serve(queue: &Mutex<Self>, connection: &Connection) {
        loop {
            let jobs = queue.lock().unwrap_or_else(PoisonError::into_inner).take();
            if jobs.is_empty() {
                return;
            }
            ReadJob::run_all(jobs, connection);
        }
    }

    /// Some jobs of those that wait, at least one; none once there will be no more.
    fn take(&mut self) -> Vec<ReadJob> {
        let mut jobs = Vec::new();
        let mut next = self.jobs.wait();
        while let Some(job) = next {
            match job {
                ReadJob::Stop => self.jobs.close(),
                job => jobs.push(job),
            }
            next = match jobs.len() {
                0 => self.jobs.wait(),
                1..JOBS_AT_ONCE => self.jobs.next(),
                _ => None,
            };
        }
        jobs
    }
}

impl ReadJob {
    /// Does several jobs in one snapshot, which begins after they were asked for. To begin one
    /// costs more than many a job: whatever the connection had cached is stale after every commit.
    pub(crate) fn run_all(jobs: Vec<Self>, connection: &Connection) {
        let failed = |error| explain("taking a snapshot", &error);
        match execute(connection, "BEGIN").map_err(failed) {
            Ok(()) => jobs.into_iter().for_each(|job| job.run(connection)),
            Err(error) => jobs.into_iter().for_each(|job| job.fail(&error)),
        }
        if !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            tracing::warn!(%error, "a snapshot could not be ended");
        }
    }

    /// Does the job, unless nobody waits for it any more.
    fn run(self, connection: &Connection) {
        match self {
            Self::Records { reply, .. } if reply.is_closed() => {}
            Self::Records { keys, reply } => answer(reply, read(connection, &keys)),
            Self::Validation { reply, .. } if reply.is_closed() => {}
            Self::Validation { expect, reply } => answer(reply, validate(connection, &expect)),
            Self::Scan { reply, .. } if reply.is_closed() => {}
            Self::Scan { scan, reply } => answer(reply, scan.page(connection)),
            Self::Walk { reply, .. } if reply.is_closed() => {}
            Self::Walk { walk, reply } => answer(reply, walk.page(connection)),
            Self::Stop => {}
        }
    }

    fn fail(self, error: &BackendError) {
        match self {
            Self::Records { reply, .. } => answer(reply, Err(error.clone())),
            Self::Validation { reply, .. } => answer(reply, Err(error.clone())),
            Self::Scan { reply, .. } => answer(reply, Err(error.clone())),
            Self::Walk { reply, .. } => answer(reply, Err(error.clone())),
            Self::Stop => {}
        }
    }
}

/// Sends an answer to whoever asked, if they still listen.
pub(crate) fn answer<T>(reply: Reply<T>, answer: Result<T, BackendError>) {
    let _ = reply.send(answer);
}

fn read(connection: &Connection, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
    keys.iter().map(|key| read_one(connection, key)).collect()
}

fn read_one(connection: &Connection, key: &RecordKey) -> Result<Option<Record>, BackendError> {
    let failed = |error| explain("reading a record", &error);
    let mut statement = prepare(connection, schema::table(key.kind())?.read)?;
    let found = statement
        .query_row(params![key.account().as_bytes(), key.key()], |row| {
            record(row, 0)
        })
        .optional();
    found.map_err(failed)?.transpose()
}

/// Whether all expectations hold.
fn validate(
    connection: &Connection,
    expect: &[Expectation],
) -> Result<CommitOutcome, BackendError> {
    for expected in expect {
        let row = find(connection, &expected.key)?;
        if row.map(|row| row.version) != expected.version {
            return Ok(CommitOutcome::Conflict);
        }
    }
    Ok(CommitOutcome::Committed)
}

/// The id of a row, if rows of its table have any, and the version that it has.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) version: Version,
}

/// Finds the row of a record.
pub(crate) fn find(
    connection: &Connection,
    key: &RecordKey,
) -> Result<Option<Found>, BackendError> {
    let mut statement = prepare(connection, schema::table(key.kind())?.find)?;
    let found = statement
        .query_row(params![key.account().as_bytes(), key.key()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional();
    match found.map_err(|error| explain("finding a record", &error))? {
        None => Ok(None),
        Some((id, number)) => Ok(Some(Found {
            id,
            version: version(number)?,
        })),
    }
}

impl Scan {
    fn page(&self, connection: &Connection) -> Result<Page, BackendError> {
        let failed = |error| explain("scanning records", &error);
        let table = schema::table(self.kind)?;
        let account = self.account.as_bytes();
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut statement;
        let mut rows = match &self.after {
            None => {
                statement = prepare(connection, table.scan)?;
                statement.query(params![account, limit])
            }
            Some(key) => {
                statement = prepare(connection, table.scan_after)?;
                statement.query(params![account, limit, key])
            }
        }
        .map_err(failed)?;

        let (mut page, mut bytes) = (Page::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next().map_err(failed)?
        {
            let key = row.get(0).map_err(failed)?;
            let record = record(row, 1).map_err(failed)??;
            bytes += record.bytes.len();
            page.push((key, record));
        }
        Ok(page)
    }
}

/// The record in the columns `first` (version) and the next (bytes).
pub(crate) fn record(
    row: &Row<'_>,
    first: usize,
) -> Result<Result<Record, BackendError>, rusqlite::Error> {
    let number = row.get(first)?;
    let bytes = match row.get_ref(first + 1)? {
        ValueRef::Blob(bytes) => Bytes::copy_from_slice(bytes),
        _ => row.get::<_, Vec<u8>>(first + 1)?.into(),
    };
    Ok(version(number).map(|version| Record { version, bytes }))
}

/// The version as stored: the same 64 bits, read as a signed number.
fn version(number: i64) -> Result<Version, BackendError> {
    Version::new(number as u64).ok_or_else(|| BackendError::Corrupt {
        detail: "a record has version 0".to_owned(),
    })
}

pub(crate) fn prepare<'c>(
    connection: &'c Connection,
    statement: &'static str,
) -> Result<CachedStatement<'c>, BackendError> {
    connection
        .prepare_cached(statement)
        .map_err(|error| explain("preparing a statement", &error))
}

pub(crate) fn execute(
    connection: &Connection,
    statement: &'static str,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(statement)?
        .execute([])
        .map(|_| ())
}
