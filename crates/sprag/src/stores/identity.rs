//! Where our own identity and the identities of others are kept, and who decides on trust.

use async_trait::async_trait;
use sprag_core::{
    address::ProtocolAddress,
    identity::{IdentityKey, IdentityKeyPair},
};

use super::StoreError;

/// What a peer's identity is about to be trusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A message to the peer.
    Sending,
    /// A message from the peer.
    Receiving,
}

/// What [`IdentityKeyStore::save_identity`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityChange {
    /// The address had no identity, or the same one.
    NewOrUnchanged,
    /// The address had another identity: its owner installed anew, or somebody else has taken it.
    ReplacedExisting,
}

/// Keeps our own identity and those of others, and decides whom to trust.
///
/// The usual rule is *trust on first use*: an address without an identity is trusted with any, and afterwards
/// with that one only, until the user approves another.
#[async_trait]
pub trait IdentityKeyStore: Send + Sync {
    /// Our own identity.
    ///
    /// # Errors
    /// [`StoreError::not_initialised`] if there is none yet; otherwise the store could not tell.
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError>;

    /// Our own registration id: a random number from 1 to 0x3fff, by which others notice that we
    /// installed anew.
    ///
    /// # Errors
    /// As for [`identity_key_pair`](Self::identity_key_pair).
    async fn local_registration_id(&self) -> Result<u32, StoreError>;

    /// Keeps `identity` as the one of `address`. It was found trusted just before, by
    /// [`is_trusted_identity`](Self::is_trusted_identity), or the user approved it.
    ///
    /// # Errors
    /// The identity may or may not be stored.
    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError>;

    /// Whether `identity` may be used as the one of `address`. Answering must not store anything.
    ///
    /// # Errors
    /// The store could not tell.
    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        direction: Direction,
    ) -> Result<bool, StoreError>;

    /// The identity that was saved for `address`. Sessions never ask for it; applications show it.
    ///
    /// # Errors
    /// The store could not tell.
    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError>;
}

super::implement_for_pointers!(IdentityKeyStore {
    async fn identity_key_pair(&self) -> IdentityKeyPair;
    async fn local_registration_id(&self) -> u32;
    async fn save_identity(&self, address: &ProtocolAddress, identity: &IdentityKey) -> IdentityChange;
    async fn is_trusted_identity(&self, address: &ProtocolAddress, identity: &IdentityKey, direction: Direction) -> bool;
    async fn load_identity(&self, address: &ProtocolAddress) -> Option<IdentityKey>;
});
