//! Sessions: the record of one peer's sessions and the steps over it. Source: sheet 02 section 2,
//! sheets 03 and 04.
//!
//! A record holds at most one current session and up to 40 archived ones, newest first. A step that
//! fails leaves it as it was. State is typed between steps; only archived sessions stay encoded
//! until one of them is needed. Copies are cheap: they share what did not change.

mod archive;
mod chain;
mod decrypt;
mod encrypt;
mod seams;
mod skipped;
mod start;
mod state;

use std::fmt;

use bytes::Bytes;
use prost::Message;
use zeroize::Zeroizing;

pub use start::{PreKeyLookup, RecipientKeys, RequiredPreKeys};

use crate::{
    address::ProtocolAddress,
    curve::PublicKey,
    error::ProtocolError,
    identity::IdentityKey,
    record::{self, secret_bytes},
    time::Timestamp,
};
use state::SessionState;

/// The two ends of a session.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// Us.
    pub local: &'a ProtocolAddress,
    /// The peer.
    pub remote: &'a ProtocolAddress,
}

/// What a session must offer beyond a sender chain to count as usable for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderChainRequirements {
    /// Answered by the peer, or started at most 30 days ago.
    pub not_stale: bool,
    /// Established with PQXDH.
    pub pqxdh: bool,
    /// With a post-quantum ratchet.
    pub pq_ratchet: bool,
}

/// Everything.
impl Default for SenderChainRequirements {
    fn default() -> Self {
        Self {
            not_stale: true,
            pqxdh: true,
            pq_ratchet: true,
        }
    }
}

/// All sessions with one address, in bytes that libsignal reads and writes.
///
/// `Clone`, because stores hand out copies.
#[derive(Clone, Default)]
pub struct SessionRecord {
    /// In a place of its own, so that moving the record leaves no copy of its keys behind.
    current: Option<Box<SessionState>>,
    /// Encoded, newest first.
    previous: Vec<Bytes>,
}

impl SessionRecord {
    /// A record without sessions.
    pub fn new_fresh() -> Self {
        Self::default()
    }

    /// Reads the stored form. Empty input is a fresh record; a damaged archived session shows only
    /// when it is tried.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidSessionStructure`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let stored = Stored::decode(secret_bytes(bytes.to_vec()))
            .map_err(|_| ProtocolError::InvalidSessionStructure("the record is not readable"))?;
        Ok(Self {
            current: stored.current,
            previous: stored.previous,
        })
    }

    /// The stored form.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        let current = self
            .current
            .as_ref()
            .map(|state| (state, state.encoded_len()));
        let length = current.map_or(0, |(_, length)| record::bytes_len(1, length));
        let previous = self
            .previous
            .iter()
            .map(|state| record::bytes_len(2, state.len()));
        let mut bytes = Vec::with_capacity(length + previous.sum::<usize>());
        if let Some((state, length)) = current {
            record::put_header(1, length, &mut bytes);
            state.encode_raw(&mut bytes);
        }
        for state in &self.previous {
            prost::encoding::bytes::encode(2, state, &mut bytes);
        }
        Zeroizing::new(bytes)
    }

    /// Whether there is a current session.
    pub fn has_current_state(&self) -> bool {
        self.current.is_some()
    }

    /// Number of archived sessions.
    pub fn archived_count(&self) -> usize {
        self.previous.len()
    }

    /// Version of the current session: 4, or 3 (or 2) for old ones.
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] without a current session, as for all accessors here.
    pub fn session_version(&self) -> Result<u32, ProtocolError> {
        Ok(self.current()?.version())
    }

    /// Our registration id when the current session began.
    ///
    /// # Errors
    /// As for [`session_version`](Self::session_version).
    pub fn local_registration_id(&self) -> Result<u32, ProtocolError> {
        Ok(self.current()?.local_registration_id)
    }

    /// The peer's registration id in the current session.
    ///
    /// # Errors
    /// As for [`session_version`](Self::session_version).
    pub fn remote_registration_id(&self) -> Result<u32, ProtocolError> {
        Ok(self.current()?.remote_registration_id)
    }

    /// Our identity in the current session.
    ///
    /// # Errors
    /// As for [`session_version`](Self::session_version), and
    /// [`ProtocolError::InvalidSessionStructure`] if the stored key is damaged.
    pub fn local_identity(&self) -> Result<IdentityKey, ProtocolError> {
        self.current()?.local_identity()
    }

    /// The peer's identity in the current session.
    ///
    /// # Errors
    /// As for [`local_identity`](Self::local_identity).
    pub fn remote_identity(&self) -> Result<IdentityKey, ProtocolError> {
        self.current()?.remote_identity()
    }

    /// The initiator's base key, 33 bytes: what tells sessions apart.
    ///
    /// # Errors
    /// As for [`session_version`](Self::session_version).
    pub fn alice_base_key(&self) -> Result<&[u8], ProtocolError> {
        Ok(&self.current()?.alice_base_key)
    }

    /// Whether `key` is our sending ratchet key in the current session, as a retry request asks.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidSessionStructure`] if the current session cannot send.
    pub fn current_ratchet_key_matches(&self, key: &PublicKey) -> Result<bool, ProtocolError> {
        let Some(current) = &self.current else {
            return Ok(false);
        };
        Ok(current.sender_chain()?.ratchet_key()? == *key)
    }

    /// Whether the current session can be used for sending at `now`.
    pub fn has_usable_sender_chain(
        &self,
        now: Timestamp,
        requirements: SenderChainRequirements,
    ) -> bool {
        self.current.as_ref().is_some_and(|state| {
            state.sender_chain.is_some()
                && !(requirements.not_stale && state.is_stale(now))
                && !(requirements.pqxdh && state.version() <= 3)
                && !(requirements.pq_ratchet && state.pq_ratchet.is_off())
        })
    }

    fn current(&self) -> Result<&SessionState, ProtocolError> {
        self.current
            .as_deref()
            .ok_or(ProtocolError::SessionNotFound(None))
    }
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("current", &self.current)
            .field("archived", &self.previous.len())
            .finish()
    }
}

#[derive(Message)]
#[prost(skip_debug)]
struct Stored {
    #[prost(message, optional, boxed, tag = "1")]
    current: Option<Box<SessionState>>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    previous: Vec<Bytes>,
}
