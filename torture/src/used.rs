//! Which keys were used, seen from outside: from what travels.

use sprag::backend::Backend;
use sprag::protocol::message::SignalMessage;
use sprag::{Account, CiphertextMessage, CiphertextMessageType, Envelope, EnvelopeType};

use crate::post::part_of;
use crate::service::trust;

/// What no two envelopes of one sender may have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Ratchet key and counter.
    Message(Vec<u8>, u32),
    /// Chain and iteration of a sender key.
    SenderKey(u32, u32),
}

/// The key of an envelope, which its recipient opens if it is sealed.
///
/// # Panics
/// If it is none that the recipient could read.
pub async fn key_of<B: Backend>(envelope: &Envelope, to: &Account<B>) -> Key {
    let bytes = part_of(to.address(), envelope);
    let (kind, message) = match envelope.message_type {
        EnvelopeType::Sealed => {
            let opened = to.open_sealed(&bytes, trust()).await.unwrap();
            let content = opened.content;
            (content.message_type(), content.contents().to_vec())
        }
        kind => {
            let kind = CiphertextMessageType::from_number(kind as u8).unwrap();
            (kind, bytes.to_vec())
        }
    };
    let of_session = |message: &SignalMessage| {
        let ratchet_key = message.ratchet_key().serialize();
        Key::Message(ratchet_key.to_vec(), message.counter())
    };
    match CiphertextMessage::deserialize(kind, &message).unwrap() {
        CiphertextMessage::PreKey(message) => of_session(message.message()),
        CiphertextMessage::Signal(message) => of_session(&message),
        CiphertextMessage::SenderKey(message) => {
            Key::SenderKey(message.chain_id(), message.iteration())
        }
        _ => panic!("it is not encrypted"),
    }
}
