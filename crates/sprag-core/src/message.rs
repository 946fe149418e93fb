//! Messages on the wire. Source: sheet 03 section 6, sheet 06 section 4.
//!
//! Parsing keeps the bytes as they came: the MAC or signature covers them, unknown fields included.

mod decryption_error;
mod distribution;
mod plaintext;
mod pre_key;
mod sender_key;
mod signal;

pub use decryption_error::DecryptionErrorMessage;
pub use distribution::SenderKeyDistributionMessage;
pub use plaintext::PlaintextContent;
pub use pre_key::PreKeySignalMessage;
pub use sender_key::SenderKeyMessage;
pub use signal::SignalMessage;

pub(crate) use distribution::DistributionParts;
pub(crate) use pre_key::PreKeyParts;
pub(crate) use sender_key::SenderKeyParts;
pub(crate) use signal::{SignalParts, address_binding};

use crate::error::ProtocolError;

/// The version of every new session: PQXDH and the Triple Ratchet.
pub(crate) const VERSION_PQXDH: u8 = 4;
/// The version of old sessions: X3DH, without post-quantum parts.
pub(crate) const VERSION_X3DH: u8 = 3;
/// The version of messages to groups.
pub(crate) const VERSION_SENDER_KEY: u8 = 3;

/// The number that travels beside a message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CiphertextMessageType {
    /// A message in an established session.
    Whisper = 2,
    /// A message that (also) starts a session.
    PreKey = 3,
    /// A message to a group.
    SenderKey = 7,
    /// A message that is not encrypted: a request to send another one again.
    Plaintext = 8,
}

impl CiphertextMessageType {
    /// The type with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Whisper),
            3 => Some(Self::PreKey),
            7 => Some(Self::SenderKey),
            8 => Some(Self::Plaintext),
            _ => None,
        }
    }
}

/// A message of any kind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CiphertextMessage {
    /// A message in an established session.
    Signal(SignalMessage),
    /// A message of a session that the peer has not answered in yet.
    PreKey(PreKeySignalMessage),
    /// A message to a group.
    SenderKey(SenderKeyMessage),
    /// A message that is not encrypted.
    Plaintext(PlaintextContent),
}

impl CiphertextMessage {
    /// Parses a message of the type that came beside it.
    ///
    /// # Errors
    /// Those of parsing a message of that type.
    pub fn deserialize(
        message_type: CiphertextMessageType,
        bytes: &[u8],
    ) -> Result<Self, ProtocolError> {
        match message_type {
            CiphertextMessageType::Whisper => SignalMessage::deserialize(bytes).map(Self::Signal),
            CiphertextMessageType::PreKey => {
                PreKeySignalMessage::deserialize(bytes).map(Self::PreKey)
            }
            CiphertextMessageType::SenderKey => {
                SenderKeyMessage::deserialize(bytes).map(Self::SenderKey)
            }
            CiphertextMessageType::Plaintext => {
                PlaintextContent::deserialize(bytes).map(Self::Plaintext)
            }
        }
    }

    /// The type to send beside the bytes.
    pub fn message_type(&self) -> CiphertextMessageType {
        match self {
            Self::Signal(_) => CiphertextMessageType::Whisper,
            Self::PreKey(_) => CiphertextMessageType::PreKey,
            Self::SenderKey(_) => CiphertextMessageType::SenderKey,
            Self::Plaintext(_) => CiphertextMessageType::Plaintext,
        }
    }

    /// The bytes to send.
    pub fn serialized(&self) -> &[u8] {
        match self {
            Self::Signal(message) => message.serialized(),
            Self::PreKey(message) => message.serialized(),
            Self::SenderKey(message) => message.serialized(),
            Self::Plaintext(content) => content.serialized(),
        }
    }
}

impl From<SenderKeyMessage> for CiphertextMessage {
    fn from(message: SenderKeyMessage) -> Self {
        Self::SenderKey(message)
    }
}

impl From<PlaintextContent> for CiphertextMessage {
    fn from(content: PlaintextContent) -> Self {
        Self::Plaintext(content)
    }
}

/// The version byte of a message in a session of `version`: high nibble the session's, low nibble
/// the highest that we know.
fn version_byte(version: u8) -> u8 {
    version << 4 | VERSION_PQXDH
}

/// The version that a message's first byte names, if it is one that we know.
fn parse_version(byte: u8) -> Result<u8, ProtocolError> {
    match byte >> 4 {
        version @ VERSION_X3DH..=VERSION_PQXDH => Ok(version),
        version @ 0..VERSION_X3DH => Err(ProtocolError::LegacyCiphertextVersion(version)),
        version => Err(ProtocolError::UnrecognizedCiphertextVersion(version)),
    }
}

/// The same for messages to groups; the low four bits of `version` count.
fn sender_key_version_byte(version: u8) -> u8 {
    version << 4 | VERSION_SENDER_KEY
}

/// Messages to groups have a single version.
fn parse_sender_key_version(byte: u8) -> Result<(), ProtocolError> {
    match byte >> 4 {
        VERSION_SENDER_KEY => Ok(()),
        version @ 0..VERSION_SENDER_KEY => Err(ProtocolError::LegacyCiphertextVersion(version)),
        version => Err(ProtocolError::UnrecognizedCiphertextVersion(version)),
    }
}
