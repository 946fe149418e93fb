//! Sets of records, guarded so that no member is missed.
//!
//! A member that was seen is expected by the commit like everything that was read, so that nobody removes
//! or changes it unnoticed. Against members that are *added* after the scan every set has a record of kind
//! [`Directory`](Kind::Directory), rewritten only then, never by an ordinary message:
//!
//! * pre-keys of one sort: a stamp without content, whose version is what guards;
//! * sessions with a name: the list of its devices, since a scan cannot find them (keys are opaque).

use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    pre_key::KyberPreKeyId,
};

use super::{
    names::Name,
    transaction::{Slot, Transaction},
    value::Value,
};
use crate::{
    StoreError,
    backend::{Backend, Kind},
};

impl<B: Backend> Transaction<B> {
    /// Puts a record into the set of its kind.
    pub(super) async fn put_member(
        &self,
        operation: &'static str,
        name: Name<'_>,
        value: Value,
    ) -> Result<(), StoreError> {
        let stamp = Name::Stamp(name.kind());
        self.prefetch(operation, &[name, stamp]).await?;
        if !self.contains(operation, name).await? {
            self.put(operation, stamp, Value::Stamp).await?;
        }
        self.put(operation, name, value).await
    }

    /// The ids of all pre-keys of a kind, in ascending order.
    pub(super) async fn ids(
        &self,
        operation: &'static str,
        kind: Kind,
        name: fn(u32) -> Name<'static>,
    ) -> Result<Vec<u32>, StoreError> {
        self.prefetch(operation, &[Name::Stamp(kind)]).await?;
        self.load_all(operation, kind, |bytes| id(bytes).map(name))
            .await?;
        let mut ids = Vec::new();
        self.each_known(kind, |bytes, _| ids.extend(id(bytes)));
        ids.sort_unstable();
        Ok(ids)
    }

    /// Forgets what a last-resort Kyber pre-key was used for. Whoever has removed that in the same transaction keeps others
    /// from adding a use that is seen.
    pub(super) async fn remove_uses(
        &self,
        operation: &'static str,
        id: KyberPreKeyId,
    ) -> Result<(), StoreError> {
        self.load_all(operation, Kind::KyberUse, Name::kyber_use)
            .await?;
        let mut uses = Vec::new();
        self.each_known(Kind::KyberUse, |name, _| uses.extend(Name::kyber_use(name)));
        for name in uses.into_iter().filter(|name| name.is_use_of(id)) {
            self.remove(operation, name).await?;
        }
        Ok(())
    }

    pub(super) async fn contains(
        &self,
        operation: &'static str,
        name: Name<'_>,
    ) -> Result<bool, StoreError> {
        self.get(operation, name, |value| value.is_some()).await
    }

    pub(super) async fn devices(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<Vec<DeviceId>, StoreError> {
        self.get(operation, Name::Devices(name), listed).await
    }

    /// Adds a device to the list of its name, if it is not there.
    pub(super) async fn add_device(
        &self,
        operation: &'static str,
        address: &ProtocolAddress,
    ) -> Result<(), StoreError> {
        let add = |slot: &mut Slot| {
            let mut devices = listed(slot.value());
            if let Err(place) = devices.binary_search(&address.device_id()) {
                devices.insert(place, address.device_id());
                slot.put(Value::Devices(devices));
            }
        };
        self.update(operation, Name::Devices(address.name()), add)
            .await
    }

    /// Takes a device off the list of its name.
    pub(super) async fn remove_device(
        &self,
        operation: &'static str,
        address: &ProtocolAddress,
    ) -> Result<(), StoreError> {
        let remove = |slot: &mut Slot| {
            let mut devices = listed(slot.value());
            if let Ok(place) = devices.binary_search(&address.device_id()) {
                devices.remove(place);
                if devices.is_empty() {
                    slot.remove();
                } else {
                    slot.put(Value::Devices(devices));
                }
            }
        };
        self.update(operation, Name::Devices(address.name()), remove)
            .await
    }
}

fn listed(value: Option<&Value>) -> Vec<DeviceId> {
    match value {
        Some(Value::Devices(devices)) => devices.clone(),
        _ => Vec::new(),
    }
}

fn id(name: &[u8]) -> Option<u32> {
    name.try_into().ok().map(u32::from_be_bytes)
}
