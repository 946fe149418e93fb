//! The format of the database: its mark, its numbered migrations, and the statements on its tables.
//!
//! A store is known by SQLite's `application_id`; its format is the number of migrations that it
//! has seen, in `user_version`. Both lie in the first page of the file.

use rusqlite::Connection;
use sprag::backend::{BackendError, Kind};

use crate::error::explain;

/// The mark of a store: "Sprg" in ASCII.
pub(crate) const APPLICATION_ID: i64 = 0x5370_7267;

/// The latest format.
pub(crate) const FORMAT: i64 = MIGRATIONS.len() as i64;

/// What leads from each format to the next, 0 being the empty database. Never changed once
/// released.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_records.sql"),
    include_str!("../migrations/0002_session_parts.sql"),
    include_str!("../migrations/0003_mailboxes_by_key.sql"),
];

/// The mark and format of a database, 0 and 0 if it is empty.
pub(crate) fn mark_and_format(connection: &Connection) -> Result<(i64, i64), rusqlite::Error> {
    Ok((
        number(connection, "PRAGMA application_id")?,
        number(connection, "PRAGMA user_version")?,
    ))
}

/// Refuses what is not a store, or one of a later release.
pub(crate) fn check_mark(mark: i64, format: i64) -> Result<(), BackendError> {
    if mark != APPLICATION_ID {
        let detail = match mark {
            0 => "a database of another program".to_owned(),
            other => format!("a database of another program, application id {other:#x}"),
        };
        return Err(BackendError::NotAStore { detail });
    }
    if format > FORMAT {
        return Err(BackendError::TooNew {
            found: format,
            supported: FORMAT,
        });
    }
    if format < 1 {
        return Err(BackendError::Corrupt {
            detail: format!("format {format}"),
        });
    }
    Ok(())
}

/// Brings an empty database or one of an earlier format to the latest. The caller has opened a
/// transaction that excludes other writers, and commits it.
pub(crate) fn migrate(transaction: &Connection) -> Result<(), BackendError> {
    let failed = |error| explain("migrating the store", &error);
    let (mark, format) = mark_and_format(transaction).map_err(failed)?;
    if (mark, format) != (0, 0)
        || number(transaction, "SELECT count(*) FROM sqlite_schema").map_err(failed)? != 0
    {
        check_mark(mark, format)?;
    }
    for migration in MIGRATIONS.iter().skip(format as usize) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    transaction
        .pragma_update(None, "user_version", FORMAT)
        .map_err(failed)
}

/// The single number that a statement yields.
pub(crate) fn number(connection: &Connection, statement: &str) -> Result<i64, rusqlite::Error> {
    connection.query_row(statement, [], |row| row.get(0))
}

/// The statements on the table of one kind of record.
pub(crate) struct Table {
    /// Whether rows have ids, by which they are changed; otherwise account and key stand in their place there.
    pub(crate) has_ids: bool,
    /// id (0 if rows have none) and version of the row of an account and key
    pub(crate) find: &'static str,
    /// version and bytes of the row of an account and key
    pub(crate) read: &'static str,
    /// a new row: account, key, version, updated_at, bytes
    pub(crate) insert: &'static str,
    /// new version, updated_at and bytes for the row of an id, or of an account and key
    pub(crate) update: &'static str,
    /// removes the row of an id, or of an account and key
    pub(crate) delete: &'static str,
    /// key, version and bytes of the rows of an account, ascending, up to a limit
    pub(crate) scan: &'static str,
    /// the same after a key
    pub(crate) scan_after: &'static str,
    /// account, key, version and bytes of the rows of all accounts after an account and key,
    /// ascending, up to a limit
    pub(crate) walk: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            has_ids: true,
            find: concat!(
                "SELECT id, version FROM ",
                $name,
                " WHERE account = ?1 AND key = ?2"
            ),
            update: concat!(
                "UPDATE ",
                $name,
                " SET version = ?1, updated_at = ?2, bytes = ?3 WHERE id = ?4"
            ),
            delete: concat!("DELETE FROM ", $name, " WHERE id = ?1"),
            ..table!($name, by key)
        }
    };
    ($name:literal, by key) => {
        Table {
            has_ids: false,
            find: concat!(
                "SELECT 0, version FROM ",
                $name,
                " WHERE account = ?1 AND key = ?2"
            ),
            read: concat!(
                "SELECT version, bytes FROM ",
                $name,
                " WHERE account = ?1 AND key = ?2"
            ),
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (account, key, version, updated_at, bytes) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            update: concat!(
                "UPDATE ",
                $name,
                " SET version = ?1, updated_at = ?2, bytes = ?3 WHERE account = ?4 AND key = ?5"
            ),
            delete: concat!("DELETE FROM ", $name, " WHERE account = ?1 AND key = ?2"),
            scan: concat!(
                "SELECT key, version, bytes FROM ",
                $name,
                " WHERE account = ?1 ORDER BY key LIMIT ?2"
            ),
            scan_after: concat!(
                "SELECT key, version, bytes FROM ",
                $name,
                " WHERE account = ?1 AND key > ?3 ORDER BY key LIMIT ?2"
            ),
            walk: concat!(
                "SELECT account, key, version, bytes FROM ",
                $name,
                " WHERE (account, key) > (?1, ?2) ORDER BY account, key LIMIT ?3"
            ),
        }
    };
}

/// The tables, indexed by the code of their kind.
const TABLES: [Table; 14] = [
    table!("header"),
    table!("account"),
    table!("session"),
    table!("identity"),
    table!("pre_key"),
    table!("signed_pre_key"),
    table!("kyber_pre_key"),
    table!("kyber_use"),
    table!("sender_key"),
    table!("outbox", by key),
    table!("inbox", by key),
    table!("directory"),
    table!("counter"),
    table!("session_part"),
];

/// The statements for a kind of record.
///
/// # Errors
/// [`BackendError::UnsupportedKind`] for a kind that came after this release.
pub(crate) fn table(kind: Kind) -> Result<&'static Table, BackendError> {
    const { &TABLES }
        .get(usize::from(kind.code()))
        .ok_or(BackendError::UnsupportedKind { kind })
}

/// Refuses kinds without a table, before they can fail a group of batches.
pub(crate) fn check_kinds(kinds: impl IntoIterator<Item = Kind>) -> Result<(), BackendError> {
    kinds
        .into_iter()
        .try_for_each(|kind| table(kind).map(|_| ()))
}

/// The sequence of the last operation that is remembered, 0 if there is none.
pub(crate) const LAST_SEQUENCE: &str = "SELECT coalesce(max(sequence), 0) FROM operation";

/// Remembers the operations of a transaction: the sequence of the last one, and all their ids.
pub(crate) const REMEMBER: &str = "INSERT INTO operation (sequence, operations) VALUES (?1, ?2)";

/// The ids among which an operation may be, if it is remembered.
pub(crate) const REMEMBERED: &str =
    "SELECT operations FROM operation WHERE instr(operations, ?1) > 0";

/// Forgets the operations up to a sequence.
pub(crate) const FORGET: &str = "DELETE FROM operation WHERE sequence <= ?1";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn migrated() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        connection
    }

    #[test]
    fn every_kind_has_its_own_table() {
        let connection = migrated();
        for kind in Kind::ALL {
            let table = table(*kind).unwrap();
            assert!(
                table.find.contains(&format!(" FROM {} WHERE", kind.name())),
                "{kind:?}"
            );
            for statement in [
                table.find,
                table.read,
                table.insert,
                table.update,
                table.delete,
                table.scan,
                table.scan_after,
                table.walk,
            ] {
                connection.prepare(statement).unwrap();
            }
        }
    }

    /// Asserts that a statement is one step, which ends like this.
    fn assert_plan(connection: &Connection, statement: &str, expected: &str) {
        let mut explained = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
            .unwrap();
        let parameters = vec![0; explained.parameter_count()];
        let plan = explained.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3));
        let plan: Vec<String> = plan.unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(plan.len(), 1, "no sorting step: {plan:?}");
        assert!(plan[0].ends_with(expected), "{plan:?}");
    }

    /// Looking up, scanning and sorting go by the index; changing goes by the row id and leaves the
    /// index alone, or there is nothing but the index.
    #[test]
    fn statements_use_the_index() {
        let connection = migrated();
        let by_id = "USING INTEGER PRIMARY KEY (rowid=?)";
        for (kind, index, change) in [
            (
                Kind::Session,
                "USING INDEX sqlite_autoindex_session_1",
                by_id,
            ),
            (
                Kind::Outbox,
                "USING PRIMARY KEY",
                "USING PRIMARY KEY (account=? AND key=?)",
            ),
        ] {
            let table = table(kind).unwrap();
            for (statement, columns) in [
                (table.find, "(account=? AND key=?)"),
                (table.read, "(account=? AND key=?)"),
                (table.scan, "(account=?)"),
                (table.scan_after, "(account=? AND key>?)"),
                (table.walk, "((account,key)>(?,?))"),
            ] {
                assert_plan(&connection, statement, &format!("{index} {columns}"));
            }
            assert_plan(&connection, table.update, change);
            assert_plan(&connection, table.delete, change);
        }
    }

    /// Whatever a store of an earlier format holds is there in the latest.
    #[test]
    fn migrating_keeps_all_records() {
        for format in 1..MIGRATIONS.len() {
            let connection = Connection::open_in_memory().unwrap();
            for migration in &MIGRATIONS[..format] {
                connection.execute_batch(migration).unwrap();
            }
            let mark = ("application_id", APPLICATION_ID);
            for (name, value) in [mark, ("user_version", format as i64)] {
                connection.pragma_update(None, name, value).unwrap();
            }
            let there = |kind: &&Kind| format > 1 || **kind != Kind::SessionPart;
            let kinds: Vec<_> = Kind::ALL.iter().filter(there).collect();
            for kind in &kinds {
                let insert = format!(
                    "INSERT INTO {} (account, key, version, updated_at, bytes)
                     VALUES (?1, ?2, ?3, 5, ?4)",
                    kind.name()
                );
                for number in (0..50_u8).rev() {
                    let bytes = vec![number; 40 * usize::from(number)];
                    let row = rusqlite::params![[1_u8; 16], [number], 1 + i64::from(number), bytes];
                    connection.execute(&insert, row).unwrap();
                }
            }
            migrate(&connection).unwrap();
            for kind in kinds {
                let mut read = connection.prepare(table(*kind).unwrap().read).unwrap();
                for number in 0..50_u8 {
                    let place = rusqlite::params![[1_u8; 16], [number]];
                    let row = read.query_row(place, |row| Ok((row.get(0)?, row.get(1)?)));
                    let (version, bytes): (i64, Vec<u8>) = row.unwrap();
                    assert_eq!(version, 1 + i64::from(number));
                    assert_eq!(bytes, vec![number; 40 * usize::from(number)]);
                }
            }
            let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
            assert_eq!(check, Ok("ok".to_owned()));
        }
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let connection = migrated();
        migrate(&connection).unwrap();
        assert_eq!(
            mark_and_format(&connection).unwrap(),
            (APPLICATION_ID, FORMAT)
        );
    }

    #[test]
    fn what_is_not_ours_is_not_migrated() {
        let foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE other (x)").unwrap();
        assert_eq!(migrate(&foreign).unwrap_err().code(), "not-a-store");

        let newer = migrated();
        newer
            .pragma_update(None, "user_version", FORMAT + 1)
            .unwrap();
        let refused = migrate(&newer).unwrap_err();
        assert_eq!(
            refused,
            BackendError::TooNew {
                found: FORMAT + 1,
                supported: FORMAT
            }
        );
    }
}
