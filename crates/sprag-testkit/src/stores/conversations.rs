//! Contracts of all stores together: whole conversations over them, with a peer over in-memory
//! stores.

use sprag::{CiphertextMessage, Error, KyberPreKeyKind, PreKeyBundle};

use super::{
    Peer, StoreSet,
    sample::{assert_same, must},
};

/// The outcome of a step that sound stores let pass.
#[allow(clippy::panic, reason = "this is how a contract reports")]
pub(super) fn sound<T>(outcome: Result<T, Error>, step: &str) -> T {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.code() == "duplicate-message" => panic!(
            "{step} fails over these stores as if the message had been read before: has an older session \
             come back?"
        ),
        Err(error) => panic!("{step} fails over these stores: {} ({error})", error.code()),
    }
}

/// We over the stores in question, and a peer over in-memory stores.
fn parties(stores: StoreSet) -> (Peer, Peer) {
    (Peer::over("we", stores), Peer::new("peer"))
}

pub(super) async fn bundle(owner: &Peer, kyber: KyberPreKeyKind) -> PreKeyBundle {
    sound(owner.bundle(true, kyber).await, "making a bundle")
}

pub(super) async fn first_message(
    from: &Peer,
    to: &Peer,
    bundle: &PreKeyBundle,
) -> CiphertextMessage {
    let started = from.start(&to.address, bundle).await;
    sound(started, "starting a session");
    sound(from.encrypt(&to.address, b"first").await, "encrypting")
}

/// Messages to and fro, some of them late.
async fn talk(one: &Peer, two: &Peer) {
    for round in 0..8_u8 {
        for (from, to) in [(one, two), (two, one)] {
            let early = sound(from.encrypt(&to.address, &[round]).await, "encrypting");
            let late = sound(from.encrypt(&to.address, &[round, 1]).await, "encrypting");
            let read = sound(to.decrypt(&from.address, &late).await, "decrypting");
            assert_eq!(read, [round, 1]);
            let read = sound(to.decrypt(&from.address, &early).await, "decrypting late");
            assert_eq!(read, [round]);
        }
    }
}

/// The peer uses our bundle; its pre-keys go, and the conversation goes on.
pub async fn a_conversation_that_the_peer_starts(stores: StoreSet) {
    let (us, peer) = parties(stores);
    let bundle = bundle(&us, KyberPreKeyKind::OneTime).await;
    let message = first_message(&peer, &us, &bundle).await;
    let read = us.decrypt(&peer.address, &message).await;
    assert_eq!(sound(read, "decrypting a first message"), b"first");

    assert_eq!(
        must(us.stores.pre_keys.pre_key_ids().await),
        [],
        "the one-time pre-key of the first message must be gone"
    );
    assert_eq!(
        must(us.stores.kyber_pre_keys.kyber_pre_key_ids().await),
        [],
        "the one-time Kyber pre-key of the first message must be gone"
    );
    let identity = must(us.stores.identities.load_identity(&peer.address).await);
    let own = must(peer.stores.identities.identity_key_pair().await);
    assert_eq!(
        identity,
        Some(*own.identity_key()),
        "the peer's identity must be saved"
    );
    talk(&us, &peer).await;
}

/// We use the peer's bundle, and the conversation goes on.
pub async fn a_conversation_that_we_start(stores: StoreSet) {
    let (us, peer) = parties(stores);
    let bundle = bundle(&peer, KyberPreKeyKind::OneTime).await;
    let message = first_message(&us, &peer, &bundle).await;
    let read = peer.decrypt(&us.address, &message).await;
    assert_eq!(sound(read, "decrypting a first message"), b"first");
    talk(&peer, &us).await;
}

/// A message that fails leaves the session as it was.
pub async fn failed_messages_change_nothing(stores: StoreSet) {
    let (us, peer) = parties(stores);
    let bundle = bundle(&us, KyberPreKeyKind::OneTime).await;
    let message = first_message(&peer, &us, &bundle).await;
    sound(us.decrypt(&peer.address, &message).await, "decrypting");
    talk(&us, &peer).await;

    let before = must(us.stores.sessions.load_session(&peer.address).await);
    let before = before.expect("there is a session");
    let genuine = sound(peer.encrypt(&us.address, b"once").await, "encrypting");
    let outcome = us.decrypt(&peer.address, &forged(&genuine)).await;
    let code = outcome.err().map(|error| error.code());
    assert_eq!(code, Some("invalid-message"), "a forged message");
    let after = must(us.stores.sessions.load_session(&peer.address).await);
    assert_same(&before, after, "after a forged message");

    sound(us.decrypt(&peer.address, &genuine).await, "decrypting");
    let outcome = us.decrypt(&peer.address, &genuine).await;
    let code = outcome.err().map(|error| error.code());
    assert_eq!(
        code,
        Some("duplicate-message"),
        "a message that was read before must be a duplicate: store_session must keep what it is given"
    );
}

/// A first message that fails leaves everything for the genuine one.
pub async fn a_forged_first_message_uses_up_nothing(stores: StoreSet) {
    let (us, peer) = parties(stores);
    let bundle = bundle(&us, KyberPreKeyKind::OneTime).await;
    let genuine = first_message(&peer, &us, &bundle).await;
    let outcome = us.decrypt(&peer.address, &forged(&genuine)).await;
    let code = outcome.err().map(|error| error.code());
    assert_eq!(code, Some("invalid-message"), "a forged first message");

    let what = "a forged first message must leave no trace";
    assert!(
        !must(us.stores.sessions.contains_session(&peer.address).await),
        "{what}: there is a session"
    );
    let identity = must(us.stores.identities.load_identity(&peer.address).await);
    assert_eq!(identity, None, "{what}: there is an identity");
    assert_eq!(
        must(us.stores.pre_keys.pre_key_ids().await).len(),
        1,
        "{what}: the pre-key is gone; load_pre_key must not remove"
    );
    assert_eq!(
        must(us.stores.kyber_pre_keys.kyber_pre_key_ids().await).len(),
        1,
        "{what}: the Kyber pre-key is gone; load_kyber_pre_key must not remove"
    );
    let read = us.decrypt(&peer.address, &genuine).await;
    assert_eq!(sound(read, "decrypting after a forgery"), b"first");
}

/// A message with a wrong MAC: the last byte of the (inner) signal message.
fn forged(message: &CiphertextMessage) -> CiphertextMessage {
    let mut bytes = message.serialized().to_vec();
    let end = match message {
        CiphertextMessage::PreKey(message) => {
            let inner = message.message().serialized();
            let mut places = bytes.windows(inner.len());
            let start = places.position(|window| window == inner);
            start.expect("a first message holds a signal message") + inner.len()
        }
        _ => bytes.len(),
    };
    bytes[end - 1] ^= 1;
    let forged = CiphertextMessage::deserialize(message.message_type(), &bytes);
    forged.expect("only the MAC is wrong")
}

/// A recorded first message must not make a session again after that was deleted.
pub async fn a_replayed_first_message_is_refused(stores: StoreSet) {
    let (us, peer) = parties(stores);
    for (kyber, expected) in [
        (KyberPreKeyKind::OneTime, "invalid-kyber-pre-key-id"),
        (KyberPreKeyKind::LastResort, "invalid-message"),
    ] {
        let bundle = us.bundle(false, kyber).await;
        let bundle = sound(bundle, "making a bundle");
        let message = first_message(&peer, &us, &bundle).await;
        sound(us.decrypt(&peer.address, &message).await, "decrypting");
        must(us.stores.sessions.delete_session(&peer.address).await);

        let outcome = us.decrypt(&peer.address, &message).await;
        let code = outcome.err().map(|error| error.code());
        assert_eq!(
            code,
            Some(expected),
            "a replayed first message with a {kyber:?} Kyber pre-key, after its session was deleted; \
             look at mark_kyber_pre_key_used"
        );
        assert!(
            !must(us.stores.sessions.contains_session(&peer.address).await),
            "a replayed first message must leave no session behind"
        );
    }
}
