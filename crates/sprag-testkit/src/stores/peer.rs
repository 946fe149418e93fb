//! A party over six stores, with the ciphers at hand.

use rand::Rng;
use sprag::{
    CiphertextMessage, Error, KyberPreKeyKind, PreKeyBundle, ProtocolAddress, SessionBuilder,
    SessionCipher, Timestamp,
    protocol::{
        bundle::PreKey,
        identity::IdentityKeyPair,
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    },
};

use super::StoreSet;

/// A party over six stores. Its clock stands still.
pub struct Peer {
    /// Its address.
    pub address: ProtocolAddress,
    /// Its stores.
    pub stores: StoreSet,
    /// Its time.
    pub now: Timestamp,
}

impl Peer {
    /// A party over in-memory stores.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        Self::over(name, StoreSet::in_memory(identity, 7))
    }

    /// Device 1 of `name` over stores of any make.
    #[must_use]
    pub fn over(name: &str, stores: StoreSet) -> Self {
        Self {
            address: ProtocolAddress::new(name, 1).expect("1 is a device id"),
            stores,
            now: Timestamp::from_millis(1_768_478_400_000),
        }
    }

    /// Makes the keys of a bundle, stores them, and gives their public halves.
    ///
    /// # Errors
    /// What a store reports.
    pub async fn bundle(
        &self,
        with_one_time_pre_key: bool,
        kyber: KyberPreKeyKind,
    ) -> Result<PreKeyBundle, Error> {
        let stores = &self.stores;
        let identity = stores.identities.identity_key_pair().await?;
        let (signed_pre_key, kyber_pre_key, pre_key) = {
            let mut rng = rand::rng();
            let id = || rand::rng().next_u32() >> 8;
            (
                SignedPreKeyRecord::generate(id().into(), self.now, &identity, &mut rng),
                KyberPreKeyRecord::generate(id().into(), self.now, &identity, &mut rng),
                with_one_time_pre_key.then(|| PreKeyRecord::generate(id().into(), &mut rng)),
            )
        };
        let mut bundle = PreKeyBundle {
            registration_id: stores.identities.local_registration_id().await?,
            device_id: self.address.device_id(),
            pre_key: None,
            signed_pre_key: signed_pre_key.public_view()?,
            kyber_pre_key: kyber_pre_key.public_view()?,
            identity_key: *identity.identity_key(),
        };
        if let Some(record) = pre_key {
            let (id, public_key) = (record.id(), record.public_key()?);
            bundle.pre_key = Some(PreKey { id, public_key });
            stores.pre_keys.store_pre_key(id, record).await?;
        }
        let id = signed_pre_key.id();
        let signed_pre_keys = &stores.signed_pre_keys;
        signed_pre_keys
            .store_signed_pre_key(id, signed_pre_key)
            .await?;
        let id = kyber_pre_key.id();
        let kyber_pre_keys = &stores.kyber_pre_keys;
        kyber_pre_keys
            .store_kyber_pre_key(id, kyber_pre_key, kyber)
            .await?;
        Ok(bundle)
    }

    /// Starts a session with `peer`.
    ///
    /// # Errors
    /// Those of [`SessionBuilder::process_bundle`].
    pub async fn start(&self, peer: &ProtocolAddress, bundle: &PreKeyBundle) -> Result<(), Error> {
        let (sessions, identities) = (&*self.stores.sessions, &*self.stores.identities);
        SessionBuilder::new(sessions, identities, &self.address, peer)
            .process_bundle(bundle, self.now, &mut rand::rng())
            .await
    }

    /// Encrypts for `peer`.
    ///
    /// # Errors
    /// Those of [`SessionCipher::encrypt`].
    pub async fn encrypt(
        &self,
        peer: &ProtocolAddress,
        plaintext: &[u8],
    ) -> Result<CiphertextMessage, Error> {
        self.cipher(peer)
            .encrypt(plaintext, self.now, &mut rand::rng())
            .await
    }

    /// Decrypts a message from `peer`, parsed anew from its bytes.
    ///
    /// # Errors
    /// Those of [`SessionCipher::decrypt`].
    pub async fn decrypt(
        &self,
        peer: &ProtocolAddress,
        message: &CiphertextMessage,
    ) -> Result<Vec<u8>, Error> {
        let message = CiphertextMessage::deserialize(message.message_type(), message.serialized())?;
        self.cipher(peer)
            .decrypt(&message, self.stores.pre_key_stores(), &mut rand::rng())
            .await
    }

    /// The cipher for the sessions with `peer`.
    #[must_use]
    pub fn cipher<'a>(&'a self, peer: &'a ProtocolAddress) -> SessionCipher<'a> {
        let (sessions, identities) = (&*self.stores.sessions, &*self.stores.identities);
        SessionCipher::new(sessions, identities, &self.address, peer)
    }
}
