//! The keys of messages that have not arrived yet (sheet 05, section 4, `prev`).
//!
//! Up to 2200 of them per chain at rest with the usual limits. Their order is part of the stored
//! format: a new one goes to the end, and where one is taken out the last one fills the hole. They
//! lie in shared blocks, so that a copy of the chain costs nothing and a change to the copy only
//! the blocks that it touches.

use std::sync::Arc;

use super::secret::Secret;

/// Keys in one block.
const BLOCK: usize = 64;

/// Bytes of one key as it is stored: the index, big-endian, and the key.
pub(super) const RECORD: usize = 4 + 32;

/// Skipped keys of one chain, in their stored order.
#[derive(Clone, Default)]
pub(super) struct SkippedKeys {
    /// All blocks but the last are full; no block is empty. None if there is no key.
    blocks: Option<Arc<Vec<Arc<Block>>>>,
}

struct Block(Vec<SkippedKey>);

#[derive(Clone)]
struct SkippedKey {
    index: u32,
    key: Secret<32>,
}

impl SkippedKeys {
    /// From their stored form; None if a record is cut off.
    pub(super) fn restore(stored: &[u8]) -> Option<Self> {
        let (records, rest) = stored.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return None;
        }
        let blocks: Vec<_> = records.chunks(BLOCK).map(Block::restore).collect();
        Some(Self {
            blocks: (!blocks.is_empty()).then(|| Arc::new(blocks)),
        })
    }

    /// Adds the key at `index`, at the end.
    pub(super) fn push(&mut self, index: u32, key: &[u8; 32]) {
        let blocks = Arc::make_mut(self.blocks.get_or_insert_default());
        if blocks.last().is_none_or(|block| block.0.len() == BLOCK) {
            blocks.push(Arc::new(Block::empty()));
        }
        if let Some(last) = blocks.last_mut() {
            let key = Secret::from(*key);
            Arc::make_mut(last).0.push(SkippedKey { index, key });
        }
    }

    /// Takes out the key at `index`, if it is there.
    pub(super) fn take(&mut self, index: u32) -> Option<Secret<32>> {
        let position = self.keys().position(|key| key.index == index)?;
        self.swap_remove(position).map(|key| key.key)
    }

    /// Whether the key at `index` is there.
    #[cfg(test)]
    pub(super) fn contains(&self, index: u32) -> bool {
        self.keys().any(|key| key.index == index)
    }

    /// Drops every key below `index`.
    pub(super) fn drop_below(&mut self, index: u32) {
        let mut position = 0;
        while let Some(key) = self.key(position) {
            if key.index < index {
                // Another key is in this place now.
                self.swap_remove(position);
            } else {
                position += 1;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.blocks = None;
    }

    pub(super) fn len(&self) -> usize {
        match self.blocks().split_last() {
            Some((last, full)) => full.len() * BLOCK + last.0.len(),
            None => 0,
        }
    }

    /// Calls `write` with the index and the key of every record in order.
    pub(super) fn for_each(&self, mut write: impl FnMut(u32, &[u8; 32])) {
        for key in self.keys() {
            write(key.index, key.key.as_bytes());
        }
    }

    fn swap_remove(&mut self, position: usize) -> Option<SkippedKey> {
        let blocks = Arc::make_mut(self.blocks.as_mut()?);
        let last = Arc::make_mut(blocks.last_mut()?);
        // Exchanged first, since popping alone would leave a copy of the key behind.
        let mut removed = SkippedKey {
            index: 0,
            key: Secret::zero(),
        };
        core::mem::swap(last.0.last_mut()?, &mut removed);
        last.0.pop();
        if last.0.is_empty() {
            blocks.pop();
        }
        // Nothing is in that place any more if the last key was the one to remove.
        let hole = blocks
            .get_mut(position / BLOCK)
            .and_then(|block| Arc::make_mut(block).0.get_mut(position % BLOCK));
        if let Some(hole) = hole {
            core::mem::swap(hole, &mut removed);
        }
        if blocks.is_empty() {
            self.blocks = None;
        }
        Some(removed)
    }

    fn key(&self, position: usize) -> Option<&SkippedKey> {
        self.blocks().get(position / BLOCK)?.0.get(position % BLOCK)
    }

    fn keys(&self) -> impl Iterator<Item = &SkippedKey> {
        self.blocks().iter().flat_map(|block| &block.0)
    }

    fn blocks(&self) -> &[Arc<Block>] {
        self.blocks.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl Block {
    /// With room for all keys it will ever hold: growing would leave copies of them behind.
    fn empty() -> Self {
        Self(Vec::with_capacity(BLOCK))
    }

    fn restore(records: &[[u8; RECORD]]) -> Arc<Self> {
        let mut block = Self::empty();
        block.0.extend(records.iter().filter_map(|record| {
            let (index, key) = record.split_first_chunk()?;
            Some(SkippedKey {
                index: u32::from_be_bytes(*index),
                key: Secret::from_slice(key)?,
            })
        }));
        Arc::new(block)
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        let mut block = Self::empty();
        block.0.extend_from_slice(&self.0);
        block
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn key(index: u32) -> [u8; 32] {
        core::array::from_fn(|i| (index as usize * 7 + i) as u8)
    }

    fn stored(keys: &SkippedKeys) -> Vec<u8> {
        let mut stored = Vec::new();
        keys.for_each(|index, key| {
            stored.extend_from_slice(&index.to_be_bytes());
            stored.extend_from_slice(key);
        });
        stored
    }

    /// The same as a plain list of indices.
    fn model(list: &[u32]) -> Vec<u8> {
        let mut stored = Vec::new();
        for index in list {
            stored.extend_from_slice(&index.to_be_bytes());
            stored.extend_from_slice(&key(*index));
        }
        stored
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(u8),
        Take(u32),
        DropBelow(u32),
        Clear,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => any::<u8>().prop_map(Op::Push),
            8 => (0..600u32).prop_map(Op::Take),
            1 => (0..600u32).prop_map(Op::DropBelow),
            1 => Just(Op::Clear),
        ];
        proptest::collection::vec(op, 1..40)
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_list(ops in ops()) {
            let mut next = 0;
            let mut list: Vec<u32> = Vec::new();
            let mut keys = SkippedKeys::default();
            for op in ops {
                let (before, before_list) = (keys.clone(), list.clone());
                match op {
                    Op::Push(count) => for _ in 0..count {
                        keys.push(next, &key(next));
                        list.push(next);
                        next += 1;
                    },
                    Op::Take(index) => {
                        let place = list.iter().position(|known| *known == index);
                        let expected = place.map(|place| key(list.swap_remove(place)));
                        prop_assert_eq!(keys.contains(index), expected.is_some());
                        prop_assert_eq!(keys.take(index).map(|key| *key.as_bytes()), expected);
                    }
                    Op::DropBelow(index) => {
                        let mut place = 0;
                        while place < list.len() {
                            if list[place] < index {
                                list.swap_remove(place);
                            } else {
                                place += 1;
                            }
                        }
                        keys.drop_below(index);
                    }
                    Op::Clear => {
                        list.clear();
                        keys.clear();
                    }
                }
                prop_assert_eq!(keys.len(), list.len());
                prop_assert_eq!(stored(&keys), model(&list));
                prop_assert_eq!(stored(&SkippedKeys::restore(&stored(&keys)).unwrap()), model(&list));
                prop_assert_eq!(stored(&before), model(&before_list));
            }
        }
    }

    #[test]
    fn a_record_that_is_cut_off_is_refused() {
        assert!(SkippedKeys::restore(&[0; RECORD + 1]).is_none());
    }
}
