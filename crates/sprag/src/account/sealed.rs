//! Sending and receiving without telling the server who sends. Source: sheet 07 section 8.
//!
//! The mailboxes are those of all messages: what holds of them holds of sealed ones.

use std::fmt;

use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    message::{CiphertextMessage, CiphertextMessageType, PlaintextContent},
    sealed_sender::{
        self, OwnIds, SealedRecipient, SenderCertificate, UnidentifiedSenderMessageContent,
    },
    service_id::ServiceId,
};
use uuid::Uuid;

use super::{
    Account, Delivery, Envelope, EnvelopeType, OutboxId, Outgoing, Recipient, peers::Peers,
};
use crate::{
    Error, GroupCipher, SealedSessionCipher, SealedTrust, Sealing, Transaction, backend::Backend,
    durable::names::Name, sealed_session_cipher::seal_for_accounts,
};

/// A sealed message that was opened and whose sender is believed; what is in it is not decrypted.
#[non_exhaustive]
pub struct Opened {
    /// Who sent it.
    pub sender: ProtocolAddress,
    /// What was sealed: the message, and hints on what to do if it cannot be decrypted.
    pub content: UnidentifiedSenderMessageContent,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("sender", &self.sender)
            .field("content", &self.content)
            .finish()
    }
}

impl<B: Backend> Account<B> {
    /// Encrypts for `recipient` like [`send`](Self::send), and seals the message: transmit it without telling the server who
    /// sends it.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). `invalid-argument`: the certificate names another address or identity than ours,
    /// or has expired, so that the recipient would refuse the message; get a new one. `key-reused`: the key was used
    /// for a message that is not sealed.
    ///
    /// ```
    /// use sprag::{Account, DurableStore, EnvelopeType, ProtocolAddress, SealedTrust, Sealing, backend::MemoryBackend, vault::MemoryVault};
    /// # use sprag::{Timestamp, protocol::{curve::KeyPair, sealed_sender::{SenderCertificate, SenderDetails, ServerCertificate}}};
    ///
    /// # async fn example() -> Result<(), sprag::Error> {
    /// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
    /// # let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
    /// # let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
    /// # alice.start_session(bob.address(), &bob.bundle().await?).await?;
    /// # let mut rng = rand_core::UnwrapErr(rand::rngs::SysRng);
    /// # let (root, server_key) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    /// # let server = ServerCertificate::issue(1, server_key.public_key, &root.private_key, &mut rng);
    /// # let details = SenderDetails {
    /// #     uuid: "alice", e164: None, device_id: alice.address().device_id(), identity_key: alice.identity_key().await?,
    /// #     expiration: Timestamp::from_millis(u64::MAX),
    /// # };
    /// # let certificate = SenderCertificate::issue(details, &server, &server_key.private_key, &mut rng);
    /// # let trust_root = root.public_key;
    /// // The service has given Alice a certificate.
    /// let envelope = alice.send_sealed(bob.address(), Sealing::new(&certificate), b"hello").await?;
    /// assert_eq!(envelope.message_type, EnvelopeType::Sealed);
    /// alice.sent(envelope.id).await?;
    ///
    /// // Bob knows the service's root, and learns from the certificate who sent it.
    /// let roots = [trust_root];
    /// let delivery = bob.receive_sealed(&envelope.bytes, SealedTrust::new(&roots)).await?;
    /// assert_eq!(&delivery.sender, alice.address());
    /// assert_eq!(delivery.plaintext, "hello");
    /// bob.done(delivery.id).await?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn send_sealed(
        &self,
        recipient: &ProtocolAddress,
        sealing: Sealing<'_>,
        text: impl Into<Outgoing<'_>>,
    ) -> Result<Envelope, Error> {
        let text = text.into();
        let _turn = self.turn(recipient).await;
        self.run(|tx| async move {
            let mut rng = tx.rng()?;
            let to = recipient.into();
            let id = self.outbox_id(&text, &to, &mut rng);
            tx.presume_absent(Name::Outbox(id));
            let names = [
                Name::Session(recipient),
                self.identity_name(recipient),
                Name::Account,
                Name::Outbox(id),
            ];
            tx.prefetch("load_session", &names).await?;
            if let Some(envelope) = self.posted_before(&tx, id, true).await? {
                return Ok(envelope);
            }
            self.require_current_keys().await?;
            self.require_ours(&tx, sealing.certificate).await?;
            let peers = Peers::new(&tx);
            let sealed = SealedSessionCipher::new(&tx, &peers, &self.address)
                .encrypt(recipient, text.plaintext, sealing, tx.now(), &mut rng)
                .await?;
            let message_type = EnvelopeType::Sealed;
            self.post(&tx, id, &text, to, message_type, sealed.into())
                .await
        })
        .await
    }

    /// Encrypts for a group like [`group_send`](Self::group_send), and seals the message for `recipients`: the devices of its
    /// members, with each of which there must be a session. One envelope for all of them, to be cut by the server.
    ///
    /// Who is `excluded` is named in the message as left out on purpose, such as members that do not have our
    /// sender key yet.
    ///
    /// # Errors
    /// Those of [`group_send`](Self::group_send). `no-session` with the first recipient that has no current one: start
    /// it. `untrusted-identity` with the first that may not be [sent](Self::send) to. `invalid-registration-id`: start a new one. `invalid-argument`: the certificate is not ours or
    /// has expired, as for [`send_sealed`](Self::send_sealed), a recipient's name is no service id, or somebody is
    /// both a recipient and excluded.
    ///
    /// ```
    /// use sprag::{
    ///     Account, Error, Envelope, ProtocolAddress, Sealing, Uuid, backend::Backend,
    ///     protocol::sealed_sender::{ContentHint, SenderCertificate},
    /// };
    ///
    /// async fn tell_all<B: Backend>(
    ///     alice: &Account<B>,
    ///     group: Uuid,
    ///     members: &[&str],
    ///     certificate: &SenderCertificate,
    /// ) -> Result<Envelope, Error> {
    ///     let mut devices = Vec::new();
    ///     for name in members {
    ///         devices.extend(alice.devices(name).await?);
    ///     }
    ///     let sealing = Sealing { content_hint: ContentHint::RESENDABLE, ..Sealing::new(certificate) };
    ///     alice.group_send_sealed(group, &devices, &[], sealing, "hello, all").await
    /// }
    /// ```
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn group_send_sealed(
        &self,
        distribution_id: Uuid,
        recipients: &[ProtocolAddress],
        excluded: &[ServiceId],
        sealing: Sealing<'_>,
        text: impl Into<Outgoing<'_>>,
    ) -> Result<Envelope, Error> {
        let text = &text.into();
        let recipients = &together(recipients, excluded)?;
        let _turn = self.group_turn(&self.address, distribution_id).await;
        self.run(|tx| async move {
            let mut rng = tx.rng()?;
            let to = Recipient::Group(distribution_id);
            let id = self.outbox_id(text, &to, &mut rng);
            tx.presume_absent(Name::Outbox(id));
            let names = [
                Name::SenderKey(&self.address, distribution_id),
                Name::Account,
                Name::Outbox(id),
            ];
            tx.prefetch("load_sender_key", &names).await?;
            if let Some(envelope) = self.posted_before(&tx, id, true).await? {
                return Ok(envelope);
            }
            self.require_current_keys().await?;
            self.require_ours(&tx, sealing.certificate).await?;
            let recipients = self.sealed_recipients(recipients).await?;
            let message = GroupCipher::new(&tx, &self.address)
                .encrypt(distribution_id, text.plaintext, &mut rng)
                .await?;
            let content = sealing.content(&CiphertextMessage::SenderKey(message));
            let sender = self.own(&tx, |own| own.key_pair.clone()).await?;
            let sealed =
                seal_for_accounts(&content, sender, recipients, excluded, &mut rng).await?;
            let message_type = EnvelopeType::Sealed;
            self.post(&tx, id, text, to, message_type, sealed.into())
                .await
        })
        .await
    }

    /// Seals a retry request for `sender`, whose message could not be decrypted: whoever carries it learns nothing of
    /// the two. What to put into the request, [opening](Self::open_sealed) the message tells.
    ///
    /// # Errors
    /// `no-session`: the identity of `sender` is not known, since there was never a session. `invalid-argument`: the
    /// certificate is not ours or has expired, as for [`send_sealed`](Self::send_sealed). Otherwise what the storage
    /// reports.
    ///
    /// ```
    /// use sprag::{
    ///     Account, Envelope, Error, SealedTrust, Sealing, Timestamp, backend::Backend,
    ///     protocol::message::{DecryptionErrorMessage, PlaintextContent},
    /// };
    ///
    /// /// Asks for a message again that could not be decrypted; when it was sent came beside it.
    /// async fn ask_again<B: Backend>(
    ///     bob: &Account<B>,
    ///     sealed: &[u8],
    ///     sent_at: Timestamp,
    ///     trust: SealedTrust<'_>,
    ///     sealing: Sealing<'_>,
    /// ) -> Result<Envelope, Error> {
    ///     let opened = bob.open_sealed(sealed, trust).await?;
    ///     let (message, device) = (&opened.content, opened.sender.device_id());
    ///     let kind = message.message_type() as u8;
    ///     let request = DecryptionErrorMessage::for_original(message.contents(), kind, sent_at, device.into())?;
    ///     bob.send_retry_request_sealed(&opened.sender, sealing, &PlaintextContent::from(&request)).await
    /// }
    ///
    /// /// What the sender does with it.
    /// async fn take<B: Backend>(alice: &Account<B>, sealed: &[u8], trust: SealedTrust<'_>) -> Result<(), Error> {
    ///     let opened = alice.open_sealed(sealed, trust).await?;
    ///     let content = PlaintextContent::deserialize(opened.content.contents())?;
    ///     let request = DecryptionErrorMessage::extract_from_body(content.body())?;
    ///     let assessment = alice.assess_retry(&opened.sender, &request).await?;
    ///     // ... do what it says ...
    ///     # let _ = assessment;
    ///     Ok(())
    /// }
    /// ```
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn send_retry_request_sealed(
        &self,
        sender: &ProtocolAddress,
        sealing: Sealing<'_>,
        request: &PlaintextContent,
    ) -> Result<Envelope, Error> {
        let content = &sealing.content(&CiphertextMessage::Plaintext(request.clone()));
        self.run(|tx| async move {
            let mut rng = tx.rng()?;
            let id = OutboxId::random(&mut rng);
            tx.presume_absent(Name::Outbox(id));
            let names = [self.identity_name(sender), Name::Account, Name::Outbox(id)];
            tx.prefetch("get_identity", &names).await?;
            self.require_ours(&tx, sealing.certificate).await?;
            let sealed = SealedSessionCipher::new(&tx, &tx, &self.address)
                .seal(content, sender, &mut rng)
                .await?;
            // It is not to be sent once, but whenever a message is missing.
            let text = &Outgoing::new(&[]);
            let message_type = EnvelopeType::Sealed;
            self.post(&tx, id, text, sender.into(), message_type, sealed.into())
                .await
        })
        .await
    }

    /// The accounts that `devices` belong to.
    ///
    /// Only registration ids and identities are looked for, so they are read by themselves: what goes on in all those
    /// conversations is no reason to encrypt once more.
    async fn sealed_recipients(
        &self,
        devices: &[ProtocolAddress],
    ) -> Result<Vec<SealedRecipient>, Error> {
        let mut recipients = Vec::new();
        let mut rest = devices;
        while !rest.is_empty() {
            let (part, later) = rest.split_at(length_of_part(rest));
            let read = self.run(|tx| async move {
                let sessions = part.iter().map(Name::Session);
                let identities = part.iter().map(|device| self.identity_name(device));
                let names: Vec<_> = [Name::Account]
                    .into_iter()
                    .chain(sessions)
                    .chain(identities)
                    .collect();
                tx.prefetch("load_session", &names).await?;
                let cipher = SealedSessionCipher::new(&tx, &tx, &self.address);
                let sessions = cipher.sessions_with(part).await?;
                for device in part {
                    self.require_sendable(&tx, device).await?;
                }
                cipher.accounts(part, &sessions).await
            });
            recipients.extend(read.await?);
            rest = later;
        }
        Ok(recipients)
    }

    /// Opens a sealed message, asks whether its sender is to be believed, and decrypts it like
    /// [`receive`](Self::receive), or [`group_receive`](Self::group_receive) if it is for a group. Nothing comes out, and
    /// nothing changes, before the sender is believed.
    ///
    /// The same bytes given again while the plaintext is in the inbox return the same delivery; later they are a
    /// `duplicate-message`. A [retry request](EnvelopeType::Plaintext) is no text and is not delivered: who takes
    /// such requests [opens](Self::open_sealed) messages first and looks at their type; see
    /// [`send_retry_request_sealed`](Self::send_retry_request_sealed).
    ///
    /// # Errors
    /// Those of [`open_sealed`](Self::open_sealed). `invalid-message` for a retry request. Then those of
    /// [`receive`](Self::receive) or [`group_receive`](Self::group_receive), where opening tells who sent it and
    /// whether sending it again is worth asking for.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn receive_sealed(
        &self,
        sealed: &[u8],
        trust: SealedTrust<'_>,
    ) -> Result<Delivery, Error> {
        let Opened { sender, content } = self.open_sealed(sealed, trust).await?;
        if content.message_type() == CiphertextMessageType::SenderKey {
            return self.group_receive(&sender, content.contents()).await;
        }
        // What belongs to no session is refused here, in words that fit.
        content.session_message()?;
        let message_type = content.message_type().into();
        self.receive(&sender, message_type, content.contents())
            .await
    }

    /// Opens a sealed message and asks whether its sender is to be believed now, but decrypts nothing and keeps nothing: for
    /// what [`receive_sealed`](Self::receive_sealed) does not take, or could not decrypt.
    ///
    /// # Errors
    /// `invalid-sealed-message`: it is damaged, for somebody else, or its sender's certificate is not valid, by
    /// [these roots](SealedTrust::roots) and at this time. `unknown-server-certificate`,
    /// `unknown-sealed-version` and others of [`Error::Protocol`]: it cannot be read. `self-send`: it comes from this
    /// device itself; drop it. Otherwise what the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn open_sealed(
        &self,
        sealed: &[u8],
        trust: SealedTrust<'_>,
    ) -> Result<Opened, Error> {
        let identity = self.own_identity(|own| own.key_pair.clone()).await?;
        let content = sealed_sender::open(sealed, &identity)?;
        let own = OwnIds {
            address: &self.address,
            e164: trust.own_e164,
        };
        let now = self.store.environment().now();
        let sender = content.validate(trust.roots, now, own)?;
        Ok(Opened { sender, content })
    }

    /// Recipients believe only what is sealed with its sender's own certificate.
    async fn require_ours(
        &self,
        tx: &Transaction<B>,
        certificate: &SenderCertificate,
    ) -> Result<(), Error> {
        let identity = self.own(tx, |own| *own.key_pair.identity_key()).await?;
        let refusal = if certificate.sender() != self.address || *certificate.key() != identity {
            "the certificate is not ours"
        } else if certificate.expiration() < tx.now() {
            "the certificate has expired"
        } else {
            return Ok(());
        };
        Err(ProtocolError::InvalidArgument(refusal).into())
    }
}

/// Each device once, and those of an account together.
fn together(
    devices: &[ProtocolAddress],
    excluded: &[ServiceId],
) -> Result<Vec<ProtocolAddress>, ProtocolError> {
    let is_excluded = |device: &ProtocolAddress| {
        let service_id = device.service_id();
        service_id.is_some_and(|service_id| excluded.contains(&service_id))
    };
    if devices.iter().any(is_excluded) {
        return Err(ProtocolError::InvalidArgument(
            "a recipient is excluded as well",
        ));
    }
    let mut devices = devices.to_vec();
    devices.sort();
    devices.dedup();
    Ok(devices)
}

/// How many devices are looked up at once. Each takes two records, and every backend reads 1024.
const READ_AT_ONCE: usize = 256;

/// How many of `devices` to look up next, so that no account is parted.
fn length_of_part(devices: &[ProtocolAddress]) -> usize {
    let accounts = devices.chunk_by(|a, b| a.name() == b.name());
    let mut length = 0;
    for account in accounts {
        if length > 0 && length + account.len() > READ_AT_ONCE {
            break;
        }
        length += account.len();
    }
    length
}
