//! The store traits over a transaction, but for [identities](super::identities).

use async_trait::async_trait;
use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    curve::PublicKey,
    pre_key::{
        KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
        SignedPreKeyRecord,
    },
    sender_key::SenderKeyRecord,
    session::SessionRecord,
};
use uuid::Uuid;

use super::{
    names::Name,
    transaction::{Slot, Transaction},
    value::Value,
};
use crate::{
    backend::{Backend, Kind},
    stores::{
        KyberPreKeyKind, KyberPreKeyStore, KyberPreKeyUse, PreKeyStore, SenderKeyStore,
        SessionStore, SignedPreKeyStore, StoreError,
    },
};

#[async_trait]
impl<B: Backend> SessionStore for Transaction<B> {
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let name = Name::Session(address);
        self.get("load_session", name, |value| match value {
            Some(Value::Session(record)) => Some(record.clone()),
            _ => None,
        })
        .await
    }

    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        let (operation, name) = ("store_session", Name::Session(address));
        if !self.contains(operation, name).await? {
            self.add_device(operation, address).await?;
        }
        self.put(operation, name, Value::Session(record)).await
    }

    async fn delete_session(&self, address: &ProtocolAddress) -> Result<(), StoreError> {
        let operation = "delete_session";
        self.remove(operation, Name::Session(address)).await?;
        self.remove_device(operation, address).await
    }

    async fn delete_all_sessions(&self, name: &str) -> Result<(), StoreError> {
        let operation = "delete_all_sessions";
        for device in self.devices(operation, name).await? {
            let address = address_of(operation, name, device)?;
            self.remove(operation, Name::Session(&address)).await?;
        }
        self.remove(operation, Name::Devices(name)).await?;
        Ok(())
    }

    async fn sub_device_sessions(&self, name: &str) -> Result<Vec<DeviceId>, StoreError> {
        self.devices("sub_device_sessions", name).await
    }

    async fn contains_session(&self, address: &ProtocolAddress) -> Result<bool, StoreError> {
        self.contains("contains_session", Name::Session(address))
            .await
    }

    async fn load_existing_sessions(
        &self,
        addresses: &[ProtocolAddress],
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let operation = "load_existing_sessions";
        let names: Vec<_> = addresses.iter().map(Name::Session).collect();
        self.prefetch(operation, &names).await?;
        let mut records = Vec::with_capacity(addresses.len());
        for address in addresses {
            let record = self.load_session(address).await?;
            records.push(record.ok_or_else(|| StoreError::session_missing(operation, address))?);
        }
        Ok(records)
    }
}

#[async_trait]
impl<B: Backend> PreKeyStore for Transaction<B> {
    async fn load_pre_key(&self, id: PreKeyId) -> Result<Option<PreKeyRecord>, StoreError> {
        self.get("load_pre_key", Name::PreKey(id), |value| match value {
            Some(Value::PreKey(record)) => Some(record.clone()),
            _ => None,
        })
        .await
    }

    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> Result<(), StoreError> {
        let value = Value::PreKey(record);
        self.put_member("store_pre_key", Name::PreKey(id), value)
            .await
    }

    async fn remove_pre_key(&self, id: PreKeyId) -> Result<(), StoreError> {
        self.remove("remove_pre_key", Name::PreKey(id)).await?;
        Ok(())
    }

    async fn pre_key_ids(&self) -> Result<Vec<PreKeyId>, StoreError> {
        let ids = self.ids("pre_key_ids", Kind::PreKey, |id| Name::PreKey(id.into()));
        Ok(ids.await?.into_iter().map(PreKeyId::from).collect())
    }
}

#[async_trait]
impl<B: Backend> SignedPreKeyStore for Transaction<B> {
    async fn load_signed_pre_key(
        &self,
        id: SignedPreKeyId,
    ) -> Result<Option<SignedPreKeyRecord>, StoreError> {
        let name = Name::SignedPreKey(id);
        self.get("load_signed_pre_key", name, |value| match value {
            Some(Value::SignedPreKey(record)) => Some(record.clone()),
            _ => None,
        })
        .await
    }

    async fn store_signed_pre_key(
        &self,
        id: SignedPreKeyId,
        record: SignedPreKeyRecord,
    ) -> Result<(), StoreError> {
        let value = Value::SignedPreKey(record);
        self.put_member("store_signed_pre_key", Name::SignedPreKey(id), value)
            .await
    }

    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> Result<(), StoreError> {
        self.remove("remove_signed_pre_key", Name::SignedPreKey(id))
            .await?;
        Ok(())
    }

    async fn signed_pre_key_ids(&self) -> Result<Vec<SignedPreKeyId>, StoreError> {
        let ids = self.ids("signed_pre_key_ids", Kind::SignedPreKey, |id| {
            Name::SignedPreKey(id.into())
        });
        Ok(ids.await?.into_iter().map(SignedPreKeyId::from).collect())
    }
}

#[async_trait]
impl<B: Backend> KyberPreKeyStore for Transaction<B> {
    async fn load_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyRecord>, StoreError> {
        let name = Name::KyberPreKey(id);
        self.get("load_kyber_pre_key", name, |value| match value {
            Some(Value::KyberPreKey(record, _)) => Some(record.clone()),
            _ => None,
        })
        .await
    }

    async fn store_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
        record: KyberPreKeyRecord,
        kind: KyberPreKeyKind,
    ) -> Result<(), StoreError> {
        let value = Value::KyberPreKey(record, kind);
        self.put_member("store_kyber_pre_key", Name::KyberPreKey(id), value)
            .await
    }

    async fn mark_kyber_pre_key_used(
        &self,
        id: KyberPreKeyId,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<KyberPreKeyUse, StoreError> {
        let operation = "mark_kyber_pre_key_used";
        let take_one_time = |slot: &mut Slot| match slot.value() {
            Some(Value::KyberPreKey(_, kind)) => {
                let kind = *kind;
                if kind == KyberPreKeyKind::OneTime {
                    slot.remove();
                }
                Some(kind)
            }
            _ => None,
        };
        let kind = self.update(operation, Name::KyberPreKey(id), take_one_time);
        match kind.await? {
            None => Ok(KyberPreKeyUse::Repeated),
            Some(KyberPreKeyKind::OneTime) => Ok(KyberPreKeyUse::First),
            Some(KyberPreKeyKind::LastResort) => {
                let name = Name::KyberUse(id, signed_pre_key_id, *base_key);
                let remember = |slot: &mut Slot| match slot.value() {
                    Some(_) => KyberPreKeyUse::Repeated,
                    None => {
                        slot.put(Value::KyberUse);
                        KyberPreKeyUse::First
                    }
                };
                self.update(operation, name, remember).await
            }
        }
    }

    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<(), StoreError> {
        let operation = "remove_kyber_pre_key";
        let kind = self.kyber_kind(operation, id).await?;
        self.remove(operation, Name::KyberPreKey(id)).await?;
        if kind == Some(KyberPreKeyKind::LastResort) {
            self.remove_uses(operation, id).await?;
        }
        Ok(())
    }

    async fn kyber_pre_key_ids(&self) -> Result<Vec<KyberPreKeyId>, StoreError> {
        let ids = self.ids("kyber_pre_key_ids", Kind::KyberPreKey, |id| {
            Name::KyberPreKey(id.into())
        });
        Ok(ids.await?.into_iter().map(KyberPreKeyId::from).collect())
    }
}

#[async_trait]
impl<B: Backend> SenderKeyStore for Transaction<B> {
    async fn load_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, StoreError> {
        let name = Name::SenderKey(sender, distribution_id);
        self.get("load_sender_key", name, |value| match value {
            Some(Value::SenderKey(record)) => Some(record.clone()),
            _ => None,
        })
        .await
    }

    async fn store_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), StoreError> {
        let name = Name::SenderKey(sender, distribution_id);
        let value = Value::SenderKey(record);
        self.put("store_sender_key", name, value).await
    }
}

impl<B: Backend> Transaction<B> {
    async fn kyber_kind(
        &self,
        operation: &'static str,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyKind>, StoreError> {
        let name = Name::KyberPreKey(id);
        self.get(operation, name, |value| match value {
            Some(Value::KyberPreKey(_, kind)) => Some(*kind),
            _ => None,
        })
        .await
    }
}

fn address_of(
    operation: &'static str,
    name: &str,
    device: DeviceId,
) -> Result<ProtocolAddress, StoreError> {
    ProtocolAddress::new(name, device.into()).map_err(|error| StoreError::new(operation, error))
}
