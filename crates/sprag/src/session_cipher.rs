//! Encrypting and decrypting over the stores. Source: sheet 03 section 5, sheet 04 sections 2, 3 and 7.
//!
//! Every operation reads first, then computes all that it will write, and writes last. [`SessionCipher`]
//! tells in which order, and what a crash between two writes leaves.

use rand_core::CryptoRng;
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    identity::IdentityKey,
    message::{CiphertextMessage, CiphertextMessageType, PreKeySignalMessage, SignalMessage},
    session::{Parties, PreKeyLookup, RecipientKeys, RequiredPreKeys, SessionRecord},
    time::Timestamp,
};

use crate::{
    Direction, Error, IdentityKeyStore, KyberPreKeyStore, KyberPreKeyUse, PreKeyStore,
    SessionStore, SignedPreKeyStore,
};

/// Encrypts and decrypts in the sessions with one peer.
///
/// Operations with one address must not overlap, nor two first messages that use the same pre-keys: between
/// the load and the store of one, the other would see old state. Over a
/// [`Transaction`](crate::Transaction) they may, and the one that comes second is run again.
///
/// # If the process dies between two store calls
///
/// What an operation in an existing session writes is one record (and the peer's identity before it), so it
/// takes effect whole or not at all. A first message is different: it uses up pre-keys, and independent
/// stores cannot take all its writes at once. libsignal stores the session last; a crash after the pre-keys
/// are gone then makes the message unreadable for ever. Here the order is:
///
/// 1. save the peer's identity,
/// 2. store the session as *accepted*: agreed upon, but nothing is decrypted in it yet,
/// 3. mark the Kyber pre-key used,
/// 4. remove the one-time EC pre-key,
/// 5. store the session after decryption.
///
/// After a crash before 2 the pre-keys are still there; after 2, the accepted session decrypts the
/// message without them, and 3 and 4 are repeated, which changes nothing. So deliver again whatever was not
/// decrypted. Two windows are left, and a transaction has neither:
///
/// * A crash after 5 loses the plaintext. No order of store calls can help there, only an inbox kept by
///   the same commit, which is what [`Account`](crate::Account) does.
/// * A *replayed* first message, whose session was deleted, is found out by 3, and 2 is then taken back. A
///   crash just between the two leaves the accepted session, and the replay, given once more, is decrypted.
///
/// ```
/// use rand::rngs::SysRng;
/// use rand_core::UnwrapErr;
/// use sprag::{
///     InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore, InMemoryPreKeyStore, InMemorySessionStore,
///     InMemorySignedPreKeyStore, KyberPreKeyKind, KyberPreKeyStore, PreKeyStores, ProtocolAddress, SessionBuilder,
///     SessionCipher, SignedPreKeyStore, Timestamp,
///     protocol::{bundle::PreKeyBundle, identity::IdentityKeyPair, pre_key::{KyberPreKeyRecord, SignedPreKeyRecord}},
/// };
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut rng = UnwrapErr(SysRng);
/// let now = Timestamp::from(std::time::SystemTime::now());
/// let alice = ProtocolAddress::new("alice", 1)?;
/// let bob = ProtocolAddress::new("bob", 1)?;
///
/// // Bob makes keys, keeps them, and publishes a bundle.
/// let identity = IdentityKeyPair::generate(&mut rng);
/// let signed = SignedPreKeyRecord::generate(1.into(), now, &identity, &mut rng);
/// let kyber = KyberPreKeyRecord::generate(1.into(), now, &identity, &mut rng);
/// let bundle = PreKeyBundle {
///     registration_id: 7,
///     device_id: bob.device_id(),
///     pre_key: None,
///     signed_pre_key: signed.public_view()?,
///     kyber_pre_key: kyber.public_view()?,
///     identity_key: *identity.identity_key(),
/// };
/// let bob_sessions = InMemorySessionStore::new();
/// let bob_identities = InMemoryIdentityKeyStore::new(identity, 7);
/// let bob_pre_keys = InMemoryPreKeyStore::new();
/// let bob_signed = InMemorySignedPreKeyStore::new();
/// let bob_kyber = InMemoryKyberPreKeyStore::new();
/// bob_signed.store_signed_pre_key(signed.id(), signed).await?;
/// bob_kyber.store_kyber_pre_key(kyber.id(), kyber, KyberPreKeyKind::LastResort).await?;
///
/// // Alice starts a session and encrypts.
/// let sessions = InMemorySessionStore::new();
/// let identities = InMemoryIdentityKeyStore::new(IdentityKeyPair::generate(&mut rng), 9);
/// SessionBuilder::new(&sessions, &identities, &alice, &bob).process_bundle(&bundle, now, &mut rng).await?;
/// let to_bob = SessionCipher::new(&sessions, &identities, &alice, &bob);
/// let message = to_bob.encrypt(b"hello", now, &mut rng).await?;
///
/// // Bob decrypts.
/// let from_alice = SessionCipher::new(&bob_sessions, &bob_identities, &bob, &alice);
/// let pre_keys = PreKeyStores { pre_keys: &bob_pre_keys, signed_pre_keys: &bob_signed, kyber_pre_keys: &bob_kyber };
/// assert_eq!(from_alice.decrypt(&message, pre_keys, &mut rng).await?, b"hello");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct SessionCipher<'a> {
    sessions: &'a dyn SessionStore,
    identities: &'a dyn IdentityKeyStore,
    parties: Parties<'a>,
}

/// The stores that only a first message asks for.
#[derive(Clone, Copy)]
pub struct PreKeyStores<'a> {
    /// One-time EC pre-keys.
    pub pre_keys: &'a dyn PreKeyStore,
    /// Signed EC pre-keys.
    pub signed_pre_keys: &'a dyn SignedPreKeyStore,
    /// Kyber pre-keys.
    pub kyber_pre_keys: &'a dyn KyberPreKeyStore,
}

impl<'a> PreKeyStores<'a> {
    /// All three in one, like a [`Transaction`](crate::Transaction).
    pub fn all_in<S: PreKeyStore + SignedPreKeyStore + KyberPreKeyStore>(store: &'a S) -> Self {
        Self {
            pre_keys: store,
            signed_pre_keys: store,
            kyber_pre_keys: store,
        }
    }
}

impl<'a> SessionCipher<'a> {
    /// A cipher for the sessions between us, `local`, and `remote`.
    pub fn new(
        sessions: &'a dyn SessionStore,
        identities: &'a dyn IdentityKeyStore,
        local: &'a ProtocolAddress,
        remote: &'a ProtocolAddress,
    ) -> Self {
        Self {
            sessions,
            identities,
            parties: Parties { local, remote },
        }
    }

    /// Encrypts for the peer, in the current session.
    ///
    /// The session is stored by the last call, before the message is returned. If that call fails or the
    /// future is dropped, no message comes out: encrypt again.
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] if there is no session, or only one that the peer has not
    /// answered for 30 days; [`ProtocolError::UntrustedIdentity`];
    /// [`ProtocolError::InvalidSessionStructure`] and [`ProtocolError::InvalidState`] if the session is
    /// damaged; nothing is stored then. Otherwise what a store reports.
    pub async fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<CiphertextMessage, Error> {
        let mut record = self.load_session().await?;
        let message = record.encrypt(plaintext, self.parties, now, rng)?;
        self.keep(record, Direction::Sending).await?;
        Ok(message)
    }

    /// Decrypts a message of either type.
    ///
    /// # Errors
    /// Those of [`decrypt_signal`](Self::decrypt_signal) or [`decrypt_pre_key`](Self::decrypt_pre_key).
    pub async fn decrypt<R: CryptoRng + ?Sized>(
        &self,
        message: &CiphertextMessage,
        pre_keys: PreKeyStores<'_>,
        rng: &mut R,
    ) -> Result<Vec<u8>, Error> {
        match message {
            CiphertextMessage::Signal(message) => self.decrypt_signal(message, rng).await,
            CiphertextMessage::PreKey(message) => {
                self.decrypt_pre_key(message, pre_keys, rng).await
            }
            _ => Err(ProtocolError::InvalidArgument("not a message between two").into()),
        }
    }

    /// Decrypts a message of an established session.
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] without any session; [`ProtocolError::DuplicatedMessage`];
    /// [`ProtocolError::InvalidMessage`] with one text for all other reasons;
    /// [`ProtocolError::UntrustedIdentity`], and the message can be decrypted again once the identity is
    /// approved. Nothing is stored then. Otherwise what a store reports.
    pub async fn decrypt_signal<R: CryptoRng + ?Sized>(
        &self,
        message: &SignalMessage,
        rng: &mut R,
    ) -> Result<Vec<u8>, Error> {
        let mut record = self.load_session().await?;
        let plaintext = record.decrypt(message, self.parties, rng)?;
        self.keep(record, Direction::Receiving).await?;
        Ok(plaintext)
    }

    /// Decrypts a message that (also) starts a session. [`SessionCipher`] tells what a crash leaves.
    ///
    /// # Errors
    /// [`ProtocolError::UntrustedIdentity`]; [`ProtocolError::InvalidSignedPreKeyId`],
    /// [`ProtocolError::InvalidKyberPreKeyId`] or [`ProtocolError::InvalidPreKeyId`] if a pre-key is
    /// gone; [`ProtocolError::DuplicatedMessage`]; [`ProtocolError::InvalidMessage`], also for a replay of
    /// a first message whose session was deleted. Nothing but the peer's identity is stored then.
    /// Otherwise what a store reports; deliver the message again.
    pub async fn decrypt_pre_key<R: CryptoRng + ?Sized>(
        &self,
        message: &PreKeySignalMessage,
        pre_keys: PreKeyStores<'_>,
        rng: &mut R,
    ) -> Result<Vec<u8>, Error> {
        let before = self.sessions.load_session(self.parties.remote).await?;
        self.require_trust(message.identity_key(), Direction::Receiving)
            .await?;
        let mut record = before.clone().unwrap_or_else(SessionRecord::new_fresh);
        match record.look_up(message)? {
            PreKeyLookup::New(required) => {
                self.accept(&mut record, message, &required, pre_keys)
                    .await?;
                let accepted = record.clone();
                let plaintext = record.decrypt_pre_key(message, self.parties, rng)?;
                self.save_identity(message.identity_key()).await?;
                self.store_session(accepted).await?;
                match mark_used(message, &required, pre_keys).await? {
                    KyberPreKeyUse::First => remove_used(&required, pre_keys).await?,
                    KyberPreKeyUse::Repeated => {
                        self.undo(before).await?;
                        return Err(reused_base_key().into());
                    }
                }
                self.store_session(record).await?;
                Ok(plaintext)
            }
            PreKeyLookup::Accepted(required) => {
                let plaintext = record.decrypt_pre_key(message, self.parties, rng)?;
                self.save_identity(message.identity_key()).await?;
                // Whether or not they are used up already: it was for this session.
                let _ = mark_used(message, &required, pre_keys).await?;
                remove_used(&required, pre_keys).await?;
                self.store_session(record).await?;
                Ok(plaintext)
            }
            PreKeyLookup::Known => {
                let plaintext = record.decrypt_pre_key(message, self.parties, rng)?;
                self.save_identity(message.identity_key()).await?;
                self.store_session(record).await?;
                Ok(plaintext)
            }
        }
    }

    async fn load_session(&self) -> Result<SessionRecord, Error> {
        let remote = self.parties.remote;
        let record = self.sessions.load_session(remote).await?;
        record.ok_or_else(|| ProtocolError::SessionNotFound(Some(remote.clone())).into())
    }

    async fn store_session(&self, record: SessionRecord) -> Result<(), Error> {
        let remote = self.parties.remote;
        Ok(self.sessions.store_session(remote, record).await?)
    }

    /// Stores what a step in an existing session changed, if its peer is trusted.
    async fn keep(&self, record: SessionRecord, direction: Direction) -> Result<(), Error> {
        let peer = record.remote_identity()?;
        self.require_trust(&peer, direction).await?;
        self.save_identity(&peer).await?;
        self.store_session(record).await
    }

    async fn require_trust(&self, peer: &IdentityKey, direction: Direction) -> Result<(), Error> {
        let remote = self.parties.remote;
        let trusted = self.identities.is_trusted_identity(remote, peer, direction);
        if trusted.await? {
            Ok(())
        } else {
            Err(ProtocolError::UntrustedIdentity(remote.clone()).into())
        }
    }

    async fn save_identity(&self, peer: &IdentityKey) -> Result<(), Error> {
        let remote = self.parties.remote;
        self.identities.save_identity(remote, peer).await?;
        Ok(())
    }

    /// Starts the session that `message` asks for, in memory.
    async fn accept(
        &self,
        record: &mut SessionRecord,
        message: &PreKeySignalMessage,
        required: &RequiredPreKeys,
        stores: PreKeyStores<'_>,
    ) -> Result<(), Error> {
        let signed_pre_key = stores
            .signed_pre_keys
            .load_signed_pre_key(required.signed_pre_key)
            .await?
            .ok_or(ProtocolError::InvalidSignedPreKeyId)?;
        let kyber_pre_key = stores
            .kyber_pre_keys
            .load_kyber_pre_key(required.kyber_pre_key)
            .await?
            .ok_or(ProtocolError::InvalidKyberPreKeyId)?;
        let pre_key = match required.pre_key {
            None => None,
            Some(id) => {
                let pre_key = stores.pre_keys.load_pre_key(id).await?;
                Some(pre_key.ok_or(ProtocolError::InvalidPreKeyId)?)
            }
        };
        let identity = self.identities.identity_key_pair().await?;
        let registration_id = self.identities.local_registration_id().await?;
        let keys = RecipientKeys {
            identity: &identity,
            registration_id,
            signed_pre_key: &signed_pre_key,
            kyber_pre_key: &kyber_pre_key,
            pre_key: pre_key.as_ref(),
        };
        Ok(record.accept(message, self.parties, &keys)?)
    }

    /// Takes back the accepted session of a replayed first message.
    async fn undo(&self, before: Option<SessionRecord>) -> Result<(), Error> {
        match before {
            Some(record) => self.store_session(record).await,
            None => Ok(self.sessions.delete_session(self.parties.remote).await?),
        }
    }
}

/// Marks the Kyber pre-key of a first message used.
async fn mark_used(
    message: &PreKeySignalMessage,
    required: &RequiredPreKeys,
    stores: PreKeyStores<'_>,
) -> Result<KyberPreKeyUse, Error> {
    let marked = stores.kyber_pre_keys.mark_kyber_pre_key_used(
        required.kyber_pre_key,
        required.signed_pre_key,
        message.base_key(),
    );
    Ok(marked.await?)
}

/// Removes the one-time EC pre-key of a first message, if it named one.
async fn remove_used(required: &RequiredPreKeys, stores: PreKeyStores<'_>) -> Result<(), Error> {
    if let Some(id) = required.pre_key {
        stores.pre_keys.remove_pre_key(id).await?;
    }
    Ok(())
}

fn reused_base_key() -> ProtocolError {
    ProtocolError::InvalidMessage {
        message_type: CiphertextMessageType::PreKey as u8,
        reason: "reused base key",
    }
}
