//! The keys of messages that a chain skipped. Source: sheet 02 section 2.4, sheet 04 section 5.

use std::sync::Arc;

use bytes::Bytes;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, encode_key, encode_varint},
};
use zeroize::Zeroizing;

use super::wire::{put_bytes, put_bytes_len, put_u32, put_u32_len};
use crate::{error::ProtocolError, ratchet::MessageKeys};

/// How many skipped keys a chain keeps.
pub(super) const MAX_SKIPPED_KEYS: usize = 2000;

/// The most keys in one block.
const BLOCK: usize = 64;

/// Skipped keys, newest first, as they are stored.
///
/// They lie in shared blocks, so that a copy of the session costs nothing and a change to the copy only
/// the block that it touches.
#[derive(Clone, Default)]
pub(super) struct SkippedKeys {
    /// No block is empty. None if there is no key.
    blocks: Option<Arc<Vec<Arc<Block>>>>,
}

struct Block(Vec<SkippedKey>);

/// Where a key is, until keys are added or removed.
#[derive(Clone, Copy)]
pub(super) struct Place {
    block: usize,
    key: usize,
}

impl SkippedKeys {
    /// Where the key for `counter` is.
    pub(super) fn place(&self, counter: u32) -> Option<Place> {
        let blocks = self.blocks();
        // Our own lists descend, a stored one may come in any order.
        let block = blocks.partition_point(|block| block.oldest() > Some(counter));
        let key = blocks.get(block).and_then(|block| {
            let descending = |key: &SkippedKey| counter.cmp(&key.index);
            block.0.binary_search_by(descending).ok()
        });
        match key {
            Some(key) => Some(Place { block, key }),
            None => (0..).zip(blocks).find_map(|(block, keys)| {
                let key = keys.0.iter().position(|key| key.index == counter)?;
                Some(Place { block, key })
            }),
        }
    }

    pub(super) fn get(&self, place: Place) -> Option<&SkippedKey> {
        self.blocks().get(place.block)?.0.get(place.key)
    }

    pub(super) fn remove(&mut self, place: Place) {
        let blocks = self.make_mut();
        if let Some(block) = blocks.get_mut(place.block) {
            let keys = &mut Arc::make_mut(block).0;
            keys.remove(place.key);
            if keys.is_empty() {
                blocks.remove(place.block);
            }
        }
        if blocks.is_empty() {
            self.blocks = None;
        }
    }

    /// Adds keys that are newer than all that are there, oldest first, and drops the oldest beyond
    /// the limit.
    pub(super) fn extend(&mut self, keys: &[SkippedKey]) {
        if keys.is_empty() {
            return;
        }
        let blocks = self.make_mut();
        let room = blocks.first().map_or(0, |newest| BLOCK - newest.0.len());
        let (first, rest) = keys.split_at(room.min(keys.len()));
        if let Some(newest) = blocks.first_mut() {
            let newest = &mut Arc::make_mut(newest).0;
            newest.splice(..0, first.iter().rev().cloned());
        }
        blocks.splice(..0, Block::all_of(rest));
        self.drop_beyond_limit();
    }

    fn drop_beyond_limit(&mut self) {
        let length = self.newest_first().count();
        let blocks = self.make_mut();
        let mut surplus = length.saturating_sub(MAX_SKIPPED_KEYS);
        while surplus > 0
            && let Some(oldest) = blocks.last_mut()
        {
            match oldest.0.len().checked_sub(surplus) {
                Some(kept @ 1..) => {
                    Arc::make_mut(oldest).0.truncate(kept);
                    surplus = 0;
                }
                _ => {
                    surplus -= oldest.0.len();
                    blocks.pop();
                }
            }
        }
    }

    /// Adds a key that is older than all that are there.
    pub(super) fn push_older(&mut self, key: SkippedKey) {
        let blocks = self.make_mut();
        match blocks.last_mut() {
            Some(oldest) if oldest.0.len() < BLOCK => Arc::make_mut(oldest).0.push(key),
            _ => blocks.extend(Block::all_of(&[key])),
        }
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &SkippedKey> {
        self.blocks().iter().flat_map(|block| &block.0)
    }

    fn blocks(&self) -> &[Arc<Block>] {
        self.blocks.as_deref().map_or(&[], Vec::as_slice)
    }

    fn make_mut(&mut self) -> &mut Vec<Arc<Block>> {
        Arc::make_mut(self.blocks.get_or_insert_default())
    }
}

impl Block {
    /// With room for all keys it will ever hold: growing would leave copies of them behind.
    fn empty() -> Self {
        Self(Vec::with_capacity(BLOCK))
    }

    /// The blocks of keys that are given oldest first. All but the newest are full.
    fn all_of(keys: &[SkippedKey]) -> impl Iterator<Item = Arc<Self>> {
        let (full, newest) = keys.as_chunks::<BLOCK>();
        let newest = Some(newest).filter(|keys| !keys.is_empty());
        let full = full.iter().rev().map(<[_; BLOCK]>::as_slice);
        newest.into_iter().chain(full).map(|keys| {
            let mut block = Self::empty();
            block.0.extend(keys.iter().rev().cloned());
            Arc::new(block)
        })
    }

    fn oldest(&self) -> Option<u32> {
        self.0.last().map(|key| key.index)
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        let mut block = Self::empty();
        block.0.extend_from_slice(&self.0);
        block
    }
}

/// Bytes that are erased on drop.
type SecretBytes = Zeroizing<Vec<u8>>;

/// What is kept of a skipped message's keys.
#[derive(Clone)]
pub(super) struct SkippedKey {
    index: u32,
    material: Material,
}

#[derive(Clone)]
enum Material {
    /// The seed: all that can be kept before the message brings its post-quantum key.
    Seed(Zeroizing<[u8; 32]>),
    /// A stored seed of another length.
    OddSeed(SecretBytes),
    /// Final keys, as old sessions without a post-quantum ratchet hold them.
    Final(Box<FinalKeys>),
}

#[derive(Clone)]
struct FinalKeys {
    cipher_key: SecretBytes,
    mac_key: SecretBytes,
    iv: SecretBytes,
}

impl SkippedKey {
    pub(super) fn seed(index: u32, seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            index,
            material: Material::Seed(seed),
        }
    }

    /// The message's keys; `pq_key` is what the post-quantum ratchet gave for the message.
    pub(super) fn message_keys(
        &self,
        pq_key: Option<&[u8; 32]>,
    ) -> Result<MessageKeys, ProtocolError> {
        match &self.material {
            Material::Seed(seed) => Ok(MessageKeys::derive(&seed[..], pq_key)),
            Material::OddSeed(seed) => Ok(MessageKeys::derive(seed, pq_key)),
            Material::Final(keys) if pq_key.is_none() => {
                MessageKeys::from_stored(&keys.cipher_key, &keys.mac_key, &keys.iv).ok_or(
                    ProtocolError::InvalidSessionStructure("a message key is damaged"),
                )
            }
            Material::Final(_) => Err(ProtocolError::InvalidSessionStructure(
                "an old message key cannot be mixed with a post-quantum key",
            )),
        }
    }

    fn fields(&self) -> [(u32, &[u8]); 3] {
        match &self.material {
            Material::Seed(seed) => [(5, &seed[..]), (5, &[]), (5, &[])],
            Material::OddSeed(seed) => [(5, seed), (5, &[]), (5, &[])],
            Material::Final(keys) => [(2, &keys.cipher_key), (3, &keys.mac_key), (4, &keys.iv)],
        }
    }

    fn content_len(&self) -> usize {
        let fields = self.fields().map(|(tag, value)| put_bytes_len(tag, value));
        put_u32_len(1, self.index) + fields.iter().sum::<usize>()
    }

    pub(super) fn decode(
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<Self, DecodeError> {
        let mut stored = StoredMessageKey::default();
        encoding::message::merge(wire_type, &mut stored, buf, ctx)?;
        Ok(stored.into())
    }

    pub(super) fn field_len(&self, tag: u32) -> usize {
        let content = self.content_len();
        encoding::key_len(tag) + encoding::encoded_len_varint(content as u64) + content
    }

    pub(super) fn encode_field(&self, tag: u32, buf: &mut impl BufMut) {
        encode_key(tag, WireType::LengthDelimited, buf);
        encode_varint(self.content_len() as u64, buf);
        put_u32(1, self.index, buf);
        self.fields()
            .iter()
            .for_each(|(tag, value)| put_bytes(*tag, value, buf));
    }
}

impl From<StoredMessageKey> for SkippedKey {
    fn from(stored: StoredMessageKey) -> Self {
        let secret = |bytes: &Bytes| Zeroizing::new(bytes.to_vec());
        let material = match <&[u8; 32]>::try_from(&stored.seed[..]) {
            Ok(seed) => Material::Seed(Zeroizing::new(*seed)),
            Err(_) if !stored.seed.is_empty() => Material::OddSeed(secret(&stored.seed)),
            Err(_) => Material::Final(Box::new(FinalKeys {
                cipher_key: secret(&stored.cipher_key),
                mac_key: secret(&stored.mac_key),
                iv: secret(&stored.iv),
            })),
        };
        Self {
            index: stored.index,
            material,
        }
    }
}

#[derive(Message)]
#[prost(skip_debug)]
struct StoredMessageKey {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(bytes = "bytes", tag = "2")]
    cipher_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    mac_key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    iv: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    seed: Bytes,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn key(index: u32) -> SkippedKey {
        SkippedKey::seed(index, Zeroizing::new([index as u8; 32]))
    }

    /// Skip so many messages, or decrypt the one that is so many permille from the newest skipped one.
    #[derive(Clone, Debug)]
    enum Step {
        Skip(u32),
        Take(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let skip = prop_oneof![1..5_u32, 60..70_u32, 1900..2500_u32].prop_map(Step::Skip);
        let take = (0..1000_usize).prop_map(Step::Take);
        prop::collection::vec(prop_oneof![1 => skip, 9 => take], 0..80)
    }

    fn stored(keys: &SkippedKeys) -> Vec<u32> {
        keys.newest_first().map(|key| key.index).collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_list(steps in steps()) {
            let mut keys = SkippedKeys::default();
            let mut list = VecDeque::new();
            let mut counter = 0;
            for step in steps {
                let before = (keys.clone(), stored(&keys));
                match step {
                    Step::Skip(count) => {
                        let skipped: Vec<_> = (counter..counter + count).map(key).collect();
                        keys.extend(&skipped);
                        (counter..counter + count).for_each(|index| list.push_front(index));
                        list.truncate(MAX_SKIPPED_KEYS);
                        counter += count;
                    }
                    Step::Take(permille) => {
                        let Some(index) = list.remove(list.len() * permille / 1000) else {
                            continue;
                        };
                        let place = keys.place(index).unwrap();
                        prop_assert_eq!(keys.get(place).unwrap().index, index);
                        keys.remove(place);
                        prop_assert!(keys.place(index).is_none());
                    }
                }
                prop_assert_eq!(stored(&keys), Vec::from(list.clone()));
                prop_assert_eq!(stored(&before.0), before.1);
            }
        }

        #[test]
        fn stored_keys_are_found_in_any_order(indices in prop::collection::vec(0..300_u32, 0..300)) {
            let mut keys = SkippedKeys::default();
            indices.iter().for_each(|&index| keys.push_older(key(index)));
            prop_assert_eq!(&stored(&keys), &indices);
            for index in 0..300 {
                let place = keys.place(index);
                prop_assert_eq!(place.is_some(), indices.contains(&index));
                let found = place.and_then(|place| keys.get(place));
                prop_assert!(found.is_none_or(|key| key.index == index));
            }
        }
    }
}
