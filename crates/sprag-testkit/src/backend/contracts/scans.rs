//! Keys and scans: what is told apart, and what is found in which order.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sprag::backend::CommitOutcome::Committed;
use sprag::backend::{AccountId, Backend, BackendError, Kind, Limits, Record, RecordKey};

use super::super::Fixture;
use super::super::sample::{
    ALICE, BOB, all_records, batch, bytes_at, commit, delete, numbered, page_of_all, place, put,
    read, records_of, session, version,
};

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
    let scanned = records_of(backend, ALICE, Kind::Session, 3).await;
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
    let scanned = records_of(backend, ALICE, Kind::Session, 1000).await;
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
            records_of(backend, ALICE, Kind::Session, limit).await,
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
    let accounts = [[0; 16], [0x0f; 16], [0x10; 16], [0xff; 16]].map(AccountId::from_bytes);
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
            let scanned = records_of(backend, account, *kind, 10).await;
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

/// One record under each of several keys of every kind of four accounts.
async fn filled(backend: &Arc<dyn Backend>) -> BTreeMap<RecordKey, Record> {
    let accounts = [[0; 16], [0x0f; 16], [0x10; 16], [0xff; 16]].map(AccountId::from_bytes);
    let mut records = BTreeMap::new();
    for account in accounts {
        for kind in Kind::ALL {
            for name in [&b""[..], b"one", &[0xff; 64]] {
                let key = place(account, *kind, name);
                let bytes = Bytes::from(vec![kind.code(); 1 + name.len()]);
                let version = put(backend, key, &bytes).await;
                records.insert(key, Record { version, bytes });
            }
        }
    }
    records
}

/// A scan of everything sees every record of every account and kind once, with version and bytes, in
/// the same order whatever the size of its pages; an empty store has none.
pub async fn scans_of_all_see_every_record_once(fixture: Fixture) {
    let backend = fixture.backend();
    assert_eq!(page_of_all(backend, None, 10).await, []);
    let expected = filled(backend).await;
    let scanned = all_records(backend, 1_000_000).await;
    assert_eq!(scanned.len(), expected.len(), "each record once");
    let found: BTreeMap<_, _> = scanned.iter().cloned().collect();
    assert_eq!(found, expected);
    for limit in [1, 2, 7, scanned.len() - 1, scanned.len()] {
        assert_eq!(all_records(backend, limit).await, scanned, "limit {limit}");
    }
    let zero = backend.scan_all(None, 0).await;
    assert!(
        matches!(zero, Err(BackendError::LimitExceeded { .. })),
        "{zero:?}"
    );
}

/// A scan of everything goes on after a place where there is nothing (any more), and ends after the
/// last.
pub async fn scans_of_all_continue_after_a_deleted_key(fixture: Fixture) {
    let backend = fixture.backend();
    filled(backend).await;
    let order = all_records(backend, 1_000_000).await;
    let order: Vec<_> = order.into_iter().map(|(key, _)| key).collect();
    for (index, key) in order.iter().enumerate() {
        // What came before stays for the most part, so that beginning anew would show.
        if index % 3 == 1 {
            delete(backend, *key).await;
        }
        let next = page_of_all(backend, Some(*key), 1).await;
        let next = next.into_iter().map(|(key, _)| key);
        assert!(next.eq(order.get(index + 1).copied()));
    }
    let last = order.last().copied().expect("there are records");
    delete(backend, last).await;
    assert_eq!(page_of_all(backend, Some(last), 1).await, []);
}

/// What is there during the whole scan is seen once, although records around it come and go and it is
/// written itself, which moves it to another place in some storages.
pub async fn scans_of_all_see_what_stays_once_while_others_write(fixture: Fixture) {
    let backend = fixture.backend();
    let mut seen: BTreeMap<RecordKey, usize> = BTreeMap::new();
    let stay: Vec<_> = filled(backend).await.into_keys().collect();
    let (mut after, mut round) = (None, 0);
    loop {
        let page = page_of_all(backend, after, 7).await;
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(*last);
        for (key, _) in page {
            *seen.entry(key).or_default() += 1;
        }
        for index in 0..8 {
            let written = stay[(round * 31 + index * 17) % stay.len()];
            put(backend, written, &vec![0; round * 100]).await;
            let account = *stay[(round * 13 + index * 29) % stay.len()].account();
            let kind = Kind::ALL[(round + index) % Kind::ALL.len()];
            let comes = place(account, kind, &[round as u8, index as u8]);
            put(backend, comes, b"comes and goes").await;
            if index % 2 == 0 {
                delete(backend, comes).await;
            }
        }
        round += 1;
        assert!(round < 1000, "the scan comes to an end");
    }
    assert!(seen.values().all(|times| *times == 1), "nothing twice");
    assert!(stay.iter().all(|key| seen.contains_key(key)), "no gap");
}
