//! Where our own identity and those of others are kept.

use async_trait::async_trait;
use rusqlite::params;
use sprag::{
    Direction, IdentityChange, IdentityKeyStore, ProtocolAddress, StoreError,
    protocol::identity::{IdentityKey, IdentityKeyPair},
};

use crate::database::{MyStores, columns};

#[async_trait]
impl IdentityKeyStore for MyStores {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        let call = "identity_key_pair";
        self.load(
            call,
            "SELECT key_pair FROM own",
            [],
            IdentityKeyPair::deserialize,
        )?
        .ok_or_else(|| StoreError::not_initialised(call))
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        let call = "local_registration_id";
        self.numbers(call, "SELECT registration_id FROM own", [])?
            .pop()
            .ok_or_else(|| StoreError::not_initialised(call))
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        let known = self.load_identity(address).await?;
        if known == Some(*identity) {
            return Ok(IdentityChange::NewOrUnchanged);
        }
        let (name, device) = columns(address);
        self.execute(
            "save_identity",
            "INSERT INTO identity VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET identity_key = excluded.identity_key",
            params![name, device, identity.serialize()],
        )?;
        Ok(match known {
            None => IdentityChange::NewOrUnchanged,
            Some(_) => IdentityChange::ReplacedExisting,
        })
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        _direction: Direction,
    ) -> Result<bool, StoreError> {
        let known = self.load_identity(address).await?;
        Ok(known.is_none_or(|known| known == *identity))
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        self.load(
            "load_identity",
            "SELECT identity_key FROM identity WHERE name = ?1 AND device = ?2",
            columns(address),
            IdentityKey::deserialize,
        )
    }
}
