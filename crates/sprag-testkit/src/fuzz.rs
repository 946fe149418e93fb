//! What must hold for any bytes at all: the bodies of the fuzz targets, and of the tests that replay
//! their seeds.
//!
//! Each function takes arbitrary input, panics if a promise is broken, and otherwise returns.

mod safety;

use std::sync::LazyLock;

use rand::SeedableRng;
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    bundle::PreKeyBundle,
    curve,
    identity::IdentityKeyPair,
    kem,
    message::{
        CiphertextMessage, PreKeySignalMessage, SenderKeyDistributionMessage, SenderKeyMessage,
        SignalMessage,
    },
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    sealed_sender::{
        self, SealedSenderMultiRecipientMessage, SenderCertificate, ServerCertificate,
        UnidentifiedSenderMessageContent,
    },
    sender_key::SenderKeyRecord,
    service_id::ServiceId,
    session::{Parties, RecipientKeys, SessionRecord},
    spqr,
    time::Timestamp,
};
use uuid::Uuid;

pub use safety::{crypto, decryption_error, fingerprint, plaintext_content};

use crate::replay::ScriptedRng;

/// A fuzz target: its name, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its folder of seeds.
pub const TARGETS: &[Target] = &[
    ("keys", keys),
    ("key_records", key_records),
    ("session_record", session_record),
    ("signal_message", signal_message),
    ("pre_key_message", pre_key_message),
    ("decrypt", decrypt),
    ("sender_key_record", sender_key_record),
    ("sender_key_message", sender_key_message),
    ("sender_key_distribution", sender_key_distribution),
    ("spqr_state", spqr_state),
    ("spqr_recv", spqr_recv),
    ("sender_certificate", sender_certificate),
    ("sealed_content", sealed_content),
    ("sealed_message", sealed_message),
    ("sealed_sent_message", sealed_sent_message),
    ("fingerprint", fingerprint),
    ("decryption_error", decryption_error),
    ("plaintext_content", plaintext_content),
    ("crypto", crypto),
];

/// Keys, ciphertexts and service ids: what parses is written back as it was read.
pub fn keys(input: &[u8]) {
    if let Ok(key) = curve::PublicKey::deserialize(input) {
        assert_eq!(key.serialize()[..], input[..curve::PublicKey::LENGTH]);
        key.verify(input, input.get(..64).unwrap_or_default());
    }
    if let Ok(key) = curve::PrivateKey::deserialize(input) {
        let _ = key.agree(&key.public_key());
    }
    if let Ok(key) = kem::PublicKey::deserialize(input) {
        assert_eq!(key.serialize(), input);
        key.encapsulate(&mut ScriptedRng::repeating([1]));
    }
    if let Ok(key) = kem::SecretKey::deserialize(input) {
        assert_eq!(*key.serialize(), input);
    }
    if let Ok(ciphertext) = kem::Ciphertext::deserialize(input) {
        assert_eq!(ciphertext.serialize(), input);
        let _ = BOB
            .kyber
            .secret_key()
            .map(|key| key.decapsulate(&ciphertext));
    }
    if let Some(id) = ServiceId::parse_binary(input) {
        assert_eq!(id.to_binary(), input);
        assert_eq!(ServiceId::parse_string(&id.to_string()), Some(id));
    }
    if let Some(id) = ServiceId::parse_fixed_width_binary(input) {
        assert_eq!(id.to_fixed_width_binary(), input);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = ServiceId::parse_string(text).map(|id| id.to_string());
    }
}

/// Identity and pre-key records: writing what was read, and reading that, changes nothing.
pub fn key_records(input: &[u8]) {
    if let Ok(pair) = IdentityKeyPair::deserialize(input) {
        let bytes = pair.serialize();
        let again = IdentityKeyPair::deserialize(&bytes).expect("what was written can be read");
        assert_eq!(again.serialize(), bytes);
    }
    if let Ok(record) = PreKeyRecord::deserialize(input) {
        let _ = record.key_pair();
        let bytes = record.serialize();
        let again = PreKeyRecord::deserialize(&bytes).expect("what was written can be read");
        assert_eq!(again.serialize(), bytes);
    }
    if let Ok(record) = SignedPreKeyRecord::deserialize(input) {
        let _ = (record.key_pair(), record.public_view());
        let bytes = record.serialize();
        let again = SignedPreKeyRecord::deserialize(&bytes).expect("what was written can be read");
        assert_eq!(again.serialize(), bytes);
    }
    if let Ok(record) = KyberPreKeyRecord::deserialize(input) {
        let _ = (record.key_pair(), record.public_view());
        let bytes = record.serialize();
        let again = KyberPreKeyRecord::deserialize(&bytes).expect("what was written can be read");
        assert_eq!(again.serialize(), bytes);
    }
}

/// Session records: written back stable, and no step over them panics or changes them when it fails.
pub fn session_record(input: &[u8]) {
    let Ok(record) = SessionRecord::deserialize(input) else {
        return;
    };
    let bytes = record.serialize();
    let again = SessionRecord::deserialize(&bytes).expect("what was written can be read");
    assert_eq!(again.serialize(), bytes);

    let _ = (
        record.session_version(),
        record.local_identity(),
        record.remote_identity(),
    );
    let _ = record.current_ratchet_key_matches(BOB.identity.identity_key().public_key());
    let now = Timestamp::from_millis(0);
    record.has_usable_sender_chain(now, Default::default());
    let mut rng = ScriptedRng::repeating([3; 32]);
    let mut sending = record.clone();
    if sending
        .encrypt(b"text", BOB.parties(), now, &mut rng)
        .is_err()
    {
        assert_eq!(sending.serialize(), bytes);
    }
    let mut receiving = record.clone();
    if receiving
        .decrypt(&BOB.message, BOB.parties(), &mut rng)
        .is_err()
    {
        assert_eq!(receiving.serialize(), bytes);
    }
    let mut receiving = record.clone();
    let _ = receiving.look_up(&BOB.pre_key_message);
    if receiving
        .decrypt_pre_key(&BOB.pre_key_message, BOB.parties(), &mut rng)
        .is_err()
    {
        assert_eq!(receiving.serialize(), bytes);
    }
    let mut archived = record;
    archived.archive_current_state();
    assert!(!archived.has_current_state());
}

/// Messages keep the bytes they were parsed from.
pub fn signal_message(input: &[u8]) {
    let Ok(message) = SignalMessage::deserialize(input) else {
        return;
    };
    assert_eq!(message.serialized(), input);
    let identity = BOB.identity.identity_key();
    message.verify_mac(identity, identity, &[0; 32]);
    let _ = (
        message.body(),
        message.pq_ratchet(),
        message.counter(),
        message.previous_counter(),
    );
}

/// Pre-key messages keep the bytes they were parsed from, and accepting one does not panic.
pub fn pre_key_message(input: &[u8]) {
    let Ok(message) = PreKeySignalMessage::deserialize(input) else {
        return;
    };
    assert_eq!(message.serialized(), input);
    let mut record = SessionRecord::new_fresh();
    let _ = record.look_up(&message);
    if record.accept(&message, BOB.parties(), &BOB.keys()).is_err() {
        assert!(record.serialize().is_empty());
        return;
    }
    let accepted = record.serialize();
    let mut rng = ScriptedRng::repeating([3; 32]);
    if record
        .decrypt_pre_key(&message, BOB.parties(), &mut rng)
        .is_err()
    {
        assert_eq!(record.serialize(), accepted);
    }
}

/// A message for an established session: a step that fails leaves the record as it was.
pub fn decrypt(input: &[u8]) {
    let Ok(message) = SignalMessage::deserialize(input) else {
        return;
    };
    // Far jumps are slow, and are tried by tests of their own.
    if message.counter() > 100 {
        return;
    }
    let mut record = BOB.session.clone();
    let before = record.serialize();
    let mut rng = ScriptedRng::repeating([3; 32]);
    if record.decrypt(&message, BOB.parties(), &mut rng).is_err() {
        assert_eq!(record.serialize(), before);
    }
}

/// Sender-key records: written back stable, and no step over them panics or changes them when it fails.
pub fn sender_key_record(input: &[u8]) {
    let Ok(record) = SenderKeyRecord::deserialize(input) else {
        return;
    };
    let bytes = record.serialize();
    let again = SenderKeyRecord::deserialize(&bytes).expect("what was written can be read");
    assert_eq!(again.serialize(), bytes);

    let mut rng = ScriptedRng::repeating([3; 32]);
    let mut sending = record.clone();
    if sending.encrypt(GROUP.id, b"text", &mut rng).is_err() {
        assert_eq!(sending.serialize(), bytes);
    }
    let mut receiving = record.clone();
    if receiving.decrypt(&GROUP.message).is_err() {
        assert_eq!(receiving.serialize(), bytes);
    }
    if let Ok(key) = record.create_distribution_message(GROUP.id) {
        let mut joining = record.clone();
        joining.process_distribution_message(&key);
        let again = joining.create_distribution_message(GROUP.id);
        assert_eq!(again.map(|again| again.chain_id()), Ok(key.chain_id()));
    }
    assert_eq!(record.serialize(), bytes, "a copy changed its original");
}

/// Messages to groups keep the bytes they were parsed from, and a step that fails leaves the record as it
/// was.
pub fn sender_key_message(input: &[u8]) {
    let Ok(message) = SenderKeyMessage::deserialize(input) else {
        return;
    };
    assert_eq!(message.serialized(), input);
    let _ = (message.ciphertext(), message.version());
    message.verify_signature(BOB.identity.identity_key().public_key());
    let mut record = GROUP.receiver.clone();
    let before = record.serialize();
    if record.decrypt(&message).is_err() {
        assert_eq!(record.serialize(), before);
    }
}

/// Sender keys keep the bytes they were parsed from, and are handed on as they were taken.
pub fn sender_key_distribution(input: &[u8]) {
    let Ok(key) = SenderKeyDistributionMessage::deserialize(input) else {
        return;
    };
    assert_eq!(key.serialized(), input);
    for mut record in [SenderKeyRecord::new_fresh(), GROUP.receiver.clone()] {
        record.process_distribution_message(&key);
        let again = record.create_distribution_message(key.distribution_id());
        let again = again.expect("what was taken can be handed on");
        assert_eq!(again.signing_key(), key.signing_key());
        assert_eq!(again.chain_id(), key.chain_id());
        let bytes = record.serialize();
        record.process_distribution_message(&key);
        assert_eq!(record.serialize(), bytes);
    }
}

/// Stored states of the post-quantum ratchet: written back stable, and no step over them panics.
pub fn spqr_state(input: &[u8]) {
    let Ok(state) = spqr::State::decode(input) else {
        return;
    };
    let bytes = state.encode();
    let again = spqr::State::decode(&bytes).expect("what was written can be read");
    assert_eq!(again.encode(), bytes);
    let mut sending = state.clone();
    if sending.send(&mut ScriptedRng::repeating([3; 64])).is_err() {
        assert_eq!(sending.encode(), bytes);
    }
    let mut receiving = state;
    if receiving.recv(BOB.message.pq_ratchet()).is_err() {
        assert_eq!(receiving.encode(), bytes);
    }
}

/// Parts for the post-quantum ratchet: one that is refused leaves the state as it was.
pub fn spqr_recv(input: &[u8]) {
    let mut state = BOB.pq_state.clone();
    let before = state.encode();
    if state.recv(input).is_err() {
        assert_eq!(state.encode(), before);
    }
}

/// Certificates keep the bytes they were parsed from, and validating one does not panic.
pub fn sender_certificate(input: &[u8]) {
    if let Ok(certificate) = ServerCertificate::deserialize(input) {
        assert_eq!(certificate.serialized(), input);
        let _ = (certificate.key_id(), certificate.key());
    }
    if let Ok(certificate) = SenderCertificate::deserialize(input) {
        assert_eq!(certificate.serialized(), input);
        let _ = (certificate.sender(), certificate.sender_aci());
        let known = certificate.server_certificate();
        let roots = [*BOB.identity.identity_key().public_key()];
        let valid = certificate.validate(&roots, Timestamp::from_millis(0));
        assert!(valid.is_err() || known.is_ok());
    }
}

/// Contents keep the bytes they were parsed from, and made again of what is in them say the same.
pub fn sealed_content(input: &[u8]) {
    let Ok(content) = UnidentifiedSenderMessageContent::deserialize(input) else {
        return;
    };
    assert_eq!(content.serialized(), input);
    let _ = content.session_message();
    let made = UnidentifiedSenderMessageContent::new(
        content.message_type(),
        content.contents(),
        content.sender_certificate().clone(),
        content.content_hint(),
        content.group_id(),
    );
    let again = UnidentifiedSenderMessageContent::deserialize(made.serialized())
        .expect("what was written can be read");
    assert_eq!(again.message_type(), content.message_type());
    assert_eq!(again.contents(), content.contents());
    assert_eq!(again.content_hint(), content.content_hint());
}

/// Sealed messages: what opens is a content.
pub fn sealed_message(input: &[u8]) {
    if let Ok(content) = sealed_sender::open(input, &BOB.identity) {
        sealed_content(content.serialized());
    }
}

/// Messages to many: everything that the server is told lies within them, and can be cut out.
pub fn sealed_sent_message(input: &[u8]) {
    let Ok(message) = SealedSenderMultiRecipientMessage::parse(input) else {
        return;
    };
    let shared = input.len() - message.shared_offset();
    assert!(shared >= 32);
    for receiver in message.receivers() {
        assert!(!receiver.devices().is_empty());
        assert_eq!(input[receiver.key_material()].len(), 48);
        let cut = message.message_for_recipient(&receiver.service_id());
        let cut = cut.expect("a receiver gets something");
        assert_eq!(cut.len(), 1 + 48 + shared);
        let _ = sealed_sender::open(&cut, &BOB.identity);
    }
    for excluded in message.excluded() {
        let cut = message.message_for_recipient(&excluded);
        assert_eq!(cut.map(|cut| cut.len()), Some(1 + shared));
    }
    let named = message.receivers().count() + message.excluded().count();
    assert_eq!(message.message_for_single_recipient().is_ok(), named == 1);
}

/// A recipient to try things on.
struct Recipient {
    alice: ProtocolAddress,
    bob: ProtocolAddress,
    identity: IdentityKeyPair,
    signed: SignedPreKeyRecord,
    kyber: KyberPreKeyRecord,
    /// Bob's session, with a message of Alice's that it has not seen.
    session: SessionRecord,
    message: SignalMessage,
    pre_key_message: PreKeySignalMessage,
    pq_state: spqr::State,
}

impl Recipient {
    fn parties(&self) -> Parties<'_> {
        Parties {
            local: &self.bob,
            remote: &self.alice,
        }
    }

    fn keys(&self) -> RecipientKeys<'_> {
        RecipientKeys {
            identity: &self.identity,
            registration_id: 2,
            signed_pre_key: &self.signed,
            kyber_pre_key: &self.kyber,
            pre_key: None,
        }
    }
}

static BOB: LazyLock<Recipient> =
    LazyLock::new(|| make_recipient().expect("two parties can start a session"));

fn make_recipient() -> Result<Recipient, ProtocolError> {
    // The same every time, so that a finding can be repeated.
    let mut rng = rand::rngs::StdRng::from_seed([1; 32]);
    let now = Timestamp::from_millis(0);
    let alice = ProtocolAddress::new("alice", 1)?;
    let bob = ProtocolAddress::new("bob", 1)?;
    let identity = IdentityKeyPair::generate(&mut rng);
    let signed = SignedPreKeyRecord::generate(1.into(), now, &identity, &mut rng);
    let kyber = KyberPreKeyRecord::generate(1.into(), now, &identity, &mut rng);
    let bundle = PreKeyBundle {
        registration_id: 2,
        device_id: bob.device_id(),
        pre_key: None,
        signed_pre_key: signed.public_view()?,
        kyber_pre_key: kyber.public_view()?,
        identity_key: *identity.identity_key(),
    };

    let sender = Parties {
        local: &alice,
        remote: &bob,
    };
    let sender_identity = IdentityKeyPair::generate(&mut rng);
    let mut sending = SessionRecord::new_fresh();
    sending.process_bundle(
        &bundle.verify()?,
        sender,
        &sender_identity,
        1,
        now,
        &mut rng,
    )?;
    let mut next = |text: &[u8]| sending.encrypt(text, sender, now, &mut rng);
    let (first, second) = (next(b"first")?, next(b"second")?);
    let (CiphertextMessage::PreKey(first), CiphertextMessage::PreKey(second)) = (first, second)
    else {
        return Err(ProtocolError::InvalidArgument(
            "a first message is a pre-key message",
        ));
    };
    let mut recipient = Recipient {
        alice,
        bob,
        identity,
        signed,
        kyber,
        session: SessionRecord::new_fresh(),
        message: second.message().clone(),
        pre_key_message: second,
        pq_state: spqr::State::initial(
            spqr::Direction::BobToAlice,
            spqr::Version::V1,
            spqr::Version::V1,
            &[1; 32],
            spqr::ChainParams::default(),
        ),
    };
    let mut session = SessionRecord::new_fresh();
    session.accept(&first, recipient.parties(), &recipient.keys())?;
    session.decrypt_pre_key(&first, recipient.parties(), &mut rng)?;
    recipient.session = session;
    Ok(recipient)
}

/// A member of a group to try things on.
struct Member {
    id: Uuid,
    /// Of a sender, with a message skipped.
    receiver: SenderKeyRecord,
    /// A message of the sender that the member has not seen.
    message: SenderKeyMessage,
}

static GROUP: LazyLock<Member> =
    LazyLock::new(|| make_member().expect("a sender key that was just made is sound"));

fn make_member() -> Result<Member, ProtocolError> {
    let mut rng = rand::rngs::StdRng::from_seed([2; 32]);
    let id = Uuid::from_bytes([7; 16]);
    let mut sender = SenderKeyRecord::generate(&mut rng);
    let mut receiver = SenderKeyRecord::new_fresh();
    receiver.process_distribution_message(&sender.create_distribution_message(id)?);
    sender.encrypt(id, b"skipped", &mut rng)?;
    receiver.decrypt(&sender.encrypt(id, b"read", &mut rng)?)?;
    let message = sender.encrypt(id, b"to come", &mut rng)?;
    Ok(Member {
        id,
        receiver,
        message,
    })
}
