//! Ten years of upkeep with a device and a server in numbers only: its clock jumps, it crashes at every step, the server loses keys,
//! and messages come in storms.
//!
//! What is proven: whatever the server hands out has its private half on disk; a message whose keys are within their time is
//! not refused; no id means two keys at once; and the device does not fill up.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chacha20::ChaCha20Rng;
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use sprag_core::time::Timestamp;

use super::{
    Action, Held, Inventory, KeyCounts, KeyRange, KeySort, MAX_ID, Policy, ServerView, advance,
    next,
};

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;
const YEARS: u64 = 10 * 365 * DAY;

/// The shortest time for which everything that was handed out must be good.
const WITHIN: u64 = 45 * DAY;

/// A key, by the counter that its id comes from.
type Key = (KeySort, u32);

/// What is on the device's disk, which no crash harms.
struct Device {
    inventory: Inventory,
    private: BTreeSet<Key>,
    counters: BTreeMap<KeySort, u32>,
}

#[derive(Default)]
struct Server {
    /// One-time keys in the order in which they are handed out.
    one_time: BTreeMap<KeySort, VecDeque<u32>>,
    signed: Option<u32>,
    last_resort: Option<u32>,
    handed_out: BTreeSet<Key>,
    /// Whether it says which signed keys it has.
    talks: bool,
    /// Whether an upload takes the place of the one-time keys before, or they are handed out first.
    replaces: bool,
}

/// A first message under way.
struct Message {
    keys: Vec<Key>,
    /// How far the device's clock had gone forward in all.
    handed_out_at: u64,
}

struct World {
    rng: ChaCha20Rng,
    policy: Policy,
    device: Device,
    server: Server,
    messages: Vec<Message>,
    /// The device's clock.
    clock: u64,
    /// How far it has gone forward in all, jumps included.
    forward: u64,
    /// What happened, so that a run that proves nothing is noticed.
    delivered: usize,
    crashes: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        // Near the end of the numbers, so that they go round.
        let mut counter = || MAX_ID - rng.next_u32() % 2000;
        let counters = [
            (KeySort::PreKey, counter()),
            (KeySort::SignedPreKey, counter()),
            (KeySort::KyberPreKey, counter()),
        ];
        Self {
            policy: Policy::default(),
            device: Device {
                inventory: Inventory::default(),
                private: BTreeSet::new(),
                counters: counters.into(),
            },
            server: Server {
                talks: rng.next_u32().is_multiple_of(2),
                replaces: rng.next_u32().is_multiple_of(2),
                ..Server::default()
            },
            messages: Vec::new(),
            clock: 50 * 365 * DAY,
            forward: 0,
            delivered: 0,
            crashes: 0,
            rng,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock)
    }

    fn live(&mut self) {
        let mut time = 0;
        while time < YEARS {
            let passes = self.below(2 * DAY);
            time += passes;
            self.advance(passes);
            match self.below(200) {
                0 => {
                    let jump = self.below(100 * DAY);
                    self.advance(jump);
                }
                1 => self.clock -= self.below(100 * DAY),
                2 => self.lose(),
                3 => (0..500).for_each(|_| self.hand_out()),
                4..40 => self.bundle(),
                _ => self.hand_out(),
            }
            if !self.one_in(4) {
                self.upkeep();
            }
            self.deliver();
            self.check();
        }
    }

    fn advance(&mut self, time: u64) {
        self.clock += time;
        self.forward += time;
    }

    /// One upkeep, as the account does it: it may crash before and after whatever it does.
    fn upkeep(&mut self) {
        let mut view = ServerView::new(self.server.counts());
        while let Some(action) = next(
            &self.device.inventory,
            Some(&view),
            self.now(),
            &self.policy,
        ) {
            if self.crashes() {
                return;
            }
            self.perform(&action, &mut view);
            if self.crashes() {
                return;
            }
        }
        self.device.inventory.checked = Some(self.now());
    }

    fn crashes(&mut self) -> bool {
        let crashes = self.one_in(8);
        self.crashes += usize::from(crashes);
        crashes
    }

    fn perform(&mut self, action: &Action, view: &mut ServerView) {
        let now = self.now();
        let inventory = &mut self.device.inventory;
        match action {
            Action::Generate(generations) => {
                for made in generations {
                    let keys = self.device.make(made.sort, made.count);
                    self.device.inventory.add(keys, now);
                }
            }
            Action::Publish(ranges) => {
                let counts = self.server.take(ranges, &self.device);
                view.took(ranges, counts, &self.device.inventory);
            }
            Action::Confirm(ranges) => inventory.confirm(ranges),
            Action::MarkStale(ranges) => inventory.mark_stale(ranges, now),
            Action::Delete(range) => {
                inventory.delete(range, range.count);
                for id in range.ids() {
                    self.device.private.remove(&(range.sort, id));
                }
            }
        }
    }

    /// The server hands out a bundle, if it has what belongs to one.
    fn hand_out(&mut self) {
        let server = &mut self.server;
        let (Some(signed), Some(last_resort)) = (server.signed, server.last_resort) else {
            return;
        };
        let mut keys = vec![(KeySort::SignedPreKey, signed)];
        keys.extend(server.pop(KeySort::PreKey));
        let kyber = server.pop(KeySort::KyberPreKey);
        keys.push(kyber.unwrap_or((KeySort::LastResort, last_resort)));
        self.post(keys);
    }

    /// The device hands out a bundle by hand.
    fn bundle(&mut self) {
        let (now, policy) = (self.now(), self.policy.clone());
        let device = &mut self.device;
        let signed = KeySort::SignedPreKey;
        if device.inventory.rotation_is_due(signed, now, &policy) {
            let keys = device.make(signed, 1);
            device.inventory.add(keys, now);
        }
        let newest = device.inventory.newest(signed).unwrap().keys.first;
        let mut keys = vec![(signed, newest)];
        for sort in [KeySort::PreKey, KeySort::KyberPreKey] {
            let id = device.make(sort, 1).first;
            device.inventory.hand_out(sort, id, now, &policy);
            keys.push((sort, id));
        }
        self.post(keys);
        let mut nothing = ServerView::new(KeyCounts::default());
        while let Some(action) = next(&self.device.inventory, None, now, &self.policy) {
            self.perform(&action, &mut nothing);
        }
    }

    /// Most messages arrive soon, some late, some never.
    fn post(&mut self, keys: Vec<Key>) {
        if !self.one_in(5) {
            self.messages.push(Message {
                keys,
                handed_out_at: self.forward,
            });
        }
    }

    fn deliver(&mut self) {
        let all = std::mem::take(&mut self.messages);
        for message in all {
            let age = self.forward - message.handed_out_at;
            if age >= WITHIN {
                continue;
            }
            // A third at once, the others when they are just within their time.
            let is_late = age + 3 * DAY > WITHIN;
            if is_late || self.one_in(3) {
                self.delivered += 1;
                for key in &message.keys {
                    assert!(self.device.private.contains(key), "{key:?} after {age} ms");
                }
                for key in message.keys.iter().filter(|(sort, _)| sort.is_one_time()) {
                    self.device.private.remove(key);
                }
            } else {
                self.messages.push(message);
            }
        }
    }

    fn lose(&mut self) {
        match self.below(4) {
            0 => self.server.one_time.clear(),
            1 => self.server.signed = None,
            2 => self.server.last_resort = None,
            _ => {
                self.server.one_time.clear();
                (self.server.signed, self.server.last_resort) = (None, None);
            }
        }
    }

    fn check(&self) {
        let (device, server) = (&self.device, &self.server);
        let one_time = server.one_time.iter();
        let one_time = one_time.flat_map(|(sort, ids)| ids.iter().map(|id| (*sort, *id)));
        let signed = server.signed.map(|id| (KeySort::SignedPreKey, id));
        let last_resort = server.last_resort.map(|id| (KeySort::LastResort, id));
        for key in one_time.chain(signed).chain(last_resort) {
            assert!(device.private.contains(&key), "{key:?} is published");
        }

        let of = |sort| device.inventory.of(sort).count();
        for sort in [KeySort::SignedPreKey, KeySort::LastResort] {
            // One for each two days, for each time that the clock went back, and for each bundle in between; and what is
            // stale is so for as long again when the clock goes back.
            assert!(of(sort) < 250, "{} {sort}", of(sort));
        }
        let one_time = of(KeySort::PreKey).max(of(KeySort::KyberPreKey));
        assert!(one_time < self.policy.max_batches + 100, "{one_time}");
    }
}

impl Device {
    fn make(&mut self, sort: KeySort, count: u32) -> KeyRange {
        let counter = self.counters.get_mut(&counter(sort)).unwrap();
        let keys = KeyRange {
            sort,
            first: *counter,
            count,
        };
        *counter = advance(*counter, count);
        let offset = |from: u32, to: u32| (MAX_ID + to - from) % MAX_ID;
        for batch in self.inventory.batches.iter().map(|batch| batch.keys) {
            let apart = offset(keys.first, batch.first) >= count
                && offset(batch.first, keys.first) >= batch.count;
            let other = self::counter(batch.sort) != self::counter(sort);
            assert!(other || apart, "{keys:?} and {batch:?} share ids");
        }
        assert!(keys.ids().all(|id| (1..=MAX_ID).contains(&id)));
        self.private.extend(keys.ids().map(|id| (sort, id)));
        keys
    }
}

/// Both kinds of Kyber pre-keys share one counter.
fn counter(sort: KeySort) -> KeySort {
    match sort {
        KeySort::LastResort => KeySort::KyberPreKey,
        sort => sort,
    }
}

impl Server {
    fn counts(&self) -> KeyCounts {
        let left = |sort| self.one_time.get(&sort).map_or(0, VecDeque::len);
        let held = |id: Option<u32>| match id {
            _ if !self.talks => Held::Unknown,
            None => Held::Nothing,
            Some(id) => Held::Key(id),
        };
        let key = |id| match held(id) {
            Held::Key(id) => Held::Key(id.into()),
            Held::Nothing => Held::Nothing,
            Held::Unknown => Held::Unknown,
        };
        KeyCounts {
            pre_keys: left(KeySort::PreKey),
            kyber_pre_keys: left(KeySort::KyberPreKey),
            signed_pre_key: key(self.signed),
            last_resort: match held(self.last_resort) {
                Held::Key(id) => Held::Key(id.into()),
                Held::Nothing => Held::Nothing,
                Held::Unknown => Held::Unknown,
            },
        }
    }

    /// Takes an upload, as the account puts it together; answers how many one-time keys there were.
    fn take(&mut self, ranges: &[KeyRange], device: &Device) -> Vec<(KeySort, u32)> {
        let newest = |sort| Some(device.inventory.newest(sort)?.keys.first);
        self.signed = newest(KeySort::SignedPreKey);
        self.last_resort = newest(KeySort::LastResort);
        let mut counts = Vec::new();
        for keys in ranges.iter().filter(|keys| keys.sort.is_one_time()) {
            let there = |id: &u32| device.private.contains(&(keys.sort, *id));
            let uploaded: Vec<_> = keys.ids().filter(there).collect();
            counts.push((keys.sort, uploaded.len() as u32));
            let held = self.one_time.entry(keys.sort).or_default();
            if self.replaces {
                held.clear();
            }
            for id in uploaded {
                if !held.contains(&id) && !self.handed_out.contains(&(keys.sort, id)) {
                    held.push_back(id);
                }
            }
        }
        counts
    }

    fn pop(&mut self, sort: KeySort) -> Option<Key> {
        let id = self.one_time.get_mut(&sort)?.pop_front()?;
        self.handed_out.insert((sort, id));
        Some((sort, id))
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::with_cases(12)
    })]

    #[test]
    fn ten_years(seed: u64) {
        let mut world = World::new(seed);
        world.live();
        prop_assert!(world.delivered > 1000 && world.crashes > 100);
    }
}
