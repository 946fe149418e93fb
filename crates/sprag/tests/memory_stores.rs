//! What stores in memory offer to tests beside their traits.
#![allow(clippy::unwrap_used, reason = "tests")]

use rand::{SeedableRng, rngs::StdRng};
use sprag::{
    IdentityKeyStore, InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore, InMemoryPreKeyStore,
    InMemorySessionStore, KyberPreKeyKind, KyberPreKeyStore, PreKeyStore, ProtocolAddress,
    SessionRecord, SessionStore, Timestamp,
    protocol::{
        curve::KeyPair,
        identity::IdentityKeyPair,
        pre_key::{KyberPreKeyRecord, PreKeyRecord},
    },
};

#[tokio::test]
async fn stores_are_counted_and_cleared() {
    let mut rng = StdRng::seed_from_u64(1);
    let address = |device| ProtocolAddress::new("bob", device).unwrap();

    let sessions = InMemorySessionStore::new();
    assert!(sessions.is_empty());
    for device in [1, 2, 1] {
        let record = SessionRecord::new_fresh();
        sessions
            .store_session(&address(device), record)
            .await
            .unwrap();
    }
    assert_eq!(sessions.len(), 2);
    sessions.clear();
    assert!(sessions.is_empty());

    let pre_keys = InMemoryPreKeyStore::new();
    for id in 1..4_u32 {
        let record = PreKeyRecord::generate(id.into(), &mut rng);
        pre_keys.store_pre_key(id.into(), record).await.unwrap();
    }
    assert_eq!(pre_keys.len(), 3);
    pre_keys.clear();
    assert!(pre_keys.load_pre_key(1.into()).await.unwrap().is_none());

    let own = IdentityKeyPair::generate(&mut rng);
    let identities = InMemoryIdentityKeyStore::new(own.clone(), 7);
    let key = own.identity_key();
    identities.save_identity(&address(1), key).await.unwrap();
    assert_eq!(identities.len(), 1);
    identities.clear();
    assert_eq!(identities.load_identity(&address(1)).await.unwrap(), None);
    let kept = identities.identity_key_pair().await.unwrap();
    assert_eq!(kept.identity_key(), key);
}

#[tokio::test]
async fn uses_of_kyber_pre_keys_are_told() {
    let mut rng = StdRng::seed_from_u64(1);
    let identity = IdentityKeyPair::generate(&mut rng);
    let store = InMemoryKyberPreKeyStore::new();
    for (id, kind) in [
        (1_u32, KyberPreKeyKind::LastResort),
        (2, KyberPreKeyKind::LastResort),
        (3, KyberPreKeyKind::OneTime),
    ] {
        let now = Timestamp::from_millis(0);
        let record = KyberPreKeyRecord::generate(id.into(), now, &identity, &mut rng);
        store
            .store_kyber_pre_key(id.into(), record, kind)
            .await
            .unwrap();
    }
    assert_eq!(store.len(), 3);
    let base_key = KeyPair::generate(&mut rng).public_key;
    for id in [1, 3] {
        let marked = store.mark_kyber_pre_key_used(id.into(), 9.into(), &base_key);
        marked.await.unwrap();
    }
    assert!(store.is_kyber_pre_key_used(1.into()));
    assert!(!store.is_kyber_pre_key_used(2.into()));
    assert_eq!(store.len(), 2, "a one-time key goes with its use");
    store.clear();
    assert!(store.is_empty() && !store.is_kyber_pre_key_used(1.into()));
}
