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
        connection.busy_timeout(patience).map_err(failed)?;
        let outcome = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        connection.busy_timeout(self.busy_timeout).map_err(failed)?;
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
