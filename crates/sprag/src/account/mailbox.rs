//! Sending and receiving, with hand-over under a stable id.
//!
//! The envelope or plaintext is kept by the same commit as the ratchet step that it came from, until the
//! application says that it has it. So a crash, a cancelled future or a timeout costs nothing: the same
//! bytes are there under the same id. Nothing is encrypted twice, and nothing is lost.

use std::fmt;

use bytes::Bytes;
use sprag_core::{
    address::ProtocolAddress,
    message::{CiphertextMessage, CiphertextMessageType},
    time::Timestamp,
};

use super::{Account, InboxId, OutboxId};
use crate::{
    Error, PreKeyStores, SessionCipher, Transaction,
    backend::{Backend, Kind},
    durable::{
        names::Name,
        value::{Parcel, Value},
    },
};

/// An encrypted message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Under which it waits in the outbox.
    pub id: OutboxId,
    /// Who it is for.
    pub recipient: ProtocolAddress,
    /// When it was encrypted.
    pub created: Timestamp,
    /// What travels beside the bytes.
    pub message_type: CiphertextMessageType,
    /// What to send.
    pub bytes: Bytes,
}

/// A decrypted message.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Under which it waits in the inbox.
    pub id: InboxId,
    /// Who it is from.
    pub sender: ProtocolAddress,
    /// When it was decrypted.
    pub received: Timestamp,
    /// What was sent.
    pub plaintext: Bytes,
}

/// Prints the length of the plaintext only.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("sender", &self.sender)
            .field("received", &self.received)
            .field("plaintext", &format_args!("{} bytes", self.plaintext.len()))
            .finish()
    }
}

impl<B: Backend> Account<B> {
    /// Encrypts for `recipient`. The envelope is in the outbox when it is returned; hand it to your
    /// transport, and tell when it was [sent](Self::sent).
    ///
    /// If this fails with `outcome-unknown` or is cancelled, look into the outbox before you send the same
    /// again: the envelope may be there.
    ///
    /// # Errors
    /// `no-session`: [start one](Self::start_session). `untrusted-identity`: the identity in the
    /// session is no longer the approved one. Otherwise what the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn send(
        &self,
        recipient: &ProtocolAddress,
        plaintext: &[u8],
    ) -> Result<Envelope, Error> {
        let _turn = self.turn(recipient).await;
        self.run(|tx| async move {
            let mut rng = tx.rng()?;
            let id = OutboxId::random(&mut rng);
            tx.presume_absent(Name::Outbox(id));
            let names = [
                Name::Session(recipient),
                Name::Identity(recipient),
                Name::Outbox(id),
            ];
            tx.prefetch("load_session", &names).await?;
            let created = tx.now();
            let message = SessionCipher::new(&tx, &tx, &self.address, recipient)
                .encrypt(plaintext, created, &mut rng)
                .await?;
            let parcel = Parcel {
                created,
                peer: recipient.clone(),
                message_type: message.message_type(),
                bytes: Bytes::copy_from_slice(message.serialized()),
            };
            let envelope = Envelope::new(id, &parcel);
            let parcel = Value::Outbox(parcel);
            tx.put("store_envelope", Name::Outbox(id), parcel).await?;
            Ok(envelope)
        })
        .await
    }

    /// Decrypts a message from `sender`. The plaintext is in the inbox when it is returned; tell when you
    /// are [done](Self::done) with it.
    ///
    /// The same envelope given again while its plaintext is in the inbox returns the same delivery; later
    /// it is a `duplicate-message`. A first message uses up its one-time pre-keys in the same commit.
    ///
    /// # Errors
    /// `duplicate-message`: drop it. `no-session`, `invalid-message` and others of
    /// [`Error::Protocol`]: it cannot be decrypted. `untrusted-identity`: the sender's identity has
    /// changed; give the message again once the user has [approved](Self::approve_identity) it. Otherwise
    /// what the storage reports; give the message again.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn receive(
        &self,
        sender: &ProtocolAddress,
        message_type: CiphertextMessageType,
        bytes: &[u8],
    ) -> Result<Delivery, Error> {
        let message = CiphertextMessage::deserialize(message_type, bytes)?;
        let names = &self.store.header().names;
        let id = names.envelope(&self.id, sender, message_type as u8, bytes);
        let message = &message;
        let _turn = self.turn(sender).await;
        self.run(|tx| async move {
            prefetch(&tx, sender, id, message).await?;
            if let Some(delivery) = known_delivery(&tx, id).await? {
                return Ok(delivery);
            }
            let plaintext = SessionCipher::new(&tx, &tx, &self.address, sender)
                .decrypt(message, PreKeyStores::all_in(&tx), &mut tx.rng()?)
                .await?;
            let parcel = Parcel {
                created: tx.now(),
                peer: sender.clone(),
                message_type,
                bytes: plaintext.into(),
            };
            let delivery = Delivery::new(id, &parcel);
            let parcel = Value::Inbox(parcel);
            tx.put("store_plaintext", Name::Inbox(id), parcel).await?;
            Ok(delivery)
        })
        .await
    }

    /// All envelopes that are not known to be sent, oldest first. Send them again: a recipient tells
    /// duplicates.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn outbox_pending(&self) -> Result<Vec<Envelope>, Error> {
        let parcels = self.parcels(Kind::Outbox).await?;
        let envelope = |(id, parcel)| Envelope::new(OutboxId::from_bytes(id), &parcel);
        Ok(parcels.into_iter().map(envelope).collect())
    }

    /// The envelope is on its way: it leaves the outbox for good. Answers whether it was there.
    ///
    /// This waits for no disk. It is durable together with the next commit, when the store is
    /// [closed](crate::DurableStore::close) or dropped, or a moment later (100 milliseconds over SQLite);
    /// a crash before that brings the envelope back, the same bytes under the same id.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn sent(&self, id: OutboxId) -> Result<bool, Error> {
        self.store.acknowledge(&self.id, Name::Outbox(id)).await
    }

    /// All plaintexts that the application is not done with, oldest first.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn inbox_pending(&self) -> Result<Vec<Delivery>, Error> {
        let parcels = self.parcels(Kind::Inbox).await?;
        let delivery = |(id, parcel)| Delivery::new(InboxId::from_bytes(id), &parcel);
        Ok(parcels.into_iter().map(delivery).collect())
    }

    /// The application has the plaintext safe: it leaves the inbox for good. Answers whether it was
    /// there.
    ///
    /// This waits for no disk, like [`sent`](Self::sent): a crash within a moment brings the plaintext
    /// back, under the same id.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn done(&self, id: InboxId) -> Result<bool, Error> {
        self.store.acknowledge(&self.id, Name::Inbox(id)).await
    }

    /// What waits, by time, then by id. Parcels that come or go while the pages are read may be missed
    /// or seen.
    async fn parcels(&self, kind: Kind) -> Result<Vec<([u8; 16], Parcel)>, Error> {
        let mut parcels = Vec::new();
        let each = |name: &[u8], payload| {
            let id = name.try_into().ok()?;
            parcels.push((id, Parcel::decode(payload)?));
            Some(())
        };
        self.store.scan(&self.id, kind, each).await?;
        parcels.sort_by_key(|(id, parcel)| (parcel.created, *id));
        Ok(parcels)
    }
}

impl Envelope {
    fn new(id: OutboxId, parcel: &Parcel) -> Self {
        Self {
            id,
            recipient: parcel.peer.clone(),
            created: parcel.created,
            message_type: parcel.message_type,
            bytes: parcel.bytes.clone(),
        }
    }
}

impl Delivery {
    fn new(id: InboxId, parcel: &Parcel) -> Self {
        Self {
            id,
            sender: parcel.peer.clone(),
            received: parcel.created,
            plaintext: parcel.bytes.clone(),
        }
    }
}

/// Reads at once what decrypting `message` will ask for.
async fn prefetch<B: Backend>(
    tx: &Transaction<B>,
    sender: &ProtocolAddress,
    id: InboxId,
    message: &CiphertextMessage,
) -> Result<(), Error> {
    tx.presume_absent(Name::Inbox(id));
    let mut names = vec![
        Name::Inbox(id),
        Name::Session(sender),
        Name::Identity(sender),
    ];
    if let CiphertextMessage::PreKey(message) = message {
        let signed_pre_key = message.signed_pre_key_id();
        names.extend([
            Name::Devices(sender.name()),
            Name::SignedPreKey(signed_pre_key),
            Name::Account,
        ]);
        names.extend(message.pre_key_id().map(Name::PreKey));
        names.extend(message.kyber_pre_key_id().map(Name::KyberPreKey));
    }
    Ok(tx.prefetch("load_session", &names).await?)
}

async fn known_delivery<B: Backend>(
    tx: &Transaction<B>,
    id: InboxId,
) -> Result<Option<Delivery>, Error> {
    let known = tx.get("load_plaintext", Name::Inbox(id), |value| match value {
        Some(Value::Inbox(parcel)) => Some(Delivery::new(id, parcel)),
        _ => None,
    });
    Ok(known.await?)
}
