//! Opening: nothing is written before it is certain that the file is a store of ours.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use sprag::backend::{BackendError, Kind};

use crate::busy::wait_for_others;
use crate::error::explain;
use crate::location::{self, Found};
use crate::options::{Location, SqliteOptions};
use crate::schema;

/// Enough for every statement that there is.
const CACHED_STATEMENTS: usize = 160;

/// Settings of a connection that writes. `synchronous=FULL` syncs the log at each commit; the
/// writer does its checkpoints itself, since SQLite's automatic ones hide their errors.
const WRITER_SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA secure_delete = ON;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA wal_autocheckpoint = 0;
";

const READER_SETTINGS: &str = "
    PRAGMA query_only = ON;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
";

/// The connection that writes, on a store of the latest format.
pub(crate) fn writer(options: &SqliteOptions) -> Result<Connection, BackendError> {
    match &options.location {
        Location::Memory => in_memory(options),
        Location::File(path) => match location::inspect(path)? {
            Found::Nothing | Found::Empty if !options.create => Err(BackendError::Missing),
            Found::Nothing | Found::Empty => created(path, options),
            Found::Store => existing(path, options),
        },
    }
}

/// A connection that only reads, on a store that a writer has opened.
pub(crate) fn reader(path: &Path, options: &SqliteOptions) -> Result<Connection, BackendError> {
    let failed = |error| explain("opening the store for reading", &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    configure(&connection, READER_SETTINGS, options).map_err(failed)?;
    Ok(connection)
}

fn in_memory(options: &SqliteOptions) -> Result<Connection, BackendError> {
    let failed = |error| explain("making a store in memory", &error);
    let connection = Connection::open_in_memory().map_err(failed)?;
    configure(&connection, WRITER_SETTINGS, options).map_err(failed)?;
    schema::migrate(&connection)?;
    Ok(connection)
}

/// Makes a new store. Its first transaction goes into the file itself rather than into a log, so
/// that from the first commit on the mark in the file tells whose it is.
fn created(path: &Path, options: &SqliteOptions) -> Result<Connection, BackendError> {
    location::create(path)?;
    let connection = open(path, options)?;
    let failed = |error| explain("creating the store", &error);
    connection
        .execute_batch("PRAGMA synchronous = EXTRA")
        .map_err(failed)?;
    migrated(&connection)?;
    location::sync_folder(path)?;
    finish(connection, options)
}

/// Opens a store that is there, and brings it to the latest format.
fn existing(path: &Path, options: &SqliteOptions) -> Result<Connection, BackendError> {
    let connection = open(path, options)?;
    let failed = |error| explain("opening the store", &error);
    // The log may hold a later mark than the file. Until that is known, closing must not move it
    // there.
    set(
        &connection,
        DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
        true,
    )
    .map_err(failed)?;
    let (mark, format) = schema::mark_and_format(&connection).map_err(failed)?;
    // Whoever created it died over it, and SQLite has just undone what there was.
    let unfinished = (mark, format) == (0, 0)
        && schema::number(&connection, "PRAGMA page_count").map_err(failed)? == 0;
    if !unfinished {
        schema::check_mark(mark, format)?;
    }
    if format < schema::FORMAT {
        migrated(&connection)?;
    }
    check_tables(&connection)?;
    set(
        &connection,
        DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
        false,
    )
    .map_err(failed)?;
    finish(connection, options)
}

fn open(path: &Path, options: &SqliteOptions) -> Result<Connection, BackendError> {
    let failed = |error| explain("opening the store", &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    configure(&connection, WRITER_SETTINGS, options).map_err(failed)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(BackendError::ReadOnly);
    }
    Ok(connection)
}

fn configure(
    connection: &Connection,
    settings: &str,
    options: &SqliteOptions,
) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(options.busy_timeout)?;
    connection.execute_batch(settings)?;
    connection.pragma_update(
        None,
        "cache_size",
        -((options.cache_bytes / 1024).max(64) as i64),
    )?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    set(connection, DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
}

fn set(connection: &Connection, setting: DbConfig, value: bool) -> Result<(), rusqlite::Error> {
    connection.set_db_config(setting, value).map(|_| ())
}

/// Brings the database to the latest format in one transaction, unless somebody else just did.
fn migrated(connection: &Connection) -> Result<(), BackendError> {
    let failed = |error| explain("migrating the store", &error);
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(failed)?;
    let committed = schema::migrate(connection)
        .and_then(|()| connection.execute_batch("COMMIT").map_err(failed));
    if committed.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    committed
}

/// Makes sure that all tables are there, which also reads the schema.
fn check_tables(connection: &Connection) -> Result<(), BackendError> {
    for kind in Kind::ALL {
        let prepared = connection.prepare_cached(schema::table(*kind)?.read);
        prepared.map_err(|error| explain("reading the schema of the store", &error))?;
    }
    Ok(())
}

/// Turns on the write-ahead log, and makes sure of the settings that safety rests on.
fn finish(connection: Connection, options: &SqliteOptions) -> Result<Connection, BackendError> {
    let failed = |error| explain("turning on the write-ahead log", &error);
    let deadline = Instant::now() + options.busy_timeout;
    let mode = loop {
        // SQLite does not wait for others here by itself.
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        }) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            mode => break mode.map_err(failed)?,
        }
    };
    connection
        .execute_batch("PRAGMA synchronous = FULL")
        .map_err(failed)?;
    let setting =
        |name: &str| schema::number(&connection, &format!("PRAGMA {name}")).map_err(failed);
    if mode != "wal" || setting("synchronous")? != 2 || setting("secure_delete")? != 1 {
        let detail =
            "SQLite refuses the settings that safety rests on; is this a network file system?";
        return Err(BackendError::Io {
            detail: detail.to_owned(),
        });
    }
    wait_for_others(&connection, options.busy_timeout).map_err(failed)?;
    // Read something, so that the log is there to be watched.
    schema::mark_and_format(&connection).map_err(failed)?;
    Ok(connection)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
