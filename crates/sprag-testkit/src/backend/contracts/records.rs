//! Single records: what was put is read, what was deleted is not, whatever the bytes.

use bytes::Bytes;
use sprag::backend::CommitOutcome::Committed;
use sprag::backend::{Kind, Record};

use super::super::Fixture;
use super::super::sample::{
    ALICE, batch, bytes_at, commit, put, read, records_of, session, version,
};

/// Where nothing was put there is nothing, and asking for nothing gives nothing.
pub async fn absent_records_are_none(fixture: Fixture) {
    let backend = fixture.backend();
    assert_eq!(read(backend, session(b"nobody")).await, None);
    assert_eq!(backend.read(&[]).await.expect("read"), []);
    assert!(
        records_of(backend, ALICE, Kind::Session, 10)
            .await
            .is_empty()
    );
}

/// A read after a commit shows it; answers come in the order of the keys, a key asked twice twice.
pub async fn reads_its_own_commit(fixture: Fixture) {
    let backend = fixture.backend();
    let (one, two) = (session(b"one"), session(b"two"));
    let (first, second) = (version(), version());
    let both = batch()
        .expect(one, None)
        .put(one, first, &b"1"[..])
        .put(two, second, &b"2"[..]);
    assert_eq!(commit(backend, both).await, Committed);

    let one_record = Record {
        version: first,
        bytes: Bytes::from_static(b"1"),
    };
    let two_record = Record {
        version: second,
        bytes: Bytes::from_static(b"2"),
    };
    let answers = backend
        .read(&[two, session(b"three"), one, two])
        .await
        .expect("read");
    assert_eq!(
        answers,
        [
            Some(two_record.clone()),
            None,
            Some(one_record),
            Some(two_record)
        ]
    );
}

/// A put over a record leaves the new bytes, shorter or longer, under the new version.
pub async fn a_put_replaces_bytes_and_version(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let mut before = None;
    for bytes in [
        &b"some bytes"[..],
        &b"more bytes than before"[..],
        &b"few"[..],
        &b"few"[..],
    ] {
        let after = version();
        let change = batch().expect(key, before).put(key, after, bytes);
        assert_eq!(commit(backend, change).await, Committed);
        let record = read(backend, key).await.expect("the record is there");
        assert_eq!((record.version, &record.bytes[..]), (after, bytes));
        before = Some(after);
    }
}

/// What was sealed anew keeps its version, since its content is the same: such a put is applied like
/// any other, and whoever expects the version may go on.
pub async fn a_put_under_the_same_version_replaces_bytes(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let same = put(backend, key, b"sealed").await;
    for (expected, bytes) in [
        (Some(Some(same)), &b"sealed anew"[..]),
        (None, &b"and again"[..]),
    ] {
        let mut anew = batch().put(key, same, bytes);
        if let Some(version) = expected {
            anew = anew.expect(key, version);
        }
        assert_eq!(commit(backend, anew.clone()).await, Committed);
        assert_eq!(backend.committed(anew.operation).await, Ok(true));
        let record = Record {
            version: same,
            bytes: bytes.into(),
        };
        assert_eq!(read(backend, key).await.as_ref(), Some(&record));
        let scanned = records_of(backend, ALICE, Kind::Session, 10).await;
        assert_eq!(scanned, [(key.key().to_vec(), record)]);
    }
    let next = batch()
        .expect(key, Some(same))
        .put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, next).await, Committed);
}

/// A deleted record is gone for reads, scans and expectations.
pub async fn a_delete_removes(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let before = put(backend, key, b"1").await;
    assert_eq!(
        commit(backend, batch().expect(key, Some(before)).delete(key)).await,
        Committed
    );
    assert_eq!(read(backend, key).await, None);
    assert!(
        records_of(backend, ALICE, Kind::Session, 10)
            .await
            .is_empty()
    );
    assert_eq!(commit(backend, batch().expect(key, None)).await, Committed);
}

/// Deleting what is not there is no error and no conflict.
pub async fn deleting_an_absent_record_changes_nothing(fixture: Fixture) {
    let backend = fixture.backend();
    put(backend, session(b"other"), b"1").await;
    let absent = session(b"absent");
    assert_eq!(
        commit(backend, batch().expect(absent, None).delete(absent)).await,
        Committed
    );
    assert_eq!(
        bytes_at(backend, session(b"other")).await.as_deref(),
        Some(&b"1"[..])
    );
}
