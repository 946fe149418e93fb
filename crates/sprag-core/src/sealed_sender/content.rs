//! What is sealed: a message, who sent it, and hints. Source: sheet 07 sections 3 and 8.

use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::SenderCertificate;
use crate::{
    address::ProtocolAddress,
    curve::PublicKey,
    error::ProtocolError,
    message::{CiphertextMessage, CiphertextMessageType},
    time::Timestamp,
};

/// What a recipient is to do if it cannot decrypt the message. Numbers without a meaning are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentHint(u32);

impl ContentHint {
    /// Nothing special: show an error.
    pub const DEFAULT: Self = Self(0);
    /// The sender can send it again: put off showing an error.
    pub const RESENDABLE: Self = Self(1);
    /// It is of no interest to people, like a receipt: show nothing.
    pub const IMPLICIT: Self = Self(2);
}

impl From<u32> for ContentHint {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<ContentHint> for u32 {
    fn from(hint: ContentHint) -> Self {
        hint.0
    }
}

/// Who we are, for telling our own messages from those of others.
#[derive(Clone, Copy)]
pub struct OwnIds<'a> {
    /// Our address; its name is compared as it is.
    pub address: &'a ProtocolAddress,
    /// Our phone number, if it is to be compared too.
    pub e164: Option<&'a str>,
}

/// A message with its sender's certificate and hints: what is sealed, and what opening gives.
///
/// It keeps the bytes that it was parsed from.
#[derive(Clone)]
pub struct UnidentifiedSenderMessageContent {
    message_type: CiphertextMessageType,
    sender_certificate: SenderCertificate,
    contents: Bytes,
    content_hint: ContentHint,
    group_id: Option<Bytes>,
    serialized: Bytes,
}

impl UnidentifiedSenderMessageContent {
    /// The content with the bytes of a message of any type.
    ///
    /// An empty group id is not written: whoever parses the content finds none.
    pub fn new(
        message_type: CiphertextMessageType,
        contents: &[u8],
        sender_certificate: SenderCertificate,
        content_hint: ContentHint,
        group_id: Option<&[u8]>,
    ) -> Self {
        let contents = Bytes::copy_from_slice(contents);
        let group_id = group_id.map(Bytes::copy_from_slice);
        let hint = (content_hint != ContentHint::DEFAULT).then(|| content_hint.0.cast_signed());
        let wire = Wire {
            message_type: Some(type_number(message_type)),
            sender_certificate: Some(sender_certificate.shared()),
            contents: Some(contents.clone()),
            content_hint: hint,
            group_id: group_id.clone().filter(|id| !id.is_empty()),
        };
        Self {
            message_type,
            sender_certificate,
            contents,
            content_hint,
            group_id,
            serialized: wire.encode_to_vec().into(),
        }
    }

    /// Parses a content, its certificates included. No signature is checked.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`], or the error of parsing a certificate.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Self::from_bytes(Bytes::copy_from_slice(bytes))
    }

    pub(super) fn from_bytes(serialized: Bytes) -> Result<Self, ProtocolError> {
        let wire = Wire::decode(serialized.clone())?;
        let (Some(message_type), Some(sender_certificate), Some(contents)) = (
            wire.message_type.and_then(type_with_number),
            wire.sender_certificate,
            wire.contents,
        ) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        Ok(Self {
            message_type,
            sender_certificate: SenderCertificate::from_bytes(sender_certificate)?,
            contents,
            content_hint: ContentHint(wire.content_hint.unwrap_or_default().cast_unsigned()),
            group_id: wire.group_id,
            serialized,
        })
    }

    /// Whether the content may be believed at `now`, and is not our own: the step between opening and decrypting.
    /// Returns the sender.
    ///
    /// Our own is what comes from our device number and from our name or phone number.
    ///
    /// # Errors
    /// Those of [`SenderCertificate::validate`], then [`ProtocolError::SealedSenderSelfSend`].
    pub fn validate(
        &self,
        trust_roots: &[PublicKey],
        now: Timestamp,
        own: OwnIds<'_>,
    ) -> Result<ProtocolAddress, ProtocolError> {
        let certificate = &self.sender_certificate;
        certificate.validate(trust_roots, now)?;
        let our_name = certificate.sender_uuid() == own.address.name();
        let our_number = own.e164.is_some() && own.e164 == certificate.sender_e164();
        if certificate.sender_device_id() == own.address.device_id() && (our_name || our_number) {
            return Err(ProtocolError::SealedSenderSelfSend);
        }
        Ok(certificate.sender())
    }

    /// The message, to be decrypted in a session with the sender.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidMessage`] for a group message or plaintext content; otherwise those of parsing the
    /// message.
    pub fn session_message(&self) -> Result<CiphertextMessage, ProtocolError> {
        match self.message_type {
            CiphertextMessageType::Whisper | CiphertextMessageType::PreKey => {
                CiphertextMessage::deserialize(self.message_type, &self.contents)
            }
            other => Err(ProtocolError::InvalidMessage {
                message_type: other as u8,
                reason: "not a message of a session",
            }),
        }
    }

    /// The message's type.
    pub fn message_type(&self) -> CiphertextMessageType {
        self.message_type
    }

    /// The sender's certificate, as [valid](Self::validate) as it is.
    pub fn sender_certificate(&self) -> &SenderCertificate {
        &self.sender_certificate
    }

    /// The message's bytes.
    pub fn contents(&self) -> &[u8] {
        &self.contents
    }

    /// What to do if the message cannot be decrypted.
    pub fn content_hint(&self) -> ContentHint {
        self.content_hint
    }

    /// The group that the message belongs to, in bytes of the application's choice.
    pub fn group_id(&self) -> Option<&[u8]> {
        self.group_id.as_deref()
    }

    /// The whole, as it was parsed.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }
}

impl fmt::Debug for UnidentifiedSenderMessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnidentifiedSenderMessageContent")
            .field("message_type", &self.message_type)
            .field("sender_certificate", &self.sender_certificate)
            .field("content_hint", &self.content_hint)
            .field("length", &self.contents.len())
            .finish_non_exhaustive()
    }
}

/// The number of a type in a content; that of pre-key messages is another one elsewhere.
fn type_number(message_type: CiphertextMessageType) -> i32 {
    match message_type {
        CiphertextMessageType::PreKey => 1,
        other => other as i32,
    }
}

fn type_with_number(number: i32) -> Option<CiphertextMessageType> {
    match number {
        1 => Some(CiphertextMessageType::PreKey),
        2 => Some(CiphertextMessageType::Whisper),
        7 => Some(CiphertextMessageType::SenderKey),
        8 => Some(CiphertextMessageType::Plaintext),
        _ => None,
    }
}

#[derive(Clone, Message)]
struct Wire {
    #[prost(int32, optional, tag = "1")]
    message_type: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender_certificate: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    contents: Option<Bytes>,
    #[prost(int32, optional, tag = "4")]
    content_hint: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    group_id: Option<Bytes>,
}
