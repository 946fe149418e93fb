//! The walk through everything that a store holds: kind by kind in the order of their codes, and
//! within a kind by account and key, as its index goes.
//!
//! In a damaged index the search may lead back to where it was, again and again; so every step is
//! checked to go on.

use rusqlite::{Connection, Row, params};
use sprag::backend::{AccountId, BackendError, Kind, Record, RecordKey};

use crate::error::explain;
use crate::reader::{PAGE_BYTES, prepare, record};
use crate::schema;

/// Where a page of the walk begins, and how long it may be.
pub(crate) struct Walk {
    pub(crate) after: Option<RecordKey>,
    pub(crate) limit: usize,
}

/// A page of the walk: places and records.
pub(crate) type Steps = Vec<(RecordKey, Record)>;

impl Walk {
    /// The next page. Tables follow each other until it is full.
    pub(crate) fn page(&self, connection: &Connection) -> Result<Steps, BackendError> {
        let mut steps = Steps::new();
        let mut room = PAGE_BYTES;
        let first = self.after.map_or(0, |after| after.kind().code());
        for kind in &Kind::ALL[usize::from(first)..] {
            // Of kinds that came after this release there are no records.
            if let Ok(table) = schema::table(*kind) {
                let after = self.after.filter(|after| after.kind() == *kind);
                room = self.steps_in(connection, *kind, table.walk, after, room, &mut steps)?;
            }
            if steps.len() >= self.limit || room == 0 {
                break;
            }
        }
        Ok(steps)
    }

    /// Adds the records of one kind; gives for how many more bytes there is room.
    fn steps_in(
        &self,
        connection: &Connection,
        kind: Kind,
        statement: &'static str,
        after: Option<RecordKey>,
        mut room: usize,
        steps: &mut Steps,
    ) -> Result<usize, BackendError> {
        let failed = |error| explain("walking through the records", &error);
        let limit = i64::try_from(self.limit - steps.len()).unwrap_or(i64::MAX);
        // All accounts come after the empty one.
        let account = after
            .as_ref()
            .map_or(&[][..], |key| key.account().as_bytes());
        let key = after.as_ref().map_or(&[][..], RecordKey::key);
        let mut statement = prepare(connection, statement)?;
        let mut rows = statement
            .query(params![account, key, limit])
            .map_err(failed)?;
        let mut last = after;
        while room > 0
            && let Some(row) = rows.next().map_err(failed)?
        {
            let place = place(kind, row).map_err(failed)??;
            if last.replace(place).is_some_and(|last| last >= place) {
                return Err(damaged(kind, "not in order"));
            }
            let record = record(row, 2).map_err(failed)??;
            room = room.saturating_sub(record.bytes.len());
            steps.push((place, record));
        }
        Ok(room)
    }
}

/// The place in the first columns, account and key.
fn place(kind: Kind, row: &Row<'_>) -> Result<Result<RecordKey, BackendError>, rusqlite::Error> {
    let (account, key): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
    let account = account.try_into().map(AccountId::from_bytes);
    let place = account
        .ok()
        .and_then(|account| RecordKey::new(account, kind, &key).ok());
    Ok(place.ok_or_else(|| damaged(kind, "in strange places")))
}

fn damaged(kind: Kind, what: &str) -> BackendError {
    BackendError::Corrupt {
        detail: format!("the records of kind {} are {what}", kind.name()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn with_sessions(rows: &[(&[u8], &[u8])]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        schema::migrate(&connection).unwrap();
        for (account, key) in rows {
            connection
                .execute(
                    schema::table(Kind::Session).unwrap().insert,
                    params![account, key, 1, 0, &b"x"[..]],
                )
                .unwrap();
        }
        connection
    }

    fn walk(connection: &Connection) -> Result<Steps, BackendError> {
        let (after, limit) = (None, 10);
        Walk { after, limit }.page(connection)
    }

    #[test]
    fn places_that_nobody_can_have_written_are_damage() {
        let sound = with_sessions(&[(&[0; 16], b""), (&[1; 16], &[7; 64])]);
        assert_eq!(walk(&sound).unwrap().len(), 2);
        for strange in [(&[1; 15][..], &b"key"[..]), (&[1; 16], &[7; 65])] {
            let code = walk(&with_sessions(&[strange])).unwrap_err().code();
            assert_eq!(code, "store-corrupt");
        }
    }

    /// An index whose bytes were altered leads to a place before the last one.
    #[test]
    fn an_index_that_leads_back_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("walk.db");
        let marks = [b"mark-1", b"mark-2", b"mark-3"];
        let file = Connection::open(&path).unwrap();
        schema::migrate(&file).unwrap();
        for mark in marks {
            let insert = schema::table(Kind::Session).unwrap().insert;
            file.execute(insert, params![[1_u8; 16], mark, 1, 0, &b"x"[..]])
                .unwrap();
        }
        file.close().unwrap();
        // Each key lies in its row and in the index; the last one in both becomes the first.
        let mut bytes = std::fs::read(&path).unwrap();
        let found: Vec<_> = (0..bytes.len() - 6)
            .filter(|at| bytes[*at..].starts_with(b"mark-3"))
            .collect();
        assert_eq!(found.len(), 2);
        found.iter().for_each(|at| bytes[at + 5] = b'0');
        std::fs::write(&path, bytes).unwrap();

        let damaged = Connection::open(&path).unwrap();
        assert_eq!(walk(&damaged).unwrap_err().code(), "store-corrupt");
    }
}
