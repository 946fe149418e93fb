//! Where sender keys of groups are kept. Source: sheet 06.

use async_trait::async_trait;
use sprag_core::{address::ProtocolAddress, sender_key::SenderKeyRecord};
use uuid::Uuid;

use super::StoreError;

/// Keeps one [`SenderKeyRecord`] for each sender in each distribution of a group, our own included.
#[async_trait]
pub trait SenderKeyStore: Send + Sync {
    /// The sender key of `sender` in the distribution `distribution_id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn load_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, StoreError>;

    /// Keeps a sender key in place of the one that was there. As with sessions, an old record must never
    /// come back.
    ///
    /// # Errors
    /// The record may or may not be stored.
    async fn store_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), StoreError>;
}

super::implement_for_pointers!(SenderKeyStore {
    async fn load_sender_key(&self, sender: &ProtocolAddress, distribution_id: Uuid) -> Option<SenderKeyRecord>;
    async fn store_sender_key(&self, sender: &ProtocolAddress, distribution_id: Uuid, record: SenderKeyRecord) -> ();
});
