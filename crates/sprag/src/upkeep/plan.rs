//! The planner: from what is there, what the server holds, and the time, to what is to be done next.
//!
//! It is a pure function, asked again after every step, so that whoever takes over after a crash goes on where things stand.
//! What always holds, whatever the server says and the clock does:
//!
//! * keys are durable before they are published: only what is in the inventory is published;
//! * nothing that is published, or may be, is deleted before its time has passed since newer keys were known to be
//!   published in its place.

use std::fmt;

use sprag_core::time::Timestamp;

use super::{Held, Inventory, KeyCounts, KeyRange, KeySort, Policy, inventory::MAX_ID};

/// One step of the upkeep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Make keys and persist them, in one commit.
    Generate(Vec<Generation>),
    /// Give the server these keys, without the one-time keys among them that were used, and the current signed keys again.
    Publish(Vec<KeyRange>),
    /// Note that the server has these.
    Confirm(Vec<KeyRange>),
    /// Note that nobody new is given keys of these.
    MarkStale(Vec<KeyRange>),
    /// Delete these: their time is over.
    Delete(KeyRange),
}

/// Keys to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// The sort.
    pub sort: KeySort,
    /// How many.
    pub count: u32,
    /// The batch before. If another one has taken its place, somebody else was faster and nothing is made.
    pub after: Option<KeyRange>,
}

impl Action {
    /// What it is about, one row for each sort or batch: what is done, of which sort, how many keys.
    pub fn rows(&self) -> Vec<(&'static str, KeySort, u32)> {
        let rows = |what, ranges: &[KeyRange]| {
            let row = |range: &KeyRange| (what, range.sort, range.count);
            ranges.iter().map(row).collect()
        };
        match self {
            Self::Generate(generations) => {
                let row = |made: &Generation| ("generate", made.sort, made.count);
                generations.iter().map(row).collect()
            }
            Self::Publish(ranges) => rows("publish", ranges),
            Self::Confirm(ranges) => rows("confirm", ranges),
            Self::MarkStale(ranges) => rows("mark stale", ranges),
            Self::Delete(range) => rows("delete", &[*range]),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (what, sort, count)) in self.rows().into_iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{what} {count} {sort}")?;
        }
        Ok(())
    }
}

/// All that is to be done now, in order. Without a server, for an account whose bundles go from hand to hand, only what needs none.
///
/// The steps that a later one depends on are taken to succeed. Keys that are yet to be made have ids above 2^24, for now.
///
/// ```
/// use sprag::{
///     Timestamp,
///     upkeep::{Action, Inventory, KeyCounts, Policy, plan},
/// };
///
/// let (new, empty) = (Inventory::default(), KeyCounts::default());
/// let steps = plan(&new, Some(&empty), Timestamp::from_millis(0), &Policy::default());
/// assert!(matches!(steps[..], [Action::Generate(_), Action::Publish(_), Action::Confirm(_)]));
/// ```
pub fn plan(
    inventory: &Inventory,
    server: Option<&KeyCounts>,
    now: Timestamp,
    policy: &Policy,
) -> Vec<Action> {
    let mut inventory = inventory.clone();
    let mut server = server.map(|counts| ServerView::new(*counts));
    let mut actions = Vec::new();
    while let Some(action) = next(&inventory, server.as_ref(), now, policy) {
        apply(
            &mut inventory,
            &action,
            now,
            MAX_ID + 1 + actions.len() as u32,
        );
        if let (Action::Publish(ranges), Some(server)) = (&action, &mut server) {
            let counts = ranges.iter().map(|range| (range.sort, range.count));
            server.took(ranges, counts, &inventory);
        }
        actions.push(action);
    }
    actions
}

/// What the server is known to hold in the course of one upkeep: what it said, and what it was given since.
pub(crate) struct ServerView {
    counts: KeyCounts,
    taken: Vec<KeyRange>,
}

impl ServerView {
    pub(crate) fn new(counts: KeyCounts) -> Self {
        Self {
            counts,
            taken: Vec::new(),
        }
    }

    /// It has taken these, with so many one-time keys, and what is current in `inventory`.
    pub(crate) fn took(
        &mut self,
        ranges: &[KeyRange],
        counts: impl IntoIterator<Item = (KeySort, u32)>,
        inventory: &Inventory,
    ) {
        self.taken.extend(ranges);
        for (sort, count) in counts {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            match sort {
                KeySort::PreKey => self.counts.pre_keys += count,
                KeySort::KyberPreKey => self.counts.kyber_pre_keys += count,
                KeySort::SignedPreKey | KeySort::LastResort => {}
            }
        }
        let newest = |sort| inventory.newest(sort).map(|batch| batch.keys.first);
        if let Some(id) = newest(KeySort::SignedPreKey) {
            self.counts.signed_pre_key = Held::Key(id.into());
        }
        if let Some(id) = newest(KeySort::LastResort) {
            self.counts.last_resort = Held::Key(id.into());
        }
    }

    /// How many one-time keys of the sort are left.
    fn left(&self, sort: KeySort) -> usize {
        match sort {
            KeySort::PreKey => self.counts.pre_keys,
            KeySort::KyberPreKey => self.counts.kyber_pre_keys,
            KeySort::SignedPreKey | KeySort::LastResort => usize::MAX,
        }
    }

    fn held(&self, sort: KeySort) -> Held<u32> {
        match sort {
            KeySort::SignedPreKey => self.counts.signed_pre_key.number(),
            KeySort::LastResort => self.counts.last_resort.number(),
            KeySort::PreKey | KeySort::KyberPreKey => Held::Unknown,
        }
    }

    /// Whether it has got a batch of which that is not known yet. One-time keys beside published ones were made because few were left;
    /// if there are many now, they arrived.
    fn has_got(&self, keys: &KeyRange, inventory: &Inventory, policy: &Policy) -> bool {
        self.taken.contains(keys)
            || if keys.sort.is_one_time() {
                let is_a_refill = inventory.newest_published(keys.sort).is_some();
                is_a_refill && self.left(keys.sort) >= policy.refill_below
            } else {
                self.held(keys.sort) == Held::Key(keys.first)
            }
    }

    /// Whether it is known not to have the current key of the sort any more.
    fn has_lost(&self, keys: &KeyRange) -> bool {
        match self.held(keys.sort) {
            Held::Unknown => false,
            Held::Nothing => true,
            Held::Key(id) => id != keys.first,
        }
    }
}

impl<Id: Into<u32>> Held<Id> {
    fn number(self) -> Held<u32> {
        match self {
            Self::Unknown => Held::Unknown,
            Self::Nothing => Held::Nothing,
            Self::Key(id) => Held::Key(id.into()),
        }
    }
}

/// The next step, if there is one.
pub(crate) fn next(
    inventory: &Inventory,
    server: Option<&ServerView>,
    now: Timestamp,
    policy: &Policy,
) -> Option<Action> {
    let with_server = server.and_then(|server| supply(inventory, server, now, policy));
    let stale = || {
        let ranges = inventory.superseded(now);
        (!ranges.is_empty()).then_some(Action::MarkStale(ranges))
    };
    let expired = || {
        let expired = inventory.expired(now, policy);
        expired.first().copied().map(Action::Delete)
    };
    with_server.or_else(stale).or_else(expired)
}

/// The next step towards a server that has enough.
fn supply(
    inventory: &Inventory,
    server: &ServerView,
    now: Timestamp,
    policy: &Policy,
) -> Option<Action> {
    let (got, wanted): (Vec<_>, Vec<_>) = inventory
        .pending()
        .map(|batch| batch.keys)
        .partition(|keys| server.has_got(keys, inventory, policy));
    if !got.is_empty() {
        return Some(Action::Confirm(got));
    }
    let due = due(inventory, server, now, policy);
    let current = |sort| inventory.newest(sort).map(|batch| batch.keys);
    let (Some(signed), Some(last_resort)) =
        (current(KeySort::SignedPreKey), current(KeySort::LastResort))
    else {
        // Without them nothing can be published.
        return Some(Action::Generate(due));
    };
    let mut wanted = wanted;
    for keys in [signed, last_resort] {
        if !wanted.contains(&keys) && server.has_lost(&keys) {
            wanted.push(keys);
        }
    }
    if !wanted.is_empty() {
        Some(Action::Publish(wanted))
    } else {
        (!due.is_empty()).then_some(Action::Generate(due))
    }
}

/// What is to be made.
fn due(
    inventory: &Inventory,
    server: &ServerView,
    now: Timestamp,
    policy: &Policy,
) -> Vec<Generation> {
    let is_due = |sort: KeySort| {
        if sort.is_one_time() {
            // What is there and is not known here is of no use.
            let is_unknown = inventory.newest(sort).is_none();
            (is_unknown || server.left(sort) < policy.refill_below)
                && !inventory.pending().any(|batch| batch.keys.sort == sort)
                && inventory.of(sort).count() < policy.max_batches
        } else {
            inventory.rotation_is_due(sort, now, policy)
        }
    };
    let sorts = KeySort::ALL.into_iter().filter(|sort| is_due(*sort));
    sorts
        .map(|sort| Generation {
            sort,
            count: if sort.is_one_time() {
                policy.batch_size()
            } else {
                1
            },
            after: inventory.newest(sort).map(|batch| batch.keys),
        })
        .collect()
}

/// The inventory after a step. `id` stands for the ids of keys that it makes.
fn apply(inventory: &mut Inventory, action: &Action, now: Timestamp, id: u32) {
    match action {
        Action::Generate(generations) => {
            for made in generations {
                let keys = KeyRange {
                    sort: made.sort,
                    first: id,
                    count: made.count,
                };
                inventory.add(keys, now);
            }
        }
        Action::Publish(_) => {}
        Action::Confirm(ranges) => inventory.confirm(ranges),
        Action::MarkStale(ranges) => inventory.mark_stale(ranges, now),
        Action::Delete(range) => inventory.delete(range, range.count),
    }
}
