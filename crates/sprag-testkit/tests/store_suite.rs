//! The contracts on stores can fail: each of these stores has one flaw, of the kind that people make, and the
//! contracts that are there to find it do find it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sprag::{
    DeviceId, Direction, IdentityChange, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore,
    KyberPreKeyUse, PreKeyStore, ProtocolAddress, SenderKeyStore, SessionRecord, SessionStore,
    SignedPreKeyStore, StoreError,
    protocol::{
        curve::PublicKey,
        identity::{IdentityKey, IdentityKeyPair},
        pre_key::{
            KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
            SignedPreKeyRecord,
        },
        sender_key::SenderKeyRecord,
    },
};
use sprag_testkit::stores::{
    ReopenableStores, StoreSet, conversations, durable, identities, pre_keys, run, sender_keys,
    sessions,
};
use tokio::task::yield_now;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    // Sessions.
    AnOldSessionComesBack,
    TheFirstSessionStays,
    DevicesAreMixed,
    AddressesAreJoined,
    NamesIgnoreCase,
    DeletingSessionsIsForgotten,
    OneDeviceIsDeletedInsteadOfAll,
    AllAreDeletedByPrefix,
    DevicesAreNotInOrder,
    TheMainDeviceIsLeftOut,
    EmptySessionsAreNone,
    LargeSessionsAreCut,
    MissingSessionsAreSkipped,
    SessionsAreDeletedBeforeTheyAreStored,
    SessionsStoredAtOnceAreLost,
    SessionsAreStoredLater,
    // Identities.
    EverybodyIsTrusted,
    NobodyIsTrustedAtFirst,
    AskingSavesTheFirstIdentity,
    AskingSavesAnotherIdentity,
    TheFirstIdentityStays,
    ChangesAreNotTold,
    ChangesAreAlwaysTold,
    OurIdentityChanges,
    OurRegistrationIdIsLarge,
    // Pre-keys.
    RemovingIsForgotten,
    RemovingNothingFails,
    LoadingRemoves,
    LoadingRemovesKyber,
    IdsAreSigned,
    IdsAreOrderedAsText,
    RemovingRemovesAllSorts,
    MarkingIsForgotten,
    MarkedOneTimeKeysStay,
    MarkedLastResortKeysGo,
    UsesAreBaseKeysAlone,
    UsesLackTheBaseKey,
    UsesLackTheSignedPreKey,
    ReplacingForgetsUses,
    ReplacingKeepsTheKind,
    MarkingIsTwoSteps,
    MarkingAKeyThatIsGoneIsTheFirst,
    // Sender keys.
    TheFirstSenderKeyStays,
    SendersAreMixed,
    DistributionsAreMixed,
    // When opened again.
    SessionsAreInMemory,
    IdentitiesAreInMemory,
    PreKeysAreInMemory,
    RemovedPreKeysComeBack,
    UsesAreInMemory,
    SenderKeysAreInMemory,
}

/// What outlives one opening.
#[derive(Clone)]
struct Disk {
    records: StoreSet,
    kinds: Arc<Mutex<HashMap<KyberPreKeyId, KyberPreKeyKind>>>,
    uses: Arc<Mutex<HashSet<Use>>>,
}

type Use = (
    Option<KyberPreKeyId>,
    Option<SignedPreKeyId>,
    Option<PublicKey>,
);

impl Disk {
    fn new() -> Self {
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        Self {
            records: StoreSet::in_memory(identity, 7),
            kinds: Arc::default(),
            uses: Arc::default(),
        }
    }

    /// What is there when the stores are opened again.
    fn reopened(&self, flaw: Flaw) -> Self {
        let (new, mut disk) = (Self::new(), self.clone());
        match flaw {
            Flaw::SessionsAreInMemory => disk.records.sessions = new.records.sessions,
            Flaw::IdentitiesAreInMemory => disk.records.identities = new.records.identities,
            Flaw::PreKeysAreInMemory => disk.records.pre_keys = new.records.pre_keys,
            Flaw::UsesAreInMemory => disk.uses = new.uses,
            Flaw::SenderKeysAreInMemory => disk.records.sender_keys = new.records.sender_keys,
            _ => {}
        }
        disk
    }
}

struct Flawed {
    disk: Disk,
    flaw: Flaw,
    cache: Mutex<HashMap<ProtocolAddress, SessionRecord>>,
    names: Mutex<HashSet<String>>,
    removed: Mutex<HashSet<PreKeyId>>,
}

impl Flawed {
    fn over(disk: Disk, flaw: Flaw) -> StoreSet {
        StoreSet::all_in(Arc::new(Self {
            disk,
            flaw,
            cache: Mutex::default(),
            names: Mutex::default(),
            removed: Mutex::default(),
        }))
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Where the flawed store looks for `address`.
    fn place(&self, address: &ProtocolAddress) -> ProtocolAddress {
        let (name, device) = (address.name(), u32::from(address.device_id()));
        match self.flaw {
            Flaw::DevicesAreMixed => ProtocolAddress::new(name, 1),
            Flaw::AddressesAreJoined => ProtocolAddress::new(format!("{name}{device}"), 1),
            Flaw::NamesIgnoreCase => ProtocolAddress::new(name.to_lowercase(), device),
            _ => ProtocolAddress::new(name, device),
        }
        .unwrap()
    }
}

#[async_trait]
impl SessionStore for Flawed {
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let address = self.place(address);
        let loaded = self.disk.records.sessions.load_session(&address).await?;
        let Some(record) = loaded else {
            return Ok(None);
        };
        if self.has(Flaw::AnOldSessionComesBack) {
            let mut cache = self.cache.lock().unwrap();
            return Ok(Some(cache.entry(address).or_insert(record).clone()));
        }
        let length = record.serialize().len();
        if self.has(Flaw::LargeSessionsAreCut) && length > 65_535 {
            return Err(StoreError::corrupt("load_session", "cut at 65535 bytes"));
        }
        Ok((length > 0 || !self.has(Flaw::EmptySessionsAreNone)).then_some(record))
    }

    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        let (sessions, address) = (&self.disk.records.sessions, self.place(address));
        let name = address.name().to_owned();
        self.names.lock().unwrap().insert(name);
        match self.flaw {
            Flaw::TheFirstSessionStays if sessions.contains_session(&address).await? => Ok(()),
            Flaw::SessionsAreDeletedBeforeTheyAreStored => {
                sessions.delete_session(&address).await?;
                yield_now().await;
                sessions.store_session(&address, record).await
            }
            Flaw::SessionsStoredAtOnceAreLost => {
                let before = sessions.sub_device_sessions(address.name()).await?;
                yield_now().await;
                if sessions.sub_device_sessions(address.name()).await? == before {
                    sessions.store_session(&address, record).await?;
                }
                Ok(())
            }
            Flaw::SessionsAreStoredLater => {
                let sessions = sessions.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    sessions.store_session(&address, record).await
                });
                Ok(())
            }
            _ => sessions.store_session(&address, record).await,
        }
    }

    async fn delete_session(&self, address: &ProtocolAddress) -> Result<(), StoreError> {
        if self.has(Flaw::DeletingSessionsIsForgotten) {
            return Ok(());
        }
        let address = self.place(address);
        self.disk.records.sessions.delete_session(&address).await
    }

    async fn delete_all_sessions(&self, name: &str) -> Result<(), StoreError> {
        let address = self.place(&ProtocolAddress::new(name, 1).unwrap());
        let sessions = &self.disk.records.sessions;
        if self.has(Flaw::OneDeviceIsDeletedInsteadOfAll) {
            return sessions.delete_session(&address).await;
        }
        if self.has(Flaw::AllAreDeletedByPrefix) {
            let mut names = self.names.lock().unwrap().clone();
            names.retain(|other| other.starts_with(name));
            for name in names {
                sessions.delete_all_sessions(&name).await?;
            }
            return Ok(());
        }
        sessions.delete_all_sessions(address.name()).await
    }

    async fn sub_device_sessions(&self, name: &str) -> Result<Vec<DeviceId>, StoreError> {
        let address = self.place(&ProtocolAddress::new(name, 1).unwrap());
        let sessions = &self.disk.records.sessions;
        let mut devices = sessions.sub_device_sessions(address.name()).await?;
        match self.flaw {
            Flaw::DevicesAreNotInOrder => devices.reverse(),
            Flaw::TheMainDeviceIsLeftOut => devices.retain(|device| device.as_u8() != 1),
            _ => {}
        }
        Ok(devices)
    }

    async fn load_existing_sessions(
        &self,
        addresses: &[ProtocolAddress],
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let mut records = Vec::new();
        for address in addresses {
            match self.load_session(address).await? {
                Some(record) => records.push(record),
                None if self.has(Flaw::MissingSessionsAreSkipped) => {}
                None => {
                    let call = "load_existing_sessions";
                    return Err(StoreError::session_missing(call, address));
                }
            }
        }
        Ok(records)
    }
}

#[async_trait]
impl IdentityKeyStore for Flawed {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        if self.has(Flaw::OurIdentityChanges) {
            return Ok(IdentityKeyPair::generate(&mut rand::rng()));
        }
        self.disk.records.identities.identity_key_pair().await
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        Ok(if self.has(Flaw::OurRegistrationIdIsLarge) {
            0x4000
        } else {
            7
        })
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        let (identities, address) = (&self.disk.records.identities, self.place(address));
        let known = identities.load_identity(&address).await?;
        if self.has(Flaw::TheFirstIdentityStays) && known.is_some() {
            return Ok(IdentityChange::NewOrUnchanged);
        }
        let change = identities.save_identity(&address, identity).await?;
        Ok(match self.flaw {
            Flaw::ChangesAreNotTold => IdentityChange::NewOrUnchanged,
            Flaw::ChangesAreAlwaysTold => IdentityChange::ReplacedExisting,
            _ => change,
        })
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        direction: Direction,
    ) -> Result<bool, StoreError> {
        let (identities, address) = (&self.disk.records.identities, self.place(address));
        let known = identities.load_identity(&address).await?.is_some();
        let trusted = identities.is_trusted_identity(&address, identity, direction);
        let trusted = trusted.await?;
        match self.flaw {
            Flaw::EverybodyIsTrusted => return Ok(true),
            Flaw::NobodyIsTrustedAtFirst => return Ok(known && trusted),
            Flaw::AskingSavesTheFirstIdentity if !known => {
                identities.save_identity(&address, identity).await?;
            }
            Flaw::AskingSavesAnotherIdentity if known => {
                identities.save_identity(&address, identity).await?;
            }
            _ => {}
        }
        Ok(trusted)
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        let address = self.place(address);
        self.disk.records.identities.load_identity(&address).await
    }
}

#[async_trait]
impl PreKeyStore for Flawed {
    async fn load_pre_key(&self, id: PreKeyId) -> Result<Option<PreKeyRecord>, StoreError> {
        if self.removed.lock().unwrap().contains(&id) {
            return Ok(None);
        }
        let pre_keys = &self.disk.records.pre_keys;
        let loaded = pre_keys.load_pre_key(id).await?;
        if self.has(Flaw::LoadingRemoves) {
            pre_keys.remove_pre_key(id).await?;
        }
        Ok(loaded)
    }

    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> Result<(), StoreError> {
        if self.has(Flaw::IdsAreSigned) && u32::from(id) > 0x7fff_ffff {
            return Err(StoreError::new("store_pre_key", "integer out of range"));
        }
        self.removed.lock().unwrap().remove(&id);
        self.disk.records.pre_keys.store_pre_key(id, record).await
    }

    async fn remove_pre_key(&self, id: PreKeyId) -> Result<(), StoreError> {
        let records = &self.disk.records;
        match self.flaw {
            Flaw::RemovingIsForgotten => return Ok(()),
            Flaw::RemovingNothingFails if !self.contains_pre_key(id).await? => {
                return Err(StoreError::new("remove_pre_key", "no such row"));
            }
            Flaw::RemovedPreKeysComeBack => {
                self.removed.lock().unwrap().insert(id);
                return Ok(());
            }
            Flaw::RemovingRemovesAllSorts => {
                let id = u32::from(id);
                let signed = &records.signed_pre_keys;
                signed.remove_signed_pre_key(id.into()).await?;
                records
                    .kyber_pre_keys
                    .remove_kyber_pre_key(id.into())
                    .await?;
            }
            _ => {}
        }
        records.pre_keys.remove_pre_key(id).await
    }

    async fn pre_key_ids(&self) -> Result<Vec<PreKeyId>, StoreError> {
        let mut ids = self.disk.records.pre_keys.pre_key_ids().await?;
        ids.retain(|id| !self.removed.lock().unwrap().contains(id));
        if self.has(Flaw::IdsAreOrderedAsText) {
            ids.sort_by_key(ToString::to_string);
        }
        Ok(ids)
    }
}

#[async_trait]
impl SignedPreKeyStore for Flawed {
    async fn load_signed_pre_key(
        &self,
        id: SignedPreKeyId,
    ) -> Result<Option<SignedPreKeyRecord>, StoreError> {
        let signed = &self.disk.records.signed_pre_keys;
        signed.load_signed_pre_key(id).await
    }

    async fn store_signed_pre_key(
        &self,
        id: SignedPreKeyId,
        record: SignedPreKeyRecord,
    ) -> Result<(), StoreError> {
        let signed = &self.disk.records.signed_pre_keys;
        signed.store_signed_pre_key(id, record).await
    }

    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> Result<(), StoreError> {
        if self.has(Flaw::RemovingIsForgotten) {
            return Ok(());
        }
        let signed = &self.disk.records.signed_pre_keys;
        signed.remove_signed_pre_key(id).await
    }

    async fn signed_pre_key_ids(&self) -> Result<Vec<SignedPreKeyId>, StoreError> {
        let mut ids = self
            .disk
            .records
            .signed_pre_keys
            .signed_pre_key_ids()
            .await?;
        if self.has(Flaw::IdsAreOrderedAsText) {
            ids.sort_by_key(ToString::to_string);
        }
        Ok(ids)
    }
}

#[async_trait]
impl KyberPreKeyStore for Flawed {
    async fn load_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyRecord>, StoreError> {
        let kyber = &self.disk.records.kyber_pre_keys;
        let loaded = kyber.load_kyber_pre_key(id).await?;
        if self.has(Flaw::LoadingRemovesKyber) {
            kyber.remove_kyber_pre_key(id).await?;
        }
        Ok(loaded)
    }

    async fn store_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
        record: KyberPreKeyRecord,
        kind: KyberPreKeyKind,
    ) -> Result<(), StoreError> {
        let kyber = &self.disk.records.kyber_pre_keys;
        let stored_before = kyber.contains_kyber_pre_key(id).await?;
        if self.has(Flaw::ReplacingForgetsUses) {
            let mut uses = self.disk.uses.lock().unwrap();
            uses.retain(|(of, _, _)| *of != Some(id));
        }
        if !(self.has(Flaw::ReplacingKeepsTheKind) && stored_before) {
            self.disk.kinds.lock().unwrap().insert(id, kind);
        }
        kyber.store_kyber_pre_key(id, record, kind).await
    }

    async fn mark_kyber_pre_key_used(
        &self,
        id: KyberPreKeyId,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<KyberPreKeyUse, StoreError> {
        let kyber = &self.disk.records.kyber_pre_keys;
        if self.has(Flaw::MarkingIsForgotten) {
            return Ok(KyberPreKeyUse::First);
        }
        // One step, and so without an await, but where that is the flaw.
        let found = {
            let mut kinds = self.disk.kinds.lock().unwrap();
            match kinds.get(&id) {
                None => None,
                Some(KyberPreKeyKind::OneTime)
                    if self.has(Flaw::MarkedOneTimeKeysStay)
                        || self.has(Flaw::MarkingIsTwoSteps) =>
                {
                    Some(KyberPreKeyKind::OneTime)
                }
                Some(KyberPreKeyKind::OneTime) => kinds.remove(&id),
                Some(KyberPreKeyKind::LastResort) => Some(KyberPreKeyKind::LastResort),
            }
        };
        let one_use: Use = match self.flaw {
            Flaw::UsesAreBaseKeysAlone => (None, None, Some(*base_key)),
            Flaw::UsesLackTheBaseKey => (Some(id), Some(signed_pre_key_id), None),
            Flaw::UsesLackTheSignedPreKey => (Some(id), None, Some(*base_key)),
            _ => (Some(id), Some(signed_pre_key_id), Some(*base_key)),
        };
        let first = match found {
            None => self.has(Flaw::MarkingAKeyThatIsGoneIsTheFirst),
            Some(KyberPreKeyKind::OneTime) => {
                if self.has(Flaw::MarkingIsTwoSteps) {
                    yield_now().await;
                    self.disk.kinds.lock().unwrap().remove(&id);
                }
                if !self.has(Flaw::MarkedOneTimeKeysStay) {
                    kyber.remove_kyber_pre_key(id).await?;
                }
                true
            }
            Some(KyberPreKeyKind::LastResort) => {
                if self.has(Flaw::MarkedLastResortKeysGo) {
                    kyber.remove_kyber_pre_key(id).await?;
                }
                self.disk.uses.lock().unwrap().insert(one_use)
            }
        };
        Ok(if first {
            KyberPreKeyUse::First
        } else {
            KyberPreKeyUse::Repeated
        })
    }

    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<(), StoreError> {
        if self.has(Flaw::RemovingIsForgotten) {
            return Ok(());
        }
        self.disk.kinds.lock().unwrap().remove(&id);
        let kyber = &self.disk.records.kyber_pre_keys;
        kyber.remove_kyber_pre_key(id).await
    }

    async fn kyber_pre_key_ids(&self) -> Result<Vec<KyberPreKeyId>, StoreError> {
        let mut ids = self.disk.records.kyber_pre_keys.kyber_pre_key_ids().await?;
        if self.has(Flaw::IdsAreOrderedAsText) {
            ids.sort_by_key(ToString::to_string);
        }
        Ok(ids)
    }
}

impl Flawed {
    fn group(&self, sender: &ProtocolAddress, distribution: Uuid) -> (ProtocolAddress, Uuid) {
        match self.flaw {
            Flaw::SendersAreMixed => (ProtocolAddress::new("", 1).unwrap(), distribution),
            Flaw::DistributionsAreMixed => (sender.clone(), Uuid::nil()),
            _ => (self.place(sender), distribution),
        }
    }
}

#[async_trait]
impl SenderKeyStore for Flawed {
    async fn load_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, StoreError> {
        let (sender, distribution) = self.group(sender, distribution_id);
        let sender_keys = &self.disk.records.sender_keys;
        sender_keys.load_sender_key(&sender, distribution).await
    }

    async fn store_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), StoreError> {
        let (sender, distribution) = self.group(sender, distribution_id);
        let sender_keys = &self.disk.records.sender_keys;
        let known = sender_keys.load_sender_key(&sender, distribution).await?;
        if self.has(Flaw::TheFirstSenderKeyStays) && known.is_some() {
            return Ok(());
        }
        sender_keys
            .store_sender_key(&sender, distribution, record)
            .await
    }
}

/// What stores with this flaw are given to a contract as.
trait Subject {
    fn with(flaw: Flaw) -> Self;
}

impl Subject for StoreSet {
    fn with(flaw: Flaw) -> Self {
        Flawed::over(Disk::new(), flaw)
    }
}

impl Subject for ReopenableStores {
    fn with(flaw: Flaw) -> Self {
        let disk = Disk::new();
        Self::new(move || {
            let disk = disk.reopened(flaw);
            async move { Flawed::over(disk, flaw) }
        })
    }
}

/// Whether a contract passes on stores with this flaw.
fn passes<S: Subject, C, Fut>(flaw: Flaw, contract: C) -> bool
where
    C: FnOnce(S) -> Fut,
    Fut: Future<Output = ()>,
{
    let stores = || std::future::ready(S::with(flaw));
    catch_unwind(AssertUnwindSafe(|| run(stores, contract))).is_ok()
}

macro_rules! finds {
    ($($test:ident: $flaw:ident by $($module:ident::$contract:ident),+;)*) => {
        $(
            #[test]
            fn $test() {
                $(
                    assert!(passes(Flaw::None, $module::$contract), "sound: {}", stringify!($contract));
                    assert!(!passes(Flaw::$flaw, $module::$contract), "not found: {}", stringify!($contract));
                )+
            }
        )*
    };
}

finds! {
    old_sessions: AnOldSessionComesBack by
        sessions::a_session_is_replaced,
        conversations::a_conversation_that_the_peer_starts,
        conversations::a_conversation_that_we_start,
        conversations::failed_messages_change_nothing;
    first_sessions: TheFirstSessionStays by
        sessions::a_session_is_replaced,
        conversations::failed_messages_change_nothing,
        durable::sessions_survive;
    mixed_devices: DevicesAreMixed by
        sessions::sessions_of_devices_are_apart,
        sessions::a_deleted_session_is_gone,
        sessions::devices_with_sessions_are_listed,
        sender_keys::sender_keys_are_apart_by_sender_and_distribution;
    joined_addresses: AddressesAreJoined by
        sessions::sessions_of_names_are_apart,
        sessions::devices_with_sessions_are_listed;
    ignored_case: NamesIgnoreCase by
        sessions::sessions_of_names_are_apart,
        sessions::all_sessions_of_a_name_are_deleted_and_no_others,
        identities::identities_of_addresses_are_apart,
        sender_keys::sender_keys_are_apart_by_sender_and_distribution;
    deleted_sessions: DeletingSessionsIsForgotten by
        sessions::a_deleted_session_is_gone,
        durable::sessions_survive;
    one_of_all_deleted: OneDeviceIsDeletedInsteadOfAll by
        sessions::all_sessions_of_a_name_are_deleted_and_no_others;
    deleted_by_prefix: AllAreDeletedByPrefix by
        sessions::all_sessions_of_a_name_are_deleted_and_no_others;
    devices_out_of_order: DevicesAreNotInOrder by sessions::devices_with_sessions_are_listed;
    no_main_device: TheMainDeviceIsLeftOut by sessions::devices_with_sessions_are_listed;
    empty_sessions: EmptySessionsAreNone by sessions::a_stored_session_comes_back;
    cut_sessions: LargeSessionsAreCut by sessions::a_large_session_is_kept_whole;
    skipped_sessions: MissingSessionsAreSkipped by
        sessions::a_missing_session_is_an_error_where_all_must_exist;
    deleted_first: SessionsAreDeletedBeforeTheyAreStored by
        sessions::a_cancelled_store_leaves_the_old_or_the_new_session;
    lost_updates: SessionsStoredAtOnceAreLost by sessions::sessions_stored_at_once_are_all_kept;
    late_sessions: SessionsAreStoredLater by
        sessions::a_stored_session_comes_back,
        conversations::a_conversation_that_we_start;

    trust_in_everybody: EverybodyIsTrusted by identities::another_identity_is_not_trusted;
    trust_in_nobody: NobodyIsTrustedAtFirst by
        identities::an_unknown_identity_is_none_and_trusted,
        conversations::a_conversation_that_we_start;
    saved_when_asked: AskingSavesTheFirstIdentity by
        identities::asking_for_trust_saves_nothing,
        conversations::a_forged_first_message_uses_up_nothing;
    changed_when_asked: AskingSavesAnotherIdentity by identities::asking_for_trust_saves_nothing;
    first_identities: TheFirstIdentityStays by
        identities::saving_tells_what_changed,
        identities::another_identity_is_not_trusted,
        durable::identities_survive;
    changes_not_told: ChangesAreNotTold by identities::saving_tells_what_changed;
    changes_always_told: ChangesAreAlwaysTold by identities::saving_tells_what_changed;
    new_identities: OurIdentityChanges by
        identities::our_identity_stays,
        durable::identities_survive;
    large_registration_ids: OurRegistrationIdIsLarge by identities::our_registration_id_is_in_range;

    kept_pre_keys: RemovingIsForgotten by
        pre_keys::a_removed_pre_key_is_gone,
        pre_keys::a_removed_signed_pre_key_is_gone,
        pre_keys::a_removed_kyber_pre_key_is_gone,
        conversations::a_conversation_that_the_peer_starts,
        durable::pre_keys_survive;
    strict_removal: RemovingNothingFails by
        pre_keys::unknown_pre_keys_are_none,
        pre_keys::a_removed_pre_key_is_gone;
    removed_by_loading: LoadingRemoves by
        pre_keys::a_pre_key_comes_back,
        conversations::a_forged_first_message_uses_up_nothing;
    kyber_removed_by_loading: LoadingRemovesKyber by
        pre_keys::a_kyber_pre_key_comes_back,
        conversations::a_forged_first_message_uses_up_nothing;
    signed_ids: IdsAreSigned by
        pre_keys::a_pre_key_comes_back,
        pre_keys::pre_key_ids_are_listed_in_order;
    ids_as_text: IdsAreOrderedAsText by
        pre_keys::pre_key_ids_are_listed_in_order,
        pre_keys::signed_pre_key_ids_are_listed_in_order,
        pre_keys::kyber_pre_key_ids_are_listed_in_order;
    mixed_sorts: RemovingRemovesAllSorts by pre_keys::pre_keys_of_three_sorts_may_share_an_id;
    no_marks: MarkingIsForgotten by
        pre_keys::a_one_time_kyber_pre_key_goes_when_it_is_marked,
        pre_keys::a_last_resort_kyber_pre_key_remembers_each_base_key,
        conversations::a_conversation_that_the_peer_starts,
        conversations::a_replayed_first_message_is_refused,
        durable::uses_of_kyber_pre_keys_survive;
    one_time_keys_stay: MarkedOneTimeKeysStay by
        pre_keys::a_one_time_kyber_pre_key_goes_when_it_is_marked,
        pre_keys::a_kyber_pre_key_is_replaced_with_its_kind,
        conversations::a_replayed_first_message_is_refused;
    last_resort_keys_go: MarkedLastResortKeysGo by
        pre_keys::a_last_resort_kyber_pre_key_remembers_each_base_key,
        durable::uses_of_kyber_pre_keys_survive;
    uses_without_ids: UsesAreBaseKeysAlone by
        pre_keys::a_last_resort_kyber_pre_key_remembers_each_base_key;
    uses_without_base_key: UsesLackTheBaseKey by
        pre_keys::a_last_resort_kyber_pre_key_remembers_each_base_key;
    uses_without_signed_id: UsesLackTheSignedPreKey by
        pre_keys::a_last_resort_kyber_pre_key_remembers_each_base_key;
    replaced_uses: ReplacingForgetsUses by
        pre_keys::a_last_resort_kyber_pre_key_stored_again_remembers_its_uses;
    replaced_kinds: ReplacingKeepsTheKind by pre_keys::a_kyber_pre_key_is_replaced_with_its_kind;
    two_steps: MarkingIsTwoSteps by
        pre_keys::a_kyber_pre_key_is_marked_for_the_first_time_only_once;
    gone_is_first: MarkingAKeyThatIsGoneIsTheFirst by
        pre_keys::a_one_time_kyber_pre_key_goes_when_it_is_marked;

    first_sender_keys: TheFirstSenderKeyStays by
        sender_keys::a_sender_key_comes_back_and_is_replaced,
        durable::sender_keys_survive;
    mixed_senders: SendersAreMixed by
        sender_keys::sender_keys_are_apart_by_sender_and_distribution;
    mixed_distributions: DistributionsAreMixed by
        sender_keys::sender_keys_are_apart_by_sender_and_distribution;

    sessions_in_memory: SessionsAreInMemory by
        durable::sessions_survive,
        durable::a_conversation_survives;
    identities_in_memory: IdentitiesAreInMemory by
        durable::identities_survive,
        durable::a_conversation_survives;
    pre_keys_in_memory: PreKeysAreInMemory by
        durable::pre_keys_survive,
        durable::a_conversation_survives;
    removed_pre_keys: RemovedPreKeysComeBack by durable::pre_keys_survive;
    uses_in_memory: UsesAreInMemory by durable::uses_of_kyber_pre_keys_survive;
    sender_keys_in_memory: SenderKeysAreInMemory by durable::sender_keys_survive;
}
