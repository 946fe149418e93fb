//! Sealed sender: messages that do not tell the server who sends them. Source: sheet 07.
//!
//! ```text
//! trust root ──signs──> ServerCertificate ──signs──> SenderCertificate (who sends, until when)
//! message + SenderCertificate + hints = content ──sealed──> what travels
//! ```
//!
//! [`seal_v1`] seals for one recipient, [`SealedContent`] (version 2) also for many at once: the server cuts such
//! a message with [`SealedSenderMultiRecipientMessage`]. [`open`] opens either version.
//!
//! **Opening proves only that the sealer holds the certificate's private key.** Whether somebody whom we trust issued the
//! certificate is another question, which [`UnidentifiedSenderMessageContent::validate`] answers: nothing of a
//! content may be believed before that.

mod content;
mod known;
mod many;
mod sender_certificate;
mod sent;
mod server_certificate;
mod v1;
mod v2;

pub use content::{ContentHint, OwnIds, UnidentifiedSenderMessageContent};
pub use many::{RecipientDevice, SealedRecipient};
pub use sender_certificate::{SenderCertificate, SenderDetails};
pub use sent::{Receiver, SealedSenderMultiRecipientMessage};
pub use server_certificate::ServerCertificate;
pub use v1::seal as seal_v1;
pub use v2::SealedContent;

use crate::{error::ProtocolError, identity::IdentityKeyPair, stack};

/// First byte of a version 1 message. High nibble: the oldest version that can read it; low nibble: the writer's.
const VERSION_1: u8 = 0x11;
/// First byte of a version 2 message to one recipient, and of old messages to several.
const VERSION_2: u8 = 0x22;
/// First byte of a version 2 message to several recipients.
const VERSION_2_SENT: u8 = 0x23;

/// Opens a sealed message of either version that was made for `recipient`.
///
/// [Validate](UnidentifiedSenderMessageContent::validate) the content before you believe anything in it.
///
/// # Errors
/// [`ProtocolError::InvalidSealedSenderMessage`]: it is damaged, or for somebody else;
/// [`ProtocolError::UnknownSealedSenderVersion`]; [`ProtocolError::InvalidProtobufEncoding`] or
/// [`ProtocolError::Key`] for parts that cannot be parsed, the latter also for an agreement that gives zero.
pub fn open(
    sealed: &[u8],
    recipient: &IdentityKeyPair,
) -> Result<UnidentifiedSenderMessageContent, ProtocolError> {
    let (version, body) = sealed.split_first().ok_or(EMPTY)?;
    stack::erasing(|| match version >> 4 {
        0 | 1 => v1::open(body, recipient),
        2 => v2::open(body, recipient),
        version => Err(ProtocolError::UnknownSealedSenderVersion(version)),
    })
}

const EMPTY: ProtocolError = invalid("the message is empty");

const fn invalid(reason: &'static str) -> ProtocolError {
    ProtocolError::InvalidSealedSenderMessage(reason)
}
