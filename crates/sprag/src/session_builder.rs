//! Starting a session from a bundle, over the stores. Source: sheet 03 section 4, sheet 04 section 7.

use rand_core::CryptoRng;
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    bundle::PreKeyBundle,
    session::{Parties, SessionRecord},
    time::Timestamp,
};

use crate::{Direction, Error, IdentityKeyStore, SessionStore};

/// Starts sessions with one peer.
///
/// ```
/// use rand::rngs::SysRng;
/// use rand_core::UnwrapErr;
/// use sprag::{
///     InMemoryIdentityKeyStore, InMemorySessionStore, ProtocolAddress, SessionBuilder, SessionStore, Timestamp,
///     protocol::{bundle::PreKeyBundle, identity::IdentityKeyPair, pre_key::{KyberPreKeyRecord, SignedPreKeyRecord}},
/// };
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut rng = UnwrapErr(SysRng);
/// let now = Timestamp::from(std::time::SystemTime::now());
/// let alice = ProtocolAddress::new("alice", 1)?;
/// let bob = ProtocolAddress::new("bob", 1)?;
///
/// // What Bob's server hands out.
/// let identity = IdentityKeyPair::generate(&mut rng);
/// let bundle = PreKeyBundle {
///     registration_id: 7,
///     device_id: bob.device_id(),
///     pre_key: None,
///     signed_pre_key: SignedPreKeyRecord::generate(1.into(), now, &identity, &mut rng).public_view()?,
///     kyber_pre_key: KyberPreKeyRecord::generate(1.into(), now, &identity, &mut rng).public_view()?,
///     identity_key: *identity.identity_key(),
/// };
///
/// // Alice's stores.
/// let sessions = InMemorySessionStore::new();
/// let identities = InMemoryIdentityKeyStore::new(IdentityKeyPair::generate(&mut rng), 9);
///
/// let builder = SessionBuilder::new(&sessions, &identities, &alice, &bob);
/// builder.process_bundle(&bundle, now, &mut rng).await?;
/// assert!(sessions.contains_session(&bob).await?);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct SessionBuilder<'a> {
    sessions: &'a dyn SessionStore,
    identities: &'a dyn IdentityKeyStore,
    parties: Parties<'a>,
}

impl<'a> SessionBuilder<'a> {
    /// A builder of sessions between us, `local`, and `remote`.
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

    /// Starts a session from `bundle`. It becomes current, however healthy the one before was: ask
    /// [`has_usable_sender_chain`](SessionRecord::has_usable_sender_chain) first if that is not wanted.
    ///
    /// The session is stored by the last call, so whatever fails or is cancelled leaves the old one;
    /// start again from a fresh bundle then.
    ///
    /// # Errors
    /// [`ProtocolError::UntrustedIdentity`], [`ProtocolError::SignatureValidationFailed`] or
    /// [`ProtocolError::Key`] if the bundle is not fit; nothing is stored then. Otherwise what a store
    /// reports.
    pub async fn process_bundle<R: CryptoRng + ?Sized>(
        &self,
        bundle: &PreKeyBundle,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<(), Error> {
        let remote = self.parties.remote;
        let peer = &bundle.identity_key;
        let trusted = self
            .identities
            .is_trusted_identity(remote, peer, Direction::Sending);
        if !trusted.await? {
            return Err(ProtocolError::UntrustedIdentity(remote.clone()).into());
        }
        let verified = bundle.verify()?;
        let mut record = self
            .sessions
            .load_session(remote)
            .await?
            .unwrap_or_else(SessionRecord::new_fresh);
        let identity = self.identities.identity_key_pair().await?;
        let registration_id = self.identities.local_registration_id().await?;
        record.process_bundle(
            &verified,
            self.parties,
            &identity,
            registration_id,
            now,
            rng,
        )?;
        self.identities.save_identity(remote, peer).await?;
        self.sessions.store_session(remote, record).await?;
        Ok(())
    }
}
