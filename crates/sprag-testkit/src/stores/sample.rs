//! Records to store.

use sprag::{
    ProtocolAddress, SessionRecord, StoreError, Timestamp,
    protocol::{
        curve::{KeyPair, PublicKey},
        identity::{IdentityKey, IdentityKeyPair},
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
        sender_key::SenderKeyRecord,
    },
};

use super::Peer;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_768_478_400_000);

/// Names that stores are known to confuse: with each other, with patterns, with quoting.
pub(super) const NAMES: [&str; 12] = [
    "alice",
    "Alice",
    "alice ",
    "alice.1",
    "alic_",
    "a%",
    "",
    "älice",
    "🦊",
    "o'hara\"; --",
    "a\nb",
    "9d0652a3-dcc3-4d11-975f-74d61598733f",
];

pub(super) fn address(name: &str, device_id: u32) -> ProtocolAddress {
    ProtocolAddress::new(name, device_id).expect("a device id from 1 to 127")
}

pub(super) fn identity_key() -> IdentityKey {
    *IdentityKeyPair::generate(&mut rand::rng()).identity_key()
}

pub(super) fn public_key() -> PublicKey {
    KeyPair::generate(&mut rand::rng()).public_key
}

pub(super) fn pre_key(id: u32) -> PreKeyRecord {
    PreKeyRecord::generate(id.into(), &mut rand::rng())
}

pub(super) fn signed_pre_key(id: u32) -> SignedPreKeyRecord {
    let identity = IdentityKeyPair::generate(&mut rand::rng());
    SignedPreKeyRecord::generate(id.into(), NOW, &identity, &mut rand::rng())
}

pub(super) fn kyber_pre_key(id: u32) -> KyberPreKeyRecord {
    let identity = IdentityKeyPair::generate(&mut rand::rng());
    KyberPreKeyRecord::generate(id.into(), NOW, &identity, &mut rand::rng())
}

/// A sender key that differs from all others.
pub(super) fn sender_key() -> SenderKeyRecord {
    SenderKeyRecord::generate(&mut rand::rng())
}

/// A session that differs from all others.
pub(super) async fn session() -> SessionRecord {
    let (alice, bob) = (Peer::new("alice"), Peer::new("bob"));
    let bundle = bob.bundle(true, sprag::KyberPreKeyKind::OneTime).await;
    let bundle = bundle.expect("in-memory stores do not fail");
    let started = alice.start(&bob.address, &bundle).await;
    started.expect("the bundle is sound");
    let record = alice.stores.sessions.load_session(&bob.address).await;
    let record = record.expect("in-memory stores do not fail");
    record.expect("the session was just started")
}

/// The answer of a call that has no reason to fail.
pub(super) fn must<T>(answer: Result<T, StoreError>) -> T {
    must_because("a sound store has no reason to fail here", answer)
}

/// The answer of a call that must not fail because of `reason`.
#[allow(clippy::panic, reason = "this is how a contract reports")]
pub(super) fn must_because<T>(reason: &str, answer: Result<T, StoreError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("{reason}: {error}"),
    }
}

/// The same bytes must come back.
pub(super) fn assert_same(stored: &SessionRecord, loaded: Option<SessionRecord>, what: &str) {
    let loaded = loaded.unwrap_or_else(|| missing(what));
    assert!(
        stored.serialize() == loaded.serialize(),
        "{what}: this is not the session that was stored here last, but an older one, that of another \
         address, or one whose bytes were changed; keep what `serialize` gives as it is"
    );
}

#[allow(clippy::panic, reason = "this is how a contract reports")]
pub(super) fn missing<T>(what: &str) -> T {
    panic!("{what}: load answered None for what was stored before")
}
