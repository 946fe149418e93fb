//! The keys of messages that a chain skipped. Source: sheet 02 section 2.4, sheet 04 section 5, sheet 06
//! sections 2 and 7.

use std::{collections::VecDeque, sync::Arc};

/// How many skipped keys a chain keeps.
pub(crate) const MAX_SKIPPED_KEYS: usize = 2000;

/// The most keys in one block.
const BLOCK: usize = 64;

/// What is kept under the number of a message.
pub(crate) trait Numbered: Clone {
    fn index(&self) -> u32;
}

/// Skipped keys, newest first.
///
/// They lie in shared blocks, so that a copy of the record costs nothing and a change to the copy only
/// the block that it touches.
#[derive(Clone)]
pub(crate) struct SkippedKeys<K> {
    /// No block is empty. None if there is no key.
    blocks: Option<Arc<Vec<Arc<Block<K>>>>>,
    /// Our own lists descend, a stored one may come in any order.
    in_any_order: bool,
}

struct Block<K>(VecDeque<K>);

/// Where a key is, until keys are added or removed.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    block: usize,
    key: usize,
}

impl<K> Default for SkippedKeys<K> {
    fn default() -> Self {
        Self {
            blocks: None,
            in_any_order: false,
        }
    }
}

impl<K: Numbered> SkippedKeys<K> {
    /// Where the key for `counter` is; of several the newest, as far as a stored list has several.
    pub(crate) fn place(&self, counter: u32) -> Option<Place> {
        if self.in_any_order {
            return self.places(counter).next();
        }
        let blocks = self.blocks();
        let block = blocks.partition_point(|block| block.oldest() > Some(counter));
        let descending = |key: &K| counter.cmp(&key.index());
        let key = blocks.get(block)?.0.binary_search_by(descending).ok()?;
        Some(Place { block, key })
    }

    /// The same, but of several the oldest.
    pub(crate) fn oldest_place(&self, counter: u32) -> Option<Place> {
        if self.in_any_order {
            return self.places(counter).last();
        }
        self.place(counter)
    }

    fn places(&self, counter: u32) -> impl Iterator<Item = Place> {
        (0..).zip(self.blocks()).flat_map(move |(block, keys)| {
            let keys = (0..).zip(&keys.0);
            let keys = keys.filter(move |(_, key)| key.index() == counter);
            keys.map(move |(key, _)| Place { block, key })
        })
    }

    pub(crate) fn get(&self, place: Place) -> Option<&K> {
        self.blocks().get(place.block)?.0.get(place.key)
    }

    pub(crate) fn remove(&mut self, place: Place) {
        let blocks = self.make_mut();
        if let Some(block) = blocks.get_mut(place.block) {
            *block = Arc::new(block.without(place.key));
            if block.0.is_empty() {
                blocks.remove(place.block);
            }
        }
        if blocks.is_empty() {
            *self = Self::default();
        }
    }

    /// Adds keys that are newer than all that are there, oldest first, and drops the oldest beyond
    /// the limit.
    pub(crate) fn extend(&mut self, keys: &[K]) {
        if keys.is_empty() {
            return;
        }
        keys.iter().for_each(|key| self.push_newer(key.clone()));
        self.drop_beyond_limit();
    }

    fn drop_beyond_limit(&mut self) {
        let length: usize = self.blocks().iter().map(|block| block.0.len()).sum();
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

    /// Adds a key that is newer than all that are there; a stored one goes there whatever its number.
    pub(crate) fn push_newer(&mut self, key: K) {
        let newest = self.newest_first().next();
        self.in_any_order |= newest.is_some_and(|newest| newest.index() >= key.index());
        let blocks = self.make_mut();
        match blocks.first_mut() {
            Some(newest) if newest.0.len() < BLOCK => Arc::make_mut(newest).0.push_front(key),
            _ => blocks.insert(0, Block::of(key)),
        }
    }

    /// Adds a key that is older than all that are there; a stored one goes there whatever its number.
    pub(crate) fn push_older(&mut self, key: K) {
        let oldest = self.blocks().last().and_then(|block| block.oldest());
        self.in_any_order |= oldest.is_some_and(|oldest| oldest <= key.index());
        let blocks = self.make_mut();
        match blocks.last_mut() {
            Some(oldest) if oldest.0.len() < BLOCK => Arc::make_mut(oldest).0.push_back(key),
            _ => blocks.push(Block::of(key)),
        }
    }

    pub(crate) fn newest_first(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.blocks().iter().flat_map(|block| &block.0)
    }

    fn blocks(&self) -> &[Arc<Block<K>>] {
        self.blocks.as_deref().map_or(&[], Vec::as_slice)
    }

    fn make_mut(&mut self) -> &mut Vec<Arc<Block<K>>> {
        Arc::make_mut(self.blocks.get_or_insert_default())
    }
}

impl<K: Numbered> Block<K> {
    /// With room for all keys it will ever hold: growing would leave copies of them behind.
    fn empty() -> Self {
        Self(VecDeque::with_capacity(BLOCK))
    }

    fn of(key: K) -> Arc<Self> {
        let mut block = Self::empty();
        block.0.push_back(key);
        Arc::new(block)
    }

    /// A copy without one key. Taking it out would leave a copy of its neighbour behind.
    fn without(&self, key: usize) -> Self {
        let mut block = Self::empty();
        let others = (0..).zip(&self.0).filter(|(place, _)| *place != key);
        block.0.extend(others.map(|(_, key)| key.clone()));
        block
    }

    fn oldest(&self) -> Option<u32> {
        self.0.back().map(K::index)
    }
}

impl<K: Numbered> Clone for Block<K> {
    fn clone(&self) -> Self {
        let mut block = Self::empty();
        block.0.extend(self.0.iter().cloned());
        block
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{super::NumberedKey, *};

    fn key(index: u32) -> NumberedKey {
        NumberedKey::new(index, &[index as u8; 32])
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

    fn stored(keys: &SkippedKeys<NumberedKey>) -> Vec<u32> {
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
        fn stored_keys_are_found_in_any_order(
            indices in prop::collection::vec(0..300_u32, 0..300),
            descending: bool,
        ) {
            let mut indices = indices;
            if descending {
                indices.sort_unstable_by_key(|&index| std::cmp::Reverse(index));
            }
            let (mut older, mut newer) = (SkippedKeys::default(), SkippedKeys::default());
            indices.iter().for_each(|&index| older.push_older(key(index)));
            indices.iter().rev().for_each(|&index| newer.push_newer(key(index)));
            for keys in [&older, &newer] {
                prop_assert_eq!(&stored(keys), &indices);
                for index in 0..300 {
                    let position = |place: Place| {
                        let before = keys.blocks()[..place.block].iter().map(|block| block.0.len());
                        before.sum::<usize>() + place.key
                    };
                    let is_it = |other: &u32| *other == index;
                    prop_assert_eq!(keys.place(index).map(position), indices.iter().position(is_it));
                    prop_assert_eq!(keys.oldest_place(index).map(position), indices.iter().rposition(is_it));
                }
            }
        }
    }
}
