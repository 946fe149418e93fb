//! The ways that a text can take from one account to another, and how it is read at their end.

use std::borrow::Cow;
use std::slice;

use sprag::backend::Backend;
use sprag::protocol::sealed_sender::SealedSenderMultiRecipientMessage;
use sprag::{
    Account, Delivery, Envelope, EnvelopeType, Error, Outgoing, ProtocolAddress, Recipient,
    Sealing, Uuid,
};

use crate::service::{certify, trust};

/// How a text travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In the session.
    Session,
    /// In the session, and sealed.
    Sealed,
    /// As a message to the group.
    Group,
    /// As a message to the group, and sealed.
    SealedGroup,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Session, Self::Sealed, Self::Group, Self::SealedGroup];

    /// Those that take nothing but a session.
    pub const IN_SESSION: [Self; 2] = [Self::Session, Self::Sealed];

    /// Those that take a sender key.
    pub const IN_GROUP: [Self; 2] = [Self::Group, Self::SealedGroup];
}

/// The group that everybody writes to.
pub fn group() -> Uuid {
    Uuid::from_bytes([7; 16])
}

/// Encrypts a text.
///
/// # Errors
/// What the account reports.
pub async fn write<B: Backend>(
    from: &Account<B>,
    to: &ProtocolAddress,
    way: Way,
    text: impl Into<Outgoing<'_>>,
) -> Result<Envelope, Error> {
    match way {
        Way::Session => from.send(to, text).await,
        Way::Sealed => {
            let certificate = certify(from).await?;
            from.send_sealed(to, Sealing::new(&certificate), text).await
        }
        Way::Group => from.group_send(group(), text).await,
        Way::SealedGroup => {
            let certificate = certify(from).await?;
            let (to, sealing) = (slice::from_ref(to), Sealing::new(&certificate));
            from.group_send_sealed(group(), to, &[], sealing, text)
                .await
        }
    }
}

/// Reads an envelope, whichever way it came.
///
/// # Errors
/// What the account reports.
///
/// # Panics
/// If it is taken for somebody else's.
pub async fn read<B: Backend>(
    to: &Account<B>,
    from: &ProtocolAddress,
    envelope: &Envelope,
) -> Result<Delivery, Error> {
    let bytes = part_of(to.address(), envelope);
    let delivery = match envelope.message_type {
        EnvelopeType::SenderKey => to.group_receive(from, &bytes).await,
        EnvelopeType::Sealed => to.receive_sealed(&bytes, trust()).await,
        kind => to.receive(from, kind, &bytes).await,
    }?;
    assert_eq!(&delivery.sender, from);
    Ok(delivery)
}

/// What a device gets of an envelope: the server cuts what is sealed for many.
///
/// # Panics
/// If the envelope is not for that device.
pub fn part_of<'a>(device: &ProtocolAddress, envelope: &'a Envelope) -> Cow<'a, [u8]> {
    match (&envelope.recipient, envelope.message_type) {
        (Recipient::Group(_), EnvelopeType::Sealed) => {
            let sent = SealedSenderMultiRecipientMessage::parse(&envelope.bytes).unwrap();
            let part = sent.message_for_recipient(&device.service_id().unwrap());
            part.expect("the message names the device").into()
        }
        _ => Cow::Borrowed(&envelope.bytes),
    }
}
