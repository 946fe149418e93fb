//! What records are about, and the opaque keys made of it.
//!
//! A key is a keyed hash, so that nobody reads from the storage who talks to whom, and so that a record's
//! place does not change when it is sealed:
//!
//! | what | HMAC-SHA-256 with the name key, of |
//! |---|---|
//! | account id, first 16 bytes | `80`, then the address |
//! | record key, 32 bytes | the number of its kind (below `80`), the account id, then the name |
//! | outbox id of a text with a key, first 16 bytes | `82`, account id, length (8, big-endian) of the key, the key, and the recipient's address, or the distribution id and a `00` |
//! | inbox id, first 16 bytes | `81`, account id, length (8, big-endian) of the sender's address, the address, message type, envelope |
//!
//! An address is the name in UTF-8, then the device in one byte, 0 for all devices of the name. The two ends of a session hold different
//! name keys, so their keys have nothing in common.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sprag_core::{
    address::ProtocolAddress,
    curve::PublicKey,
    pre_key::{KyberPreKeyId, PreKeyId, SignedPreKeyId},
};
use uuid::Uuid;

use crate::{
    account::{InboxId, OutboxId, Recipient},
    backend::{AccountId, Kind, RecordKey},
};

const ACCOUNT: u8 = 0x80;
const ENVELOPE: u8 = 0x81;
const OUTGOING: u8 = 0x82;

/// What the name of a list of devices begins with.
const DEVICES: u8 = 2;

/// What one record is about.
#[derive(Clone, Copy)]
pub(crate) enum Name<'a> {
    /// An account's own identity.
    Account,
    /// The batches of an account's pre-keys.
    Keys,
    /// The sessions with an address.
    Session(&'a ProtocolAddress),
    /// A part of these, by the bytes of their name and its number.
    SessionPart(&'a [u8], u16),
    /// The identity of an address.
    Identity(&'a ProtocolAddress),
    /// The identity of all devices of a name.
    IdentityOfAll(&'a str),
    PreKey(PreKeyId),
    SignedPreKey(SignedPreKeyId),
    KyberPreKey(KyberPreKeyId),
    /// One use of a Kyber pre-key of last resort.
    KyberUse(KyberPreKeyId, SignedPreKeyId, PublicKey),
    SenderKey(&'a ProtocolAddress, Uuid),
    Outbox(OutboxId),
    Inbox(InboxId),
    /// An account's entry in the store's list of accounts.
    AccountEntry(&'a ProtocolAddress),
    /// The stamp of the set of all records of a kind.
    Stamp(Kind),
    /// The devices of a name that there are sessions with.
    Devices(&'a str),
    /// Where the ids of new records of a kind come from.
    Counter(Kind),
}

impl Name<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Account | Self::Keys => Kind::Account,
            Self::Session(_) => Kind::Session,
            Self::SessionPart(..) => Kind::SessionPart,
            Self::Identity(_) | Self::IdentityOfAll(_) => Kind::Identity,
            Self::PreKey(_) => Kind::PreKey,
            Self::SignedPreKey(_) => Kind::SignedPreKey,
            Self::KyberPreKey(_) => Kind::KyberPreKey,
            Self::KyberUse(..) => Kind::KyberUse,
            Self::SenderKey(..) => Kind::SenderKey,
            Self::Outbox(_) => Kind::Outbox,
            Self::Inbox(_) => Kind::Inbox,
            Self::AccountEntry(_) | Self::Stamp(_) | Self::Devices(_) => Kind::Directory,
            Self::Counter(_) => Kind::Counter,
        }
    }

    /// Whose record it is, if `account` asks for it.
    pub(crate) fn owner<'a>(&self, account: &'a AccountId) -> &'a AccountId {
        match self {
            Self::AccountEntry(_) => &AccountId::STORE,
            _ => account,
        }
    }

    /// The name in the clear, different from all others of its kind.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Account => vec![0],
            Self::Keys => vec![1],
            Self::Session(address) | Self::Identity(address) | Self::AccountEntry(address) => {
                address_bytes(address)
            }
            Self::IdentityOfAll(name) => [name.as_bytes(), &[0]].concat(),
            Self::SessionPart(session, number) => [&number.to_be_bytes(), *session].concat(),
            Self::PreKey(id) => u32::from(*id).to_be_bytes().to_vec(),
            Self::SignedPreKey(id) => u32::from(*id).to_be_bytes().to_vec(),
            Self::KyberPreKey(id) => u32::from(*id).to_be_bytes().to_vec(),
            Self::KyberUse(id, signed_pre_key_id, base_key) => [
                &u32::from(*id).to_be_bytes()[..],
                &u32::from(*signed_pre_key_id).to_be_bytes(),
                &base_key.serialize(),
            ]
            .concat(),
            Self::SenderKey(sender, distribution_id) => {
                [distribution_id.as_bytes(), &address_bytes(sender)[..]].concat()
            }
            Self::Outbox(id) => id.as_bytes().to_vec(),
            Self::Inbox(id) => id.as_bytes().to_vec(),
            Self::Stamp(kind) => vec![1, kind.code()],
            Self::Devices(name) => [&[DEVICES], name.as_bytes()].concat(),
            Self::Counter(kind) => vec![kind.code()],
        }
    }
}

impl Name<'static> {
    /// The use of a Kyber pre-key with this name in the clear.
    pub(crate) fn kyber_use(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (signed_pre_key_id, base_key) = rest.split_first_chunk()?;
        Some(Self::KyberUse(
            u32::from_be_bytes(*id).into(),
            u32::from_be_bytes(*signed_pre_key_id).into(),
            PublicKey::deserialize(base_key).ok()?,
        ))
    }

    /// Whether it is a use of the Kyber pre-key `id`.
    pub(crate) fn is_use_of(&self, id: KyberPreKeyId) -> bool {
        matches!(self, Self::KyberUse(used, ..) if *used == id)
    }
}

/// Makes the opaque keys. Wiped on drop; no `Debug`.
pub(crate) struct Names(Hmac<Sha256>);

impl Names {
    pub(crate) fn new(name_key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(name_key).expect("HMAC takes keys of any length"))
    }

    pub(crate) fn account(&self, address: &ProtocolAddress) -> AccountId {
        AccountId::from_bytes(first_half(&self.hash(&[
            &[ACCOUNT],
            address.name().as_bytes(),
            &[address.device_id().as_u8()],
        ])))
    }

    pub(crate) fn record(&self, account: &AccountId, name: Name<'_>) -> RecordKey {
        self.record_of(account, name, &name.bytes())
    }

    /// [`record`](Self::record) of a name whose bytes are at hand.
    pub(crate) fn record_of(&self, account: &AccountId, name: Name<'_>, bytes: &[u8]) -> RecordKey {
        let (kind, owner) = (name.kind(), name.owner(account));
        let key = self.hash(&[&[kind.code()], owner.as_bytes(), bytes]);
        RecordKey::fixed(*owner, kind, key)
    }

    /// The id under which the plaintext of an envelope waits: the same for the same envelope.
    pub(crate) fn envelope(
        &self,
        account: &AccountId,
        sender: &ProtocolAddress,
        message_type: u8,
        bytes: &[u8],
    ) -> InboxId {
        let sender = address_bytes(sender);
        InboxId::from_bytes(first_half(&self.hash(&[
            &[ENVELOPE],
            account.as_bytes(),
            &(sender.len() as u64).to_be_bytes(),
            &sender,
            &[message_type],
            bytes,
        ])))
    }

    /// The id under which the envelope of a text with a key waits: the same for the same key and recipient.
    pub(crate) fn outbox(
        &self,
        account: &AccountId,
        key: &[u8],
        recipient: &Recipient,
    ) -> OutboxId {
        let recipient = match recipient {
            Recipient::Device(address) => address_bytes(address),
            Recipient::Group(distribution_id) => {
                [distribution_id.as_bytes().as_slice(), &[0]].concat()
            }
        };
        OutboxId::from_bytes(first_half(&self.hash(&[
            &[OUTGOING],
            account.as_bytes(),
            &(key.len() as u64).to_be_bytes(),
            key,
            &recipient,
        ])))
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn address_bytes(address: &ProtocolAddress) -> Vec<u8> {
    [address.name().as_bytes(), &[address.device_id().as_u8()]].concat()
}

/// The address of a name.
pub(crate) fn address(name: &[u8]) -> Option<ProtocolAddress> {
    let (device, name) = name.split_last()?;
    ProtocolAddress::new(str::from_utf8(name).ok()?, (*device).into()).ok()
}

/// Whose devices a list is of, by the name of its record.
pub(crate) fn listed(name: &[u8]) -> Option<&str> {
    str::from_utf8(name.strip_prefix(&[DEVICES])?).ok()
}

/// Group and sender of the name of a sender key.
pub(crate) fn sender_key(name: &[u8]) -> Option<(Uuid, ProtocolAddress)> {
    let (group, sender) = name.split_first_chunk()?;
    Some((Uuid::from_bytes(*group), address(sender)?))
}

fn first_half(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}
