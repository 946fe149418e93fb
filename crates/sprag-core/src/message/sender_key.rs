//! The message to a group: version byte, protobuf, and a signature of 64 bytes. Source: sheet 06
//! section 4.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::{CiphertextMessageType, parse_sender_key_version, sender_key_version_byte};
use crate::{
    curve::{PublicKey, SIGNATURE_LENGTH, Verifier},
    error::ProtocolError,
};

/// A message that its sender encrypts once for all members of a group.
///
/// Parsing does not verify the signature; decrypting does.
#[derive(Clone)]
pub struct SenderKeyMessage {
    distribution_id: Uuid,
    chain_id: u32,
    iteration: u32,
    ciphertext: Bytes,
    serialized: Bytes,
}

/// What a [`SenderKeyMessage`] is made of.
pub(crate) struct SenderKeyParts {
    /// The low four bits are written.
    pub(crate) version: u8,
    pub(crate) distribution_id: Uuid,
    pub(crate) chain_id: u32,
    pub(crate) iteration: u32,
    pub(crate) ciphertext: Vec<u8>,
}

impl SenderKeyMessage {
    /// Builds a message; `sign` makes the signature of what stands before it.
    pub(crate) fn new(
        parts: SenderKeyParts,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LENGTH],
    ) -> Self {
        let ciphertext = Bytes::from(parts.ciphertext);
        let wire = Wire {
            distribution_id: Some(Bytes::copy_from_slice(parts.distribution_id.as_bytes())),
            chain_id: Some(parts.chain_id),
            iteration: Some(parts.iteration),
            ciphertext: Some(ciphertext.clone()),
        };
        let mut serialized = Vec::with_capacity(1 + wire.encoded_len() + SIGNATURE_LENGTH);
        serialized.push(sender_key_version_byte(parts.version));
        wire.encode_raw(&mut serialized);
        let signature = sign(&serialized);
        serialized.extend_from_slice(&signature);
        Self {
            distribution_id: parts.distribution_id,
            chain_id: parts.chain_id,
            iteration: parts.iteration,
            ciphertext,
            serialized: serialized.into(),
        }
    }

    /// Parses a message. The signature is not verified.
    ///
    /// # Errors
    /// [`ProtocolError::CiphertextMessageTooShort`], a version error, or
    /// [`ProtocolError::InvalidProtobufEncoding`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        if bytes.len() < 1 + SIGNATURE_LENGTH {
            return Err(ProtocolError::CiphertextMessageTooShort(bytes.len()));
        }
        parse_sender_key_version(bytes[0])?;
        let serialized = Bytes::copy_from_slice(bytes);
        let wire = Wire::decode(serialized.slice(1..serialized.len() - SIGNATURE_LENGTH))?;
        let (Some(distribution_id), Some(chain_id), Some(iteration), Some(ciphertext)) = (
            wire.distribution_id,
            wire.chain_id,
            wire.iteration,
            wire.ciphertext,
        ) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        Ok(Self {
            distribution_id: Uuid::from_slice(&distribution_id)
                .map_err(|_| ProtocolError::InvalidProtobufEncoding)?,
            chain_id,
            iteration,
            ciphertext,
            serialized,
        })
    }

    /// The bytes on the wire.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }

    /// Version of the message: 3 in all that parse.
    pub fn version(&self) -> u8 {
        self.serialized[0] >> 4
    }

    /// Which list of receivers it is for.
    pub fn distribution_id(&self) -> Uuid {
        self.distribution_id
    }

    /// Which of the sender's chains it is on.
    pub fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The message's number on its chain.
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// The encrypted text.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// Whether the holder of `signing_key`'s private key signed the message.
    pub fn verify_signature(&self, signing_key: &PublicKey) -> bool {
        let verifier = signing_key.verifier();
        verifier.is_some_and(|verifier| self.verify_signature_with(&verifier))
    }

    pub(crate) fn verify_signature_with(&self, verifier: &Verifier) -> bool {
        let (content, signature) = self
            .serialized
            .split_at(self.serialized.len() - SIGNATURE_LENGTH);
        verifier.verify(&[content], signature)
    }
}

impl fmt::Debug for SenderKeyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderKeyMessage")
            .field("type", &CiphertextMessageType::SenderKey)
            .field("distribution_id", &self.distribution_id)
            .field("chain_id", &self.chain_id)
            .field("iteration", &self.iteration)
            .field("length", &self.serialized.len())
            .finish()
    }
}

#[derive(Message)]
struct Wire {
    #[prost(bytes = "bytes", optional, tag = "1")]
    distribution_id: Option<Bytes>,
    #[prost(uint32, optional, tag = "2")]
    chain_id: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    iteration: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    ciphertext: Option<Bytes>,
}
