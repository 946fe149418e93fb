//! Sender keys: the record of one sender's chains in one distribution of a group, and the steps over it.
//! Source: sheet 06.
//!
//! A sender has one in its own store and one in each receiver's. It holds up to five chains, newest
//! first. A step that fails leaves it as it was. Copies are cheap: they share what did not change, and
//! what was made ready for signing and verifying.

mod decrypt;
mod distribute;
mod encrypt;
mod message_keys;
mod signing_keys;
mod state;

use std::fmt;

use prost::Message;
use zeroize::Zeroizing;

use crate::{error::ProtocolError, record::secret_bytes};
use distribute::MAX_STATES;
use state::SenderKeyState;

/// One sender's chains in one distribution of a group, in bytes that libsignal reads and writes.
///
/// `Clone`, because stores hand out copies.
#[derive(Clone, Default)]
pub struct SenderKeyRecord {
    /// Newest first.
    states: Vec<SenderKeyState>,
}

impl SenderKeyRecord {
    /// A record without chains: what a receiver has before the first
    /// [distribution message](Self::process_distribution_message). A sender [generates](Self::generate)
    /// one.
    pub fn new_fresh() -> Self {
        Self::default()
    }

    /// Reads the stored form. Empty input is a record without chains; a damaged key shows only when it
    /// is used.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        // With room for all chains: growing would leave copies of them behind.
        let states = Vec::with_capacity(MAX_STATES);
        let mut stored = Stored { states };
        stored.merge(secret_bytes(bytes.to_vec()))?;
        let Stored { states } = stored;
        Ok(Self { states })
    }

    /// The stored form.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        let length = prost::encoding::message::encoded_len_repeated(1, &self.states);
        let mut bytes = Vec::with_capacity(length);
        prost::encoding::message::encode_repeated(1, &self.states, &mut bytes);
        Zeroizing::new(bytes)
    }
}

impl fmt::Debug for SenderKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.states).finish()
    }
}

#[derive(Message)]
#[prost(skip_debug)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    states: Vec<SenderKeyState>,
}
