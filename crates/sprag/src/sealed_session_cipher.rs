//! Sealed sender over the stores. Source: sheet 07 sections 7 and 8.

use std::fmt;

use bytes::Bytes;
use rand_core::CryptoRng;
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    curve::PublicKey,
    identity::{IdentityKey, IdentityKeyPair},
    message::CiphertextMessage,
    sealed_sender::{
        self, ContentHint, OwnIds, SealedContent, SealedRecipient, SenderCertificate,
        UnidentifiedSenderMessageContent,
    },
    service_id::ServiceId,
    session::SessionRecord,
    time::Timestamp,
};
use tokio::sync::oneshot;

use crate::{Error, IdentityKeyStore, PreKeyStores, SessionCipher, SessionStore};

/// From how many recipients on a message to many is sealed outside the executor: the work of one recipient is some 70
/// microseconds.
const OUTSIDE_FROM: usize = 16;

/// What goes around a message that is sealed.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// Who we are, signed by the service.
    pub certificate: &'a SenderCertificate,
    /// What the recipient is to do if it cannot decrypt the message.
    pub content_hint: ContentHint,
    /// The group that the message belongs to, so that a recipient which cannot decrypt it knows where it is missing.
    pub group_id: Option<&'a [u8]>,
}

impl<'a> Sealing<'a> {
    /// With our certificate, and nothing else.
    pub fn new(certificate: &'a SenderCertificate) -> Self {
        Self {
            certificate,
            content_hint: ContentHint::DEFAULT,
            group_id: None,
        }
    }

    /// The content that holds `message`.
    pub(crate) fn content(&self, message: &CiphertextMessage) -> UnidentifiedSenderMessageContent {
        UnidentifiedSenderMessageContent::new(
            message.message_type(),
            message.serialized(),
            self.certificate.clone(),
            self.content_hint,
            self.group_id,
        )
    }
}

/// What a sealed message is believed by.
#[derive(Clone, Copy)]
pub struct SealedTrust<'a> {
    /// The keys by which the service certifies its servers. Without any, nothing is believed.
    pub roots: &'a [PublicKey],
    /// Our phone number, if messages that come from it are to count as our own, too.
    pub own_e164: Option<&'a str>,
}

impl<'a> SealedTrust<'a> {
    /// By these roots.
    pub fn new(roots: &'a [PublicKey]) -> Self {
        Self {
            roots,
            own_e164: None,
        }
    }
}

/// A sealed message, opened, believed and decrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Who sent it.
    pub sender: ProtocolAddress,
    /// The sender's phone number, if it tells.
    pub sender_e164: Option<String>,
    /// The group that it belongs to, if it tells.
    pub group_id: Option<Bytes>,
    /// What was sent.
    pub plaintext: Vec<u8>,
}

/// Prints the length of the plaintext only.
impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsealed")
            .field("sender", &self.sender)
            .field("plaintext", &format_args!("{} bytes", self.plaintext.len()))
            .finish_non_exhaustive()
    }
}

/// Seals messages, so that the server does not learn who sends them, and opens sealed ones.
///
/// A certificate, issued by the service for a while, tells the recipient who the sender is. What holds of
/// [`SessionCipher`] holds here too: operations with one address must not overlap, and a crash between two store calls
/// leaves what is told there.
///
/// ```
/// use rand::rngs::SysRng;
/// use rand_core::UnwrapErr;
/// use sprag::{
///     InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore, InMemoryPreKeyStore, InMemorySessionStore,
///     InMemorySignedPreKeyStore, KyberPreKeyKind, KyberPreKeyStore, PreKeyStores, ProtocolAddress, SealedSessionCipher,
///     SealedTrust, Sealing, SessionBuilder, SignedPreKeyStore, Timestamp,
///     protocol::{
///         bundle::PreKeyBundle, curve::KeyPair, identity::IdentityKeyPair,
///         pre_key::{KyberPreKeyRecord, SignedPreKeyRecord},
///         sealed_sender::{SenderCertificate, SenderDetails, ServerCertificate},
///     },
/// };
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut rng = UnwrapErr(SysRng);
/// # let now = Timestamp::from(std::time::SystemTime::now());
/// let alice = ProtocolAddress::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1)?;
/// let bob = ProtocolAddress::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 1)?;
/// # let identity = IdentityKeyPair::generate(&mut rng);
/// # let signed = SignedPreKeyRecord::generate(1.into(), now, &identity, &mut rng);
/// # let kyber = KyberPreKeyRecord::generate(1.into(), now, &identity, &mut rng);
/// # let bundle = PreKeyBundle {
/// #     registration_id: 7,
/// #     device_id: bob.device_id(),
/// #     pre_key: None,
/// #     signed_pre_key: signed.public_view()?,
/// #     kyber_pre_key: kyber.public_view()?,
/// #     identity_key: *identity.identity_key(),
/// # };
/// # let bob_sessions = InMemorySessionStore::new();
/// # let bob_identities = InMemoryIdentityKeyStore::new(identity, 7);
/// # let bob_pre_keys = InMemoryPreKeyStore::new();
/// # let bob_signed = InMemorySignedPreKeyStore::new();
/// # let bob_kyber = InMemoryKyberPreKeyStore::new();
/// # bob_signed.store_signed_pre_key(signed.id(), signed).await?;
/// # bob_kyber.store_kyber_pre_key(kyber.id(), kyber, KyberPreKeyKind::LastResort).await?;
/// # let alice_identity = IdentityKeyPair::generate(&mut rng);
/// # let alice_identity_key = *alice_identity.identity_key();
/// # let sessions = InMemorySessionStore::new();
/// # let identities = InMemoryIdentityKeyStore::new(alice_identity, 9);
/// # SessionBuilder::new(&sessions, &identities, &alice, &bob).process_bundle(&bundle, now, &mut rng).await?;
///
/// // The service has a trust root that every application knows, and certifies one of its servers, which certifies Alice.
/// let trust_root = KeyPair::generate(&mut rng);
/// let server = KeyPair::generate(&mut rng);
/// let server_certificate = ServerCertificate::issue(1, server.public_key, &trust_root.private_key, &mut rng);
/// let details = SenderDetails {
///     uuid: alice.name(),
///     e164: None,
///     device_id: alice.device_id(),
///     identity_key: alice_identity_key,
///     expiration: Timestamp::from_millis(now.as_millis() + 24 * 60 * 60 * 1000),
/// };
/// let certificate = SenderCertificate::issue(details, &server_certificate, &server.private_key, &mut rng);
///
/// // Alice has a session with Bob, and sends in it without telling the server who she is.
/// let cipher = SealedSessionCipher::new(&sessions, &identities, &alice);
/// let sealed = cipher.encrypt(&bob, b"hello", Sealing::new(&certificate), now, &mut rng).await?;
///
/// // Bob learns from the certificate whom it is from.
/// let cipher = SealedSessionCipher::new(&bob_sessions, &bob_identities, &bob);
/// let pre_keys = PreKeyStores { pre_keys: &bob_pre_keys, signed_pre_keys: &bob_signed, kyber_pre_keys: &bob_kyber };
/// let roots = [trust_root.public_key];
/// let unsealed = cipher.decrypt(&sealed, SealedTrust::new(&roots), pre_keys, now, &mut rng).await?;
/// assert_eq!(unsealed.sender, alice);
/// assert_eq!(unsealed.plaintext, b"hello");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct SealedSessionCipher<'a> {
    sessions: &'a dyn SessionStore,
    identities: &'a dyn IdentityKeyStore,
    local: &'a ProtocolAddress,
}

impl<'a> SealedSessionCipher<'a> {
    /// A cipher for what we, `local`, send and receive.
    pub fn new(
        sessions: &'a dyn SessionStore,
        identities: &'a dyn IdentityKeyStore,
        local: &'a ProtocolAddress,
    ) -> Self {
        Self {
            sessions,
            identities,
            local,
        }
    }

    /// Encrypts for `recipient` in the current session and seals the message (version 1).
    ///
    /// # Errors
    /// [`ProtocolError::InvalidArgument`] if the certificate names another address than ours, and nothing is stored
    /// then; those of [`SessionCipher::encrypt`], then those of [`seal`](Self::seal): the session has made its step
    /// by that time. In either case no message comes out: encrypt again.
    pub async fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        recipient: &ProtocolAddress,
        plaintext: &[u8],
        sealing: Sealing<'_>,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Vec<u8>, Error> {
        if sealing.certificate.sender() != *self.local {
            return Err(ProtocolError::InvalidArgument("the certificate is not ours").into());
        }
        let session = self.session_with(recipient);
        let message = session.encrypt(plaintext, now, rng).await?;
        self.seal(&sealing.content(&message), recipient, rng).await
    }

    /// Seals `content` for `recipient` (version 1): for what is not encrypted in a session, or already is.
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] if the recipient's identity is not known, [`ProtocolError::Key`] if it is
    /// unfit; otherwise what the store reports.
    pub async fn seal<R: CryptoRng + ?Sized>(
        &self,
        content: &UnidentifiedSenderMessageContent,
        recipient: &ProtocolAddress,
        rng: &mut R,
    ) -> Result<Vec<u8>, Error> {
        let sender = self.identities.identity_key_pair().await?;
        let recipient = self.identity_of(recipient).await?;
        Ok(sealed_sender::seal_v1(content, &sender, &recipient, rng)?)
    }

    /// Seals `content` for many (version 2): one message, which the server cuts with
    /// [`SealedSenderMultiRecipientMessage`](sealed_sender::SealedSenderMultiRecipientMessage).
    ///
    /// The recipients are devices with which there are sessions; keep those of one account together. The sessions are
    /// only read: `content` is what all of them get, such as a group message. Who is `excluded` is named in the
    /// message as left out on purpose.
    ///
    /// Sealing for many recipients takes all cores for a while, and none from the executor.
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] with the first recipient that has no current session or whose identity is not
    /// known; [`ProtocolError::InvalidArgument`] for a name that is no service id;
    /// [`ProtocolError::InvalidRegistrationId`]; [`ProtocolError::Key`] if an identity is unfit; otherwise
    /// what a store reports.
    ///
    /// ```
    /// use rand_core::CryptoRng;
    /// use sprag::{
    ///     CiphertextMessageType, Error, IdentityKeyStore, ProtocolAddress, SealedSessionCipher, SessionStore,
    ///     protocol::{
    ///         sealed_sender::{
    ///             ContentHint, SealedSenderMultiRecipientMessage, SenderCertificate, UnidentifiedSenderMessageContent,
    ///         },
    ///         service_id::ServiceId,
    ///     },
    /// };
    ///
    /// /// Seals a group message for the members' devices.
    /// async fn send<R: CryptoRng>(
    ///     (sessions, identities): (&dyn SessionStore, &dyn IdentityKeyStore),
    ///     alice: &ProtocolAddress,
    ///     certificate: SenderCertificate,
    ///     message: &[u8],
    ///     devices: &[ProtocolAddress],
    ///     rng: &mut R,
    /// ) -> Result<Vec<u8>, Error> {
    ///     let content = UnidentifiedSenderMessageContent::new(
    ///         CiphertextMessageType::SenderKey, message, certificate, ContentHint::RESENDABLE, Some(b"the group"),
    ///     );
    ///     let cipher = SealedSessionCipher::new(sessions, identities, alice);
    ///     cipher.seal_for_many(&content, devices, &[], rng).await
    /// }
    ///
    /// /// The server's part: what the devices of one account get.
    /// fn cut(uploaded: &[u8], account: &ServiceId) -> Result<Option<Vec<u8>>, Error> {
    ///     Ok(SealedSenderMultiRecipientMessage::parse(uploaded)?.message_for_recipient(account))
    /// }
    /// ```
    pub async fn seal_for_many<R: CryptoRng + ?Sized>(
        &self,
        content: &UnidentifiedSenderMessageContent,
        recipients: &[ProtocolAddress],
        excluded: &[ServiceId],
        rng: &mut R,
    ) -> Result<Vec<u8>, Error> {
        let sessions = self.sessions_with(recipients).await?;
        let sender = self.identities.identity_key_pair().await?;
        let recipients = self.accounts(recipients, &sessions).await?;
        Ok(seal_for_accounts(content, sender, recipients, excluded, rng).await?)
    }

    /// Opens a sealed message of either version, and does no more: neither is it known whether the certificate in it is to
    /// be [believed](UnidentifiedSenderMessageContent::validate), nor is the message decrypted. For what
    /// [`decrypt`](Self::decrypt) does not take: group messages, and plaintext content.
    ///
    /// # Errors
    /// Those of [`sealed_sender::open`]; otherwise what the store reports.
    pub async fn open(&self, sealed: &[u8]) -> Result<UnidentifiedSenderMessageContent, Error> {
        let recipient = self.identities.identity_key_pair().await?;
        Ok(sealed_sender::open(sealed, &recipient)?)
    }

    /// Opens a sealed message, asks whether its sender is to be believed, and decrypts it in the session with that sender.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`validate`](UnidentifiedSenderMessageContent::validate);
    /// [`ProtocolError::InvalidMessage`] for a group message or plaintext content; then those of
    /// [`SessionCipher::decrypt`].
    pub async fn decrypt<R: CryptoRng + ?Sized>(
        &self,
        sealed: &[u8],
        trust: SealedTrust<'_>,
        pre_keys: PreKeyStores<'_>,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Unsealed, Error> {
        let content = self.open(sealed).await?;
        let own = OwnIds {
            address: self.local,
            e164: trust.own_e164,
        };
        let sender = content.validate(trust.roots, now, own)?;
        let message = content.session_message()?;
        let session = self.session_with(&sender);
        let plaintext = session.decrypt(&message, pre_keys, rng).await?;
        let certificate = content.sender_certificate();
        Ok(Unsealed {
            sender_e164: certificate.sender_e164().map(Into::into),
            group_id: content.group_id().map(Bytes::copy_from_slice),
            sender,
            plaintext,
        })
    }

    fn session_with<'b>(&'b self, remote: &'b ProtocolAddress) -> SessionCipher<'b> {
        SessionCipher::new(self.sessions, self.identities, self.local, remote)
    }

    /// The sessions with all `recipients`: one that is missing is the protocol's error, whatever the store calls it.
    pub(crate) async fn sessions_with(
        &self,
        recipients: &[ProtocolAddress],
    ) -> Result<Vec<SessionRecord>, Error> {
        let sessions = self.sessions.load_existing_sessions(recipients).await;
        let sessions = sessions.map_err(|error| match error.as_protocol() {
            Some(missing) => Error::Protocol(missing.clone()),
            None => error.into(),
        })?;
        if sessions.len() == recipients.len() {
            Ok(sessions)
        } else {
            Err(ProtocolError::SessionNotFound(None).into())
        }
    }

    /// The accounts that `devices`, with which there are these sessions, belong to.
    pub(crate) async fn accounts(
        &self,
        devices: &[ProtocolAddress],
        sessions: &[SessionRecord],
    ) -> Result<Vec<SealedRecipient>, Error> {
        let devices: Vec<_> = devices.iter().zip(sessions).collect();
        let accounts = || devices.chunk_by(|(a, _), (b, _)| a.name() == b.name());
        let mut identities = Vec::new();
        for account in accounts() {
            identities.push(self.identity_of(account[0].0).await?);
        }
        let recipients = accounts()
            .zip(identities)
            .map(|(account, identity)| SealedRecipient::new(identity, account.iter().copied()));
        Ok(recipients.collect::<Result<_, _>>()?)
    }

    async fn identity_of(&self, remote: &ProtocolAddress) -> Result<IdentityKey, Error> {
        let identity = self.identities.load_identity(remote).await?;
        identity.ok_or_else(|| ProtocolError::SessionNotFound(Some(remote.clone())).into())
    }
}

/// Seals `content` for all `recipients`; if they are many, not in a thread of the executor.
pub(crate) async fn seal_for_accounts<R: CryptoRng + ?Sized>(
    content: &UnidentifiedSenderMessageContent,
    sender: IdentityKeyPair,
    recipients: Vec<SealedRecipient>,
    excluded: &[ServiceId],
    rng: &mut R,
) -> Result<Vec<u8>, ProtocolError> {
    let content = SealedContent::new(content, rng)?;
    if recipients.len() < OUTSIDE_FROM {
        return content.for_many(&sender, &recipients, excluded);
    }
    let excluded = excluded.to_vec();
    let (answer, sealed) = oneshot::channel();
    rayon::spawn(move || {
        // Nobody may be waiting any more.
        let _ = answer.send(content.for_many(&sender, &recipients, &excluded));
    });
    sealed.await.expect("the job answers before it ends")
}
