//! Records of the conversations that are going on, decoded, so that a message costs no reading and decoding.
//!
//! The cache decides nothing: what it gives is expected by the commit with its version, like everything
//! that was read. If somebody else was faster the commit fails, the records are forgotten, and the
//! operation runs again from fresh reads. It keeps what is used often and small in number: sessions and
//! identities.

use std::{collections::HashMap, mem, sync::Arc};

use super::value::Value;
use crate::backend::{Kind, RecordKey, Version};

/// How many sessions are kept at least, once so many were used. One takes some 10 KB, rarely more than
/// 200 KB.
const SESSIONS: usize = 1024;

/// How many identities are kept at least. One takes some 300 bytes.
const IDENTITIES: usize = 8192;

/// Of how many parcels it is known at least that they wait. One takes some 100 bytes.
const PARCELS: usize = 8192;

/// A record and the version that it was read or written with.
#[derive(Clone)]
pub(super) struct Cached {
    pub(super) version: Version,
    pub(super) value: Arc<Value>,
}

pub(super) struct Cache {
    sessions: Generations<Cached>,
    identities: Generations<Cached>,
    /// What waits in outbox and inbox until it is acknowledged, and is not remembered then: only that it is there.
    parcels: Generations<()>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            sessions: Generations::new(SESSIONS),
            identities: Generations::new(IDENTITIES),
            parcels: Generations::new(PARCELS),
        }
    }
}

impl Cache {
    pub(super) fn get(&mut self, key: &RecordKey) -> Option<Cached> {
        self.of(key.kind())?.get(key)
    }

    /// Keeps what a record is known to be now.
    pub(super) fn put(&mut self, key: RecordKey, cached: Cached) {
        let parcel = match &*cached.value {
            Value::Inbox(_) => true,
            Value::Outbox(posted) => posted.kept_for.is_none(),
            _ => false,
        };
        if parcel {
            self.parcels.put(key, ());
        } else if let Some(generations) = self.of(key.kind()) {
            generations.put(key, cached);
        }
    }

    /// Forgets a record; whether it was known.
    pub(super) fn forget(&mut self, key: &RecordKey) -> bool {
        if is_parcel(key) {
            return self.parcels.forget(key);
        }
        if let Some(generations) = self.of(key.kind()) {
            return generations.forget(key);
        }
        false
    }

    fn of(&mut self, kind: Kind) -> Option<&mut Generations<Cached>> {
        match kind {
            Kind::Session => Some(&mut self.sessions),
            Kind::Identity => Some(&mut self.identities),
            _ => None,
        }
    }
}

fn is_parcel(key: &RecordKey) -> bool {
    matches!(key.kind(), Kind::Outbox | Kind::Inbox)
}

/// Two generations: what was used since the young one was full comes along, the rest is dropped.
struct Generations<T> {
    capacity: usize,
    young: HashMap<RecordKey, T>,
    old: HashMap<RecordKey, T>,
}

impl<T: Clone> Generations<T> {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn get(&mut self, key: &RecordKey) -> Option<T> {
        if let Some(cached) = self.young.get(key) {
            return Some(cached.clone());
        }
        let cached = self.old.remove(key)?;
        self.put(*key, cached.clone());
        Some(cached)
    }

    fn put(&mut self, key: RecordKey, cached: T) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, cached);
    }

    fn forget(&mut self, key: &RecordKey) -> bool {
        let (young, old) = (self.young.remove(key), self.old.remove(key));
        young.is_some() || old.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::backend::AccountId;

    fn key(name: u16) -> RecordKey {
        RecordKey::fixed(AccountId::STORE, Kind::Session, name.to_be_bytes())
    }

    fn cached(version: u64) -> Cached {
        Cached {
            version: Version::new(version).unwrap(),
            value: Arc::new(Value::Stamp),
        }
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut generations = Generations::new(10);
        for name in 0..35 {
            generations.put(key(name), cached(1 + u64::from(name)));
            assert_eq!(generations.get(&key(0)).unwrap().version.number(), 1);
            assert!(generations.young.len() + generations.old.len() <= 20);
        }
        assert!(generations.get(&key(1)).is_none());
        assert!(generations.get(&key(34)).is_some());
    }

    #[test]
    fn the_last_version_counts_and_what_is_forgotten_is_gone() {
        let mut generations = Generations::new(2);
        for version in 1..10 {
            generations.put(key(1), cached(version));
            generations.put(key(2), cached(version));
            generations.put(key(3), cached(version));
            let found = generations.get(&key(1));
            assert!(found.is_none_or(|found| found.version.number() == version));
        }
        for name in 1..=3 {
            generations.forget(&key(name));
            assert!(generations.get(&key(name)).is_none());
        }
    }

    #[test]
    fn only_sessions_and_identities_are_kept() {
        let mut cache = Cache::default();
        let key = RecordKey::fixed(AccountId::STORE, Kind::PreKey, [1]);
        cache.put(key, cached(1));
        assert!(cache.get(&key).is_none());
    }
}
