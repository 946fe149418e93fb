//! A message that is not encrypted, because its sender cannot encrypt. Source: sheet 08 section 5.

use std::fmt;

use bytes::Bytes;

use super::DecryptionErrorMessage;
use crate::error::ProtocolError;

/// The first byte: no other kind of message begins with it.
const IDENTIFIER: u8 = 0xc0;

/// A message in the clear, which carries a [`DecryptionErrorMessage`].
///
/// It is neither encrypted nor authenticated by itself. Believe what it says only as far as a wrong answer does no
/// harm, as with the steps that a retry takes.
#[derive(Clone)]
pub struct PlaintextContent {
    serialized: Bytes,
}

impl PlaintextContent {
    /// Parses what was received: the byte c0 and a body, which is not looked at.
    ///
    /// # Errors
    /// [`ProtocolError::CiphertextMessageTooShort`] for nothing at all;
    /// [`ProtocolError::UnrecognizedMessageVersion`] for another first byte.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        match bytes.first() {
            None => Err(ProtocolError::CiphertextMessageTooShort(0)),
            Some(&IDENTIFIER) => Ok(Self {
                serialized: Bytes::copy_from_slice(bytes),
            }),
            Some(&other) => Err(ProtocolError::UnrecognizedMessageVersion(other.into())),
        }
    }

    /// The bytes on the wire.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }

    /// Everything after the first byte: what [`DecryptionErrorMessage::extract_from_body`] reads.
    pub fn body(&self) -> &[u8] {
        &self.serialized[1..]
    }
}

impl From<&DecryptionErrorMessage> for PlaintextContent {
    fn from(message: &DecryptionErrorMessage) -> Self {
        let mut serialized = vec![IDENTIFIER];
        serialized.extend(message.to_body());
        Self {
            serialized: serialized.into(),
        }
    }
}

impl fmt::Debug for PlaintextContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaintextContent")
            .field("length", &self.serialized.len())
            .finish()
    }
}
