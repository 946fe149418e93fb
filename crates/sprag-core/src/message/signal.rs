//! The message of an established session: version byte, protobuf, and a MAC of 8 bytes. Source:
//! sheet 03 sections 6.1 to 6.3.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use subtle::ConstantTimeEq;

use super::{CiphertextMessageType, parse_version, version_byte};
use crate::{
    address::ProtocolAddress, curve::PublicKey, error::ProtocolError, identity::IdentityKey,
    kdf::hmac,
};

const MAC_LENGTH: usize = 8;

/// A message in an established session.
#[derive(Clone)]
pub struct SignalMessage {
    version: u8,
    ratchet_key: PublicKey,
    wire: Wire,
    pub(super) serialized: Bytes,
}

/// What a [`SignalMessage`] is made of.
pub(crate) struct SignalParts<'a> {
    pub(crate) version: u8,
    pub(crate) ratchet_key: &'a PublicKey,
    pub(crate) counter: u32,
    pub(crate) previous_counter: u32,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) pq_ratchet: Vec<u8>,
    pub(crate) addresses: Option<[u8; ADDRESSES_LENGTH]>,
}

impl SignalMessage {
    /// Builds and authenticates a message from `sender` to `receiver`.
    pub(crate) fn new(
        parts: SignalParts<'_>,
        mac_key: &[u8; 32],
        sender: &IdentityKey,
        receiver: &IdentityKey,
    ) -> Self {
        let wire = Wire {
            ratchet_key: Some(Bytes::copy_from_slice(&parts.ratchet_key.serialize())),
            counter: Some(parts.counter),
            previous_counter: Some(parts.previous_counter),
            ciphertext: Some(parts.ciphertext.into()),
            pq_ratchet: (!parts.pq_ratchet.is_empty()).then(|| parts.pq_ratchet.into()),
            addresses: parts
                .addresses
                .map(|addresses| Bytes::copy_from_slice(&addresses)),
        };
        let mut serialized = Vec::with_capacity(1 + wire.encoded_len() + MAC_LENGTH);
        serialized.push(version_byte(parts.version));
        wire.encode_raw(&mut serialized);
        let mac = compute_mac(mac_key, sender, receiver, &serialized);
        serialized.extend_from_slice(&mac);
        Self {
            version: parts.version,
            ratchet_key: *parts.ratchet_key,
            wire,
            serialized: serialized.into(),
        }
    }

    /// Parses a message.
    ///
    /// # Errors
    /// [`ProtocolError::CiphertextMessageTooShort`], a version error,
    /// [`ProtocolError::InvalidProtobufEncoding`], or the error of parsing the ratchet key.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Self::from_bytes(Bytes::copy_from_slice(bytes))
    }

    pub(super) fn from_bytes(serialized: Bytes) -> Result<Self, ProtocolError> {
        if serialized.len() < MAC_LENGTH + 1 {
            return Err(ProtocolError::CiphertextMessageTooShort(serialized.len()));
        }
        let version = parse_version(serialized[0])?;
        let wire = Wire::decode(serialized.slice(1..serialized.len() - MAC_LENGTH))?;
        let (Some(ratchet_key), Some(_), Some(_)) =
            (&wire.ratchet_key, wire.counter, &wire.ciphertext)
        else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        let ratchet_key = PublicKey::deserialize(ratchet_key)?;
        Ok(Self {
            version,
            ratchet_key,
            wire,
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

    /// The sender's ratchet key.
    pub fn ratchet_key(&self) -> &PublicKey {
        &self.ratchet_key
    }

    /// The message's number on its chain.
    pub fn counter(&self) -> u32 {
        self.wire.counter.unwrap_or_default()
    }

    /// The number that the sender gives its previous chain; receivers ignore it.
    pub fn previous_counter(&self) -> u32 {
        self.wire.previous_counter.unwrap_or_default()
    }

    /// The encrypted text.
    pub fn body(&self) -> &[u8] {
        self.wire.ciphertext.as_deref().unwrap_or_default()
    }

    /// The message of the post-quantum ratchet; may be empty.
    pub fn pq_ratchet(&self) -> &[u8] {
        self.wire.pq_ratchet.as_deref().unwrap_or_default()
    }

    /// Whether the message was authenticated with `mac_key` by `sender` for `receiver`. In constant
    /// time.
    pub fn verify_mac(
        &self,
        sender: &IdentityKey,
        receiver: &IdentityKey,
        mac_key: &[u8; 32],
    ) -> bool {
        let (content, mac) = self.serialized.split_at(self.serialized.len() - MAC_LENGTH);
        compute_mac(mac_key, sender, receiver, content)
            .ct_eq(mac)
            .into()
    }

    /// Whether the addresses in the message, if it has any, are those it was sent between.
    pub(crate) fn addresses_match(
        &self,
        sender: &ProtocolAddress,
        recipient: &ProtocolAddress,
    ) -> bool {
        let Some(addresses) = &self.wire.addresses else {
            return true;
        };
        address_binding(sender, recipient)
            .is_some_and(|expected| expected.ct_eq(addresses.as_ref()).into())
    }
}

impl fmt::Debug for SignalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalMessage")
            .field("type", &CiphertextMessageType::Whisper)
            .field("version", &self.version)
            .field("counter", &self.counter())
            .field("length", &self.serialized.len())
            .finish()
    }
}

fn compute_mac(
    key: &[u8; 32],
    sender: &IdentityKey,
    receiver: &IdentityKey,
    content: &[u8],
) -> [u8; MAC_LENGTH] {
    let mac = hmac(key, &[&sender.serialize(), &receiver.serialize(), content]);
    let mut truncated = [0; MAC_LENGTH];
    truncated.copy_from_slice(&mac[..MAC_LENGTH]);
    truncated
}

const ADDRESSES_LENGTH: usize = 36;

/// The bytes that bind a pre-key message to its two addresses; `None` unless both names are service
/// ids. Source: sheet 03 section 6.3.
pub(crate) fn address_binding(
    sender: &ProtocolAddress,
    recipient: &ProtocolAddress,
) -> Option<[u8; ADDRESSES_LENGTH]> {
    let mut bytes = [0; ADDRESSES_LENGTH];
    for (half, address) in bytes
        .chunks_exact_mut(ADDRESSES_LENGTH / 2)
        .zip([sender, recipient])
    {
        half[..17].copy_from_slice(&address.service_id()?.to_fixed_width_binary());
        half[17] = address.device_id().as_u8();
    }
    Some(bytes)
}

#[derive(Clone, Message)]
struct Wire {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ratchet_key: Option<Bytes>,
    #[prost(uint32, optional, tag = "2")]
    counter: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    previous_counter: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    ciphertext: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pq_ratchet: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    addresses: Option<Bytes>,
}
