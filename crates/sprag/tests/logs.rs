//! What goes to the log: no secret, no plaintext, and no peer's name.
#![allow(clippy::unwrap_used, reason = "tests")]

use sprag::{
    Account, DurableStore, ProtocolAddress,
    backend::{Backend, BackendError, Batch, Kind, MemoryBackend, OperationId},
};
use sprag_testkit::{
    Log,
    backend::{Call, Fault, FaultyBackend},
    vault::{self, FaultyVault, VaultFault},
};

/// Alters every session a little.
async fn damage_sessions(backend: &MemoryBackend) {
    let records = backend.scan_all(None, 1000).await.unwrap();
    let mut batch = Batch::new(OperationId::random(&mut rand::rng()));
    for (key, record) in records {
        if key.kind() == Kind::Session {
            let mut bytes = record.bytes.to_vec();
            bytes[9] ^= 1;
            batch = batch.put(key, record.version, bytes);
        }
    }
    assert!(!batch.puts.is_empty());
    let _ = backend.commit(batch).await.unwrap();
}

#[tokio::test]
async fn logs_name_nobody_and_hold_no_secret() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());

    let backend = FaultyBackend::new(MemoryBackend::new());
    let vault = FaultyVault::new();
    let store = DurableStore::open(backend.clone(), vault.clone())
        .await
        .unwrap();
    let account = async |name| {
        let address = ProtocolAddress::new(name, 1).unwrap();
        Account::create(store.clone(), address).await.unwrap()
    };
    let (alice, bob) = (account("alice-x7").await, account("bob-x7").await);
    assert!(alice.send(bob.address(), b"plaintext-x7").await.is_err());
    let bundle = bob.bundle().await.unwrap();
    alice.start_session(bob.address(), &bundle).await.unwrap();
    backend.inject(Call::Commit, 1, Fault::Conflict);
    let envelope = alice.send(bob.address(), b"plaintext-x7").await.unwrap();
    let (message_type, bytes) = (envelope.message_type, &envelope.bytes);
    let received = bob.receive(alice.address(), message_type, bytes).await;
    let delivery = received.unwrap();
    bob.done(delivery.id).await.unwrap();
    let again = bob.receive(alice.address(), message_type, bytes).await;
    assert_eq!(again.unwrap_err().code(), "duplicate-message");

    let elsewhere = DurableStore::open(MemoryBackend::new(), vault::shared())
        .await
        .unwrap();
    let again = Account::create(elsewhere, bob.address().clone());
    let bob = again.await.unwrap();
    let bundle = alice.bundle().await.unwrap();
    bob.start_session(alice.address(), &bundle).await.unwrap();
    let envelope = bob.send(alice.address(), b"plaintext-x7").await.unwrap();
    let (message_type, bytes) = (envelope.message_type, &envelope.bytes);
    let received = alice.receive(bob.address(), message_type, bytes).await;
    let key = received.unwrap().changed_identity.unwrap();
    assert!(alice.send(bob.address(), b"plaintext-x7").await.is_err());
    alice.approve_identity(bob.address(), &key).await.unwrap();

    // The vault fails at a new epoch, then the storage, and then it comes about.
    vault.inject(1, VaultFault::Before);
    assert_eq!(store.new_epoch().await.unwrap_err().code(), "vault-locked");
    backend.inject(Call::Commit, 2, Fault::FailBefore(BackendError::Busy));
    let failed = store.new_epoch().await.unwrap_err();
    assert!(!format!("{failed} {failed:?}").contains("x7"));
    assert!(store.new_epoch().await.unwrap().forgotten);
    // A record is damaged.
    damage_sessions(backend.inner()).await;
    store.limit_cache(0);
    let failed = alice.send(bob.address(), b"plaintext-x7").await;
    assert_eq!(failed.unwrap_err().code(), "store-tampered");
    let found = store.examine().await.unwrap();
    assert!(!found.damaged.is_empty());

    let log = log.text();
    for expected in [
        "send",
        "receive",
        "conflict-retried",
        "identity-changed",
        "untrusted-identity",
        "approve_identity",
        "no-session",
        "duplicate-message",
        "first",
        "a record was altered",
    ] {
        assert!(log.contains(expected), "{expected} is missing from: {log}");
    }
    assert!(!log.contains("x7"), "{log}");
    assert!(!format!("{delivery:?}").contains("plaintext-x7"));
}
