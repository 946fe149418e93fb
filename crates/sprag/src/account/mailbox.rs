//! Sending and receiving, with hand-over under a stable id.
//!
//! The envelope or plaintext is kept by the same commit as the ratchet step that it came from, until the
//! application says that it has it. So a crash, a cancelled future or a timeout costs nothing: the same
//! bytes are there under the same id. Nothing is encrypted twice, and nothing is lost.

use bytes::Bytes;
use rand_core::CryptoRng;
use sprag_core::{ProtocolError, address::ProtocolAddress, message::CiphertextMessage};
use tracing::debug;

use super::{
    Account, Delivery, Envelope, EnvelopeType, InboxId, OutboxId, Outgoing, Tx, peers::Peers,
};
use crate::{
    Error, PreKeyStores, SessionCipher, Transaction,
    backend::{Backend, Kind},
    durable::{
        SecretBytes, Slot,
        names::Name,
        value::{Incoming, Posted, Value},
    },
};

impl<B: Backend> Account<B> {
    /// Encrypts for `recipient`. The envelope is in the outbox when it is returned; hand it to your
    /// transport, and tell when it was [sent](Self::sent).
    ///
    /// If this fails with `outcome-unknown` or is cancelled, look into the outbox before you send the same
    /// again: the envelope may be there. If it is not there when you look, through the same store, it will not come. Or give
    /// the text a [key](Outgoing::key), and just do the same again.
    ///
    /// # Errors
    /// `no-session`: [start one](Self::start_session). `untrusted-identity`: the recipient's identity has
    /// changed, is not the one in the session, or the [policy](crate::IdentityPolicy) asks for more; look at
    /// [what is known](Self::known_identity), and ask the user. `key-reused`: the key was used for a message that is sealed.
    /// `keys-too-old`: do the [upkeep](Self::upkeep) first. Otherwise what the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn send(
        &self,
        recipient: &ProtocolAddress,
        text: impl Into<Outgoing<'_>>,
    ) -> Result<Envelope, Error> {
        let text = text.into();
        let _turn = self.turn(recipient).await;
        self.run(|tx| async move { self.send_in(&tx, recipient, &text, &mut tx.rng()?).await })
            .await
    }

    /// Encrypts for all devices of `name` that there are sessions with, in one commit: all envelopes are in the outbox,
    /// or none. Our own device is left out. The envelopes come in ascending order of the devices.
    ///
    /// With a [key](Outgoing::key) each device is sent to only once, one that came later too.
    ///
    /// # Errors
    /// As for [`send`](Self::send), for the first device that it cannot be done for; `no-session` if there is none at all.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn send_to_all(
        &self,
        name: &str,
        text: impl Into<Outgoing<'_>>,
    ) -> Result<Vec<Envelope>, Error> {
        let text = text.into();
        // In ascending order: whoever takes several turns takes them like this.
        let mut turns = Vec::new();
        for device in self.devices(name).await? {
            turns.push(self.turn(&device).await);
        }
        self.run(|tx| async move {
            let mut rng = tx.rng()?;
            let devices = self.devices_in(&tx, name).await?;
            let mut envelopes = Vec::with_capacity(devices.len());
            for device in devices.iter().filter(|device| **device != self.address) {
                envelopes.push(self.send_in(&tx, device, &text, &mut rng).await?);
            }
            if envelopes.is_empty() {
                return Err(ProtocolError::SessionNotFound(None).into());
            }
            Ok(envelopes)
        })
        .await
    }

    async fn send_in(
        &self,
        tx: &Transaction<B>,
        recipient: &ProtocolAddress,
        text: &Outgoing<'_>,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Envelope, Error> {
        let to = recipient.into();
        let id = self.outbox_id(text, &to, rng);
        tx.presume_absent(Name::Outbox(id));
        let names = [
            Name::Session(recipient),
            self.identity_name(recipient),
            Name::Account,
            Name::Outbox(id),
        ];
        tx.prefetch("load_session", &names).await?;
        if let Some(envelope) = self.posted_before(tx, id, false).await? {
            return Ok(envelope);
        }
        self.require_current_keys().await?;
        let peers = Peers::new(tx);
        let message = SessionCipher::new(tx, &peers, &self.address, recipient)
            .encrypt(text.plaintext, tx.now(), rng)
            .await?;
        let bytes = Bytes::copy_from_slice(message.serialized());
        let message_type = message.message_type().into();
        self.post(tx, id, text, to, message_type, bytes).await
    }

    /// Decrypts a message from `sender`. The plaintext is in the inbox when it is returned; tell when you
    /// are [done](Self::done) with it.
    ///
    /// If the sender's identity has changed, the message is delivered and [says so](Delivery::changed_identity). Nothing
    /// is sent to the sender then until the user has [approved](Self::approve_identity) that, and sessions with the
    /// sender's other devices are put aside.
    ///
    /// The same envelope given again while its plaintext is in the inbox returns the same delivery; later
    /// it is a `duplicate-message`. A first message uses up its one-time pre-keys in the same commit.
    ///
    /// # Errors
    /// `duplicate-message`: drop it. `no-session`, `invalid-message` and others of
    /// [`Error::Protocol`]: it cannot be decrypted. `untrusted-identity`: somebody uses our own name with another
    /// identity; drop it. Otherwise what the storage reports; give the message again.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn receive(
        &self,
        sender: &ProtocolAddress,
        message_type: EnvelopeType,
        bytes: &[u8],
    ) -> Result<Delivery, Error> {
        let message = CiphertextMessage::deserialize(message_type.in_session()?, bytes)?;
        let names = &self.store.header().names;
        let id = names.envelope(&self.id, sender, message_type as u8, bytes);
        let message = &message;
        let _turn = self.turn(sender).await;
        let step = |tx: Tx<B>| async move {
            self.prefetch(&tx, sender, id, message).await?;
            if let Some(delivery) = known_delivery(&tx, id).await? {
                return Ok(delivery);
            }
            let peers = Peers::new(&tx);
            let plaintext = SessionCipher::new(&tx, &peers, &self.address, sender)
                .decrypt(message, PreKeyStores::all_in(&tx), &mut tx.rng()?)
                .await?;
            let incoming = Incoming {
                changed_identity: peers.changed(),
                ..incoming(&tx, sender, plaintext)
            };
            if incoming.changed_identity.is_some() {
                self.identity_changed(&tx, sender).await?;
            }
            deliver(&tx, id, incoming).await
        };
        let received = self.run(step).await;
        self.report_refusal(sender, &received);
        if message_type == EnvelopeType::PreKey && received.is_ok() {
            self.hints.keys_were_used();
        }
        received
    }

    /// Reads at once what decrypting `message` will ask for.
    async fn prefetch(
        &self,
        tx: &Transaction<B>,
        sender: &ProtocolAddress,
        id: InboxId,
        message: &CiphertextMessage,
    ) -> Result<(), Error> {
        tx.presume_absent(Name::Inbox(id));
        let mut names = vec![
            Name::Inbox(id),
            Name::Session(sender),
            self.identity_name(sender),
            Name::Account,
        ];
        if let CiphertextMessage::PreKey(message) = message {
            let signed_pre_key = message.signed_pre_key_id();
            names.extend([
                Name::Devices(sender.name()),
                Name::SignedPreKey(signed_pre_key),
            ]);
            names.extend(message.pre_key_id().map(Name::PreKey));
            names.extend(message.kyber_pre_key_id().map(Name::KyberPreKey));
        }
        Ok(tx.prefetch("load_session", &names).await?)
    }

    /// All envelopes that are not known to be sent, oldest first. Send them again: a recipient tells
    /// duplicates.
    ///
    /// A damaged one is left out, which an [event](crate::Event::DamagedRecord) and the [status](Self::status) tell.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn outbox_pending(&self) -> Result<Vec<Envelope>, Error> {
        let mut pending = Vec::new();
        let each = |name: &[u8], payload| {
            let id = OutboxId::from_bytes(name.try_into().ok()?);
            let posted = Posted::decode(payload)?;
            if posted.sent.is_none() {
                pending.push(Envelope::new(id, &posted));
            }
            Some(())
        };
        self.store.scan(&self.id, Kind::Outbox, each).await?;
        pending.sort_by_key(|envelope| (envelope.created, envelope.id));
        Ok(pending)
    }

    /// The envelope is on its way: it leaves the outbox for good. Answers whether it was there.
    ///
    /// One that has a [key](Outgoing::key) is remembered for a while, but waits no more.
    ///
    /// This waits for no disk where it need not: it is durable together with the next commit, when the store is
    /// [closed](crate::DurableStore::close) or dropped, or a moment later (100 milliseconds over SQLite). A crash before that
    /// brings the envelope back, the same bytes under the same id. Whoever lists the outbox before that waits for the disk.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn sent(&self, id: OutboxId) -> Result<bool, Error> {
        if self.store.delete_soon(&self.id, Name::Outbox(id)).await? {
            return Ok(true);
        }
        let (was_there, remembered) = self
            .run(|tx| async move {
                let now = tx.now();
                let acknowledge = |slot: &mut Slot| match slot.value() {
                    Some(Value::Outbox(posted)) if posted.kept_for.is_none() => {
                        slot.remove();
                        (true, false)
                    }
                    Some(Value::Outbox(posted)) if posted.sent.is_none() => {
                        let sent = Some(now);
                        let posted = posted.clone();
                        slot.put(Value::Outbox(Posted { sent, ..posted }));
                        (true, true)
                    }
                    _ => (false, false),
                };
                let acknowledged = tx.update("acknowledge", Name::Outbox(id), acknowledge);
                Ok(acknowledged.await?)
            })
            .await?;
        if remembered && let Err(error) = self.sweep_outbox().await {
            // What was asked for is done; the next sweep comes.
            debug!(code = error.code(), "the outbox could not be swept");
        }
        Ok(was_there)
    }

    /// All plaintexts that the application is not done with, oldest first.
    ///
    /// A damaged one is left out, which an [event](crate::Event::DamagedRecord) and the [status](Self::status) tell.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn inbox_pending(&self) -> Result<Vec<Delivery>, Error> {
        let mut pending = Vec::new();
        let each = |name: &[u8], payload| {
            let id = InboxId::from_bytes(name.try_into().ok()?);
            pending.push(Delivery::new(id, &Incoming::decode(payload)?));
            Some(())
        };
        self.store.scan(&self.id, Kind::Inbox, each).await?;
        pending.sort_by_key(|delivery| (delivery.received, delivery.id));
        Ok(pending)
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
        if self.store.delete_soon(&self.id, Name::Inbox(id)).await? {
            return Ok(true);
        }
        self.run(|tx| async move { Ok(tx.remove("acknowledge", Name::Inbox(id)).await?) })
            .await
    }
}

pub(super) async fn known_delivery<B: Backend>(
    tx: &Transaction<B>,
    id: InboxId,
) -> Result<Option<Delivery>, Error> {
    let known = tx.get("load_plaintext", Name::Inbox(id), |value| match value {
        Some(Value::Inbox(incoming)) => Some(Delivery::new(id, incoming)),
        _ => None,
    });
    Ok(known.await?)
}

/// A plaintext that was decrypted now.
pub(super) fn incoming<B: Backend>(
    tx: &Transaction<B>,
    sender: &ProtocolAddress,
    plaintext: Vec<u8>,
) -> Incoming {
    Incoming {
        received: tx.now(),
        sender: sender.clone(),
        group: None,
        changed_identity: None,
        plaintext: Bytes::from_owner(SecretBytes::from(plaintext)),
    }
}

/// Puts the plaintext into the inbox.
pub(super) async fn deliver<B: Backend>(
    tx: &Transaction<B>,
    id: InboxId,
    incoming: Incoming,
) -> Result<Delivery, Error> {
    let delivery = Delivery::new(id, &incoming);
    let incoming = Value::Inbox(incoming);
    tx.put("store_plaintext", Name::Inbox(id), incoming).await?;
    Ok(delivery)
}
