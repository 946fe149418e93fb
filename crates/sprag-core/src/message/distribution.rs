//! The message that hands a sender key to a member of a group: version byte and protobuf. Source: sheet
//! 06 section 4.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::{parse_sender_key_version, sender_key_version_byte};
use crate::{curve::PublicKey, error::ProtocolError, record::secret_bytes};

/// No encoding is shorter, whatever it says: as short as a message to a group can be.
const MIN_LENGTH: usize = 65;

const CHAIN_KEY_LENGTH: usize = 32;

/// A sender key for a receiver: with it, all later messages of one chain can be read.
///
/// It is secret, and neither encrypted nor signed by itself: send it in a session with each member, and
/// take it only from one. Its bytes are erased on drop.
#[derive(Clone)]
pub struct SenderKeyDistributionMessage {
    distribution_id: Uuid,
    chain_id: u32,
    iteration: u32,
    chain_key: Bytes,
    signing_key: PublicKey,
    serialized: Bytes,
}

/// What a [`SenderKeyDistributionMessage`] is made of.
pub(crate) struct DistributionParts<'a> {
    /// The low four bits are written.
    pub(crate) version: u8,
    pub(crate) distribution_id: Uuid,
    pub(crate) chain_id: u32,
    pub(crate) iteration: u32,
    pub(crate) chain_key: &'a [u8],
    pub(crate) signing_key: PublicKey,
}

impl SenderKeyDistributionMessage {
    pub(crate) fn new(parts: DistributionParts<'_>) -> Self {
        let chain_key = secret_bytes(parts.chain_key.to_vec());
        let wire = Wire {
            distribution_id: Some(Bytes::copy_from_slice(parts.distribution_id.as_bytes())),
            chain_id: Some(parts.chain_id),
            iteration: Some(parts.iteration),
            chain_key: Some(chain_key.clone()),
            signing_key: Some(Bytes::copy_from_slice(&parts.signing_key.serialize())),
        };
        let mut serialized = Vec::with_capacity(1 + wire.encoded_len());
        serialized.push(sender_key_version_byte(parts.version));
        wire.encode_raw(&mut serialized);
        Self {
            distribution_id: parts.distribution_id,
            chain_id: parts.chain_id,
            iteration: parts.iteration,
            chain_key,
            signing_key: parts.signing_key,
            serialized: secret_bytes(serialized),
        }
    }

    /// Parses a message.
    ///
    /// # Errors
    /// [`ProtocolError::CiphertextMessageTooShort`], a version error,
    /// [`ProtocolError::InvalidProtobufEncoding`], also for keys of a wrong length, or the error of
    /// parsing the signing key.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        if bytes.len() < MIN_LENGTH {
            return Err(ProtocolError::CiphertextMessageTooShort(bytes.len()));
        }
        parse_sender_key_version(bytes[0])?;
        let serialized = secret_bytes(bytes.to_vec());
        let wire = Wire::decode(serialized.slice(1..))?;
        let (
            Some(distribution_id),
            Some(chain_id),
            Some(iteration),
            Some(chain_key),
            Some(signing_key),
        ) = (
            wire.distribution_id,
            wire.chain_id,
            wire.iteration,
            wire.chain_key,
            wire.signing_key,
        )
        else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        if chain_key.len() != CHAIN_KEY_LENGTH || signing_key.len() != PublicKey::LENGTH {
            return Err(ProtocolError::InvalidProtobufEncoding);
        }
        Ok(Self {
            distribution_id: Uuid::from_slice(&distribution_id)
                .map_err(|_| ProtocolError::InvalidProtobufEncoding)?,
            chain_id,
            iteration,
            chain_key,
            signing_key: PublicKey::deserialize(&signing_key)?,
            serialized,
        })
    }

    /// The bytes on the wire. Secret.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }

    /// Version of the chain's messages: 3 in all that parse.
    pub fn version(&self) -> u8 {
        self.serialized[0] >> 4
    }

    /// Which list of receivers the key is for.
    pub fn distribution_id(&self) -> Uuid {
        self.distribution_id
    }

    /// The sender's name for the chain.
    pub fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The number of the first message that can be read.
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// The chain key of that message, 32 bytes in all that parse. Secret.
    pub fn chain_key(&self) -> &[u8] {
        &self.chain_key
    }

    /// The key under which the chain's messages are signed.
    pub fn signing_key(&self) -> &PublicKey {
        &self.signing_key
    }
}

impl fmt::Debug for SenderKeyDistributionMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderKeyDistributionMessage")
            .field("distribution_id", &self.distribution_id)
            .field("chain_id", &self.chain_id)
            .field("iteration", &self.iteration)
            .finish_non_exhaustive()
    }
}

#[derive(Message)]
#[prost(skip_debug)]
struct Wire {
    #[prost(bytes = "bytes", optional, tag = "1")]
    distribution_id: Option<Bytes>,
    #[prost(uint32, optional, tag = "2")]
    chain_id: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    iteration: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    chain_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    signing_key: Option<Bytes>,
}
