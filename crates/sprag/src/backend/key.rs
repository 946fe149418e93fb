//! Where a record lies: the account that it belongs to, the kind of thing that it is, and an opaque
//! key.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::BackendError;

/// Whose records these are: 16 opaque bytes that the caller chooses, the first part of every key.
///
/// One store holds many accounts, and no call crosses from one to another by mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 16]);

impl AccountId {
    /// The all-zero id, under which a store keeps what belongs to no account, its header above all.
    pub const STORE: Self = Self([0; 16]);

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Prints the bytes in hexadecimal: an account id is no secret.
impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What a record is. The number of a kind is part of the stored format and never changes meaning.
///
/// Backends treat all kinds alike; they may keep each in a table of its own. A backend that meets
/// a kind younger than itself answers [`BackendError::UnsupportedKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The header of the store: format, epochs, generation.
    Header = 0,
    /// An account's own identity and settings.
    Account = 1,
    /// A session with one device, or what of it changes often.
    Session = 2,
    /// The identity key last seen of a name, and the trust in it.
    Identity = 3,
    /// A one-time EC pre-key of ours.
    PreKey = 4,
    /// A signed EC pre-key of ours.
    SignedPreKey = 5,
    /// A Kyber pre-key of ours, one-time or of last resort.
    KyberPreKey = 6,
    /// A base key that was seen with a Kyber pre-key of last resort, so that it is refused the
    /// second time.
    KyberUse = 7,
    /// A sender key of a group session.
    SenderKey = 8,
    /// An envelope that waits until the application has sent it.
    Outbox = 9,
    /// A plaintext that waits until the application has taken it over.
    Inbox = 10,
    /// The list of members of a set, whose version guards the set against phantoms.
    Directory = 11,
    /// A counter.
    Counter = 12,
    /// A part of a session that changes rarely.
    SessionPart = 13,
}

impl Kind {
    /// Every kind, ordered by [`code`](Self::code); the code is also the index.
    pub const ALL: &'static [Self] = &[
        Self::Header,
        Self::Account,
        Self::Session,
        Self::Identity,
        Self::PreKey,
        Self::SignedPreKey,
        Self::KyberPreKey,
        Self::KyberUse,
        Self::SenderKey,
        Self::Outbox,
        Self::Inbox,
        Self::Directory,
        Self::Counter,
        Self::SessionPart,
    ];

    /// The number under which the kind is stored.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind stored under a number, if this release knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The name of the kind in `snake_case`, as SQL backends name their tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Account => "account",
            Self::Session => "session",
            Self::Identity => "identity",
            Self::PreKey => "pre_key",
            Self::SignedPreKey => "signed_pre_key",
            Self::KyberPreKey => "kyber_pre_key",
            Self::KyberUse => "kyber_use",
            Self::SenderKey => "sender_key",
            Self::Outbox => "outbox",
            Self::Inbox => "inbox",
            Self::Directory => "directory",
            Self::Counter => "counter",
            Self::SessionPart => "session_part",
        }
    }
}

/// The place of one record: account, kind, and an opaque key of 0 to 64 bytes.
///
/// Ordered by account, then kind, then key as unsigned bytes; within an account and kind this is
/// the order of [`Backend::scan`](super::Backend::scan). Keys are looked up and sorted, so they
/// must not hold a name in the clear; `Debug` prints their length only.
#[derive(Clone, Copy)]
pub struct RecordKey {
    account: AccountId,
    kind: Kind,
    length: u8,
    bytes: [u8; Self::MAX_LENGTH],
}

impl RecordKey {
    /// The longest key in bytes. Every backend takes keys up to this length.
    pub const MAX_LENGTH: usize = 64;

    /// The place named by `key` among the records of this kind and account.
    ///
    /// # Errors
    /// [`BackendError::KeyTooLong`] for a key of more than [`MAX_LENGTH`](Self::MAX_LENGTH) bytes.
    pub fn new(account: AccountId, kind: Kind, key: &[u8]) -> Result<Self, BackendError> {
        let mut bytes = [0; Self::MAX_LENGTH];
        bytes
            .get_mut(..key.len())
            .ok_or(BackendError::KeyTooLong { length: key.len() })?
            .copy_from_slice(key);
        Ok(Self {
            account,
            kind,
            length: key.len() as u8,
            bytes,
        })
    }

    /// Like [`new`](Self::new) for a key of fixed length, which cannot fail: that it fits is
    /// checked when the program is compiled.
    #[must_use]
    pub const fn fixed<const N: usize>(account: AccountId, kind: Kind, key: [u8; N]) -> Self {
        const { assert!(N <= Self::MAX_LENGTH, "a record key has at most 64 bytes") };
        let mut bytes = [0; Self::MAX_LENGTH];
        let mut index = 0;
        while index < N {
            bytes[index] = key[index];
            index += 1;
        }
        Self {
            account,
            kind,
            length: N as u8,
            bytes,
        }
    }

    /// The account that the record belongs to.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// What the record is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The opaque key, 0 to 64 bytes.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn parts(&self) -> (AccountId, Kind, &[u8]) {
        (self.account, self.kind, self.key())
    }
}

impl PartialEq for RecordKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for RecordKey {}

impl PartialOrd for RecordKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RecordKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// In one go: maps of records are asked some dozen times for each message.
impl Hash for RecordKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut parts = [0; 16 + 2 + Self::MAX_LENGTH];
        let end = 18 + usize::from(self.length);
        parts[..16].copy_from_slice(self.account.as_bytes());
        parts[16] = self.kind.code();
        parts[17] = self.length;
        parts[18..end].copy_from_slice(self.key());
        state.write(&parts[..end]);
    }
}

/// Prints the account, the kind and the length of the key.
impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordKey")
            .field("account", &self.account)
            .field("kind", &self.kind)
            .field("key", &format_args!("{} bytes", self.length))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn codes_are_the_indices_of_all() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(usize::from(kind.code()), index);
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(Kind::from_code(Kind::ALL.len() as u8), None);
        assert_eq!(Kind::from_code(255), None);
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> =
            Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }

    #[test]
    fn keys_have_at_most_64_bytes() {
        let account = AccountId::STORE;
        assert_eq!(
            RecordKey::new(account, Kind::Header, &[7; 64])
                .unwrap()
                .key(),
            [7; 64]
        );
        assert_eq!(
            RecordKey::new(account, Kind::Header, &[7; 65]).unwrap_err(),
            BackendError::KeyTooLong { length: 65 }
        );
        assert_eq!(
            RecordKey::fixed(account, Kind::Header, *b"abc").key(),
            b"abc"
        );
        assert_eq!(RecordKey::fixed(account, Kind::Header, []).key(), b"");
    }

    #[test]
    fn a_trailing_zero_is_part_of_the_key() {
        let short = RecordKey::fixed(AccountId::STORE, Kind::Session, [1]);
        let long = RecordKey::fixed(AccountId::STORE, Kind::Session, [1, 0]);
        assert_ne!(short, long);
        assert!(short < long);
    }

    #[test]
    fn order_is_account_then_kind_then_bytes() {
        let one = AccountId::from_bytes([1; 16]);
        let sorted = [
            RecordKey::fixed(AccountId::STORE, Kind::Counter, [255]),
            RecordKey::fixed(one, Kind::Header, [255]),
            RecordKey::fixed(one, Kind::Session, []),
            RecordKey::fixed(one, Kind::Session, [0, 200]),
            RecordKey::fixed(one, Kind::Session, [1]),
            RecordKey::fixed(one, Kind::Session, [128]),
        ];
        assert!(sorted.is_sorted());
    }

    #[test]
    fn debug_does_not_print_the_key() {
        let key = RecordKey::fixed(AccountId::from_bytes([0xab; 16]), Kind::Identity, *b"alice");
        let printed = format!("{key:?}");
        assert!(
            !printed.contains("alice") && !printed.contains("97"),
            "{printed}"
        );
        assert!(
            printed.contains("5 bytes") && printed.contains("abab"),
            "{printed}"
        );
    }
}
