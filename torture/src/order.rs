//! What the application sets out to send, and to whom.

use sprag::backend::Backend;
use sprag::protocol::message::{DecryptionErrorMessage, PlaintextContent};
use sprag::{
    Account, CiphertextMessageType, Envelope, EnvelopeType, Error, Outgoing, ProtocolAddress,
    Recipient, Sealing, Timestamp,
};

use crate::ledger::PEERS;
use crate::peer::{MEMBER, address, device};
use crate::post::{self, Way};
use crate::service::{certify, trust};
use crate::story::{NAME, PEER};

/// Whom something goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// One peer, in some way.
    Peer(usize, Way),
    /// All of them, which are devices of one name, in one commit.
    All,
    /// One peer, who is asked to send something again: a sealed request in place of a text.
    Again(usize),
}

/// A text that is to be sent, each text in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// To whom.
    pub to: To,
    /// What. A number at its end is all that a request can say.
    pub text: String,
    /// Whether it has a key, so that it is sent only once however often it is tried.
    pub keyed: bool,
}

impl Order {
    /// How many read it.
    pub fn readers(&self) -> usize {
        match self.to {
            To::All => PEERS,
            To::Peer(..) | To::Again(_) => 1,
        }
    }

    /// Carries it out.
    ///
    /// # Errors
    /// What the account reports.
    pub async fn send<B: Backend>(&self, from: &Account<B>) -> Result<Vec<Envelope>, Error> {
        let mut text = Outgoing::new(self.text.as_bytes());
        if self.keyed {
            text = text.key(self.text.as_bytes());
        }
        let envelope = match self.to {
            To::All => return from.send_to_all(PEER, text).await,
            To::Peer(peer, way) => post::write(from, &of(peer), way, text).await,
            To::Again(peer) => self.ask(from, &of(peer)).await,
        };
        Ok(vec![envelope?])
    }

    async fn ask<B: Backend>(
        &self,
        from: &Account<B>,
        to: &ProtocolAddress,
    ) -> Result<Envelope, Error> {
        let number = self.text.rsplit(' ').next().and_then(|it| it.parse().ok());
        let number = Timestamp::from_millis(number.expect("a number at the end"));
        // About a message of a group, which tells nothing else.
        let kind = EnvelopeType::SenderKey as u8;
        let request = DecryptionErrorMessage::for_original(&[], kind, number, 1)?;
        let certificate = certify(from).await?;
        let (sealing, request) = (Sealing::new(&certificate), PlaintextContent::from(&request));
        from.send_retry_request_sealed(to, sealing, &request).await
    }
}

/// The peer that an envelope of an order is for.
///
/// # Panics
/// If it is for nobody among them.
pub fn reader_of(envelope: &Envelope) -> usize {
    let mut peers = 0..PEERS;
    match envelope.recipient {
        Recipient::Group(_) => MEMBER,
        _ => peers
            .find(|peer| envelope.recipient == (&of(*peer)).into())
            .expect("nobody else"),
    }
}

/// Lets a peer read an envelope of an order, and gives the text.
///
/// # Errors
/// What the account reports.
pub async fn text_of<B: Backend>(to: &Account<B>, envelope: &Envelope) -> Result<String, Error> {
    if let Some(number) = asked_for(to, envelope).await? {
        return Ok(format!("text {}", number.as_millis()));
    }
    let delivery = post::read(to, &address(NAME), envelope).await?;
    to.done(delivery.id).await?;
    Ok(String::from_utf8_lossy(&delivery.plaintext).into_owned())
}

/// What a request says, if the envelope holds one.
async fn asked_for<B: Backend>(
    to: &Account<B>,
    envelope: &Envelope,
) -> Result<Option<Timestamp>, Error> {
    if envelope.message_type != EnvelopeType::Sealed {
        return Ok(None);
    }
    let bytes = post::part_of(to.address(), envelope);
    let content = to.open_sealed(&bytes, trust()).await?.content;
    if content.message_type() != CiphertextMessageType::Plaintext {
        return Ok(None);
    }
    let content = PlaintextContent::deserialize(content.contents())?;
    let request = DecryptionErrorMessage::extract_from_body(content.body())?;
    Ok(Some(request.timestamp()))
}

/// The address of a peer.
fn of(peer: usize) -> ProtocolAddress {
    device(PEER, peer as u32 + 1)
}
