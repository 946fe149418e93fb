//! Where signed EC pre-keys are kept.

use async_trait::async_trait;
use sprag_core::pre_key::{SignedPreKeyId, SignedPreKeyRecord};

use super::StoreError;

/// Keeps our signed EC pre-keys: the current one, and older ones for messages still under way.
///
/// The protocol never removes one; whoever makes a new one decides how long the old ones stay.
#[async_trait]
pub trait SignedPreKeyStore: Send + Sync {
    /// The signed pre-key `id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn load_signed_pre_key(
        &self,
        id: SignedPreKeyId,
    ) -> Result<Option<SignedPreKeyRecord>, StoreError>;

    /// Keeps a signed pre-key under `id`, in place of one that was there.
    ///
    /// # Errors
    /// The record may or may not be stored.
    async fn store_signed_pre_key(
        &self,
        id: SignedPreKeyId,
        record: SignedPreKeyRecord,
    ) -> Result<(), StoreError>;

    /// Forgets the signed pre-key `id` for good. Nothing happens if there is none.
    ///
    /// # Errors
    /// The pre-key may or may not be there.
    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> Result<(), StoreError>;

    /// The ids of all signed pre-keys, in ascending order.
    ///
    /// # Errors
    /// The store could not tell.
    async fn signed_pre_key_ids(&self) -> Result<Vec<SignedPreKeyId>, StoreError>;

    /// Whether there is a signed pre-key `id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn contains_signed_pre_key(&self, id: SignedPreKeyId) -> Result<bool, StoreError> {
        Ok(self.load_signed_pre_key(id).await?.is_some())
    }
}

super::implement_for_pointers!(SignedPreKeyStore {
    async fn load_signed_pre_key(&self, id: SignedPreKeyId) -> Option<SignedPreKeyRecord>;
    async fn store_signed_pre_key(&self, id: SignedPreKeyId, record: SignedPreKeyRecord) -> ();
    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> ();
    async fn signed_pre_key_ids(&self) -> Vec<SignedPreKeyId>;
    async fn contains_signed_pre_key(&self, id: SignedPreKeyId) -> bool;
});
