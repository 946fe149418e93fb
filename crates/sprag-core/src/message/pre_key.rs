//! The message that starts a session: what the recipient needs for the agreement, around a
//! [`SignalMessage`]. Source: sheet 03 section 6.4.

use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::{CiphertextMessageType, SignalMessage, VERSION_PQXDH, parse_version, version_byte};
use crate::{
    curve::PublicKey,
    error::ProtocolError,
    identity::IdentityKey,
    pre_key::{KyberPreKeyId, PreKeyId, SignedPreKeyId},
};

/// A message of a session that its sender has had no answer in yet.
///
/// Only the inner message is authenticated. The registration id can be changed by a relay without
/// notice; a change of anything else makes the inner message fail.
#[derive(Clone)]
pub struct PreKeySignalMessage {
    version: u8,
    registration_id: u32,
    pre_key_id: Option<PreKeyId>,
    signed_pre_key_id: SignedPreKeyId,
    kyber: Option<(KyberPreKeyId, Bytes)>,
    base_key: PublicKey,
    identity_key: IdentityKey,
    message: SignalMessage,
    serialized: Bytes,
}

/// What a [`PreKeySignalMessage`] is made of.
pub(crate) struct PreKeyParts {
    pub(crate) version: u8,
    pub(crate) registration_id: u32,
    pub(crate) pre_key_id: Option<PreKeyId>,
    pub(crate) signed_pre_key_id: SignedPreKeyId,
    pub(crate) kyber: Option<(KyberPreKeyId, Bytes)>,
    pub(crate) base_key: PublicKey,
    pub(crate) identity_key: IdentityKey,
    pub(crate) message: SignalMessage,
}

impl PreKeySignalMessage {
    pub(crate) fn new(parts: PreKeyParts) -> Self {
        let PreKeyParts {
            version,
            registration_id,
            pre_key_id,
            signed_pre_key_id,
            kyber,
            base_key,
            identity_key,
            message,
        } = parts;
        let wire = Wire {
            pre_key_id: pre_key_id.map(u32::from),
            base_key: Some(Bytes::copy_from_slice(&base_key.serialize())),
            identity_key: Some(Bytes::copy_from_slice(&identity_key.serialize())),
            message: Some(message.serialized.clone()),
            registration_id: Some(registration_id),
            signed_pre_key_id: Some(signed_pre_key_id.into()),
            kyber_pre_key_id: kyber.as_ref().map(|&(id, _)| id.into()),
            kyber_ciphertext: kyber.as_ref().map(|(_, ciphertext)| ciphertext.clone()),
        };
        let mut serialized = Vec::with_capacity(1 + wire.encoded_len());
        serialized.push(version_byte(version));
        wire.encode_raw(&mut serialized);
        Self {
            version,
            registration_id,
            pre_key_id,
            signed_pre_key_id,
            kyber,
            base_key,
            identity_key,
            message,
            serialized: serialized.into(),
        }
    }

    /// Parses a message, the inner one included.
    ///
    /// # Errors
    /// [`ProtocolError::CiphertextMessageTooShort`], a version error,
    /// [`ProtocolError::InvalidProtobufEncoding`], [`ProtocolError::InvalidMessage`] when the Kyber
    /// fields are missing, or the error of parsing a key or the inner message.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let Some(&first) = bytes.first() else {
            return Err(ProtocolError::CiphertextMessageTooShort(0));
        };
        let version = parse_version(first)?;
        let serialized = Bytes::copy_from_slice(bytes);
        let wire = Wire::decode(serialized.slice(1..))?;
        let (Some(base_key), Some(identity_key), Some(message), Some(signed_pre_key_id)) = (
            wire.base_key,
            wire.identity_key,
            wire.message,
            wire.signed_pre_key_id,
        ) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        let base_key = PublicKey::deserialize(&base_key)?;
        let kyber = match (wire.kyber_pre_key_id, wire.kyber_ciphertext) {
            (Some(id), Some(ciphertext)) => Some((id.into(), ciphertext)),
            (None, None) if version < VERSION_PQXDH => None,
            _ => {
                return Err(ProtocolError::InvalidMessage {
                    message_type: CiphertextMessageType::PreKey as u8,
                    reason: "Kyber pre-key id and ciphertext must both be present",
                });
            }
        };
        Ok(Self {
            version,
            registration_id: wire.registration_id.unwrap_or_default(),
            pre_key_id: wire.pre_key_id.map(PreKeyId::from),
            signed_pre_key_id: signed_pre_key_id.into(),
            kyber,
            base_key,
            identity_key: IdentityKey::deserialize(&identity_key)?,
            message: SignalMessage::from_bytes(message)?,
            serialized,
        })
    }

    /// The bytes on the wire.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }

    /// Version of the session, 3 or 4.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The sender's registration id; not authenticated.
    pub fn registration_id(&self) -> u32 {
        self.registration_id
    }

    /// Which of the recipient's one-time EC pre-keys was used, if one was.
    pub fn pre_key_id(&self) -> Option<PreKeyId> {
        self.pre_key_id
    }

    /// Which of the recipient's signed pre-keys was used.
    pub fn signed_pre_key_id(&self) -> SignedPreKeyId {
        self.signed_pre_key_id
    }

    /// Which of the recipient's Kyber pre-keys was used; always one in version 4.
    pub fn kyber_pre_key_id(&self) -> Option<KyberPreKeyId> {
        self.kyber.as_ref().map(|&(id, _)| id)
    }

    /// The sender's base key: the session's identity.
    pub fn base_key(&self) -> &PublicKey {
        &self.base_key
    }

    /// The sender's identity.
    pub fn identity_key(&self) -> &IdentityKey {
        &self.identity_key
    }

    /// The inner message.
    pub fn message(&self) -> &SignalMessage {
        &self.message
    }

    /// The serialised Kyber ciphertext, not checked yet.
    pub(crate) fn kyber_ciphertext(&self) -> Option<&[u8]> {
        self.kyber.as_ref().map(|(_, ciphertext)| &ciphertext[..])
    }
}

impl fmt::Debug for PreKeySignalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreKeySignalMessage")
            .field("version", &self.version)
            .field("pre_key_id", &self.pre_key_id)
            .field("signed_pre_key_id", &self.signed_pre_key_id)
            .field("kyber_pre_key_id", &self.kyber_pre_key_id())
            .field("message", &self.message)
            .finish()
    }
}

#[derive(Clone, Message)]
struct Wire {
    #[prost(uint32, optional, tag = "1")]
    pre_key_id: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    base_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    identity_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    message: Option<Bytes>,
    #[prost(uint32, optional, tag = "5")]
    registration_id: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    signed_pre_key_id: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    kyber_pre_key_id: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    kyber_ciphertext: Option<Bytes>,
}
