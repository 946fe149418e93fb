//! Limits: what is refused, and what every backend takes.

use sprag::backend::CommitOutcome::Committed;
use sprag::backend::{BackendError, Limits};

use super::super::Fixture;
use super::super::sample::{batch, bytes_at, commit, numbered, put, read, session, version};

/// What is too large is refused with the limit that it exceeds, and nothing of it is applied.
pub async fn limits_are_refused_clearly(fixture: Fixture) {
    let backend = fixture.backend();
    let limits = backend.limits();
    let key = session(b"one");
    let too_long = vec![0; limits.max_record + 1];
    let many = limits.max_batch_entries + 1;
    let too_many = (0..many).fold(batch().put(key, version(), &b"1"[..]), |batch, index| {
        batch.expect(numbered(index), None)
    });
    for oversized in [batch().put(key, version(), too_long), too_many] {
        let refused = backend.commit(oversized).await;
        assert!(
            matches!(refused, Err(BackendError::LimitExceeded { .. })),
            "{refused:?}"
        );
    }
    let too_many = vec![key; limits.max_read_keys + 1];
    let refused = backend.read(&too_many).await;
    assert!(matches!(refused, Err(BackendError::LimitExceeded { .. })));
    assert_eq!(read(backend, key).await, None);
}

/// The limits that every backend promises are promised and kept.
pub async fn limits_reach_the_minimum(fixture: Fixture) {
    let backend = fixture.backend();
    let (limits, minimum) = (backend.limits(), Limits::MINIMUM);
    assert!(limits.max_record >= minimum.max_record);
    assert!(limits.max_batch_entries >= minimum.max_batch_entries);
    assert!(limits.max_batch_bytes >= minimum.max_batch_bytes);
    assert!(limits.max_read_keys >= minimum.max_read_keys);
    assert!(limits.max_scan_page >= minimum.max_scan_page);
    assert!(limits.remembered_operations >= minimum.remembered_operations);

    let half = minimum.max_batch_entries / 2;
    let each = vec![7; minimum.max_batch_bytes / half];
    let full = (0..half).fold(batch(), |batch, index| {
        let key = numbered(index);
        batch.expect(key, None).put(key, version(), each.clone())
    });
    assert_eq!(commit(backend, full).await, Committed);
    let keys: Vec<_> = (0..minimum.max_read_keys).map(numbered).collect();
    let records = backend.read(&keys).await.expect("read");
    assert_eq!(
        records
            .iter()
            .flatten()
            .filter(|record| record.bytes == each)
            .count(),
        half
    );
}

/// A batch that contradicts itself is an error of the caller and applies nothing.
pub async fn ambiguous_batches_are_refused(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let current = put(backend, key, b"1").await;
    for ambiguous in [
        batch()
            .put(key, version(), &b"2"[..])
            .put(key, version(), &b"3"[..]),
        batch().put(key, version(), &b"2"[..]).delete(key),
        batch().delete(key).delete(key),
        batch()
            .expect(key, Some(current))
            .expect(key, None)
            .delete(key),
    ] {
        let refused = backend.commit(ambiguous).await;
        assert!(
            matches!(refused, Err(BackendError::InvalidBatch { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
}
