//! Shorthand for the contracts: keys, versions and the commonest steps.

use std::sync::Arc;

use sprag::backend::{
    AccountId, Backend, BackendError, Batch, CommitOutcome, Kind, OperationId, Record, RecordKey,
    Version,
};

pub(super) const ALICE: AccountId = AccountId::from_bytes([0xa1; 16]);
pub(super) const BOB: AccountId = AccountId::from_bytes([0xb0; 16]);

pub(super) fn session(name: &[u8]) -> RecordKey {
    place(ALICE, Kind::Session, name)
}

pub(super) fn place(account: AccountId, kind: Kind, name: &[u8]) -> RecordKey {
    RecordKey::new(account, kind, name).expect("contracts use keys of at most 64 bytes")
}

/// A session key made of a number, in the order of the numbers.
pub(super) fn numbered(number: usize) -> RecordKey {
    session(&(number as u64).to_be_bytes())
}

pub(super) fn version() -> Version {
    Version::random(&mut rand::rng())
}

/// A batch under a fresh operation id.
pub(super) fn batch() -> Batch {
    Batch::new(OperationId::random(&mut rand::rng()))
}

pub(super) async fn read(backend: &Arc<dyn Backend>, key: RecordKey) -> Option<Record> {
    let mut records = backend.read(&[key]).await.expect("read");
    assert_eq!(records.len(), 1, "one answer for each key");
    records.remove(0)
}

pub(super) async fn bytes_at(backend: &Arc<dyn Backend>, key: RecordKey) -> Option<Vec<u8>> {
    read(backend, key).await.map(|record| record.bytes.to_vec())
}

pub(super) async fn commit(backend: &Arc<dyn Backend>, batch: Batch) -> CommitOutcome {
    backend.commit(batch).await.expect("commit")
}

/// Puts a record over whatever is there, and gives its version.
pub(super) async fn put(backend: &Arc<dyn Backend>, key: RecordKey, bytes: &[u8]) -> Version {
    let version = version();
    let outcome = commit(backend, batch().put(key, version, bytes.to_vec())).await;
    assert_eq!(
        outcome,
        CommitOutcome::Committed,
        "a blind put has nothing to conflict with"
    );
    version
}

pub(super) async fn delete(backend: &Arc<dyn Backend>, key: RecordKey) {
    let outcome = commit(backend, batch().delete(key)).await;
    assert_eq!(
        outcome,
        CommitOutcome::Committed,
        "a blind delete has nothing to conflict with"
    );
}

/// All records of an account and kind, asked for in pages of `limit`.
pub(super) async fn records_of(
    backend: &Arc<dyn Backend>,
    account: AccountId,
    kind: Kind,
    limit: usize,
) -> Vec<(Vec<u8>, Record)> {
    let mut all: Vec<(Vec<u8>, Record)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let page = backend
            .scan(&account, kind, after.as_deref(), limit)
            .await
            .expect("scan");
        assert!(
            page.len() <= limit,
            "a page holds no more than was asked for"
        );
        if page.is_empty() {
            return all;
        }
        let keys: Vec<_> = all
            .last()
            .into_iter()
            .chain(&page)
            .map(|(key, _)| key)
            .collect();
        assert!(
            keys.is_sorted_by(|left, right| left < right),
            "keys ascend, from page to page"
        );
        all.extend(page);
    }
}

/// The next page of a scan of all records.
pub(super) async fn page_of_all(
    backend: &Arc<dyn Backend>,
    after: Option<RecordKey>,
    limit: usize,
) -> Vec<(RecordKey, Record)> {
    let page = backend.scan_all(after.as_ref(), limit).await;
    let page = page.expect("scan of all");
    assert!(
        page.len() <= limit,
        "a page holds no more than was asked for"
    );
    page
}

/// All records of the store in their order, asked for in pages of `limit`.
pub(super) async fn all_records(
    backend: &Arc<dyn Backend>,
    limit: usize,
) -> Vec<(RecordKey, Record)> {
    let mut all: Vec<(RecordKey, Record)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| *key);
        let page = page_of_all(backend, after, limit).await;
        if page.is_empty() {
            return all;
        }
        all.extend(page);
        assert!(all.len() < 1_000_000, "the scan comes to an end");
    }
}

/// Adds one to the counter at `key` by compare-and-swap, as often as it takes.
pub(super) async fn increment(
    backend: &Arc<dyn Backend>,
    key: RecordKey,
) -> Result<(), BackendError> {
    loop {
        let before = backend.read(&[key]).await?.remove(0);
        // Let the others in between, also where nothing else would.
        tokio::task::yield_now().await;
        let count = before.as_ref().map_or(0, |record| number(&record.bytes));
        let next = batch()
            .expect(key, before.map(|record| record.version))
            .put(key, version(), (count + 1).to_be_bytes().to_vec());
        if backend.commit(next).await? == CommitOutcome::Committed {
            return Ok(());
        }
    }
}

/// The counter in a record.
pub(super) fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("a counter has eight bytes"))
}
