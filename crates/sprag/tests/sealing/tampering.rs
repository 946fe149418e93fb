//! Records that were altered, moved or damaged: an error for each of them alone.

use std::collections::BTreeSet;

use sprag::{
    AccountOptions, DurableStore, IdentityKeyStore, IdentityScope, Transaction,
    backend::{Backend, Batch, Kind, MemoryBackend, OperationId, Record, RecordKey, Version},
    vault::MemoryVault,
};

use super::world::{World, address, records, refused};

/// Puts a record where another one is.
async fn put(backend: &MemoryBackend, key: RecordKey, record: &Record) {
    let batch = Batch::new(OperationId::random(&mut rand::rng()));
    let batch = batch.put(key, record.version, record.bytes.clone());
    backend.commit(batch).await.map(drop).unwrap();
}

fn with_byte_flipped(record: &Record, index: usize) -> Record {
    let mut bytes = record.bytes.to_vec();
    bytes[index] ^= 1 << (index % 8);
    Record {
        version: record.version,
        bytes: bytes.into(),
    }
}

#[tokio::test]
async fn every_byte_of_every_record_counts() {
    let world = World::new().await;
    let all = records(world.storage.inner()).await;
    let mut kinds = BTreeSet::new();
    for (key, record) in &all {
        let headers = key.kind() == Kind::Header;
        let step = 1 + record.bytes.len() / 100;
        for index in (0..record.bytes.len()).step_by(step) {
            let copy = world.storage.inner();
            put(copy, *key, &with_byte_flipped(record, index)).await;
            if headers {
                let refused = refused(copy.clone(), world.vault.clone()).await;
                assert_eq!(refused, "store-tampered", "{key:?} byte {index}");
            } else {
                let found = world.store().examine().await.unwrap().damaged;
                assert!(!found.is_empty(), "{key:?} byte {index}");
                // A part of a session takes the session with it.
                let own = |kind| kind == key.kind() || kind == Kind::Session;
                assert!(
                    found.iter().all(|damage| own(damage.kind)),
                    "{key:?} {found:?}"
                );
            }
            put(copy, *key, record).await;
        }
        let version = Version::new(record.version.number() ^ 1).unwrap();
        let bytes = record.bytes.clone();
        put(world.storage.inner(), *key, &Record { version, bytes }).await;
        if !headers {
            assert!(!world.store().examine().await.unwrap().damaged.is_empty());
        }
        put(world.storage.inner(), *key, record).await;
        kinds.insert(key.kind());
    }
    assert!(kinds.len() >= 10, "{kinds:?}");
    let examination = world.store().examine().await.unwrap();
    assert_eq!(
        (examination.records, examination.damaged.len()),
        (all.len() as u64, 0)
    );
}

#[tokio::test]
async fn cut_moved_and_exchanged_records_are_told() {
    for kind in [Kind::Session, Kind::Identity, Kind::Account] {
        let world = World::new().await;
        let all = records(world.storage.inner()).await;
        let mut found = all.iter().filter(|(key, _)| key.kind() == kind);
        let (one, record) = found.next().unwrap();
        let mut found = found.filter(|(key, _)| key.account() != one.account());
        let (other, _) = found.next().unwrap();
        put(world.storage.inner(), *other, record).await;
        let damaged = world.store().examine().await.unwrap().damaged;
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        assert_eq!(damaged[0].kind, kind);

        let cut = Record {
            version: record.version,
            bytes: record.bytes.slice(..record.bytes.len() - 1),
        };
        put(world.storage.inner(), *one, &cut).await;
        assert_eq!(world.store().examine().await.unwrap().damaged.len(), 2);
    }
}

/// The others go on: the account of another, the other lists, the other entries.
#[tokio::test]
async fn one_damaged_record_harms_no_other() {
    let world = World::new().await;
    world
        .alice
        .send(world.bob.address(), b"one more")
        .await
        .unwrap();
    let all = records(world.storage.inner()).await;
    let damage = async |kind| {
        let (key, record) = all.iter().find(|(key, _)| key.kind() == kind).unwrap();
        put(world.storage.inner(), *key, &with_byte_flipped(record, 9)).await;
        world.store().limit_cache(0);
        *key
    };
    damage(Kind::Outbox).await;
    let pending = world.alice.outbox_pending().await.unwrap();
    assert_eq!(pending.len(), 1, "one of two is damaged");
    let status = world.alice.status().await.unwrap();
    assert_eq!((status.outbox, status.damaged), (1, 1));

    let session = damage(Kind::Session).await;
    let send =
        async |from: &sprag::Account<_>, to: &str| from.send(&address(to), b"x").await.map(drop);
    let mut results = [
        send(&world.alice, "bob").await,
        send(&world.bob, "alice").await,
    ];
    results.sort_by_key(|result| result.is_ok());
    let [refused, sent] = results;
    assert_eq!(refused.unwrap_err().code(), "store-tampered");
    sent.unwrap();

    let found = world.store().examine().await.unwrap().damaged;
    assert_eq!(found.len(), 2, "{found:?}");
    let damaged = found
        .iter()
        .find(|damage| damage.kind == Kind::Session)
        .unwrap();
    let (account, peer) = (
        damaged.account.clone().unwrap(),
        damaged.peer.clone().unwrap(),
    );
    assert!(
        [account.name(), peer.name()]
            .iter()
            .all(|name| ["alice", "bob"].contains(name))
    );
    assert_ne!(account, peer);

    // What cannot be read is discarded; then there is no session, as with a stranger.
    for damage in &found {
        assert!(world.store().discard(damage).await.unwrap());
        assert!(!world.store().discard(damage).await.unwrap());
    }
    let left = records(world.storage.inner()).await;
    assert!(left.iter().all(|(key, _)| *key != session));
    assert_eq!(world.store().examine().await.unwrap().damaged, []);
    let owner = if account.name() == "alice" {
        &world.alice
    } else {
        &world.bob
    };
    let other = if account.name() == "alice" {
        &world.bob
    } else {
        &world.alice
    };
    assert_eq!(
        owner.send(&peer, b"x").await.unwrap_err().code(),
        "no-session"
    );
    owner
        .start_session(&peer, &other.bundle().await.unwrap())
        .await
        .unwrap();
    owner.send(&peer, b"x").await.unwrap();
}

/// An earlier copy of one row within an epoch opens: this is not detected, and the documentation says so.
#[tokio::test]
async fn an_earlier_copy_of_one_row_is_not_told() {
    let world = World::new().await;
    let bob = address("bob");
    let transaction: Transaction<_> = world.store().begin(world.alice.address());
    let known = transaction.load_identity(&bob).await.unwrap();
    let before = records(world.storage.inner()).await;
    let (key, record) = before
        .iter()
        .find(|(key, _)| key.kind() == Kind::Identity)
        .unwrap();
    let transaction = world.store().begin(world.alice.address());
    let new = sprag::protocol::identity::IdentityKeyPair::generate(&mut rand::rng());
    transaction
        .save_identity(&bob, new.identity_key())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    put(world.storage.inner(), *key, record).await;
    let transaction = world.store().begin(world.alice.address());
    let found = transaction.load_identity(&bob).await.unwrap();
    assert!(found == known || found.as_ref() == Some(new.identity_key()));
    assert_eq!(world.store().examine().await.unwrap().damaged, []);
}

/// Whom a record was about is known from the lists of devices, too, where identities are those of whole names.
#[tokio::test]
async fn a_damaged_session_is_named_whatever_identities_are_of() {
    let backend = MemoryBackend::new();
    let store = DurableStore::open(backend.clone(), MemoryVault::new()).await;
    let store = store.unwrap();
    let options = AccountOptions::new(address("alice")).identity_scope(IdentityScope::PerName);
    let alice = options.create(store.clone()).await;
    let (alice, bob) = (alice.unwrap(), World::new().await.bob);
    let bundle = bob.bundle().await.unwrap();
    alice.start_session(bob.address(), &bundle).await.unwrap();
    let all = records(&backend).await;
    let (key, record) = all
        .iter()
        .find(|(key, _)| key.kind() == Kind::Session)
        .unwrap();
    put(&backend, *key, &with_byte_flipped(record, 9)).await;
    let damaged = store.examine().await.unwrap().damaged;
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert_eq!(damaged[0].peer.as_ref(), Some(bob.address()));
}
