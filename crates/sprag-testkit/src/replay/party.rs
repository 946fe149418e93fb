//! One party of a recording: its stores, which log every call, and the ciphers over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use prost::Message;
use rand_core::CryptoRng;
use serde_json::Value;
use sprag::{
    Direction, Error, IdentityChange, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore,
    KyberPreKeyUse, PreKeyStore, PreKeyStores, SealedSessionCipher, SealedTrust, SessionBuilder,
    SessionCipher, SessionStore, SignedPreKeyStore, StoreError, Unsealed,
};
use sprag_core::{
    ProtocolError,
    address::{DeviceId, ProtocolAddress},
    bundle::PreKeyBundle,
    curve::PublicKey,
    identity::{IdentityKey, IdentityKeyPair},
    message::{CiphertextMessage, CiphertextMessageType},
    pre_key::{
        KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
        SignedPreKeyRecord,
    },
    session::SessionRecord,
    time::Timestamp,
};

use super::case::{Fields, Outcome, same};

/// A party, with the state that the recording gives it.
pub(super) struct Party {
    address: ProtocolAddress,
    stores: Stores,
}

impl Party {
    pub(super) fn new(state: &Value) -> Result<Self, String> {
        let text = |error: ProtocolError| error.to_string();
        let address = address(state.field("address")?)?;
        let identity = IdentityKeyPair::deserialize(&state.bytes("identity_key_pair")?);
        let mut data = Data::default();
        for (remote, bytes) in entries(state, "sessions")? {
            let record = SessionRecord::deserialize(&bytes).map_err(text)?;
            data.sessions.insert(remote, record);
        }
        for (remote, bytes) in entries(state, "identities")? {
            let key = IdentityKey::deserialize(&bytes).map_err(|error| error.to_string())?;
            data.identities.insert(remote, key);
        }
        for (_, bytes) in entries(state, "pre_keys")? {
            let record = PreKeyRecord::deserialize(&bytes).map_err(text)?;
            data.pre_keys.insert(record.id(), record);
        }
        for (_, bytes) in entries(state, "signed_pre_keys")? {
            let record = SignedPreKeyRecord::deserialize(&bytes).map_err(text)?;
            data.signed_pre_keys.insert(record.id(), record);
        }
        for (_, bytes) in entries(state, "kyber_pre_keys")? {
            let record = KyberPreKeyRecord::deserialize(&bytes).map_err(text)?;
            data.kyber_pre_keys.insert(record.id(), record);
        }
        for id in state.list("last_resort_kyber_ids").into_iter().flatten() {
            let id = id
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or("bad Kyber id")?;
            data.last_resort.insert(id.into());
        }
        Ok(Self {
            address,
            stores: Stores {
                identity: identity.map_err(text)?,
                registration_id: state.number32("registration_id")?,
                data: Mutex::new(data),
            },
        })
    }

    pub(super) fn address(&self) -> &ProtocolAddress {
        &self.address
    }

    /// What the recording's note says of the stores holds for one step.
    pub(super) fn begin_step(&mut self, note: &str) {
        let data = self.stores.data();
        data.calls.clear();
        data.distrusts = note.contains("identity store answers false");
        data.lacks_signed = note.contains("signed pre-key is missing");
        data.lacks_kyber = note.contains("Kyber pre-key is missing");
    }

    pub(super) fn process_bundle<R: CryptoRng + Send>(
        &mut self,
        remote: &ProtocolAddress,
        bundle: &PreKeyBundle,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<(), ProtocolError> {
        let builder = SessionBuilder::new(&self.stores, &self.stores, &self.address, remote);
        protocol(ready(builder.process_bundle(bundle, now, rng)))
    }

    pub(super) fn encrypt<R: CryptoRng + Send>(
        &mut self,
        remote: &ProtocolAddress,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<CiphertextMessage, ProtocolError> {
        let cipher = SessionCipher::new(&self.stores, &self.stores, &self.address, remote);
        protocol(ready(cipher.encrypt(plaintext, now, rng)))
    }

    pub(super) fn decrypt<R: CryptoRng + Send>(
        &mut self,
        remote: &ProtocolAddress,
        message_type: u64,
        message: &[u8],
        local: Option<&ProtocolAddress>,
        rng: &mut R,
    ) -> Result<Vec<u8>, ProtocolError> {
        let local = local.unwrap_or(&self.address);
        let message_type = u8::try_from(message_type)
            .ok()
            .and_then(CiphertextMessageType::from_number)
            .ok_or(ProtocolError::InvalidArgument("not a 1:1 message type"))?;
        let message = CiphertextMessage::deserialize(message_type, message)?;
        let stores = &self.stores;
        let cipher = SessionCipher::new(stores, stores, local, remote);
        protocol(ready(cipher.decrypt(
            &message,
            PreKeyStores::all_in(stores),
            rng,
        )))
    }

    /// The cipher for what is sealed.
    pub(super) fn sealed(&self) -> SealedSessionCipher<'_> {
        SealedSessionCipher::new(&self.stores, &self.stores, &self.address)
    }

    pub(super) fn unseal<R: CryptoRng + Send>(
        &self,
        sealed: &[u8],
        trust: SealedTrust<'_>,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Unsealed, ProtocolError> {
        let pre_keys = PreKeyStores::all_in(&self.stores);
        protocol(ready(
            self.sealed().decrypt(sealed, trust, pre_keys, now, rng),
        ))
    }

    /// All calls so far, in their order.
    pub(super) fn calls(&mut self) -> Vec<String> {
        self.stores.data().calls.clone()
    }

    /// The stored record, empty if there is none.
    pub(super) fn session(&mut self, remote: &ProtocolAddress) -> Vec<u8> {
        let record = self.stores.data().sessions.get(&remote.to_string());
        record
            .map(|record| record.serialize().to_vec())
            .unwrap_or_default()
    }

    pub(super) fn replace_session(
        &mut self,
        remote: &ProtocolAddress,
        bytes: Option<&[u8]>,
    ) -> Outcome {
        let sessions = &mut self.stores.data().sessions;
        match bytes {
            None | Some([]) => sessions.remove(&remote.to_string()),
            Some(bytes) => {
                let record = SessionRecord::deserialize(bytes).map_err(|e| e.to_string())?;
                sessions.insert(remote.to_string(), record)
            }
        };
        Ok(())
    }

    /// The calls must be the recorded ones.
    ///
    /// Reads may come in another order. Where one-time keys are consumed, the session is stored once
    /// more, before that: so a failure in between loses nothing.
    pub(super) fn same_calls(&mut self, step: &Value) -> Outcome {
        let Ok(expected) = step.list("calls") else {
            return Ok(());
        };
        let expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
        let data = self.stores.data();
        let found: Vec<&str> = data.calls.iter().map(String::as_str).collect();

        let reads = |calls: &[&str]| -> BTreeSet<String> {
            let reads = calls.iter().filter(|call| !is_write(call));
            // Needed for the agreement only after it succeeded: read early or not at all.
            reads
                .filter(|call| **call != "get_local_registration_id")
                .map(|c| c.to_string())
                .collect()
        };
        same("reads", reads(&found), reads(&expected))?;

        let mut writes: Vec<&str> = found
            .iter()
            .copied()
            .filter(|call| is_write(call))
            .collect();
        if let Some(mark) = writes
            .iter()
            .position(|call| call.starts_with("mark_kyber"))
            && mark > 0
            && writes[mark - 1].starts_with("store_session")
        {
            writes.remove(mark - 1);
        }
        let expected: Vec<&str> = expected.into_iter().filter(|call| is_write(call)).collect();
        let refused = expected
            .last()
            .is_some_and(|call| call.starts_with("mark_kyber"));
        if refused {
            // What was stored early is taken back.
            writes.truncate(expected.len());
        }
        same("writes", writes, expected)
    }

    /// The state at the end, sessions aside.
    pub(super) fn same_state(&mut self, expected: &Value) -> Outcome {
        let data = self.stores.data();
        let keys = |name: &str| -> Result<BTreeMap<String, Vec<u8>>, String> {
            Ok(entries(expected, name)?.into_iter().collect())
        };
        let found = data
            .pre_keys
            .iter()
            .map(|(id, key)| (id.to_string(), key.serialize().to_vec()));
        same("one-time pre-keys", found.collect(), keys("pre_keys")?)?;
        let found = data.signed_pre_keys.iter();
        let found = found.map(|(id, key)| (id.to_string(), key.serialize().to_vec()));
        same("signed pre-keys", found.collect(), keys("signed_pre_keys")?)?;
        let found = data.kyber_pre_keys.iter();
        let found = found.map(|(id, key)| (id.to_string(), key.serialize().to_vec()));
        same("Kyber pre-keys", found.collect(), keys("kyber_pre_keys")?)?;
        let found = data.identities.iter();
        let found = found.map(|(remote, key)| (remote.clone(), key.serialize().to_vec()));
        same("identities", found.collect(), keys("identities")?)
    }
}

fn is_write(call: &str) -> bool {
    ["save_", "store_", "mark_", "remove_", "delete_"]
        .iter()
        .any(|verb| call.starts_with(verb))
}

/// What an encryption drew, if it encapsulated: the stored post-quantum state ends with it.
pub(super) fn encapsulation_randomness(before: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    let (before, after) = (encapsulation_state(before), encapsulation_state(after)?);
    let random = after.get(after.len().checked_sub(32)?..)?;
    before.is_none().then(|| random.to_vec())
}

fn encapsulation_state(record: &[u8]) -> Option<Vec<u8>> {
    #[derive(Message)]
    struct Record {
        #[prost(message, optional, tag = "1")]
        current: Option<Session>,
    }
    #[derive(Message)]
    struct Session {
        #[prost(bytes = "vec", tag = "15")]
        pq_ratchet: Vec<u8>,
    }
    #[derive(Message)]
    struct PqRatchet {
        #[prost(message, optional, tag = "3")]
        braid: Option<Braid>,
    }
    #[derive(Message)]
    struct Braid {
        #[prost(message, optional, tag = "8")]
        sending_ciphertext: Option<SendingCiphertext>,
    }
    #[derive(Message)]
    struct SendingCiphertext {
        #[prost(message, optional, tag = "1")]
        core: Option<Core>,
    }
    #[derive(Message)]
    struct Core {
        #[prost(bytes = "vec", tag = "4")]
        encapsulation_state: Vec<u8>,
    }
    let session = Record::decode(record).ok()?.current?;
    let braid = PqRatchet::decode(&session.pq_ratchet[..]).ok()?.braid?;
    Some(braid.sending_ciphertext?.core?.encapsulation_state)
}

pub(super) fn address(fields: &Value) -> Result<ProtocolAddress, String> {
    ProtocolAddress::new(fields.text("name")?, fields.number32("device_id")?)
        .map_err(|error| error.to_string())
}

fn entries(state: &Value, name: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let Some(map) = state.optional(name).and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let entries = map.iter().map(|(key, value)| {
        let bytes = hex::decode(value.as_str().ok_or("no text")?);
        Ok((
            key.clone(),
            bytes.map_err(|error| format!("{name}: {error}"))?,
        ))
    });
    entries.collect()
}

/// The result of a future that never waits.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

pub(super) fn protocol<T>(result: Option<Result<T, Error>>) -> Result<T, ProtocolError> {
    match result {
        Some(Ok(value)) => Ok(value),
        Some(Err(Error::Protocol(error))) => Err(error),
        Some(Err(_)) => Err(ProtocolError::InvalidArgument("a store failed")),
        None => Err(ProtocolError::InvalidArgument("a store made the step wait")),
    }
}

struct Stores {
    identity: IdentityKeyPair,
    registration_id: u32,
    data: Mutex<Data>,
}

#[derive(Default)]
struct Data {
    calls: Vec<String>,
    distrusts: bool,
    lacks_signed: bool,
    lacks_kyber: bool,
    sessions: BTreeMap<String, SessionRecord>,
    identities: BTreeMap<String, IdentityKey>,
    pre_keys: BTreeMap<PreKeyId, PreKeyRecord>,
    signed_pre_keys: BTreeMap<SignedPreKeyId, SignedPreKeyRecord>,
    kyber_pre_keys: BTreeMap<KyberPreKeyId, KyberPreKeyRecord>,
    last_resort: BTreeSet<KyberPreKeyId>,
    uses: BTreeSet<(KyberPreKeyId, SignedPreKeyId, [u8; 33])>,
}

impl Stores {
    fn data(&mut self) -> &mut Data {
        self.data
            .get_mut()
            .expect("no step panics while it holds the lock")
    }

    /// The data, after logging a call.
    fn call(&self, call: String) -> std::sync::MutexGuard<'_, Data> {
        let mut data = self
            .data
            .lock()
            .expect("no step panics while it holds the lock");
        data.calls.push(call);
        data
    }
}

#[async_trait]
impl SessionStore for Stores {
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let data = self.call(format!("load_session {address}"));
        Ok(data.sessions.get(&address.to_string()).cloned())
    }

    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        let mut data = self.call(format!("store_session {address}"));
        data.sessions.insert(address.to_string(), record);
        Ok(())
    }

    async fn delete_session(&self, address: &ProtocolAddress) -> Result<(), StoreError> {
        self.call(format!("delete_session {address}"))
            .sessions
            .remove(&address.to_string());
        Ok(())
    }

    async fn delete_all_sessions(&self, name: &str) -> Result<(), StoreError> {
        let prefix = format!("{name}.");
        let mut data = self.call(format!("delete_all_sessions {name}"));
        data.sessions
            .retain(|address, _| !address.starts_with(&prefix));
        Ok(())
    }

    async fn sub_device_sessions(&self, _: &str) -> Result<Vec<DeviceId>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl IdentityKeyStore for Stores {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        drop(self.call("get_identity_key_pair".into()));
        Ok(self.identity.clone())
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        drop(self.call("get_local_registration_id".into()));
        Ok(self.registration_id)
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        let mut data = self.call(format!("save_identity {address}"));
        Ok(
            match data.identities.insert(address.to_string(), *identity) {
                Some(old) if old != *identity => IdentityChange::ReplacedExisting,
                _ => IdentityChange::NewOrUnchanged,
            },
        )
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        direction: Direction,
    ) -> Result<bool, StoreError> {
        let direction = match direction {
            Direction::Sending => "sending",
            Direction::Receiving => "receiving",
        };
        let data = self.call(format!("is_trusted_identity {address} {direction}"));
        let known = data.identities.get(&address.to_string());
        Ok(!data.distrusts && known.is_none_or(|known| known == identity))
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        let data = self.call(format!("get_identity {address}"));
        Ok(data.identities.get(&address.to_string()).copied())
    }
}

#[async_trait]
impl PreKeyStore for Stores {
    async fn load_pre_key(&self, id: PreKeyId) -> Result<Option<PreKeyRecord>, StoreError> {
        Ok(self
            .call(format!("get_pre_key {id}"))
            .pre_keys
            .get(&id)
            .cloned())
    }

    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> Result<(), StoreError> {
        self.call(format!("store_pre_key {id}"))
            .pre_keys
            .insert(id, record);
        Ok(())
    }

    async fn remove_pre_key(&self, id: PreKeyId) -> Result<(), StoreError> {
        self.call(format!("remove_pre_key {id}"))
            .pre_keys
            .remove(&id);
        Ok(())
    }

    async fn pre_key_ids(&self) -> Result<Vec<PreKeyId>, StoreError> {
        Ok(self
            .call("pre_key_ids".into())
            .pre_keys
            .keys()
            .copied()
            .collect())
    }
}

#[async_trait]
impl SignedPreKeyStore for Stores {
    async fn load_signed_pre_key(
        &self,
        id: SignedPreKeyId,
    ) -> Result<Option<SignedPreKeyRecord>, StoreError> {
        let data = self.call(format!("get_signed_pre_key {id}"));
        Ok(data
            .signed_pre_keys
            .get(&id)
            .filter(|_| !data.lacks_signed)
            .cloned())
    }

    async fn store_signed_pre_key(
        &self,
        id: SignedPreKeyId,
        record: SignedPreKeyRecord,
    ) -> Result<(), StoreError> {
        self.call(format!("store_signed_pre_key {id}"))
            .signed_pre_keys
            .insert(id, record);
        Ok(())
    }

    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> Result<(), StoreError> {
        self.call(format!("remove_signed_pre_key {id}"))
            .signed_pre_keys
            .remove(&id);
        Ok(())
    }

    async fn signed_pre_key_ids(&self) -> Result<Vec<SignedPreKeyId>, StoreError> {
        Ok(self
            .call("signed_pre_key_ids".into())
            .signed_pre_keys
            .keys()
            .copied()
            .collect())
    }
}

#[async_trait]
impl KyberPreKeyStore for Stores {
    async fn load_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyRecord>, StoreError> {
        let data = self.call(format!("get_kyber_pre_key {id}"));
        Ok(data
            .kyber_pre_keys
            .get(&id)
            .filter(|_| !data.lacks_kyber)
            .cloned())
    }

    async fn store_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
        record: KyberPreKeyRecord,
        _: KyberPreKeyKind,
    ) -> Result<(), StoreError> {
        self.call(format!("store_kyber_pre_key {id}"))
            .kyber_pre_keys
            .insert(id, record);
        Ok(())
    }

    async fn mark_kyber_pre_key_used(
        &self,
        id: KyberPreKeyId,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<KyberPreKeyUse, StoreError> {
        let base_key = base_key.serialize();
        let hex = hex::encode(base_key);
        let mut data = self.call(format!(
            "mark_kyber_pre_key_used {id} {signed_pre_key_id} {hex}"
        ));
        if !data.last_resort.contains(&id) {
            data.kyber_pre_keys.remove(&id);
            return Ok(KyberPreKeyUse::First);
        }
        Ok(match data.uses.insert((id, signed_pre_key_id, base_key)) {
            true => KyberPreKeyUse::First,
            false => KyberPreKeyUse::Repeated,
        })
    }

    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<(), StoreError> {
        self.call(format!("remove_kyber_pre_key {id}"))
            .kyber_pre_keys
            .remove(&id);
        Ok(())
    }

    async fn kyber_pre_key_ids(&self) -> Result<Vec<KyberPreKeyId>, StoreError> {
        Ok(self
            .call("kyber_pre_key_ids".into())
            .kyber_pre_keys
            .keys()
            .copied()
            .collect())
    }
}
