//! Where one-time EC pre-keys are kept.

use async_trait::async_trait;
use sprag_core::pre_key::{PreKeyId, PreKeyRecord};

use super::StoreError;

/// Keeps our one-time EC pre-keys until each is used.
#[async_trait]
pub trait PreKeyStore: Send + Sync {
    /// The pre-key `id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn load_pre_key(&self, id: PreKeyId) -> Result<Option<PreKeyRecord>, StoreError>;

    /// Keeps a pre-key under `id`, in place of one that was there.
    ///
    /// # Errors
    /// The record may or may not be stored.
    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> Result<(), StoreError>;

    /// Forgets the pre-key `id` for good, for it was used. Nothing happens if there is none: after a
    /// crash the call is repeated.
    ///
    /// # Errors
    /// The pre-key may or may not be there.
    async fn remove_pre_key(&self, id: PreKeyId) -> Result<(), StoreError>;

    /// The ids of all pre-keys, in ascending order.
    ///
    /// # Errors
    /// The store could not tell.
    async fn pre_key_ids(&self) -> Result<Vec<PreKeyId>, StoreError>;

    /// Whether there is a pre-key `id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn contains_pre_key(&self, id: PreKeyId) -> Result<bool, StoreError> {
        Ok(self.load_pre_key(id).await?.is_some())
    }
}

super::implement_for_pointers!(PreKeyStore {
    async fn load_pre_key(&self, id: PreKeyId) -> Option<PreKeyRecord>;
    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> ();
    async fn remove_pre_key(&self, id: PreKeyId) -> ();
    async fn pre_key_ids(&self) -> Vec<PreKeyId>;
    async fn contains_pre_key(&self, id: PreKeyId) -> bool;
});
