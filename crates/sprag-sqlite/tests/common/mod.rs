//! What the tests of failures have in common.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of this"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sprag::backend::{
    AccountId, Backend, BackendError, Batch, CommitOutcome, Kind, OperationId, RecordKey, Version,
};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

pub const ACCOUNT: AccountId = AccountId::from_bytes([0xa1; 16]);

pub fn key(number: u32) -> RecordKey {
    RecordKey::fixed(ACCOUNT, Kind::Session, number.to_be_bytes())
}

pub fn batch() -> Batch {
    Batch::new(OperationId::random(&mut rand::rng()))
}

pub fn put(number: u32, bytes: impl Into<Vec<u8>>) -> Batch {
    batch().put(key(number), Version::random(&mut rand::rng()), bytes.into())
}

/// A folder, and the path of a store in it that is not made yet.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.db");
    (folder, path)
}

/// Opens a store without much patience.
pub async fn open(path: &Path) -> Result<SqliteBackend, BackendError> {
    SqliteOptions::file(path)
        .busy_timeout(Duration::from_millis(50))
        .open()
        .await
}

/// Makes a store of `records` records of 3000 bytes and closes it.
pub async fn make_store(path: &Path, records: u32) {
    let backend = open(path).await.unwrap();
    for number in 0..records {
        let outcome = backend.commit(put(number, vec![number as u8; 3000])).await;
        assert_eq!(outcome, Ok(CommitOutcome::Committed));
    }
    backend.close().await.unwrap();
}

/// Every file of a folder with its contents.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    files
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                std::fs::read(file.path()).unwrap(),
            )
        })
        .collect()
}
