//! The contracts that every backend must keep. Each function panics if its backend breaks it.
//!
//! Ordered as in [`backend_suite!`](crate::backend_suite): single records, batches, operations,
//! keys and scans, limits, concurrency, cancellation, the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sprag::backend::{
    Backend, BackendError, CommitOutcome, Kind, Limits, OperationId, Record, RecordKey,
};

use super::Fixture;
use super::sample::{
    ALICE, BOB, batch, bytes_at, commit, delete, increment, number, numbered, place, put, read,
    scan_all, session, version,
};

use CommitOutcome::{Committed, Conflict};

// --- Single records ---

/// Where nothing was put there is nothing, and asking for nothing gives nothing.
pub async fn absent_records_are_none(fixture: Fixture) {
    let backend = fixture.backend();
    assert_eq!(read(backend, session(b"nobody")).await, None);
    assert_eq!(backend.read(&[]).await.expect("read"), []);
    assert!(scan_all(backend, ALICE, Kind::Session, 10).await.is_empty());
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
    assert!(scan_all(backend, ALICE, Kind::Session, 10).await.is_empty());
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

// --- Batches ---

/// A batch computed from an older version of a record is refused.
pub async fn conflict_if_the_record_changed(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let stale = put(backend, key, b"1").await;
    let current = put(backend, key, b"2").await;
    let change = batch()
        .expect(key, Some(stale))
        .put(key, version(), &b"3"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    let record = read(backend, key).await.expect("the record is there");
    assert_eq!((record.version, &record.bytes[..]), (current, &b"2"[..]));
}

/// A batch that expects no record is refused if there is one.
pub async fn conflict_if_the_record_appeared(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;
    let change = batch().expect(key, None).put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
}

/// A batch that expects a record is refused if there is none any more.
pub async fn conflict_if_the_record_vanished(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let before = put(backend, key, b"1").await;
    delete(backend, key).await;
    let change = batch()
        .expect(key, Some(before))
        .put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(read(backend, key).await, None);
}

/// Records that the operation read but does not write count as much as those that it writes.
pub async fn conflict_if_a_record_that_was_only_read_changed(fixture: Fixture) {
    let backend = fixture.backend();
    let (header, key) = (place(ALICE, Kind::Header, b""), session(b"one"));
    let stale = put(backend, header, b"epoch 1").await;
    put(backend, header, b"epoch 2").await;
    let change = batch()
        .expect(header, Some(stale))
        .put(key, version(), &b"1"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(read(backend, key).await, None);

    let phantom = batch().expect(header, None).put(key, version(), &b"1"[..]);
    assert_eq!(commit(backend, phantom).await, Conflict);
    assert_eq!(read(backend, key).await, None);
}

/// One failed expectation, the last of many, and none of the puts and deletes is applied.
pub async fn a_conflict_applies_nothing(fixture: Fixture) {
    let backend = fixture.backend();
    let (kept, changed) = (session(b"kept"), place(BOB, Kind::Identity, b"changed"));
    put(backend, kept, b"1").await;
    let current = put(backend, changed, b"1").await;

    let mut change = batch().delete(kept).put(changed, version(), &b"2"[..]);
    for index in 0..20 {
        change = change
            .expect(numbered(index), None)
            .put(numbered(index), version(), &b"x"[..]);
    }
    let change = change
        .expect(changed, Some(current))
        .expect(session(b"absent"), Some(version()));
    assert_eq!(commit(backend, change).await, Conflict);

    assert_eq!(bytes_at(backend, kept).await.as_deref(), Some(&b"1"[..]));
    assert_eq!(bytes_at(backend, changed).await.as_deref(), Some(&b"1"[..]));
    assert_eq!(scan_all(backend, ALICE, Kind::Session, 100).await.len(), 1);
}

/// A batch without puts and deletes says whether its expectations hold, and changes nothing.
pub async fn an_empty_batch_validates(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let stale = put(backend, key, b"1").await;
    let current = put(backend, key, b"2").await;
    let absent = session(b"absent");
    for (validation, outcome) in [
        (batch(), Committed),
        (batch().expect(key, Some(current)), Committed),
        (
            batch().expect(key, Some(current)).expect(absent, None),
            Committed,
        ),
        (batch().expect(key, Some(stale)), Conflict),
        (batch().expect(key, None), Conflict),
        (batch().expect(absent, Some(current)), Conflict),
        (
            batch()
                .expect(key, Some(current))
                .expect(absent, Some(stale)),
            Conflict,
        ),
    ] {
        assert_eq!(
            commit(backend, validation.clone()).await,
            outcome,
            "{validation:?}"
        );
    }
    assert_eq!(
        read(backend, key).await.map(|record| record.version),
        Some(current)
    );
}

/// A record that was deleted and made anew is another record, even with the same bytes.
pub async fn a_recreated_record_is_not_the_old_one(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    let before = put(backend, key, b"same bytes").await;
    delete(backend, key).await;
    let after = put(backend, key, b"same bytes").await;
    let change = batch()
        .expect(key, Some(before))
        .put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, change).await, Conflict);
    assert_eq!(
        commit(backend, batch().expect(key, Some(after))).await,
        Committed
    );
}

/// Without an expectation, a put replaces and a delete removes whatever is there.
pub async fn blind_writes_need_no_expectation(fixture: Fixture) {
    let backend = fixture.backend();
    let (put_over, put_new, gone) = (session(b"over"), session(b"new"), session(b"gone"));
    put(backend, put_over, b"1").await;
    put(backend, gone, b"1").await;
    let change = batch()
        .put(put_over, version(), &b"2"[..])
        .put(put_new, version(), &b"2"[..])
        .delete(gone);
    assert_eq!(commit(backend, change).await, Committed);
    assert_eq!(
        bytes_at(backend, put_over).await.as_deref(),
        Some(&b"2"[..])
    );
    assert_eq!(bytes_at(backend, put_new).await.as_deref(), Some(&b"2"[..]));
    assert_eq!(read(backend, gone).await, None);
}

// --- Operations ---

/// A committed operation is found, also after as many later ones as the limits of every backend
/// promise, and one that deletes only as well.
pub async fn operations_are_remembered(fixture: Fixture) {
    let backend = fixture.backend();
    let first = batch().put(session(b"one"), version(), &b"1"[..]);
    assert_eq!(commit(backend, first.clone()).await, Committed);
    assert_eq!(backend.committed(first.operation).await, Ok(true));

    let deleting = batch().delete(session(b"one"));
    assert_eq!(commit(backend, deleting.clone()).await, Committed);
    assert_eq!(backend.committed(deleting.operation).await, Ok(true));

    let later = Limits::MINIMUM.remembered_operations as usize - 2;
    for chunk in (0..later).collect::<Vec<_>>().chunks(64) {
        let tasks: Vec<_> = chunk
            .iter()
            .map(|index| {
                let (backend, key) = (Arc::clone(backend), numbered(*index));
                tokio::spawn(async move { put(&backend, key, b"later").await })
            })
            .collect();
        for task in tasks {
            task.await.expect("a blind put succeeds");
        }
    }
    assert_eq!(backend.committed(first.operation).await, Ok(true));
}

/// An operation that conflicted, failed, only validated or never happened is not in the store.
pub async fn operations_that_wrote_nothing_are_not_in_the_store(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;

    let conflicting = batch().expect(key, None).put(key, version(), &b"2"[..]);
    assert_eq!(commit(backend, conflicting.clone()).await, Conflict);
    let failing = batch().delete(key).delete(key);
    assert!(backend.commit(failing.clone()).await.is_err());
    let validating = batch().expect(session(b"absent"), None);
    assert_eq!(commit(backend, validating.clone()).await, Committed);

    for operation in [
        conflicting.operation,
        failing.operation,
        validating.operation,
        OperationId::random(&mut rand::rng()),
    ] {
        assert_eq!(backend.committed(operation).await, Ok(false));
    }
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
}

// --- Keys and scans ---

/// One key under every kind of two accounts: as many records, each with its own bytes.
pub async fn accounts_and_kinds_are_apart(fixture: Fixture) {
    let backend = fixture.backend();
    let mut change = batch();
    let mut all = Vec::new();
    for account in [ALICE, BOB] {
        for kind in Kind::ALL {
            let key = place(account, *kind, b"same");
            let bytes = format!("{key:?}");
            change = change
                .expect(key, None)
                .put(key, version(), bytes.clone().into_bytes());
            all.push((key, bytes));
        }
    }
    assert_eq!(commit(backend, change).await, Committed);
    for (key, bytes) in &all {
        assert_eq!(
            bytes_at(backend, *key).await.as_deref(),
            Some(bytes.as_bytes())
        );
    }
    let (gone, _) = all.remove(0);
    delete(backend, gone).await;
    assert_eq!(read(backend, gone).await, None);
    for (key, bytes) in &all {
        assert_eq!(
            bytes_at(backend, *key).await.as_deref(),
            Some(bytes.as_bytes())
        );
    }
}

/// Keys of 0 to 64 bytes of any value are told apart: no text, no terminator, no case.
pub async fn keys_are_opaque_bytes(fixture: Fixture) {
    let backend = fixture.backend();
    let names: [&[u8]; 14] = [
        b"",
        b"\0",
        b"\0\0",
        b"a",
        b"A",
        b"a\0",
        b"a ",
        b"'; --",
        b"%_*",
        b"\xff",
        b"\xff\xff",
        b"\xc3\xa4",
        &[0; 64],
        &[0xff; 64],
    ];
    for (index, name) in names.iter().enumerate() {
        put(backend, session(name), &[index as u8]).await;
    }
    for (index, name) in names.iter().enumerate() {
        assert_eq!(
            bytes_at(backend, session(name)).await,
            Some(vec![index as u8]),
            "{name:?}"
        );
    }
    let mut sorted = names;
    sorted.sort_unstable();
    let scanned = scan_all(backend, ALICE, Kind::Session, 3).await;
    let scanned: Vec<_> = scanned.iter().map(|(key, _)| &key[..]).collect();
    assert_eq!(scanned, sorted);
}

/// Records of no bytes, of 200 000 and of the longest that every backend takes come back unchanged.
pub async fn records_may_be_empty_or_big(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    for length in [0, 1, 200_000, Limits::MINIMUM.max_record, 0] {
        let bytes: Vec<u8> = (0..length).map(|index| (index * 31 % 251) as u8).collect();
        put(backend, key, &bytes).await;
        assert_eq!(bytes_at(backend, key).await, Some(bytes));
    }
}

/// A scan yields keys in ascending order of unsigned bytes, whatever the order of their arrival.
pub async fn scans_ascend_by_key(fixture: Fixture) {
    let backend = fixture.backend();
    let names: Vec<[u8; 2]> = (0..=255)
        .map(|index: u8| [index.wrapping_mul(167), index])
        .collect();
    let inserted = names.iter().fold(batch(), |batch, name| {
        batch.put(session(name), version(), &b"x"[..])
    });
    assert_eq!(commit(backend, inserted).await, Committed);
    let scanned = scan_all(backend, ALICE, Kind::Session, 1000).await;
    assert_eq!(scanned.len(), names.len());
    assert!(scanned.is_sorted_by(|(left, _), (right, _)| left < right));
}

/// Pages of any size add up to the same records, versions and bytes included.
pub async fn scans_go_page_by_page(fixture: Fixture) {
    let backend = fixture.backend();
    let mut expected = Vec::new();
    for index in 0..25 {
        let version = put(backend, numbered(index), &[index as u8]).await;
        let bytes = Bytes::from(vec![index as u8]);
        expected.push((numbered(index).key().to_vec(), Record { version, bytes }));
    }
    for limit in [1, 2, 7, 24, 25, 26, 1_000_000] {
        assert_eq!(
            scan_all(backend, ALICE, Kind::Session, limit).await,
            expected,
            "limit {limit}"
        );
    }
    let zero = backend.scan(&ALICE, Kind::Session, None, 0).await;
    assert!(
        matches!(zero, Err(BackendError::LimitExceeded { .. })),
        "{zero:?}"
    );
}

/// A scan yields nothing of another account or kind, neighbours included.
pub async fn scans_stay_within_account_and_kind(fixture: Fixture) {
    let backend = fixture.backend();
    let accounts =
        [[0; 16], [0x0f; 16], [0x10; 16], [0xff; 16]].map(sprag::backend::AccountId::from_bytes);
    for account in accounts {
        for kind in Kind::ALL {
            for name in [&b""[..], &[0xff; 64]] {
                put(
                    backend,
                    place(account, *kind, name),
                    &[account.as_bytes()[0], kind.code()],
                )
                .await;
            }
        }
    }
    for account in accounts {
        for kind in Kind::ALL {
            let scanned = scan_all(backend, account, *kind, 10).await;
            assert_eq!(scanned.len(), 2, "{account:?} {kind:?}");
            for (_, record) in scanned {
                assert_eq!(&record.bytes[..], [account.as_bytes()[0], kind.code()]);
            }
        }
    }
}

/// A scan goes on after a key that is not there (any more), and ends after the last.
pub async fn scans_continue_after_a_deleted_key(fixture: Fixture) {
    let backend = fixture.backend();
    for index in [1, 2, 3] {
        put(backend, numbered(index), b"x").await;
    }
    delete(backend, numbered(2)).await;
    for (after, next) in [
        (0, Some(1)),
        (1, Some(3)),
        (2, Some(3)),
        (3, None),
        (4, None),
    ] {
        let after = numbered(after);
        let page = backend
            .scan(&ALICE, Kind::Session, Some(after.key()), 1)
            .await
            .expect("scan");
        let expected: Vec<_> = next
            .map(|index| numbered(index).key().to_vec())
            .into_iter()
            .collect();
        assert_eq!(
            page.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
            expected
        );
    }
}

// --- Limits ---

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

// --- Concurrency ---

/// Many tasks add to one counter by compare-and-swap, and every addition counts.
pub async fn concurrent_increments_lose_nothing(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"counter");
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let backend = Arc::clone(backend);
            tokio::spawn(async move {
                for _ in 0..10 {
                    increment(&backend, key).await.expect("increment");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    let record = read(backend, key).await.expect("the counter is there");
    assert_eq!(number(&record.bytes), 120);
}

/// Commits at once that share nothing but a record that all only read are all applied.
pub async fn unrelated_commits_do_not_conflict(fixture: Fixture) {
    let backend = fixture.backend();
    let header = place(ALICE, Kind::Header, b"");
    let epoch = put(backend, header, b"epoch").await;
    let tasks: Vec<_> = (0..64)
        .map(|index| {
            let (backend, key) = (Arc::clone(backend), numbered(index));
            let change = batch().expect(header, Some(epoch)).expect(key, None).put(
                key,
                version(),
                &b"x"[..],
            );
            tokio::spawn(async move { commit(&backend, change).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no task panics"), Committed);
    }
    assert_eq!(
        scan_all(backend, ALICE, Kind::Session, 1000).await.len(),
        64
    );
}

/// Two operations that read the same two records and write one each cannot both be applied.
pub async fn write_skew_is_impossible(fixture: Fixture) {
    let backend = fixture.backend();
    skew(backend, backend).await;
}

/// The rounds of [`write_skew_is_impossible`], over two handles.
pub(super) async fn skew(left: &Arc<dyn Backend>, right: &Arc<dyn Backend>) {
    let (one, two) = (session(b"one"), session(b"two"));
    for _ in 0..50 {
        let (one_version, two_version) = (
            put(left, one, b"on duty").await,
            put(left, two, b"on duty").await,
        );
        let both = batch()
            .expect(one, Some(one_version))
            .expect(two, Some(two_version));
        let tasks = [(left, one), (right, two)].map(|(handle, key)| {
            let handle = Arc::clone(handle);
            let mut change = both.clone().put(key, version(), &b"off duty"[..]);
            change.operation = OperationId::random(&mut rand::rng());
            tokio::spawn(async move { commit(&handle, change).await })
        });
        let mut outcomes = HashSet::new();
        for task in tasks {
            outcomes.insert(task.await.expect("no task panics") == Committed);
        }
        assert_eq!(
            outcomes,
            HashSet::from([true, false]),
            "exactly one of the two is committed"
        );
    }
}

/// While a writer changes two records together, a read of both never sees one changed and the other
/// not.
pub async fn reads_are_snapshots(fixture: Fixture) {
    let backend = fixture.backend();
    let keys = pair();
    let writer = keep_changing(backend, keys);
    let (mut changes, mut last) = (0, None);
    while changes < 100 {
        let records = backend.read(&keys).await.expect("read");
        let bytes: Vec<_> = records
            .iter()
            .map(|record| record.as_ref().map(|record| &record.bytes))
            .collect();
        assert_eq!(bytes[0], bytes[1], "both records are of one commit");
        changes += usize::from(records[0] != last);
        last = records.into_iter().next().flatten();
        tokio::task::yield_now().await;
    }
    writer.abort();
}

/// While a writer changes two records together, the old version of one and the new version of the
/// other never validate.
pub async fn validations_are_snapshots(fixture: Fixture) {
    let backend = fixture.backend();
    let keys = pair();
    let writer = keep_changing(backend, keys);
    let mut changes = 0;
    while changes < 50 {
        let old = backend.read(&keys).await.expect("read");
        tokio::task::yield_now().await;
        let new = backend.read(&keys).await.expect("read");
        let [old, new] = [old, new].map(|records| {
            records
                .into_iter()
                .map(|record| record.map(|record| record.version))
                .collect::<Vec<_>>()
        });
        if old[0] != new[0] {
            changes += 1;
            let mixed = batch().expect(keys[0], old[0]).expect(keys[1], new[1]);
            assert_eq!(commit(backend, mixed).await, Conflict);
        }
    }
    writer.abort();
}

fn pair() -> [RecordKey; 2] {
    [session(b"left"), place(BOB, Kind::Identity, b"right")]
}

/// A task that keeps putting the same fresh bytes into both records by one commit.
fn keep_changing(backend: &Arc<dyn Backend>, keys: [RecordKey; 2]) -> tokio::task::JoinHandle<()> {
    let backend = Arc::clone(backend);
    tokio::spawn(async move {
        for round in 0_u64.. {
            let bytes = round.to_be_bytes().to_vec();
            let change = keys.iter().fold(batch(), |batch, key| {
                batch.put(*key, version(), bytes.clone())
            });
            assert_eq!(commit(&backend, change).await, Committed);
            tokio::task::yield_now().await;
        }
    })
}

// --- Cancellation ---

/// Commits whose futures are dropped early or late happen whole or not at all, and the store then
/// agrees with what it says about the operation. The handle stays usable.
pub async fn cancelled_commits_are_whole(fixture: Fixture) {
    let backend = fixture.backend();
    let mut started = Vec::new();
    for index in 0..100_u8 {
        let keys = [numbered(index.into()), place(BOB, Kind::Inbox, &[index])];
        let change = keys.iter().fold(batch(), |batch, key| {
            batch
                .expect(*key, None)
                .put(*key, version(), vec![index; 3000])
        });
        started.push((keys, change.operation));
        if index % 2 == 0 {
            poll_some_times(backend.commit(change), 1 + usize::from(index) / 2 % 5).await;
        } else {
            let backend = Arc::clone(backend);
            let task = tokio::spawn(async move { backend.commit(change).await });
            std::thread::sleep(Duration::from_micros(u64::from(index) * 20));
            task.abort();
        }
    }
    // Whatever was accepted comes before this one.
    put(backend, session(b"last"), b"x").await;

    for (keys, operation) in started {
        let there = backend.committed(operation).await.expect("committed");
        let records = backend.read(&keys).await.expect("read");
        let present: Vec<_> = records.iter().map(Option::is_some).collect();
        assert_eq!(
            present,
            [there, there],
            "both records, or none, as the store says of the operation"
        );
    }
}

/// Polls a future as often as it asks for it, but at most `times`, and drops it.
async fn poll_some_times<F: Future>(future: F, times: usize) {
    let mut future = std::pin::pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        let finished = future.as_mut().poll(context).is_ready();
        if finished || polls == times {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Reads and scans whose futures are dropped leave the handle usable.
pub async fn cancelled_reads_do_no_harm(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;
    for patience in (0..50).map(|index| Duration::from_micros(index * 10)) {
        let _ = tokio::time::timeout(patience, backend.read(&[key])).await;
        let _ = tokio::time::timeout(patience, backend.scan(&ALICE, Kind::Session, None, 10)).await;
        let _ = tokio::time::timeout(patience, backend.commit(batch().expect(key, None))).await;
        let _ = tokio::time::timeout(patience, backend.checkpoint()).await;
    }
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
    put(backend, key, b"2").await;
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"2"[..]));
}

// --- The end ---

/// A checkpoint, done or not, changes nothing that can be read.
pub async fn a_checkpoint_keeps_the_records(fixture: Fixture) {
    let backend = fixture.backend();
    backend
        .checkpoint()
        .await
        .expect("checkpoint of an empty store");
    for index in 0..20 {
        put(backend, numbered(index), &vec![index as u8; 5000]).await;
        delete(backend, numbered(index / 2)).await;
    }
    let before = scan_all(backend, ALICE, Kind::Session, 100).await;
    backend.checkpoint().await.expect("checkpoint");
    assert_eq!(scan_all(backend, ALICE, Kind::Session, 100).await, before);
    put(backend, session(b"later"), b"1").await;
}

/// After closing, every call says so, and closing again is fine.
pub async fn a_closed_backend_refuses_everything(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;
    backend.close().await.expect("close");
    backend.close().await.expect("close again");

    let change = batch().put(key, version(), &b"2"[..]);
    assert_eq!(backend.read(&[key]).await, Err(BackendError::Closed));
    assert_eq!(
        backend.committed(change.operation).await,
        Err(BackendError::Closed)
    );
    assert_eq!(backend.commit(change).await, Err(BackendError::Closed));
    assert_eq!(
        backend.commit(batch().expect(key, None)).await,
        Err(BackendError::Closed)
    );
    assert_eq!(
        backend.scan(&ALICE, Kind::Session, None, 1).await,
        Err(BackendError::Closed)
    );
    assert_eq!(backend.checkpoint().await, Err(BackendError::Closed));
}
