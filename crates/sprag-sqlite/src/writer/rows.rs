//! Rows as the writer last saw or wrote them, so that it need not look for those of the conversations
//! that are going on.
//!
//! They are used within a transaction that excludes other writers, and only if no other connection
//! has committed since they were seen: SQLite's `data_version` tells. Whatever was rolled back is
//! forgotten, with all the rest.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};
use sprag::backend::{BackendError, Batch, OperationId, Put, RecordKey};

use crate::error::explain;
use crate::reader::{Found, find, prepare};
use crate::schema;

/// How many rows are known at most: some 2 MB.
const KNOWN: usize = 16 << 10;

/// How many operations stay remembered at least, and how often the older ones are removed.
pub(super) const REMEMBERED: i64 = 8192;
pub(super) const FORGET_EVERY: i64 = 256;

/// What the writer knows of the tables without looking.
#[derive(Default)]
pub(super) struct Rows {
    /// Of the database when it was last looked at.
    data_version: Option<i64>,
    found: HashMap<RecordKey, Found>,
    /// Of the last operation that is remembered.
    sequence: Option<i64>,
}

impl Rows {
    /// To be called first in every transaction.
    pub(super) fn begin(&mut self, connection: &Connection) -> Result<(), BackendError> {
        let failed = |error| explain("looking for other writers", &error);
        let version = prepare(connection, "PRAGMA data_version")?
            .query_row([], |row| row.get(0))
            .map_err(failed)?;
        if self.data_version != Some(version) {
            self.forget();
            self.data_version = Some(version);
        }
        Ok(())
    }

    /// To be called whenever a transaction was rolled back.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Applies a batch within the open transaction if all of its expectations hold; tells whether
    /// they did.
    pub(super) fn apply(
        &mut self,
        connection: &Connection,
        batch: &Batch,
        now: i64,
    ) -> Result<bool, BackendError> {
        let mut absent = HashSet::new();
        for expected in &batch.expect {
            let row = self.find(connection, &expected.key)?;
            if row.map(|row| row.version) != expected.version {
                return Ok(false);
            }
            if row.is_none() {
                absent.insert(&expected.key);
            }
        }
        for put in &batch.puts {
            let row = match absent.contains(&put.key) {
                true => None,
                false => self.find(connection, &put.key)?,
            };
            let id = write(connection, put, row, now)?;
            let version = put.version;
            self.know(put.key, Found { id, version });
        }
        for key in &batch.deletes {
            if !absent.contains(key) {
                self.delete(connection, key)?;
            }
        }
        Ok(true)
    }

    /// Deletes a record within the open transaction; whether it was there.
    pub(super) fn delete(
        &mut self,
        connection: &Connection,
        key: &RecordKey,
    ) -> Result<bool, BackendError> {
        let Some(row) = self.find(connection, key)? else {
            return Ok(false);
        };
        let table = schema::table(key.kind())?;
        let mut delete = prepare(connection, table.delete)?;
        let deleted = match table.has_ids {
            true => delete.execute([row.id]),
            false => delete.execute(params![key.account().as_bytes(), key.key()]),
        };
        deleted.map_err(|error| explain("deleting a record", &error))?;
        self.found.remove(key);
        Ok(true)
    }

    /// Remembers operations, together in one row, and now and then forgets old ones.
    pub(super) fn remember(
        &mut self,
        connection: &Connection,
        operations: &[OperationId],
    ) -> Result<(), BackendError> {
        let failed = |error| explain("remembering an operation", &error);
        let before = match self.sequence {
            Some(sequence) => sequence,
            None => prepare(connection, schema::LAST_SEQUENCE)?
                .query_row([], |row| row.get(0))
                .map_err(failed)?,
        };
        let sequence = before + operations.len() as i64;
        let ids: Vec<_> = operations.iter().map(|id| *id.as_bytes()).collect();
        prepare(connection, schema::REMEMBER)?
            .execute(params![sequence, ids.as_flattened()])
            .map_err(failed)?;
        if before / FORGET_EVERY != sequence / FORGET_EVERY {
            prepare(connection, schema::FORGET)?
                .execute([sequence - REMEMBERED])
                .map_err(failed)?;
        }
        self.sequence = Some(sequence);
        Ok(())
    }

    fn find(
        &mut self,
        connection: &Connection,
        key: &RecordKey,
    ) -> Result<Option<Found>, BackendError> {
        if let Some(found) = self.found.get(key) {
            return Ok(Some(*found));
        }
        let found = find(connection, key)?;
        if let Some(found) = found {
            self.know(*key, found);
        }
        Ok(found)
    }

    fn know(&mut self, key: RecordKey, found: Found) {
        if self.found.len() >= KNOWN {
            self.found.clear();
        }
        self.found.insert(key, found);
    }
}

/// Writes a record over its row, or into a new one; gives the row's id.
fn write(
    connection: &Connection,
    put: &Put,
    row: Option<Found>,
    now: i64,
) -> Result<i64, BackendError> {
    let table = schema::table(put.key.kind())?;
    let (account, key) = (put.key.account().as_bytes(), put.key.key());
    let (version, bytes) = (put.version.number() as i64, &put.bytes[..]);
    let written =
        match row {
            None => prepare(connection, table.insert)?
                .execute(params![account, key, version, now, bytes]),
            Some(row) if table.has_ids => {
                prepare(connection, table.update)?.execute(params![version, now, bytes, row.id])
            }
            Some(_) => prepare(connection, table.update)?
                .execute(params![version, now, bytes, account, key]),
        };
    written.map_err(|error| explain("writing a record", &error))?;
    Ok(row.map_or_else(|| connection.last_insert_rowid(), |row| row.id))
}

/// Whether an operation is remembered.
pub(super) fn is_remembered(
    connection: &Connection,
    operation: OperationId,
) -> Result<bool, BackendError> {
    let failed = |error| explain("looking for an operation", &error);
    let mut statement = prepare(connection, schema::REMEMBERED)?;
    let mut rows = statement.query([operation.as_bytes()]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let ids = row.get_ref(0).map_err(failed)?.as_blob();
        let (ids, _) = ids.unwrap_or_default().as_chunks::<16>();
        if ids.contains(operation.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
