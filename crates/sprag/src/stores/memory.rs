//! All six stores in memory, **for tests**: they forget everything with the process.
//!
//! Typed records are kept, not bytes, so that a step costs no encoding.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    curve::PublicKey,
    identity::{IdentityKey, IdentityKeyPair},
    pre_key::{
        KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
        SignedPreKeyRecord,
    },
    sender_key::SenderKeyRecord,
    session::SessionRecord,
};
use uuid::Uuid;

use super::{
    Direction, IdentityChange, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore, KyberPreKeyUse,
    PreKeyStore, SenderKeyStore, SessionStore, SignedPreKeyStore, StoreError,
};

/// A [`SessionStore`] in memory, for tests only.
#[derive(Debug, Default)]
pub struct InMemorySessionStore {
    records: Locked<HashMap<ProtocolAddress, SessionRecord>>,
}

impl InMemorySessionStore {
    /// A store without sessions.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SessionStore for InMemorySessionStore {
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.records.lock().get(address).cloned())
    }

    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        let mut records = self.records.lock();
        match records.get_mut(address) {
            Some(slot) => *slot = record,
            None => drop(records.insert(address.clone(), record)),
        }
        Ok(())
    }

    async fn delete_session(&self, address: &ProtocolAddress) -> Result<(), StoreError> {
        self.records.lock().remove(address);
        Ok(())
    }

    async fn delete_all_sessions(&self, name: &str) -> Result<(), StoreError> {
        let mut records = self.records.lock();
        records.retain(|address, _| address.name() != name);
        Ok(())
    }

    async fn sub_device_sessions(&self, name: &str) -> Result<Vec<DeviceId>, StoreError> {
        let records = self.records.lock();
        let of_name = records.keys().filter(|address| address.name() == name);
        let mut devices: Vec<_> = of_name.map(ProtocolAddress::device_id).collect();
        devices.sort_unstable();
        Ok(devices)
    }
}

/// An [`IdentityKeyStore`] in memory that trusts on first use, for tests only.
#[derive(Debug)]
pub struct InMemoryIdentityKeyStore {
    own: IdentityKeyPair,
    registration_id: u32,
    identities: Locked<HashMap<ProtocolAddress, IdentityKey>>,
}

impl InMemoryIdentityKeyStore {
    /// A store that knows nobody but us.
    pub fn new(own: IdentityKeyPair, registration_id: u32) -> Self {
        Self {
            own,
            registration_id,
            identities: Locked::default(),
        }
    }
}

#[async_trait]
impl IdentityKeyStore for InMemoryIdentityKeyStore {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        Ok(self.own.clone())
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        let mut identities = self.identities.lock();
        if identities.get(address) == Some(identity) {
            return Ok(IdentityChange::NewOrUnchanged);
        }
        Ok(match identities.insert(address.clone(), *identity) {
            None => IdentityChange::NewOrUnchanged,
            Some(_) => IdentityChange::ReplacedExisting,
        })
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        _direction: Direction,
    ) -> Result<bool, StoreError> {
        let identities = self.identities.lock();
        Ok(identities
            .get(address)
            .is_none_or(|known| known == identity))
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        Ok(self.identities.lock().get(address).copied())
    }
}

/// A [`PreKeyStore`] in memory, for tests only.
#[derive(Debug, Default)]
pub struct InMemoryPreKeyStore {
    records: Locked<BTreeMap<PreKeyId, PreKeyRecord>>,
}

impl InMemoryPreKeyStore {
    /// A store without pre-keys.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl PreKeyStore for InMemoryPreKeyStore {
    async fn load_pre_key(&self, id: PreKeyId) -> Result<Option<PreKeyRecord>, StoreError> {
        Ok(self.records.lock().get(&id).cloned())
    }

    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> Result<(), StoreError> {
        self.records.lock().insert(id, record);
        Ok(())
    }

    async fn remove_pre_key(&self, id: PreKeyId) -> Result<(), StoreError> {
        self.records.lock().remove(&id);
        Ok(())
    }

    async fn pre_key_ids(&self) -> Result<Vec<PreKeyId>, StoreError> {
        Ok(self.records.lock().keys().copied().collect())
    }
}

/// A [`SignedPreKeyStore`] in memory, for tests only.
#[derive(Debug, Default)]
pub struct InMemorySignedPreKeyStore {
    records: Locked<BTreeMap<SignedPreKeyId, SignedPreKeyRecord>>,
}

impl InMemorySignedPreKeyStore {
    /// A store without signed pre-keys.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SignedPreKeyStore for InMemorySignedPreKeyStore {
    async fn load_signed_pre_key(
        &self,
        id: SignedPreKeyId,
    ) -> Result<Option<SignedPreKeyRecord>, StoreError> {
        Ok(self.records.lock().get(&id).cloned())
    }

    async fn store_signed_pre_key(
        &self,
        id: SignedPreKeyId,
        record: SignedPreKeyRecord,
    ) -> Result<(), StoreError> {
        self.records.lock().insert(id, record);
        Ok(())
    }

    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> Result<(), StoreError> {
        self.records.lock().remove(&id);
        Ok(())
    }

    async fn signed_pre_key_ids(&self) -> Result<Vec<SignedPreKeyId>, StoreError> {
        Ok(self.records.lock().keys().copied().collect())
    }
}

/// A [`KyberPreKeyStore`] in memory, for tests only.
#[derive(Debug, Default)]
pub struct InMemoryKyberPreKeyStore {
    state: Locked<KyberPreKeys>,
}

#[derive(Debug, Default)]
struct KyberPreKeys {
    records: BTreeMap<KyberPreKeyId, (KyberPreKeyRecord, KyberPreKeyKind)>,
    uses: HashSet<(KyberPreKeyId, SignedPreKeyId, PublicKey)>,
}

impl KyberPreKeys {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl InMemoryKyberPreKeyStore {
    /// A store without Kyber pre-keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the last-resort key `id` was marked used, with any signed pre-key and base key. One-time keys are gone
    /// when they were.
    pub fn is_kyber_pre_key_used(&self, id: KyberPreKeyId) -> bool {
        let state = self.state.lock();
        state.uses.iter().any(|(used, _, _)| *used == id)
    }
}

#[async_trait]
impl KyberPreKeyStore for InMemoryKyberPreKeyStore {
    async fn load_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyRecord>, StoreError> {
        let state = self.state.lock();
        Ok(state.records.get(&id).map(|(record, _)| record.clone()))
    }

    async fn store_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
        record: KyberPreKeyRecord,
        kind: KyberPreKeyKind,
    ) -> Result<(), StoreError> {
        self.state.lock().records.insert(id, (record, kind));
        Ok(())
    }

    async fn mark_kyber_pre_key_used(
        &self,
        id: KyberPreKeyId,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<KyberPreKeyUse, StoreError> {
        let mut state = self.state.lock();
        let first = match state.records.get(&id) {
            None => false,
            Some((_, KyberPreKeyKind::OneTime)) => state.records.remove(&id).is_some(),
            Some((_, KyberPreKeyKind::LastResort)) => {
                state.uses.insert((id, signed_pre_key_id, *base_key))
            }
        };
        Ok(if first {
            KyberPreKeyUse::First
        } else {
            KyberPreKeyUse::Repeated
        })
    }

    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.records.remove(&id);
        state.uses.retain(|(used, _, _)| *used != id);
        Ok(())
    }

    async fn kyber_pre_key_ids(&self) -> Result<Vec<KyberPreKeyId>, StoreError> {
        Ok(self.state.lock().records.keys().copied().collect())
    }
}

/// A [`SenderKeyStore`] in memory, for tests only.
#[derive(Debug, Default)]
pub struct InMemorySenderKeyStore {
    records: Locked<HashMap<(ProtocolAddress, Uuid), SenderKeyRecord>>,
}

impl InMemorySenderKeyStore {
    /// A store without sender keys.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SenderKeyStore for InMemorySenderKeyStore {
    async fn load_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, StoreError> {
        let records = self.records.lock();
        Ok(records.get(&(sender.clone(), distribution_id)).cloned())
    }

    async fn store_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), StoreError> {
        let mut records = self.records.lock();
        records.insert((sender.clone(), distribution_id), record);
        Ok(())
    }
}

/// What a test wants of a store beside its trait.
macro_rules! counted {
    ($store:ident, $field:ident: $what:literal) => {
        impl $store {
            #[doc = concat!("How many ", $what, " it holds.")]
            pub fn len(&self) -> usize {
                self.$field.lock().len()
            }

            #[doc = concat!("Whether it holds no ", $what, ".")]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            #[doc = concat!("Forgets all ", $what, ".")]
            pub fn clear(&self) {
                self.$field.lock().clear();
            }
        }
    };
}

counted!(InMemorySessionStore, records: "sessions");
counted!(InMemoryIdentityKeyStore, identities: "identities of others");
counted!(InMemoryPreKeyStore, records: "pre-keys");
counted!(InMemorySignedPreKeyStore, records: "signed pre-keys");
counted!(InMemoryKyberPreKeyStore, state: "Kyber pre-keys");
counted!(InMemorySenderKeyStore, records: "sender keys");

/// State behind a lock that nobody holds across an await.
#[derive(Debug, Default)]
struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Every change under the lock is a single call that does not fail, so a panic leaves nothing half
    /// done.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
