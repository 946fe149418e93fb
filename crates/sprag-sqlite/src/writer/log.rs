//! The log, in which commits lie until they are moved into the file, and with them what the file
//! held before: the versions of records that were superseded, and what was deleted.
//!
//! It is moved now and then to keep it short, which leaves its bytes on the disk until they are
//! written over; and it is emptied on a schedule, so that what was forgotten does not lie there for
//! longer than that, in use or idle. That needs a moment in which nobody reads an older state: if
//! somebody does, it is tried again soon.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use sprag::backend::{BackendError, Checkpoint};

use crate::busy::wait_for_others;
use crate::error::explain;
use crate::reader::prepare;

/// The log is moved into the file when it has this many pages.
const MOST_PAGES: i32 = 1800;

/// How long a checkpoint that somebody asked for waits for readers before it gives up, and one that
/// nobody asked for. The writer does nothing else meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);
const PATIENCE_UNASKED: Duration = Duration::from_millis(20);

/// How long to wait after an attempt that found somebody reading: twice as long each time, within
/// these bounds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

thread_local! {
    /// Pages in the log after the last commit of this thread, which has one connection.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// When the log is emptied, and how.
pub(crate) struct Log {
    /// Of the connection.
    busy_timeout: Duration,
    /// How long after the first commit in it the log is emptied.
    every: Duration,
    /// When it is to be emptied, if there may be something in it.
    due: Option<Instant>,
    /// How long to wait after the next attempt that finds somebody reading.
    pause: Duration,
}

/// What SQLite says of a checkpoint.
struct Outcome {
    /// Somebody was in the way.
    busy: bool,
    /// Pages that are in the log, and how many of them are in the file as well.
    pages: i64,
    moved: i64,
}

impl Log {
    /// Whoever used the store before may have left something in the log, so the clock starts now.
    pub(crate) fn new(every: Duration, busy_timeout: Duration) -> Self {
        Self {
            busy_timeout,
            every,
            due: Instant::now().checked_add(every),
            pause: FIRST_PAUSE,
        }
    }

    /// Learns from each commit of `connection` how long the log is.
    pub(super) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_: &Wal, pages| {
            PAGES.set(pages);
            Ok(())
        }));
    }

    /// Something was committed.
    pub(super) fn written(&mut self) {
        if self.due.is_none() {
            self.due = Instant::now().checked_add(self.every);
        }
    }

    /// When the log is to be emptied, if ever.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Never again: the store must be opened anew.
    pub(super) fn give_up(&mut self) {
        self.due = None;
    }

    /// Empties the log because somebody asked for it.
    pub(super) fn empty(&mut self, connection: &Connection) -> Result<Checkpoint, BackendError> {
        self.truncate(connection, PATIENCE)
    }

    /// Empties the log if it is time to.
    pub(super) fn empty_if_due(&mut self, connection: &Connection) -> Result<(), BackendError> {
        let now = Instant::now();
        if self.due.is_none_or(|due| due > now) {
            return Ok(());
        }
        let emptied = self.truncate(connection, PATIENCE_UNASKED);
        if emptied != Ok(Checkpoint::Complete) {
            self.due = Some(now + self.pause);
            self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        }
        emptied.map(|_| ())
    }

    /// Keeps the log from growing. Nobody waits for it, and it waits for nobody.
    pub(super) fn shorten_if_due(&self, connection: &Connection) -> Result<(), BackendError> {
        if PAGES.get() < MOST_PAGES {
            return Ok(());
        }
        PAGES.set(0);
        let outcome = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        outcome.trace("the log was moved into the file");
        Ok(())
    }

    fn truncate(
        &mut self,
        connection: &Connection,
        patience: Duration,
    ) -> Result<Checkpoint, BackendError> {
        let failed = |error| explain("emptying the log", &error);
        let patience = self.busy_timeout.min(patience);
        wait_for_others(connection, patience).map_err(failed)?;
        let outcome = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        wait_for_others(connection, self.busy_timeout).map_err(failed)?;
        let outcome = outcome?;
        if !outcome.is_empty() {
            outcome.trace("somebody reads, the log cannot be emptied yet");
            return Ok(Checkpoint::Busy);
        }
        outcome.trace("the log was emptied");
        PAGES.set(0);
        self.due = None;
        self.pause = FIRST_PAUSE;
        Ok(Checkpoint::Complete)
    }
}

impl Outcome {
    /// Whether the log holds nothing any more.
    fn is_empty(&self) -> bool {
        !self.busy && self.pages == 0 && self.moved == 0
    }

    fn trace(&self, message: &'static str) {
        let Self { busy, pages, moved } = self;
        tracing::debug!(busy, pages, moved, "{message}");
    }
}

/// Moves what is in the log into the file, as far as `statement` and others let it.
fn checkpoint(connection: &Connection, statement: &'static str) -> Result<Outcome, BackendError> {
    let failed = |error| explain("emptying the log", &error);
    let outcome = prepare(connection, statement).and_then(|mut statement| {
        let outcome = statement.query_row([], |row| {
            Ok(Outcome {
                busy: row.get::<_, i64>(0)? != 0,
                pages: row.get(1)?,
                moved: row.get(2)?,
            })
        });
        outcome.map_err(failed)
    });
    match outcome {
        Err(BackendError::Busy) => Ok(Outcome {
            busy: true,
            pages: -1,
            moved: -1,
        }),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    struct Bench {
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        connection: Connection,
    }

    impl Bench {
        /// A database whose log is not empty.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.db");
            let connection = Connection::open(&path).unwrap();
            Log::watch(&connection);
            connection
                .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x);")
                .unwrap();
            let _folder = folder;
            Self {
                _folder,
                path,
                connection,
            }
        }

        fn reading(&self) -> Connection {
            let reader = Connection::open(&self.path).unwrap();
            reader.execute_batch("BEGIN").unwrap();
            reader
                .query_row("SELECT count(*) FROM t", [], |_| Ok(()))
                .unwrap();
            reader
        }

        fn length(&self) -> u64 {
            let log = self.path.with_extension("db-wal");
            std::fs::metadata(log).unwrap().len()
        }
    }

    #[test]
    fn the_clock_starts_with_opening_and_with_the_first_commit_after_that() {
        let bench = Bench::new();
        let mut log = Log::new(HOUR, Duration::ZERO);
        let due = log.due();
        assert!(due.is_some());
        log.written();
        assert_eq!(log.due(), due, "the first commit counts, not the last");
        log.empty_if_due(&bench.connection).unwrap();
        assert!(bench.length() > 0, "not yet");
        assert_eq!(log.empty(&bench.connection), Ok(Checkpoint::Complete));
        assert_eq!((bench.length(), log.due()), (0, None));
        log.written();
        assert!(log.due() > due);
        assert_eq!(Log::new(Duration::MAX, Duration::ZERO).due(), None);
    }

    /// Somebody who reads an older state is in the way; the pauses grow up to a bound, and start short
    /// the next time.
    #[test]
    fn what_cannot_be_emptied_is_tried_again() {
        let bench = Bench::new();
        let mut log = Log::new(Duration::ZERO, Duration::ZERO);
        let reader = bench.reading();
        bench
            .connection
            .execute_batch("INSERT INTO t VALUES (1)")
            .unwrap();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let before = Instant::now();
            log.due = Some(before);
            pauses.push(log.pause);
            log.empty_if_due(&bench.connection).unwrap();
            assert!(bench.length() > 0, "the reader needs it");
            assert!(log.due().unwrap() >= before + pauses[pauses.len() - 1]);
        }
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[9]), (FIRST_PAUSE, LONGEST_PAUSE));
        assert_eq!(log.empty(&bench.connection), Ok(Checkpoint::Busy));

        reader.execute_batch("COMMIT").unwrap();
        log.due = Some(Instant::now());
        log.empty_if_due(&bench.connection).unwrap();
        assert_eq!((bench.length(), log.due()), (0, None));
        assert_eq!(log.pause, FIRST_PAUSE);
    }
}
