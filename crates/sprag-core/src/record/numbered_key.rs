//! A key and its number on a chain, which is how 1:1 sessions and sender keys store chain keys and the
//! seeds of skipped messages. Source: sheet 02 section 2.3, sheet 04 section 5, sheet 06 sections 3 and 5.

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, skip_field},
};
use zeroize::Zeroizing;

use super::{
    field::Field,
    skipped::{MAX_SKIPPED_KEYS, Numbered},
    wire::{put_bytes, put_bytes_len, put_u32, put_u32_len},
};
use crate::ratchet::{chain_step, next_chain_key};

/// A key and its number.
#[derive(Clone, Default)]
pub(crate) struct NumberedKey {
    pub(crate) index: u32,
    pub(crate) key: Field<32>,
}

impl NumberedKey {
    pub(crate) fn new(index: u32, key: &[u8; 32]) -> Self {
        Self {
            index,
            key: (*key).into(),
        }
    }
}

impl Numbered for NumberedKey {
    fn index(&self) -> u32 {
        self.index
    }
}

impl Message for NumberedKey {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_u32(1, self.index, buf);
        put_bytes(2, &self.key, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::uint32::merge(wire_type, &mut self.index, buf, ctx),
            2 => self.key.merge(wire_type, buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        put_u32_len(1, self.index) + put_bytes_len(2, &self.key)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A chain key and the counter of the next message on its chain. A stored key of any length will do.
#[derive(Clone, Default)]
pub(crate) struct ChainKey(pub(crate) NumberedKey);

impl ChainKey {
    pub(crate) fn new(index: u32, key: &[u8; 32]) -> Self {
        Self(NumberedKey::new(index, key))
    }

    /// A key that came from elsewhere and may have any length.
    pub(crate) fn stored(index: u32, key: &[u8]) -> Self {
        let key = key.into();
        Self(NumberedKey { index, key })
    }

    pub(crate) fn index(&self) -> u32 {
        self.0.index
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// The seed of this index's message keys, and the key after this one; `None` at the end of the
    /// counter.
    pub(crate) fn step(&self) -> Option<(Zeroizing<[u8; 32]>, Self)> {
        let index = self.index().checked_add(1)?;
        let (seed, next) = chain_step(self.key());
        Some((seed, Self::new(index, &next)))
    }

    /// Goes forward to `counter`, which is not behind: gives the key at `counter` and, made by
    /// `skipped`, what is kept of the messages on the way, oldest first, as far as a chain keeps them.
    pub(crate) fn skip_to<K>(
        &self,
        counter: u32,
        skipped: impl Fn(u32, Zeroizing<[u8; 32]>) -> K,
    ) -> (Self, Vec<K>) {
        let first_kept = counter
            .saturating_sub(MAX_SKIPPED_KEYS as u32)
            .max(self.index());
        let mut kept = Vec::with_capacity((counter - first_kept) as usize);
        let mut key = self.0.key.clone();
        for _ in self.index()..first_kept {
            key = (*next_chain_key(&key)).into();
        }
        for index in first_kept..counter {
            let (seed, next) = chain_step(&key);
            kept.push(skipped(index, seed));
            key = (*next).into();
        }
        let index = counter;
        (Self(NumberedKey { index, key }), kept)
    }
}
