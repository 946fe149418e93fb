//! Groups: sender keys, and messages that are encrypted once for all members. Source: sheet 06.
//!
//! Mailboxes serve groups as they do sessions: the envelope or plaintext is kept by the same commit as the
//! step of the sender key.

use bytes::Bytes;
use sprag_core::{
    address::ProtocolAddress,
    message::{SenderKeyDistributionMessage, SenderKeyMessage},
};
use uuid::Uuid;

use super::{
    Account, Delivery, Envelope, EnvelopeType, Outgoing, Recipient,
    mailbox::{deliver, incoming, known_delivery},
};
use crate::{
    Error, GroupCipher,
    backend::Backend,
    durable::{Turn, names::Name, value::Incoming},
};

impl<B: Backend> Account<B> {
    /// Our sender key for a new member of the group `distribution_id`: with it all later messages can be read,
    /// none before. The first call makes the key; others repeat it as it is by then.
    ///
    /// It is secret: [send](Self::send) it in the session with each member. [`GroupCipher`] tells what groups
    /// can and cannot do.
    ///
    /// # Errors
    /// `invalid-sender-key` if the stored key is damaged; otherwise what the storage reports.
    ///
    /// ```
    /// use sprag::{
    ///     Account, DurableStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault,
    ///     protocol::message::SenderKeyDistributionMessage,
    /// };
    ///
    /// # async fn example() -> Result<(), sprag::Error> {
    /// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
    /// # let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
    /// # let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
    /// # alice.start_session(bob.address(), &bob.bundle().await?).await?;
    /// let friends = uuid::uuid!("d1d1d1d1-7000-11eb-b32a-33b8a8a487a6");
    ///
    /// // Alice hands her sender key to each member, in the session with it.
    /// let key = alice.group_distribute(friends).await?;
    /// let envelope = alice.send(bob.address(), key.serialized()).await?;
    ///
    /// let delivery = bob.receive(alice.address(), envelope.message_type, &envelope.bytes).await?;
    /// let key = SenderKeyDistributionMessage::deserialize(&delivery.plaintext)?;
    /// bob.group_join(&delivery.sender, &key).await?;
    /// bob.done(delivery.id).await?;
    ///
    /// // One envelope for all of them.
    /// let envelope = alice.group_send(friends, "hello, all").await?;
    /// let delivery = bob.group_receive(alice.address(), &envelope.bytes).await?;
    /// assert_eq!(delivery.plaintext, "hello, all");
    /// assert_eq!(delivery.group, Some(friends));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub async fn group_distribute(
        &self,
        distribution_id: Uuid,
    ) -> Result<SenderKeyDistributionMessage, Error> {
        let _turn = self.group_turn(&self.address, distribution_id).await;
        self.run(|tx| async move {
            let cipher = GroupCipher::new(&tx, &self.address);
            let mut rng = tx.rng()?;
            cipher
                .create_distribution_message(distribution_id, &mut rng)
                .await
        })
        .await
    }

    /// Replaces our sender key of the group, as every member must when another one leaves: whoever does not
    /// get the new key cannot read what we send from now on. [Send](Self::send) it to those that stay.
    ///
    /// # Errors
    /// What the storage reports. After `outcome-unknown` the key may have been replaced: renew it again, or
    /// [distribute](Self::group_distribute) the one that is there.
    pub async fn group_renew(
        &self,
        distribution_id: Uuid,
    ) -> Result<SenderKeyDistributionMessage, Error> {
        let _turn = self.group_turn(&self.address, distribution_id).await;
        self.run(|tx| async move {
            let cipher = GroupCipher::new(&tx, &self.address);
            cipher.renew(distribution_id, &mut tx.rng()?).await
        })
        .await
    }

    /// Takes the sender key of `sender`, so that its messages to the group can be
    /// [received](Self::group_receive). Take it only from the session with `sender`: nothing in the message says
    /// who made it. A key that is known already stays as it is.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn group_join(
        &self,
        sender: &ProtocolAddress,
        message: &SenderKeyDistributionMessage,
    ) -> Result<(), Error> {
        let _turn = self.group_turn(sender, message.distribution_id()).await;
        self.run(|tx| async move {
            let cipher = GroupCipher::new(&tx, &self.address);
            cipher.process_distribution_message(sender, message).await
        })
        .await
    }

    /// Encrypts for all who have our sender key of the group. The envelope is in the outbox when it is
    /// returned; hand it to your transport for every member, and tell when it was [sent](Self::sent).
    ///
    /// As with [`send`](Self::send): if this fails with `outcome-unknown` or is cancelled, look into the outbox
    /// before you send the same again, or give the text a [key](Outgoing::key).
    ///
    /// # Errors
    /// `no-sender-key`: [distribute](Self::group_distribute) one. `sender-key-used-up`, after four billion
    /// messages: [renew](Self::group_renew) it. `key-reused`: the key was used for a message that is sealed. `keys-too-old`: do the
    /// [upkeep](Self::upkeep) first. Otherwise what the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn group_send(
        &self,
        distribution_id: Uuid,
        text: impl Into<Outgoing<'_>>,
    ) -> Result<Envelope, Error> {
        let text = &text.into();
        let _turn = self.group_turn(&self.address, distribution_id).await;
        self.run(|tx| async move {
            let mut rng = tx.rng()?;
            let to = Recipient::Group(distribution_id);
            let id = self.outbox_id(text, &to, &mut rng);
            tx.presume_absent(Name::Outbox(id));
            let names = [
                Name::SenderKey(&self.address, distribution_id),
                Name::Outbox(id),
            ];
            tx.prefetch("load_sender_key", &names).await?;
            if let Some(envelope) = self.posted_before(&tx, id, false).await? {
                return Ok(envelope);
            }
            self.require_current_keys().await?;
            let message = GroupCipher::new(&tx, &self.address)
                .encrypt(distribution_id, text.plaintext, &mut rng)
                .await?;
            let bytes = Bytes::copy_from_slice(message.serialized());
            self.post(&tx, id, text, to, EnvelopeType::SenderKey, bytes)
                .await
        })
        .await
    }

    /// Decrypts a message of `sender` to a group that it [gave its key](Self::group_join) for. The plaintext is
    /// in the inbox when it is returned; tell when you are [done](Self::done) with it.
    ///
    /// The same bytes given again while their plaintext is in the inbox return the same delivery; later they
    /// are a `duplicate-message`.
    ///
    /// # Errors
    /// `no-sender-key`: ask `sender` to distribute its key. `duplicate-message`, also for what was sent before
    /// the key was handed to us: drop it. `invalid-signature`: it is forged or damaged. `invalid-message` and
    /// others of [`Error::Protocol`]: it cannot be decrypted. Otherwise what the storage reports; give the
    /// message again.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn group_receive(
        &self,
        sender: &ProtocolAddress,
        bytes: &[u8],
    ) -> Result<Delivery, Error> {
        let message = &SenderKeyMessage::deserialize(bytes)?;
        let group = message.distribution_id();
        let names = &self.store.header().names;
        let id = names.envelope(&self.id, sender, EnvelopeType::SenderKey as u8, bytes);
        let _turn = self.group_turn(sender, group).await;
        self.run(|tx| async move {
            tx.presume_absent(Name::Inbox(id));
            let names = [Name::Inbox(id), Name::SenderKey(sender, group)];
            tx.prefetch("load_sender_key", &names).await?;
            if let Some(delivery) = known_delivery(&tx, id).await? {
                return Ok(delivery);
            }
            let plaintext = GroupCipher::new(&tx, &self.address)
                .decrypt(sender, message)
                .await?;
            let incoming = Incoming {
                group: Some(group),
                ..incoming(&tx, sender, plaintext)
            };
            deliver(&tx, id, incoming).await
        })
        .await
    }

    /// Waits for our turn with the key of `sender`.
    pub(super) async fn group_turn(&self, sender: &ProtocolAddress, group: Uuid) -> Turn<'_> {
        let name = Name::SenderKey(sender, group);
        self.store.turn(&self.id, name).await
    }
}
