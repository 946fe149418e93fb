//! Where sessions are kept.

use async_trait::async_trait;
use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    session::SessionRecord,
};

use super::StoreError;

/// Keeps one [`SessionRecord`] for each address.
///
/// Every message stores a record. One that was overwritten must never come back: an old record encrypts
/// with keys that were used before, and decrypts what was decrypted before.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// The sessions with `address`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError>;

    /// Keeps the sessions with `address` in place of those that were there.
    ///
    /// # Errors
    /// The record may or may not be stored.
    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError>;

    /// Forgets the sessions with `address`. Nothing happens if there are none.
    ///
    /// # Errors
    /// The sessions may or may not be there.
    async fn delete_session(&self, address: &ProtocolAddress) -> Result<(), StoreError>;

    /// Forgets the sessions with all devices of `name`.
    ///
    /// # Errors
    /// Some of the sessions may be there.
    async fn delete_all_sessions(&self, name: &str) -> Result<(), StoreError>;

    /// The devices of `name` that there are session records for, in ascending order. An application that
    /// has a main device leaves that out itself.
    ///
    /// # Errors
    /// The store could not tell.
    async fn sub_device_sessions(&self, name: &str) -> Result<Vec<DeviceId>, StoreError>;

    /// Whether there is a session record for `address`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn contains_session(&self, address: &ProtocolAddress) -> Result<bool, StoreError> {
        Ok(self.load_session(address).await?.is_some())
    }

    /// The sessions with all of `addresses`, in their order. There must be one for each.
    ///
    /// # Errors
    /// [`StoreError::session_missing`] for the first address without one; otherwise the store could
    /// not tell.
    async fn load_existing_sessions(
        &self,
        addresses: &[ProtocolAddress],
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let mut records = Vec::with_capacity(addresses.len());
        for address in addresses {
            let record = self.load_session(address).await?;
            records.push(
                record.ok_or_else(|| {
                    StoreError::session_missing("load_existing_sessions", address)
                })?,
            );
        }
        Ok(records)
    }
}

super::implement_for_pointers!(SessionStore {
    async fn load_session(&self, address: &ProtocolAddress) -> Option<SessionRecord>;
    async fn store_session(&self, address: &ProtocolAddress, record: SessionRecord) -> ();
    async fn delete_session(&self, address: &ProtocolAddress) -> ();
    async fn delete_all_sessions(&self, name: &str) -> ();
    async fn sub_device_sessions(&self, name: &str) -> Vec<DeviceId>;
    async fn contains_session(&self, address: &ProtocolAddress) -> bool;
    async fn load_existing_sessions(&self, addresses: &[ProtocolAddress]) -> Vec<SessionRecord>;
});
