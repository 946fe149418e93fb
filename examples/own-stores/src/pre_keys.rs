//! Where the three sorts of pre-keys are kept.

use async_trait::async_trait;
use rusqlite::params;
use sprag::{
    KyberPreKeyKind, KyberPreKeyStore, KyberPreKeyUse, PreKeyStore, SignedPreKeyStore, StoreError,
    protocol::{
        curve::PublicKey,
        pre_key::{
            KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
            SignedPreKeyRecord,
        },
    },
};

use crate::database::MyStores;

#[async_trait]
impl PreKeyStore for MyStores {
    async fn load_pre_key(&self, id: PreKeyId) -> Result<Option<PreKeyRecord>, StoreError> {
        self.load(
            "load_pre_key",
            "SELECT record FROM pre_key WHERE id = ?1",
            [u32::from(id)],
            PreKeyRecord::deserialize,
        )
    }

    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> Result<(), StoreError> {
        self.execute(
            "store_pre_key",
            "INSERT INTO pre_key VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET record = excluded.record",
            params![u32::from(id), record.serialize().as_slice()],
        )?;
        Ok(())
    }

    async fn remove_pre_key(&self, id: PreKeyId) -> Result<(), StoreError> {
        let sql = "DELETE FROM pre_key WHERE id = ?1";
        self.execute("remove_pre_key", sql, [u32::from(id)])?;
        Ok(())
    }

    async fn pre_key_ids(&self) -> Result<Vec<PreKeyId>, StoreError> {
        self.numbers("pre_key_ids", "SELECT id FROM pre_key ORDER BY id", [])
    }
}

#[async_trait]
impl SignedPreKeyStore for MyStores {
    async fn load_signed_pre_key(
        &self,
        id: SignedPreKeyId,
    ) -> Result<Option<SignedPreKeyRecord>, StoreError> {
        self.load(
            "load_signed_pre_key",
            "SELECT record FROM signed_pre_key WHERE id = ?1",
            [u32::from(id)],
            SignedPreKeyRecord::deserialize,
        )
    }

    async fn store_signed_pre_key(
        &self,
        id: SignedPreKeyId,
        record: SignedPreKeyRecord,
    ) -> Result<(), StoreError> {
        self.execute(
            "store_signed_pre_key",
            "INSERT INTO signed_pre_key VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET record = excluded.record",
            params![u32::from(id), record.serialize().as_slice()],
        )?;
        Ok(())
    }

    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> Result<(), StoreError> {
        let sql = "DELETE FROM signed_pre_key WHERE id = ?1";
        self.execute("remove_signed_pre_key", sql, [u32::from(id)])?;
        Ok(())
    }

    async fn signed_pre_key_ids(&self) -> Result<Vec<SignedPreKeyId>, StoreError> {
        let sql = "SELECT id FROM signed_pre_key ORDER BY id";
        self.numbers("signed_pre_key_ids", sql, [])
    }
}

#[async_trait]
impl KyberPreKeyStore for MyStores {
    async fn load_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyRecord>, StoreError> {
        self.load(
            "load_kyber_pre_key",
            "SELECT record FROM kyber_pre_key WHERE id = ?1",
            [u32::from(id)],
            KyberPreKeyRecord::deserialize,
        )
    }

    async fn store_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
        record: KyberPreKeyRecord,
        kind: KyberPreKeyKind,
    ) -> Result<(), StoreError> {
        let last_resort = kind == KyberPreKeyKind::LastResort;
        self.execute(
            "store_kyber_pre_key",
            "INSERT INTO kyber_pre_key VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET record = excluded.record, last_resort = excluded.last_resort",
            params![u32::from(id), record.serialize().as_slice(), last_resort],
        )?;
        Ok(())
    }

    async fn mark_kyber_pre_key_used(
        &self,
        id: KyberPreKeyId,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<KyberPreKeyUse, StoreError> {
        let call = "mark_kyber_pre_key_used";
        let removed = self.execute(
            call,
            "DELETE FROM kyber_pre_key WHERE id = ?1 AND NOT last_resort",
            [u32::from(id)],
        )?;
        let noted = self.execute(
            call,
            "INSERT OR IGNORE INTO kyber_use
             SELECT id, ?2, ?3 FROM kyber_pre_key WHERE id = ?1",
            params![
                u32::from(id),
                u32::from(signed_pre_key_id),
                base_key.serialize()
            ],
        )?;
        Ok(match removed + noted {
            0 => KyberPreKeyUse::Repeated,
            _ => KyberPreKeyUse::First,
        })
    }

    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<(), StoreError> {
        let sql = "DELETE FROM kyber_pre_key WHERE id = ?1";
        self.execute("remove_kyber_pre_key", sql, [u32::from(id)])?;
        Ok(())
    }

    async fn kyber_pre_key_ids(&self) -> Result<Vec<KyberPreKeyId>, StoreError> {
        let sql = "SELECT id FROM kyber_pre_key ORDER BY id";
        self.numbers("kyber_pre_key_ids", sql, [])
    }
}
