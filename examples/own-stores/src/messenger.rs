//! Sending and receiving: each operation in one transaction.

use std::{convert::Infallible, time::SystemTime};

use rand::{Rng, rand_core::UnwrapErr, rngs::SysRng};
use rusqlite::params;
use sprag::{
    CiphertextMessage, Error, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore, PreKeyBundle,
    PreKeyStore, PreKeyStores, ProtocolAddress, SessionBuilder, SessionCipher, SignedPreKeyStore,
    StoreError, Timestamp,
    protocol::{
        bundle::PreKey,
        identity::IdentityKey,
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    },
};

use crate::{
    Database,
    database::{MyStores, columns},
};

/// Sends and receives for one account.
pub struct Messenger {
    /// Our address.
    pub address: ProtocolAddress,
    /// Where everything is kept.
    pub database: Database,
}

impl Messenger {
    /// New pre-keys for a server to hand out, once.
    pub async fn bundle(&self) -> Result<PreKeyBundle, Error> {
        let stores = self.database.begin().await?;
        let identity = stores.identity_key_pair().await?;
        let registration_id = stores.local_registration_id().await?;
        let mut rng = UnwrapErr(SysRng);

        let signed_pre_key = match stores.signed_pre_key_ids().await?.pop() {
            Some(id) => stores.load_signed_pre_key(id).await?,
            None => None,
        };
        let signed_pre_key = match signed_pre_key {
            Some(record) => record,
            None => {
                let record = SignedPreKeyRecord::generate(1.into(), now(), &identity, &mut rng);
                stores
                    .store_signed_pre_key(1.into(), record.clone())
                    .await?;
                record
            }
        };

        let pre_key = loop {
            let record = PreKeyRecord::generate(random_id(), &mut rng);
            if !stores.contains_pre_key(record.id()).await? {
                break record;
            }
        };
        let kyber_pre_key = loop {
            let record = KyberPreKeyRecord::generate(random_id(), now(), &identity, &mut rng);
            if !stores.contains_kyber_pre_key(record.id()).await? {
                break record;
            }
        };
        let bundle = PreKeyBundle {
            registration_id,
            device_id: self.address.device_id(),
            pre_key: Some(PreKey {
                id: pre_key.id(),
                public_key: pre_key.public_key()?,
            }),
            signed_pre_key: signed_pre_key.public_view()?,
            kyber_pre_key: kyber_pre_key.public_view()?,
            identity_key: *identity.identity_key(),
        };
        stores.store_pre_key(pre_key.id(), pre_key).await?;
        stores
            .store_kyber_pre_key(kyber_pre_key.id(), kyber_pre_key, KyberPreKeyKind::OneTime)
            .await?;
        stores.commit()?;
        Ok(bundle)
    }
}

impl Messenger {
    /// Starts a session with `peer` from its bundle.
    pub async fn start(&self, peer: &ProtocolAddress, bundle: &PreKeyBundle) -> Result<(), Error> {
        let stores = self.database.begin().await?;
        SessionBuilder::new(&stores, &stores, &self.address, peer)
            .process_bundle(bundle, now(), &mut UnwrapErr(SysRng))
            .await?;
        stores.commit()?;
        Ok(())
    }

    /// Encrypts for `peer`.
    pub async fn send(
        &self,
        peer: &ProtocolAddress,
        plaintext: &[u8],
    ) -> Result<CiphertextMessage, Error> {
        let stores = self.database.begin().await?;
        let message = SessionCipher::new(&stores, &stores, &self.address, peer)
            .encrypt(plaintext, now(), &mut UnwrapErr(SysRng))
            .await?;
        stores.commit()?;
        Ok(message)
    }

    /// Trusts `identity` as that of `peer` from now on, because the user said so.
    pub async fn approve(
        &self,
        peer: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<(), Error> {
        let stores = self.database.begin().await?;
        stores.save_identity(peer, identity).await?;
        stores.commit()?;
        Ok(())
    }
}

impl Messenger {
    /// Decrypts a message from `peer`. Until [`done`](Self::done), the same message gives the same plaintext.
    pub async fn receive(
        &self,
        peer: &ProtocolAddress,
        message: &CiphertextMessage,
    ) -> Result<Vec<u8>, Error> {
        let stores = self.database.begin().await?;
        if let Some(plaintext) = stores.waiting(peer, message)? {
            return Ok(plaintext);
        }
        let plaintext = SessionCipher::new(&stores, &stores, &self.address, peer)
            .decrypt(
                message,
                PreKeyStores::all_in(&stores),
                &mut UnwrapErr(SysRng),
            )
            .await?;
        stores.keep_waiting(peer, message, &plaintext)?;
        stores.commit()?;
        Ok(plaintext)
    }

    /// The plaintext of `message` is safe elsewhere: forget it.
    pub async fn done(
        &self,
        peer: &ProtocolAddress,
        message: &CiphertextMessage,
    ) -> Result<(), Error> {
        let (name, device) = columns(peer);
        self.database.stores().await.execute(
            "done",
            "DELETE FROM inbox WHERE name = ?1 AND device = ?2 AND message = ?3",
            params![name, device, message.serialized()],
        )?;
        Ok(())
    }
}

impl MyStores {
    fn waiting(
        &self,
        peer: &ProtocolAddress,
        message: &CiphertextMessage,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (name, device) = columns(peer);
        self.load(
            "waiting",
            "SELECT plaintext FROM inbox WHERE name = ?1 AND device = ?2 AND message = ?3",
            params![name, device, message.serialized()],
            |plaintext| Ok::<_, Infallible>(plaintext.to_vec()),
        )
    }

    fn keep_waiting(
        &self,
        peer: &ProtocolAddress,
        message: &CiphertextMessage,
        plaintext: &[u8],
    ) -> Result<(), StoreError> {
        let (name, device) = columns(peer);
        self.execute(
            "keep_waiting",
            "INSERT INTO inbox VALUES (?1, ?2, ?3, ?4)",
            params![name, device, message.serialized(), plaintext],
        )?;
        Ok(())
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn random_id<T: From<u32>>() -> T {
    (1 + (UnwrapErr(SysRng).next_u32() >> 9)).into()
}
