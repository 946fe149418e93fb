//! Where sender keys of groups are kept.

use async_trait::async_trait;
use rusqlite::params;
use sprag::{ProtocolAddress, SenderKeyStore, StoreError, protocol::sender_key::SenderKeyRecord};
use uuid::Uuid;

use crate::database::{MyStores, columns};

#[async_trait]
impl SenderKeyStore for MyStores {
    async fn load_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, StoreError> {
        let (name, device) = columns(sender);
        self.load(
            "load_sender_key",
            "SELECT record FROM sender_key WHERE name = ?1 AND device = ?2 AND distribution = ?3",
            params![name, device, distribution_id.as_bytes()],
            SenderKeyRecord::deserialize,
        )
    }

    async fn store_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), StoreError> {
        let (name, device) = columns(sender);
        self.execute(
            "store_sender_key",
            "INSERT INTO sender_key VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET record = excluded.record",
            params![
                name,
                device,
                distribution_id.as_bytes(),
                record.serialize().as_slice()
            ],
        )?;
        Ok(())
    }
}
