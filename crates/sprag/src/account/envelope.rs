//! What leaves an account and what arrives in it.

use std::fmt;

use bytes::Bytes;
use sprag_core::{
    ProtocolError, address::ProtocolAddress, identity::IdentityKey, message::CiphertextMessageType,
    time::Timestamp,
};
use uuid::Uuid;

use super::{InboxId, OutboxId};
use crate::durable::value::{Incoming, Posted};

/// What kind of message an envelope holds: the number that travels beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EnvelopeType {
    /// A message in an established session.
    Whisper = 2,
    /// A message that (also) starts a session.
    PreKey = 3,
    /// A message that hides its sender.
    Sealed = 6,
    /// A group message under a sender key.
    SenderKey = 7,
    /// A retry request, which is not encrypted.
    Plaintext = 8,
}

impl EnvelopeType {
    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Whisper),
            3 => Some(Self::PreKey),
            6 => Some(Self::Sealed),
            7 => Some(Self::SenderKey),
            8 => Some(Self::Plaintext),
            _ => None,
        }
    }

    /// The type of message in a session.
    pub(super) fn in_session(self) -> Result<CiphertextMessageType, ProtocolError> {
        match self {
            Self::Whisper => Ok(CiphertextMessageType::Whisper),
            Self::PreKey => Ok(CiphertextMessageType::PreKey),
            _ => Err(ProtocolError::InvalidArgument(
                "only messages of type 2 and 3 belong to a session with their sender",
            )),
        }
    }
}

impl From<CiphertextMessageType> for EnvelopeType {
    fn from(message_type: CiphertextMessageType) -> Self {
        match message_type {
            CiphertextMessageType::PreKey => Self::PreKey,
            CiphertextMessageType::SenderKey => Self::SenderKey,
            CiphertextMessageType::Plaintext => Self::Plaintext,
            _ => Self::Whisper,
        }
    }
}

/// Who an envelope is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recipient {
    /// One device.
    Device(ProtocolAddress),
    /// Everybody whom the sender key of this distribution was given to.
    Group(Uuid),
}

impl From<&ProtocolAddress> for Recipient {
    fn from(device: &ProtocolAddress) -> Self {
        Self::Device(device.clone())
    }
}

/// The address, or the distribution id.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => device.fmt(f),
            Self::Group(distribution_id) => distribution_id.fmt(f),
        }
    }
}

/// An encrypted message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Under which it waits in the outbox.
    pub id: OutboxId,
    /// Who it is for.
    pub recipient: Recipient,
    /// When it was encrypted.
    pub created: Timestamp,
    /// What travels beside the bytes.
    pub message_type: EnvelopeType,
    /// What to send.
    pub bytes: Bytes,
}

impl Envelope {
    pub(super) fn new(id: OutboxId, posted: &Posted) -> Self {
        Self {
            id,
            recipient: posted.recipient.clone(),
            created: posted.created,
            message_type: posted.message_type,
            bytes: posted.bytes.clone(),
        }
    }
}

/// A decrypted message.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Under which it waits in the inbox.
    pub id: InboxId,
    /// Who it is from.
    pub sender: ProtocolAddress,
    /// The distribution that a group message was sent in.
    pub group: Option<Uuid>,
    /// The sender's identity, if it took the place of another one with this message. Whoever sent it, it may not be who was
    /// there before: tell the user. Nothing is sent to the sender until the user
    /// [approves](super::Account::approve_identity) of it, unless the [policy](crate::IdentityPolicy) is to trust everybody.
    pub changed_identity: Option<IdentityKey>,
    /// When it was decrypted.
    pub received: Timestamp,
    /// What was sent.
    pub plaintext: Bytes,
}

impl Delivery {
    pub(super) fn new(id: InboxId, incoming: &Incoming) -> Self {
        Self {
            id,
            sender: incoming.sender.clone(),
            group: incoming.group,
            changed_identity: incoming.changed_identity,
            received: incoming.received,
            plaintext: incoming.plaintext.clone(),
        }
    }
}

/// Prints the length of the plaintext only.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("sender", &self.sender)
            .field("group", &self.group)
            .field("changed_identity", &self.changed_identity)
            .field("received", &self.received)
            .field("plaintext", &format_args!("{} bytes", self.plaintext.len()))
            .finish()
    }
}
