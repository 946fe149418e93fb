//! The stored form of the [`Inventory`] of an account's pre-keys: one record, rewritten by each step of the upkeep and by each
//! bundle, never by a message.

use bytes::Bytes;
use prost::Message;
use sprag_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::upkeep::{Batch, Inventory, KeyRange, KeySort, MAX_ID};

#[derive(Message)]
struct StoredInventory {
    #[prost(message, repeated, tag = "2")]
    batches: Vec<StoredBatch>,
    /// Milliseconds since 1970, as all times here.
    #[prost(uint64, optional, tag = "3")]
    checked: Option<u64>,
}

#[derive(Message)]
struct StoredBatch {
    #[prost(uint32, tag = "1")]
    sort: u32,
    #[prost(uint32, tag = "2")]
    first: u32,
    #[prost(uint32, tag = "3")]
    count: u32,
    #[prost(uint64, tag = "4")]
    created: u64,
    #[prost(bool, tag = "5")]
    published: bool,
    #[prost(uint64, optional, tag = "6")]
    stale_since: Option<u64>,
}

/// `None` if it is damaged.
pub(super) fn decode(payload: Bytes) -> Option<Inventory> {
    let stored = StoredInventory::decode(payload).ok()?;
    let batches = stored.batches.iter().map(StoredBatch::batch);
    Some(Inventory {
        batches: batches.collect::<Option<_>>()?,
        checked: stored.checked.map(Timestamp::from_millis),
    })
}

pub(super) fn encode(inventory: &Inventory) -> Zeroizing<Vec<u8>> {
    let stored = StoredInventory {
        batches: inventory.batches.iter().map(StoredBatch::new).collect(),
        checked: inventory.checked.map(Timestamp::as_millis),
    };
    stored.encode_to_vec().into()
}

impl StoredBatch {
    fn new(batch: &Batch) -> Self {
        Self {
            sort: match batch.keys.sort {
                KeySort::PreKey => 1,
                KeySort::KyberPreKey => 2,
                KeySort::SignedPreKey => 3,
                KeySort::LastResort => 4,
            },
            first: batch.keys.first,
            count: batch.keys.count,
            created: batch.created.as_millis(),
            published: batch.published,
            stale_since: batch.stale_since.map(Timestamp::as_millis),
        }
    }

    fn batch(&self) -> Option<Batch> {
        let sort = match self.sort {
            1 => KeySort::PreKey,
            2 => KeySort::KyberPreKey,
            3 => KeySort::SignedPreKey,
            4 => KeySort::LastResort,
            _ => return None,
        };
        let is_sound = (1..=MAX_ID).contains(&self.first) && (1..=MAX_ID).contains(&self.count);
        is_sound.then_some(Batch {
            keys: KeyRange {
                sort,
                first: self.first,
                count: self.count,
            },
            created: Timestamp::from_millis(self.created),
            published: self.published,
            stale_since: self.stale_since.map(Timestamp::from_millis),
        })
    }
}
