//! Messages of any parts, for tests of those who receive them. A session makes its own.

use crate::{
    curve::PublicKey,
    identity::IdentityKey,
    message::{PreKeyParts, PreKeySignalMessage, SignalMessage, SignalParts},
    pre_key::{KyberPreKeyId, PreKeyId, SignedPreKeyId},
};

/// What a [`SignalMessage`] is made of. Source: sheet 03 section 6.1.
#[derive(Clone, Debug)]
pub struct SignalMessageParts {
    /// Version of the session: 3 or 4.
    pub version: u8,
    /// The sender's ratchet key.
    pub ratchet_key: PublicKey,
    /// The message's number on its chain.
    pub counter: u32,
    /// The number that the sender gives its previous chain.
    pub previous_counter: u32,
    /// The encrypted text.
    pub ciphertext: Vec<u8>,
    /// The message of the post-quantum ratchet; may be empty.
    pub pq_ratchet: Vec<u8>,
}

/// A message of these parts, authenticated with `mac_key`, and without addresses.
pub fn signal_message(
    parts: SignalMessageParts,
    mac_key: &[u8; 32],
    sender: &IdentityKey,
    receiver: &IdentityKey,
) -> SignalMessage {
    let parts = SignalParts {
        version: parts.version,
        ratchet_key: &parts.ratchet_key,
        counter: parts.counter,
        previous_counter: parts.previous_counter,
        ciphertext: parts.ciphertext,
        pq_ratchet: parts.pq_ratchet,
        addresses: None,
    };
    SignalMessage::new(parts, mac_key, sender, receiver)
}

/// What a [`PreKeySignalMessage`] is made of. Source: sheet 03 section 6.4.
#[derive(Clone, Debug)]
pub struct PreKeySignalMessageParts {
    /// Version of the session: 3 or 4.
    pub version: u8,
    /// The sender's registration id.
    pub registration_id: u32,
    /// The recipient's one-time EC pre-key, if one was used.
    pub pre_key_id: Option<PreKeyId>,
    /// The recipient's signed pre-key.
    pub signed_pre_key_id: SignedPreKeyId,
    /// The recipient's Kyber pre-key, and the serialised ciphertext for it.
    pub kyber: Option<(KyberPreKeyId, Vec<u8>)>,
    /// The sender's base key.
    pub base_key: PublicKey,
    /// The sender's identity.
    pub identity_key: IdentityKey,
    /// The inner message.
    pub message: SignalMessage,
}

/// A message of these parts.
pub fn pre_key_signal_message(parts: PreKeySignalMessageParts) -> PreKeySignalMessage {
    PreKeySignalMessage::new(PreKeyParts {
        version: parts.version,
        registration_id: parts.registration_id,
        pre_key_id: parts.pre_key_id,
        signed_pre_key_id: parts.signed_pre_key_id,
        kyber: parts.kyber.map(|(id, ciphertext)| (id, ciphertext.into())),
        base_key: parts.base_key,
        identity_key: parts.identity_key,
        message: parts.message,
    })
}
