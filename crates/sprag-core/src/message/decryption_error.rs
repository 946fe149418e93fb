//! What a receiver says about a message that it could not decrypt. Source: sheet 08 sections 4 and 5.

use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::{CiphertextMessageType, PreKeySignalMessage, SignalMessage};
use crate::{curve::PublicKey, error::ProtocolError, time::Timestamp};

/// Ends the content of a message; padding would come after it.
const END_OF_CONTENT: u8 = 0x80;

/// Says to the sender of a message: this could not be decrypted, send it again.
///
/// It is not encrypted, and nothing proves who made it. It travels in a
/// [`PlaintextContent`](super::PlaintextContent), by itself or inside sealed sender.
#[derive(Clone)]
pub struct DecryptionErrorMessage {
    ratchet_key: Option<PublicKey>,
    timestamp: Timestamp,
    device_id: u32,
    serialized: Bytes,
}

impl DecryptionErrorMessage {
    /// About the message `original`, which came with the number `message_type` beside it from the device
    /// `device_id` of its sender, and was sent at `timestamp`.
    ///
    /// The number is taken as it came. Nothing about the message is checked but that it can be parsed; a
    /// sender-key message is not even looked at.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidArgument`] for a type without encryption (8) or an unknown one;
    /// otherwise those of parsing the message.
    pub fn for_original(
        original: &[u8],
        message_type: u8,
        timestamp: Timestamp,
        device_id: u32,
    ) -> Result<Self, ProtocolError> {
        let ratchet_key = match CiphertextMessageType::from_number(message_type) {
            Some(CiphertextMessageType::Whisper) => {
                Some(*SignalMessage::deserialize(original)?.ratchet_key())
            }
            Some(CiphertextMessageType::PreKey) => {
                let message = PreKeySignalMessage::deserialize(original)?;
                Some(*message.message().ratchet_key())
            }
            Some(CiphertextMessageType::SenderKey) => None,
            Some(CiphertextMessageType::Plaintext) => {
                return Err(ProtocolError::InvalidArgument(
                    "plaintext content is not encrypted, so it cannot fail to be decrypted",
                ));
            }
            None => return Err(ProtocolError::InvalidArgument("unknown message type")),
        };
        let wire = Wire {
            ratchet_key: ratchet_key.map(|key| Bytes::copy_from_slice(&key.serialize())),
            timestamp: Some(timestamp.as_millis()),
            device_id: Some(device_id),
        };
        Ok(Self {
            ratchet_key,
            timestamp,
            device_id,
            serialized: wire.encode_to_vec().into(),
        })
    }

    /// Parses the serialised form, and keeps it as it is.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`], also without a timestamp; or the error of parsing the
    /// ratchet key.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Self::from_bytes(Bytes::copy_from_slice(bytes))
    }

    /// Takes it out of the [body](super::PlaintextContent::body) of plaintext content: a content that ends
    /// with the byte 80. Take padding off before: zeros after that byte are an error.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`]; [`ProtocolError::InvalidArgument`] if the content holds
    /// something else; otherwise as for [`deserialize`](Self::deserialize).
    pub fn extract_from_body(body: &[u8]) -> Result<Self, ProtocolError> {
        let Some((&END_OF_CONTENT, content)) = body.split_last() else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        let content = Content::decode(Bytes::copy_from_slice(content))?;
        match content.decryption_error_message {
            Some(message) => Self::from_bytes(message),
            None => Err(ProtocolError::InvalidArgument(
                "the content is no decryption error message",
            )),
        }
    }

    fn from_bytes(serialized: Bytes) -> Result<Self, ProtocolError> {
        let wire = Wire::decode(serialized.clone())?;
        let timestamp = wire
            .timestamp
            .ok_or(ProtocolError::InvalidProtobufEncoding)?;
        let ratchet_key = wire.ratchet_key.map(|key| PublicKey::deserialize(&key));
        Ok(Self {
            ratchet_key: ratchet_key.transpose()?,
            timestamp: Timestamp::from_millis(timestamp),
            device_id: wire.device_id.unwrap_or_default(),
            serialized,
        })
    }

    /// The serialised form.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }

    /// The ratchet key in the failed message; none if that was a sender-key message.
    pub fn ratchet_key(&self) -> Option<&PublicKey> {
        self.ratchet_key.as_ref()
    }

    /// When the failed message was sent, by which its sender knows it.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The device that sent the failed message: any number, and 0 if it was not said.
    pub fn device_id(&self) -> u32 {
        self.device_id
    }

    /// The content that plaintext content carries, with the byte that ends it.
    pub(super) fn to_body(&self) -> Vec<u8> {
        let content = Content {
            decryption_error_message: Some(self.serialized.clone()),
            ..Content::default()
        };
        let mut body = content.encode_to_vec();
        body.push(END_OF_CONTENT);
        body
    }
}

impl fmt::Debug for DecryptionErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionErrorMessage")
            .field("ratchet_key", &self.ratchet_key)
            .field("timestamp", &self.timestamp)
            .field("device_id", &self.device_id)
            .finish()
    }
}

#[derive(Message)]
struct Wire {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ratchet_key: Option<Bytes>,
    #[prost(uint64, optional, tag = "2")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "3")]
    device_id: Option<u32>,
}

/// What a message between applications holds. Only that the other kinds are bytes is looked at.
#[derive(Message)]
struct Content {
    #[prost(bytes = "bytes", optional, tag = "1")]
    data: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sync: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    call: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    null: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    receipt: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    typing: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    sender_key_distribution: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    decryption_error_message: Option<Bytes>,
}
