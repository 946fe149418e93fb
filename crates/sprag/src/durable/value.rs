//! Typed records and their stored form, the payload inside a frame.
//!
//! Sessions, pre-keys and identities have the bytes that libsignal uses; what is ours alone is protobuf.
//! Values are encoded once, when a transaction commits.

use bytes::Bytes;
use prost::Message;
use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    identity::{IdentityKey, IdentityKeyPair},
    message::CiphertextMessageType,
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyId, SignedPreKeyRecord},
    sender_key::SenderKeyRecord,
    session::SessionRecord,
    time::Timestamp,
};
use zeroize::{Zeroize, Zeroizing};

use super::names::Name;
use crate::stores::KyberPreKeyKind;

/// A record in memory.
///
/// Most are sessions, so boxing the largest variant would gain nothing.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Value {
    Account(OwnIdentity),
    Publication(Publication),
    Session(SessionRecord),
    Identity(IdentityKey),
    PreKey(PreKeyRecord),
    SignedPreKey(SignedPreKeyRecord),
    KyberPreKey(KyberPreKeyRecord, KyberPreKeyKind),
    KyberUse,
    SenderKey(SenderKeyRecord),
    Outbox(Parcel),
    Inbox(Parcel),
    Accounts(Vec<ProtocolAddress>),
    /// Says nothing: its version changes whenever a record is added to the set.
    Stamp,
    /// In ascending order.
    Devices(Vec<DeviceId>),
    Counter(u32),
}

/// An account's own identity.
pub(crate) struct OwnIdentity {
    pub(crate) address: ProtocolAddress,
    pub(crate) key_pair: IdentityKeyPair,
    pub(crate) registration_id: u32,
}

/// Which of an account's keys are handed out in its bundles.
#[derive(Clone, Copy)]
pub(crate) struct Publication {
    pub(crate) signed_pre_key: SignedPreKeyId,
}

/// What waits in the outbox (an envelope) or inbox (a plaintext).
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) created: Timestamp,
    /// The other end.
    pub(crate) peer: ProtocolAddress,
    pub(crate) message_type: CiphertextMessageType,
    pub(crate) bytes: Bytes,
}

impl Value {
    /// Reads the record `name`. `None` if it is damaged.
    pub(crate) fn decode(name: Name<'_>, payload: Bytes) -> Option<Self> {
        Some(match name {
            Name::Account => Self::Account(OwnIdentity::decode(payload)?),
            Name::Publication => Self::Publication(Publication::decode(payload)?),
            Name::Session(_) => Self::Session(SessionRecord::deserialize(&payload).ok()?),
            Name::Identity(_) => Self::Identity(IdentityKey::deserialize(&payload).ok()?),
            Name::PreKey(_) => Self::PreKey(PreKeyRecord::deserialize(&payload).ok()?),
            Name::SignedPreKey(_) => {
                Self::SignedPreKey(SignedPreKeyRecord::deserialize(&payload).ok()?)
            }
            Name::KyberPreKey(_) => {
                let (kind, record) = payload.split_first()?;
                let kind = match kind {
                    0 => KyberPreKeyKind::OneTime,
                    1 => KyberPreKeyKind::LastResort,
                    _ => return None,
                };
                Self::KyberPreKey(KyberPreKeyRecord::deserialize(record).ok()?, kind)
            }
            Name::KyberUse(..) => Self::KyberUse,
            Name::SenderKey(..) => Self::SenderKey(SenderKeyRecord::deserialize(&payload).ok()?),
            Name::Outbox(_) => Self::Outbox(Parcel::decode(payload)?),
            Name::Inbox(_) => Self::Inbox(Parcel::decode(payload)?),
            Name::Accounts => {
                let stored = StoredAddresses::decode(payload).ok()?;
                let addresses = stored.addresses.iter().map(StoredAddress::address);
                Self::Accounts(addresses.collect::<Option<_>>()?)
            }
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
            Self::Publication(publication) => publication.encode(),
            Self::Session(record) => record.serialize(),
            Self::Identity(key) => key.serialize().to_vec().into(),
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
            Self::Outbox(parcel) | Self::Inbox(parcel) => parcel.encode(),
            Self::Accounts(addresses) => {
                let addresses = addresses.iter().map(StoredAddress::new).collect();
                StoredAddresses { addresses }.encode_to_vec().into()
            }
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
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredAccount {
            address: Some(StoredAddress::new(&self.address)),
            key_pair: self.key_pair.serialize().to_vec(),
            registration_id: self.registration_id,
        };
        stored.encode_to_vec().into()
    }
}

impl Publication {
    fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredPublication::decode(payload).ok()?;
        Some(Self {
            signed_pre_key: stored.signed_pre_key.into(),
        })
    }

    fn encode(self) -> Zeroizing<Vec<u8>> {
        let stored = StoredPublication {
            signed_pre_key: self.signed_pre_key.into(),
        };
        stored.encode_to_vec().into()
    }
}

impl Parcel {
    pub(crate) fn decode(payload: Bytes) -> Option<Self> {
        let stored = StoredParcel::decode(payload).ok()?;
        let message_type = u8::try_from(stored.message_type).ok()?;
        Some(Self {
            created: Timestamp::from_millis(stored.created),
            peer: stored.peer.as_ref()?.address()?,
            message_type: CiphertextMessageType::from_number(message_type)?,
            bytes: stored.bytes,
        })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = StoredParcel {
            created: self.created.as_millis(),
            peer: Some(StoredAddress::new(&self.peer)),
            message_type: u32::from(self.message_type as u8),
            bytes: self.bytes.clone(),
        };
        stored.encode_to_vec().into()
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
struct StoredAddresses {
    #[prost(message, repeated, tag = "1")]
    addresses: Vec<StoredAddress>,
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
}

impl Drop for StoredAccount {
    fn drop(&mut self) {
        self.key_pair.zeroize();
    }
}

#[derive(Message)]
struct StoredPublication {
    #[prost(uint32, tag = "1")]
    signed_pre_key: u32,
}

#[derive(Message)]
#[prost(skip_debug)]
struct StoredParcel {
    /// Milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    created: u64,
    #[prost(message, optional, tag = "2")]
    peer: Option<StoredAddress>,
    /// Of the envelope, in the inbox too.
    #[prost(uint32, tag = "3")]
    message_type: u32,
    #[prost(bytes = "bytes", tag = "4")]
    bytes: Bytes,
}
