//! What the disk allows.

use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::contest::{Runner, timed};

/// About the size of a session.
const ROW: usize = 5000;

/// Two commits of SQLite at FULL, each of one changed row: what a message costs at least if both of its
/// steps are durable by themselves.
pub fn two_commits() -> Runner {
    let folder = TempDir::new().unwrap();
    let connection = Connection::open(folder.path().join("disk.db")).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .unwrap();
    let table = "CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB)";
    connection.execute_batch(table).unwrap();
    let insert = "INSERT INTO row VALUES (1, ?)";
    connection
        .execute(insert, params![vec![0_u8; ROW]])
        .unwrap();
    let mut count = 0_u8;
    Box::new(move |times| {
        let _keep = &folder;
        let mut update = connection
            .prepare_cached("UPDATE row SET bytes = ? WHERE id = 1")
            .unwrap();
        timed(|| {
            for _ in 0..2 * times {
                // The same bytes again would write nothing.
                count = count.wrapping_add(1);
                update.execute(params![vec![count; ROW]]).unwrap();
            }
        })
    })
}
