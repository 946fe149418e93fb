//! Typed records and their stored form, the payload inside a frame.
//!
//! Sessions and pre-keys have the bytes that libsignal uses; what is ours alone is protobuf.
//! Values are encoded once, when a transaction commits.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    identity::{IdentityKey, IdentityKeyPair},
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    sender_key::SenderKeyRecord,
    session::SessionRecord,
    time::Timestamp,
};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::{inventory, names::Name};
use crate::{
    account::{EnvelopeType, Recipient},
    identity_policy::{IdentityPolicy, IdentityScope, IdentityTrust, Known},
    stores::KyberPreKeyKind,
    upkeep::Inventory,
};

/// A record in memory.
///
/// Most are sessions, so boxing the largest variant would gain nothing.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Value {
    Account(OwnIdentity),
    Keys(Inventory),
    Session(SessionRecord),
    Identity(Known),
    PreKey(PreKeyRecord),
    SignedPreKey(SignedPreKeyRecord),
    KyberPreKey(KyberPreKeyRecord, KyberPreKeyKind),
    KyberUse,
    SenderKey(SenderKeyRecord),
    Outbox(Posted),
    Inbox(Incoming),
    AccountEntry(AccountEntry),
    /// Says nothing: its version changes whenever a record is added to the set.
    Stamp,
    /// In ascending order.
    Devices(Vec<DeviceId>),
    Counter(u32),
}

/// An account's own identity, and how it deals with those of others.
#[derive(Clone)]
pub(crate) struct OwnIdentity {
    pub(crate) address: ProtocolAddress,
    pub(crate) key_pair: IdentityKeyPair,
    pub(crate) registration_id: u32,
    pub(crate) policy: IdentityPolicy,
    pub(crate) scope: IdentityScope,
}

/// An account in the store's list.
pub(crate) struct AccountEntry {
    pub(crate) address: ProtocolAddress,
    pub(crate) created: Timestamp,
}

/// An envelope in the outbox.
#[derive(Clone)]
pub(crate) struct Posted {
    pub(crate) created: Timestamp,
    pub(crate) recipient: Recipient,
    pub(crate) message_type: EnvelopeType,
    pub(crate) bytes: Bytes,
    /// For how long it is remembered once it was sent; `None` if it has no key.
    pub(crate) kept_for: Option<Duration>,
    /// When it was sent, if it has a key.
    pub(crate) sent: Option<Timestamp>,
}

/// A plaintext in the inbox.
#[derive(Clone)]
pub(crate) struct Incoming {
    pub(crate) received: Timestamp,
    pub(crate) sender: ProtocolAddress,
    pub(crate) group: Option<Uuid>,
    /// The sender's identity, if it took the place of another one.
    pub(crate) changed_identity: Option<IdentityKey>,
    pub(crate) plaintext: Bytes,
}

impl Value {
    /// Reads the record `name`. `None` if it is damaged.
    pub(crate) fn decode(name: Name<'_>, payload: Bytes) -> Option<Self> {
        Some(match name {
            Name::Account => Self::Account(OwnIdentity::decode(payload)?),
            Name::Keys => Self::Keys(inventory::decode(payload)?),
            // Its session alone makes sense of it.
            Name::SessionPart(..) => return None,
            Name::Session(_) => Self::Session(SessionRecord::deserialize(&payload).ok()?),
            Name::Identity(_) | Name::IdentityOfAll(_) => Self::Identity(Known::decode(payload)?),
            Name::PreKey(_) => Self::PreKey(PreKeyRecord::deserialize(&payload).ok()?),
            Name::SignedPreKey(_) => {
                Self::SignedPreKey(SignedPreKeyRecord::deserialize(&payload).ok()?)
            }
            Name::KyberPreKey(_) => {
                let (_, record) = payload.split_first()?;
                let record = KyberPreKeyRecord::deserialize(record).ok()?;
                Self::KyberPreKey(record, kyber_kind(&payload)?)
            }
            Name::KyberUse(..) => Self::KyberUse,
            Name::SenderKey(..) => Self::SenderKey(SenderKeyRecord::deserialize(&payload).ok()?),
            Name::Outbox(_) => Self::Outbox(Posted::decode(payload)?),
            Name::Inbox(_) => Self::Inbox(Incoming::decode(payload)?),
            Name::AccountEntry(_) => Self::AccountEntry(AccountEntry::decode(payload)?),
            Name::Stamp(_) => Self::Stamp,
            Name::Devices(_) => {
                let devices = payload.iter().map(|id| DeviceId::new((*id).into()));
                Self::Devices(devices.collect::<Option<_>>()?)
            }
            Name::Counter(_) => {
                let next = payload.as_ref().try_into().ok()?;
                Self::Counter(u32::from_be_bytes(next))
            }
        })
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Account(identity) => identity.encode(),
            Self::Keys(inventory) => inventory::encode(inventory),
            Self::Session(record) => record.serialize(),
            Self::Identity(known) => known.encode(),
            Self::PreKey(record) => record.serialize(),
            Self::SignedPreKey(record) => record.serialize(),
            Self::KyberPreKey(record, kind) => {
                let record = record.serialize();
                let mut bytes = Zeroizing::new(Vec::with_capacity(1 + record.len()));
                bytes.push(match kind {
                    KyberPreKeyKind::OneTime => 0,
                    KyberPreKeyKind::LastResort => 1,
                });
                bytes.extend_from_slice(&record);
                bytes
            }
            Self::KyberUse | Self::Stamp => Vec::new().into(),
            Self::SenderKey(record) => record.serialize(),
            Self::Outbox(posted) => posted.encode(),
            Self::Inbox(incoming) => incoming.encode(),
            Self::AccountEntry(entry) => entry.encode(),
            Self::Devices(devices) => {
                let devices = devices.iter().map(|id| id.as_u8());
                devices.collect::<Vec<_>>().into()
            }
            Self::Counter(next) => next.to_be_bytes().to_vec().into(),
        }
    }
}

impl OwnIdentity {
    fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredAccount::decode(payload).ok()?;
        Some(Self {
            address: stored.address.as_ref()?.address()?,
            key_pair: IdentityKeyPair::deserialize(&stored.key_pair).ok()?,
            registration_id: stored.registration_id,
            policy: match stored.policy {
                0 => IdentityPolicy::TrustOnFirstUse,
                1 => IdentityPolicy::AlwaysTrust,
                2 => IdentityPolicy::VerifiedOnly,
                _ => return None,
            },
            scope: match stored.scope {
                0 => IdentityScope::PerAddress,
                1 => IdentityScope::PerName,
                _ => return None,
            },
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredAccount {
            address: Some(StoredAddress::new(&self.address)),
            key_pair: self.key_pair.serialize().to_vec(),
            registration_id: self.registration_id,
            policy: match self.policy {
                IdentityPolicy::TrustOnFirstUse => 0,
                IdentityPolicy::AlwaysTrust => 1,
                IdentityPolicy::VerifiedOnly => 2,
            },
            scope: match self.scope {
                IdentityScope::PerAddress => 0,
                IdentityScope::PerName => 1,
            },
        };
        stored.encode_to_vec().into()
    }
}

impl Known {
    pub(crate) fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredIdentity::decode(payload).ok()?;
        Some(Self {
            key: IdentityKey::deserialize(&stored.key).ok()?,
            trust: match stored.trust {
                0 => IdentityTrust::Unverified,
                1 => IdentityTrust::Verified,
                2 => IdentityTrust::Changed,
                _ => return None,
            },
            first_seen: Timestamp::from_millis(stored.first_seen),
            changed: stored.changed.map(Timestamp::from_millis),
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredIdentity {
            key: self.key.serialize().to_vec(),
            trust: match self.trust {
                IdentityTrust::Unverified => 0,
                IdentityTrust::Verified => 1,
                IdentityTrust::Changed => 2,
            },
            first_seen: self.first_seen.as_millis(),
            changed: self.changed.map(Timestamp::as_millis),
        };
        stored.encode_to_vec().into()
    }
}

impl AccountEntry {
    pub(crate) fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredAccountEntry::decode(payload).ok()?;
        Some(Self {
            address: stored.address?.address()?,
            created: Timestamp::from_millis(stored.created),
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredAccountEntry {
            address: Some(StoredAddress::new(&self.address)),
            created: self.created.as_millis(),
        };
        stored.encode_to_vec().into()
    }
}

impl Posted {
    /// Whether it was sent so long ago that its key is free again.
    pub(crate) fn is_forgotten(&self, now: Timestamp) -> bool {
        let kept_for = self.kept_for.unwrap_or_default();
        self.sent
            .is_some_and(|sent| sent.saturating_add(kept_for) <= now)
    }

    pub(crate) fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredEnvelope::decode(payload).ok()?;
        let recipient = match (stored.device, stored.group) {
            (Some(device), None) => Recipient::Device(device.address()?),
            (None, Some(group)) => Recipient::Group(Uuid::from_slice(&group).ok()?),
            _ => return None,
        };
        let message_type = u8::try_from(stored.message_type).ok()?;
        Some(Self {
            created: Timestamp::from_millis(stored.created),
            recipient,
            message_type: EnvelopeType::from_number(message_type)?,
            bytes: stored.bytes,
            kept_for: stored.kept_for.map(Duration::from_millis),
            sent: stored.sent.map(Timestamp::from_millis),
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (device, group) = match &self.recipient {
            Recipient::Device(device) => (Some(StoredAddress::new(device)), None),
            Recipient::Group(group) => (None, Some(group.as_bytes().to_vec())),
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let stored = StoredEnvelope {
            created: self.created.as_millis(),
            device,
            message_type: u32::from(self.message_type as u8),
            bytes: self.bytes.clone(),
            group,
            kept_for: self.kept_for.map(millis),
            sent: self.sent.map(Timestamp::as_millis),
        };
        stored.encode_to_vec().into()
    }
}

impl Incoming {
    pub(crate) fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredPlaintext::decode(payload).ok()?;
        let group = match stored.group {
            Some(group) => Some(Uuid::from_slice(&group).ok()?),
            None => None,
        };
        let changed_identity = match stored.changed_identity {
            Some(key) => Some(IdentityKey::deserialize(&key).ok()?),
            None => None,
        };
        Some(Self {
            received: Timestamp::from_millis(stored.received),
            sender: stored.sender?.address()?,
            group,
            changed_identity,
            plaintext: stored.plaintext,
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredPlaintext {
            received: self.received.as_millis(),
            sender: Some(StoredAddress::new(&self.sender)),
            group: self.group.map(|group| group.as_bytes().to_vec()),
            plaintext: self.plaintext.clone(),
            changed_identity: self.changed_identity.map(|key| key.serialize().to_vec()),
        };
        stored.encode_to_vec().into()
    }
}

/// Which kind the stored form of a Kyber pre-key is of.
pub(crate) fn kyber_kind(payload: &[u8]) -> Option<KyberPreKeyKind> {
    match payload.first()? {
        0 => Some(KyberPreKeyKind::OneTime),
        1 => Some(KyberPreKeyKind::LastResort),
        _ => None,
    }
}

#[derive(Message)]
struct StoredAddress {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    device_id: u32,
}

impl StoredAddress {
    fn new(address: &ProtocolAddress) -> Self {
        Self {
            name: address.name().to_owned(),
            device_id: address.device_id().into(),
        }
    }

    fn address(&self) -> Option<ProtocolAddress> {
        ProtocolAddress::new(&self.name, self.device_id).ok()
    }
}

#[derive(Message)]
struct StoredAccountEntry {
    #[prost(message, optional, tag = "1")]
    address: Option<StoredAddress>,
    /// Milliseconds since 1970, as all times here.
    #[prost(uint64, tag = "2")]
    created: u64,
}

#[derive(Message)]
#[prost(skip_debug)]
struct StoredAccount {
    #[prost(message, optional, tag = "1")]
    address: Option<StoredAddress>,
    /// As libsignal stores it.
    #[prost(bytes = "vec", tag = "2")]
    key_pair: Vec<u8>,
    #[prost(uint32, tag = "3")]
    registration_id: u32,
    #[prost(uint32, tag = "4")]
    policy: u32,
    #[prost(uint32, tag = "5")]
    scope: u32,
}

impl Drop for StoredAccount {
    fn drop(&mut self) {
        self.key_pair.zeroize();
    }
}

#[derive(Message)]
struct StoredIdentity {
    /// As libsignal stores it.
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(uint32, tag = "2")]
    trust: u32,
    #[prost(uint64, tag = "3")]
    first_seen: u64,
    #[prost(uint64, optional, tag = "4")]
    changed: Option<u64>,
}

/// For a device or for a group.
#[derive(Message)]
struct StoredEnvelope {
    #[prost(uint64, tag = "1")]
    created: u64,
    #[prost(message, optional, tag = "2")]
    device: Option<StoredAddress>,
    #[prost(uint32, tag = "3")]
    message_type: u32,
    #[prost(bytes = "bytes", tag = "4")]
    bytes: Bytes,
    #[prost(bytes = "vec", optional, tag = "5")]
    group: Option<Vec<u8>>,
    /// Milliseconds.
    #[prost(uint64, optional, tag = "6")]
    kept_for: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    sent: Option<u64>,
}

#[derive(Message)]
#[prost(skip_debug)]
struct StoredPlaintext {
    #[prost(uint64, tag = "1")]
    received: u64,
    #[prost(message, optional, tag = "2")]
    sender: Option<StoredAddress>,
    #[prost(bytes = "vec", optional, tag = "3")]
    group: Option<Vec<u8>>,
    #[prost(bytes = "bytes", tag = "4")]
    plaintext: Bytes,
    #[prost(bytes = "vec", optional, tag = "5")]
    changed_identity: Option<Vec<u8>>,
}
