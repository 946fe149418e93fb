//! Identities of peers, as the protocol asks for them in an account's step.

use std::sync::OnceLock;

use async_trait::async_trait;
use sprag_core::{
    address::ProtocolAddress,
    identity::{IdentityKey, IdentityKeyPair},
};

use crate::{
    Direction, IdentityChange, IdentityKeyStore, StoreError, Transaction,
    backend::Backend,
    identity_policy::{Purpose, Word},
};

/// The identities of a transaction, where a peer may appear under another one if the account's policy allows it. Who
/// uses this says what has [changed](Self::changed).
pub(super) struct Peers<'a, B> {
    tx: &'a Transaction<B>,
    /// What an identity is trusted with for sending.
    purpose: Purpose,
    changed: OnceLock<IdentityKey>,
}

impl<'a, B: Backend> Peers<'a, B> {
    /// For messages.
    pub(super) fn new(tx: &'a Transaction<B>) -> Self {
        Self {
            tx,
            purpose: Purpose::Sending,
            changed: OnceLock::new(),
        }
    }

    /// For starting a session.
    pub(super) fn starting(tx: &'a Transaction<B>) -> Self {
        Self {
            purpose: Purpose::Starting,
            ..Self::new(tx)
        }
    }

    /// The peer's identity, if it has taken the place of another one.
    pub(super) fn changed(&self) -> Option<IdentityKey> {
        self.changed.get().copied()
    }
}

#[async_trait]
impl<B: Backend> IdentityKeyStore for Peers<'_, B> {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        self.tx.identity_key_pair().await
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        self.tx.local_registration_id().await
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        let change = self
            .tx
            .keep_identity("save_identity", address, identity, Word::Seen)
            .await?;
        if change == IdentityChange::ReplacedExisting {
            self.changed.get_or_init(|| *identity);
        }
        Ok(change)
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        direction: Direction,
    ) -> Result<bool, StoreError> {
        let purpose = match direction {
            Direction::Sending => self.purpose,
            Direction::Receiving => Purpose::Receiving,
        };
        self.tx
            .allows_identity("is_trusted_identity", address, identity, purpose)
            .await
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        self.tx.load_identity(address).await
    }
}
