//! Where sessions are kept.

use async_trait::async_trait;
use rusqlite::params;
use sprag::{DeviceId, ProtocolAddress, SessionRecord, SessionStore, StoreError};

use crate::database::{MyStores, columns};

#[async_trait]
impl SessionStore for MyStores {
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.load(
            "load_session",
            "SELECT record FROM session WHERE name = ?1 AND device = ?2",
            columns(address),
            SessionRecord::deserialize,
        )
    }

    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        let (name, device) = columns(address);
        self.execute(
            "store_session",
            "INSERT INTO session VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET record = excluded.record",
            params![name, device, record.serialize().as_slice()],
        )?;
        Ok(())
    }

    async fn delete_session(&self, address: &ProtocolAddress) -> Result<(), StoreError> {
        self.execute(
            "delete_session",
            "DELETE FROM session WHERE name = ?1 AND device = ?2",
            columns(address),
        )?;
        Ok(())
    }

    async fn delete_all_sessions(&self, name: &str) -> Result<(), StoreError> {
        self.execute(
            "delete_all_sessions",
            "DELETE FROM session WHERE name = ?1",
            [name],
        )?;
        Ok(())
    }

    async fn sub_device_sessions(&self, name: &str) -> Result<Vec<DeviceId>, StoreError> {
        let devices = self.numbers::<u32>(
            "sub_device_sessions",
            "SELECT device FROM session WHERE name = ?1 ORDER BY device",
            [name],
        )?;
        Ok(devices.into_iter().filter_map(DeviceId::new).collect())
    }
}
