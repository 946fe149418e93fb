//! The keys that an account has made, in batches: what the planner plans from and what its steps change.
//!
//! A batch goes through its states in one direction: made (and durable), published, stale, deleted. Which of
//! its one-time keys were used is not noted here: that is told by the keys that are there.

use std::{fmt, time::Duration};

use sprag_core::time::Timestamp;

use super::Policy;

/// Pre-key ids have 24 bits by convention (sheet 01 section 6), and are not 0.
pub(crate) const MAX_ID: u32 = 0xff_ffff;

/// The sorts of keys that peers start sessions with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySort {
    /// One-time EC pre-keys.
    PreKey,
    /// One-time Kyber pre-keys.
    KyberPreKey,
    /// Signed EC pre-keys, used by everybody until replaced.
    SignedPreKey,
    /// Last-resort Kyber pre-keys, used by those who find no one-time key left.
    LastResort,
}

impl KeySort {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::PreKey,
        Self::KyberPreKey,
        Self::SignedPreKey,
        Self::LastResort,
    ];

    /// Whether each key is for one peer only.
    pub fn is_one_time(self) -> bool {
        matches!(self, Self::PreKey | Self::KyberPreKey)
    }
}

impl fmt::Display for KeySort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PreKey => "one-time EC pre-keys",
            Self::KyberPreKey => "one-time Kyber pre-keys",
            Self::SignedPreKey => "signed pre-key",
            Self::LastResort => "last-resort Kyber pre-key",
        })
    }
}

/// Keys of one sort with consecutive ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// The sort.
    pub sort: KeySort,
    /// The first id.
    pub first: u32,
    /// How many ids there are. After 2^24 - 1 comes 1.
    pub count: u32,
}

impl KeyRange {
    /// The ids, in the order in which they were given out.
    pub fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.first;
        (0..self.count).map(move |offset| advance(first, offset))
    }

    /// The id after the last one.
    pub(crate) fn end(&self) -> u32 {
        advance(self.first, self.count)
    }

    /// The range without its first `count` ids.
    pub(crate) fn without_first(&self, count: u32) -> Self {
        Self {
            first: advance(self.first, count),
            count: self.count.saturating_sub(count),
            ..*self
        }
    }

    fn is(&self, other: &Self) -> bool {
        (self.sort, self.first) == (other.sort, other.first)
    }
}

/// The id `offset` ids after `id`.
pub(crate) fn advance(id: u32, offset: u32) -> u32 {
    let zero_based = u64::from(id.saturating_sub(1)) + u64::from(offset);
    u32::try_from(zero_based % u64::from(MAX_ID)).map_or(1, |zero_based| zero_based + 1)
}

/// Keys that were made at once, or handed out one by one in succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Its keys, those included that were used meanwhile.
    pub keys: KeyRange,
    /// When it was made.
    pub created: Timestamp,
    /// Whether the server is known to have it, or to have had it.
    pub published: bool,
    /// Since when nobody new is given a key of it.
    pub stale_since: Option<Timestamp>,
}

/// All keys that an account has made and not deleted, by batch, as far as it looks after them: keys that were put into the
/// store in other ways are not touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// The batches, oldest first.
    pub batches: Vec<Batch>,
    /// When the upkeep last found nothing more to do.
    pub checked: Option<Timestamp>,
}

impl Inventory {
    /// The batches of a sort, oldest first.
    pub fn of(&self, sort: KeySort) -> impl DoubleEndedIterator<Item = &Batch> {
        self.batches
            .iter()
            .filter(move |batch| batch.keys.sort == sort)
    }

    /// The batch of a sort that peers are given keys of from now on, published or not.
    pub fn newest(&self, sort: KeySort) -> Option<&Batch> {
        self.of(sort)
            .rev()
            .find(|batch| batch.stale_since.is_none())
    }

    /// The batch of a sort that the server is known to have.
    pub fn newest_published(&self, sort: KeySort) -> Option<&Batch> {
        self.of(sort)
            .rev()
            .find(|batch| batch.published && batch.stale_since.is_none())
    }

    /// Until when something may be sent: as long as what peers are given is not too old. `None` if nothing was ever
    /// published.
    pub fn good_until(&self, policy: &Policy) -> Option<Timestamp> {
        [KeySort::SignedPreKey, KeySort::LastResort]
            .into_iter()
            .filter_map(|sort| self.newest_published(sort))
            .map(|batch| batch.created.saturating_add(policy.refuse_after))
            .min()
    }

    /// Whether it is time to look.
    pub fn check_is_due(&self, now: Timestamp, policy: &Policy) -> bool {
        self.checked
            .is_none_or(|checked| has_passed(checked, policy.check_every, now))
    }

    /// Whether the newest key of a sort that is not one-time is to be replaced, or missing.
    pub fn rotation_is_due(&self, sort: KeySort, now: Timestamp, policy: &Policy) -> bool {
        self.newest(sort)
            .is_none_or(|batch| has_passed(batch.created, policy.rotation(), now))
    }

    /// Whether a server is looked after: only for one there are last-resort keys.
    fn has_server(&self) -> bool {
        self.of(KeySort::LastResort).next().is_some()
    }

    /// Batches that are durable, are to be handed out, and that the server is not known to have.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(|batch| {
            let sort = batch.keys.sort;
            let waits = !batch.published && batch.stale_since.is_none();
            waits && (sort.is_one_time() || self.newest(sort) == Some(batch))
        })
    }

    /// Batches that turn stale now: newer keys have taken their place. Those that are said to be stale from a time to come,
    /// because the clock went back, are stale from now: they are rather kept too long.
    pub(super) fn superseded(&self, now: Timestamp) -> Vec<KeyRange> {
        let has_server = self.has_server();
        let is_superseded = |(place, batch): &(usize, &Batch)| match batch.stale_since {
            Some(since) => since > now,
            None => self.batches[place + 1..].iter().any(|later| {
                later.keys.sort == batch.keys.sort
                    && later.stale_since.is_none()
                    && (later.published || !has_server)
            }),
        };
        let batches = self.batches.iter().enumerate().filter(is_superseded);
        batches.map(|(_, batch)| batch.keys).collect()
    }

    /// Batches whose time is over, of each sort the oldest first.
    pub(super) fn expired(&self, now: Timestamp, policy: &Policy) -> Vec<KeyRange> {
        let mut expired = Vec::new();
        for sort in KeySort::ALL {
            let (keep_for, keep_newest) = if sort.is_one_time() {
                (policy.keep_stale, policy.keep_newest)
            } else {
                (policy.keep_replaced, policy.keep_newest_replaced)
            };
            let (mut newer, found) = (0_u32, expired.len());
            for batch in self.of(sort).rev() {
                let is_over = batch
                    .stale_since
                    .is_some_and(|since| since <= now && has_passed(since, keep_for, now));
                if is_over && newer >= keep_newest {
                    expired.push(batch.keys);
                }
                if sort.is_one_time() || batch.stale_since.is_some() {
                    newer = newer.saturating_add(batch.keys.count);
                }
            }
            expired[found..].reverse();
        }
        expired
    }

    pub(crate) fn is_expired(&self, keys: &KeyRange, now: Timestamp, policy: &Policy) -> bool {
        self.expired(now, policy).contains(keys)
    }

    /// A batch was made.
    pub(crate) fn add(&mut self, keys: KeyRange, now: Timestamp) {
        self.batches.push(Batch {
            keys,
            created: now,
            published: false,
            stale_since: None,
        });
    }

    /// A one-time key was made and handed out in a bundle.
    pub(crate) fn hand_out(&mut self, sort: KeySort, id: u32, now: Timestamp, policy: &Policy) {
        let last = self.batches.iter_mut().rev();
        let last = last
            .filter(|batch| batch.keys.sort == sort && batch.stale_since.is_some())
            .find(|batch| batch.keys.end() == id);
        match last {
            Some(run) if !has_passed(run.created, policy.rotation(), now) => {
                run.keys.count += 1;
                run.stale_since = run.stale_since.max(Some(now));
            }
            _ => self.batches.push(Batch {
                keys: KeyRange {
                    sort,
                    first: id,
                    count: 1,
                },
                created: now,
                published: true,
                stale_since: Some(now),
            }),
        }
    }

    /// The server has these.
    pub(crate) fn confirm(&mut self, keys: &[KeyRange]) {
        self.each(keys, |batch| batch.published = true);
    }

    /// Nobody new is given keys of these.
    pub(crate) fn mark_stale(&mut self, keys: &[KeyRange], now: Timestamp) {
        self.each(keys, |batch| {
            let since = batch.stale_since.unwrap_or(now);
            batch.stale_since = Some(since.min(now));
        });
    }

    /// The first `count` keys of a batch are deleted.
    pub(crate) fn delete(&mut self, keys: &KeyRange, count: u32) {
        self.each(&[*keys], |batch| {
            batch.keys = batch.keys.without_first(count);
        });
        self.batches.retain(|batch| batch.keys.count > 0);
    }

    /// Whatever there was may have been used: one-time keys are gone, all others are to be replaced.
    pub(crate) fn start_over(&mut self, now: Timestamp) {
        self.batches.retain(|batch| !batch.keys.sort.is_one_time());
        for batch in &mut self.batches {
            batch.stale_since.get_or_insert(now);
        }
        self.checked = None;
    }

    fn each(&mut self, keys: &[KeyRange], change: impl Fn(&mut Batch)) {
        for batch in &mut self.batches {
            if keys.iter().any(|keys| keys.is(&batch.keys)) {
                change(batch);
            }
        }
    }
}

/// Whether it is `duration` since `start`, or the clock went back so that nobody can tell.
fn has_passed(start: Timestamp, duration: Duration, now: Timestamp) -> bool {
    now < start || start.saturating_add(duration) <= now
}
