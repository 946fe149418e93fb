//! Sending and receiving without telling the server who sends. Source: sheet 07 section 8.
//!
//! The mailboxes are those of all messages: what holds of them holds of sealed ones.

use std::fmt;

use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    sealed_sender::{self, OwnIds, SenderCertificate, UnidentifiedSenderMessageContent},
};

use super::{Account, Delivery, Envelope, EnvelopeType, Outgoing};
use crate::{
    Error, SealedSessionCipher, SealedTrust, Sealing, Transaction, backend::Backend,
    durable::names::Name,
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
    /// or has expired, so that the recipient would refuse the message; get a new one. `key-reused` also if
    /// the key was used for a message that is not sealed.
    ///
    /// ```
    /// use sprag::{Account, DurableStore, EnvelopeType, ProtocolAddress, SealedTrust, Sealing, backend::MemoryBackend};
    /// # use sprag::{Timestamp, protocol::{curve::KeyPair, sealed_sender::{SenderCertificate, SenderDetails, ServerCertificate}}};
    ///
    /// # async fn example() -> Result<(), sprag::Error> {
    /// # let store = DurableStore::open(MemoryBackend::new()).await?;
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
    /// let trust = SealedTrust::new(&[trust_root]);
    /// let delivery = bob.receive_sealed(&envelope.bytes, trust).await?;
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
            let id = self.outbox_id(&text, None, &mut rng);
            tx.presume_absent(Name::Outbox(id));
            let names = [
                Name::Session(recipient),
                Name::Identity(recipient),
                Name::Account,
                Name::Outbox(id),
            ];
            tx.prefetch("load_session", &names).await?;
            let to = recipient.into();
            if let Some(envelope) = self.posted_before(&tx, id, &to).await? {
                return require_sealed(envelope);
            }
            self.require_ours(&tx, sealing.certificate).await?;
            let sealed = SealedSessionCipher::new(&tx, &tx, &self.address)
                .encrypt(recipient, text.plaintext, sealing, tx.now(), &mut rng)
                .await?;
            let message_type = EnvelopeType::Sealed;
            self.post(&tx, id, &text, to, message_type, sealed.into())
                .await
        })
        .await
    }

    /// Opens a sealed message, asks whether its sender is to be believed, and decrypts it like
    /// [`receive`](Self::receive). Nothing comes out, and nothing changes, before the sender is believed.
    ///
    /// The same bytes given again while the plaintext is in the inbox return the same delivery; later they are a
    /// `duplicate-message`. A [retry request](EnvelopeType::Plaintext) is no text and is not delivered: who takes
    /// such requests [opens](Self::open_sealed) messages first and looks at their type.
    ///
    /// # Errors
    /// Those of [`open_sealed`](Self::open_sealed). `invalid-message` for a retry request. Then those of
    /// [`receive`](Self::receive), where opening tells who sent it and whether sending it again is worth asking for.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn receive_sealed(
        &self,
        sealed: &[u8],
        trust: SealedTrust<'_>,
    ) -> Result<Delivery, Error> {
        let Opened { sender, content } = self.open_sealed(sealed, trust).await?;
        // The type is refused here, in words that fit.
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

/// A key that was used for an open message must not make one that is not sealed pass for one that is.
fn require_sealed(envelope: Envelope) -> Result<Envelope, Error> {
    match envelope.message_type {
        EnvelopeType::Sealed => Ok(envelope),
        _ => Err(Error::KeyReused),
    }
}
