//! Messages as they pass between parties, and what anybody on the way can read in them.

use std::fmt;

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::Blob;

/// A message with the type number that travels beside it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// 2 (plain) or 3 (pre-key).
    #[serde(rename = "type")]
    pub kind: u8,
    /// The message.
    pub body: Blob,
}

impl Envelope {
    /// The type number of plain messages.
    pub const PLAIN: u8 = 2;
    /// The type number of pre-key messages.
    pub const PRE_KEY: u8 = 3;

    /// The unencrypted part of the message, or `None` if it cannot be read.
    pub fn header(&self) -> Option<Header> {
        if self.kind != Self::PRE_KEY {
            return Header::of_plain(&self.body);
        }
        let outer = PreKeyMessage::decode(self.body.get(1..)?).ok()?;
        Header::of_plain(&outer.message?)
    }

    /// The same message with one bit changed. `position` counts bits from the start and wraps around.
    pub fn with_bit_flipped(&self, position: usize) -> Self {
        let mut changed = self.clone();
        let bits = changed.body.0.len() * 8;
        if let Some(byte) = changed.body.0.get_mut(position % bits.max(1) / 8) {
            *byte ^= 1 << (position % 8);
        }
        changed
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {}, {:?}", self.kind, self.body)
    }
}

/// What the ratchets write in the open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's ratchet key, which names its sending chain.
    pub ratchet_key: Vec<u8>,
    /// The place in that chain, from 0.
    pub counter: u32,
    /// The epoch of the post-quantum ratchet, from 1, if there is a post-quantum part.
    pub epoch: Option<u64>,
}

impl Header {
    fn of_plain(message: &[u8]) -> Option<Self> {
        let (_version, rest) = message.split_first()?;
        let (fields, _mac) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
        let fields = PlainMessage::decode(fields).ok()?;
        Some(Self {
            ratchet_key: fields.ratchet_key?,
            counter: fields.counter?,
            epoch: fields
                .post_quantum
                .as_deref()
                .and_then(|part| part.get(1..))
                .and_then(|mut part| prost::encoding::decode_varint(&mut part).ok()),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct PlainMessage {
    #[prost(bytes = "vec", optional, tag = "1")]
    ratchet_key: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "2")]
    counter: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "5")]
    post_quantum: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct PreKeyMessage {
    #[prost(bytes = "vec", optional, tag = "4")]
    message: Option<Vec<u8>>,
}
