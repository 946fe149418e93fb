//! All that a party has, in the bytes in which stores keep it.

use serde::{Deserialize, Serialize};

use crate::{Address, Blob};

/// Everything that a party needs to go on in another process or another implementation. Lists are in the order in which
/// their entries were first made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartyState {
    /// The party's own address.
    pub address: Address,
    /// The party's registration id.
    pub registration_id: u32,
    /// The identity key pair record.
    pub identity_key_pair: Blob,
    /// Session records.
    pub sessions: Vec<Session>,
    /// Identity keys accepted for others.
    pub identities: Vec<KnownIdentity>,
    /// One-time pre-key records.
    pub pre_keys: Vec<Blob>,
    /// Signed pre-key records.
    pub signed_pre_keys: Vec<Blob>,
    /// Kyber pre-key records.
    pub kyber_pre_keys: Vec<KyberPreKey>,
    /// Uses of last-resort Kyber pre-keys.
    pub kyber_uses: Vec<KyberUse>,
}

impl PartyState {
    /// The session record with `remote`.
    pub fn session(&self, remote: &Address) -> Option<&[u8]> {
        let found = self.sessions.iter().find(|entry| entry.remote == *remote)?;
        Some(&found.record)
    }
}

/// A session record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// With whom.
    pub remote: Address,
    /// The serialised session record.
    pub record: Blob,
}

/// An identity key that the party has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownIdentity {
    /// Whose.
    pub remote: Address,
    /// The key, 33 bytes.
    pub key: Blob,
}

/// A Kyber pre-key record and what is not in its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KyberPreKey {
    /// The serialised record.
    pub record: Blob,
    /// Whether it stays after being used.
    pub last_resort: bool,
}

/// One use of a last-resort Kyber pre-key, which must not be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KyberUse {
    /// The Kyber pre-key.
    pub kyber_id: u32,
    /// The signed pre-key it was used with.
    pub signed_id: u32,
    /// The initiator's base key, 33 bytes.
    pub base_key: Blob,
}
