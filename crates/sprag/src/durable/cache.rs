//! Records of the conversations that are going on, decoded, so that a message costs no reading and decoding.
//!
//! The cache decides nothing: what it gives is expected by the commit with its version, like everything
//! that was read. If somebody else was faster the commit fails, the records are forgotten, and the
//! operation runs again from fresh reads. It keeps what is used often and small in number: sessions,
//! identities, and our own identity, whose private key is wiped when it is dropped.

use std::{collections::HashMap, mem, sync::Arc};

use super::{parts::Parts, value::Value};
use crate::backend::{RecordKey, Version};

/// How many bytes the cache takes unless it is told otherwise.
const BYTES: usize = 64 << 20;

/// What an entry takes beside its record.
const ENTRY: usize = 512;

/// A record and the version that it was read or written with.
#[derive(Clone)]
pub(super) struct Cached {
    pub(super) version: Version,
    pub(super) value: Arc<Value>,
    pub(super) parts: Parts,
    /// How long the stored record is, with its parts.
    pub(super) size: usize,
}

pub(super) struct Cache(Generations);

/// What is known of a record.
#[derive(Clone)]
enum Entry {
    Record(Cached),
    /// Of what waits in outbox and inbox until it is acknowledged, and is not remembered then: only that it is
    /// there.
    Parcel,
}

impl Default for Cache {
    fn default() -> Self {
        Self(Generations::new(BYTES))
    }
}

impl Cache {
    pub(super) fn get(&mut self, key: &RecordKey) -> Option<Cached> {
        match self.0.get(key)? {
            Entry::Record(cached) => Some(cached),
            Entry::Parcel => None,
        }
    }

    /// Whether a record is there in this version.
    pub(super) fn has(&self, key: &RecordKey, version: Version) -> bool {
        let Generations { young, old, .. } = &self.0;
        let entry = young.entries.get(key).or_else(|| old.entries.get(key));
        matches!(entry, Some((Entry::Record(cached), _)) if cached.version == version)
    }

    /// Keeps what a record is known to be now.
    pub(super) fn put(&mut self, key: RecordKey, cached: Cached) {
        // A session lies there decoded, and its parts once more encoded.
        let (entry, bytes) = match &*cached.value {
            Value::Session(_) | Value::Identity(..) | Value::Account(_) => {
                let bytes = ENTRY + 2 * cached.size;
                (Entry::Record(cached), bytes)
            }
            Value::Inbox(_) => (Entry::Parcel, ENTRY),
            Value::Outbox(posted) if posted.kept_for.is_none() => (Entry::Parcel, ENTRY),
            _ => return,
        };
        self.0.put(key, entry, bytes);
    }

    /// Forgets a record; whether it was known.
    pub(super) fn forget(&mut self, key: &RecordKey) -> bool {
        self.0.forget(key)
    }

    /// How many bytes it may take from now on.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.0 = Generations::new(bytes);
    }
}

/// Two generations: what was used since the young one was full comes along, the rest is dropped.
struct Generations {
    /// Of each generation.
    capacity: usize,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    entries: HashMap<RecordKey, (Entry, usize)>,
    bytes: usize,
}

impl Generation {
    fn insert(&mut self, key: RecordKey, entry: Entry, bytes: usize) {
        self.bytes += bytes;
        if let Some((_, before)) = self.entries.insert(key, (entry, bytes)) {
            self.bytes -= before;
        }
    }

    fn remove(&mut self, key: &RecordKey) -> Option<(Entry, usize)> {
        if self.entries.is_empty() {
            return None;
        }
        let removed = self.entries.remove(key)?;
        self.bytes -= removed.1;
        Some(removed)
    }
}

impl Generations {
    fn new(bytes: usize) -> Self {
        Self {
            capacity: bytes / 2,
            young: Generation::default(),
            old: Generation::default(),
        }
    }

    fn get(&mut self, key: &RecordKey) -> Option<Entry> {
        if let Some((entry, _)) = self.young.entries.get(key) {
            return Some(entry.clone());
        }
        let (entry, bytes) = self.old.remove(key)?;
        self.put(*key, entry.clone(), bytes);
        Some(entry)
    }

    fn put(&mut self, key: RecordKey, entry: Entry, bytes: usize) {
        self.old.remove(&key);
        if self.young.bytes + bytes > self.capacity {
            self.young.remove(&key);
            if bytes > self.capacity {
                return;
            }
            if self.young.bytes + bytes > self.capacity {
                self.old = mem::take(&mut self.young);
            }
        }
        self.young.insert(key, entry, bytes);
    }

    fn forget(&mut self, key: &RecordKey) -> bool {
        let (young, old) = (self.young.remove(key), self.old.remove(key));
        young.is_some() || old.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use sprag_core::{address::ProtocolAddress, identity::IdentityKeyPair, session::SessionRecord};

    use super::*;
    use crate::{
        IdentityPolicy, IdentityScope,
        backend::{AccountId, Kind},
        durable::value::OwnIdentity,
    };

    fn key(name: u16) -> RecordKey {
        RecordKey::fixed(AccountId::STORE, Kind::Session, name.to_be_bytes())
    }

    fn cached(version: u64, size: usize) -> Cached {
        Cached {
            version: Version::new(version).unwrap(),
            value: Arc::new(Value::Session(SessionRecord::new_fresh())),
            parts: Parts::default(),
            size,
        }
    }

    fn number(cache: &mut Cache, name: u16) -> Option<u64> {
        Some(cache.get(&key(name))?.version.number())
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes_within_the_limit() {
        let mut cache = Cache::default();
        cache.limit(100_000);
        for name in 0..200 {
            cache.put(
                key(name),
                cached(1 + u64::from(name), 100 * usize::from(name % 30)),
            );
            assert_eq!(number(&mut cache, 0), Some(1));
            let entries = cache
                .0
                .young
                .entries
                .values()
                .chain(cache.0.old.entries.values());
            let bytes: usize = entries.map(|(_, bytes)| bytes).sum();
            assert_eq!(bytes, cache.0.young.bytes + cache.0.old.bytes);
            assert!(bytes <= 100_000, "{bytes}");
        }
        assert!(number(&mut cache, 1).is_none());
        assert!(number(&mut cache, 199).is_some());
        // What alone is too large is not kept, and nothing goes for it.
        cache.put(key(500), cached(1, 60_000));
        assert!(number(&mut cache, 500).is_none());
        assert!(number(&mut cache, 199).is_some());
    }

    #[test]
    fn the_last_version_counts_and_what_is_forgotten_is_gone() {
        let mut cache = Cache::default();
        cache.limit(4 * ENTRY);
        for version in 1..10 {
            for name in 1..=3 {
                cache.put(key(name), cached(version, 0));
            }
            let found = number(&mut cache, 1);
            assert!(found.is_none_or(|found| found == version));
        }
        cache.put(key(1), cached(10, 1 << 20));
        for name in 1..=3 {
            assert!(number(&mut cache, 1).is_none(), "too large now");
            cache.forget(&key(name));
            assert!(number(&mut cache, name).is_none());
        }
        assert_eq!(cache.0.young.bytes + cache.0.old.bytes, 0);
    }

    #[test]
    fn only_what_conversations_need_is_kept() {
        let mut cache = Cache::default();
        let own = OwnIdentity {
            address: ProtocolAddress::new("alice", 1).unwrap(),
            key_pair: IdentityKeyPair::generate(&mut rand::rng()),
            registration_id: 1,
            policy: IdentityPolicy::default(),
            scope: IdentityScope::default(),
        };
        let account = Cached {
            value: Arc::new(Value::Account(own)),
            ..cached(5, 1)
        };
        cache.put(key(2), account);
        assert_eq!(number(&mut cache, 2), Some(5));
        let counter = Cached {
            value: Arc::new(Value::Counter(1)),
            ..cached(1, 1)
        };
        cache.put(key(1), counter);
        assert!(number(&mut cache, 1).is_none());
    }
}
