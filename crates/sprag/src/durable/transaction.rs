//! One operation on a durable store: reads that are remembered, writes that wait, one commit.

mod fetch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand_core::CryptoRng;
use sprag_core::time::Timestamp;

use super::{
    DurableStore, cache::Cached, frame, header, header::Header, names::Name, parts::Parts,
    secret::SecretBytes, value::Value,
};
use crate::{
    Error, StoreError,
    backend::{AccountId, Backend, BackendError, Batch, Kind, OperationId, RecordKey, Version},
    environment::generator,
    events::Event,
};

/// One operation of one account on a [`DurableStore`]. It implements the six store traits.
///
/// What is read is remembered with its version, *absent* included, and read only once; what is written stays in
/// memory, and later reads see it. [`commit`](Self::commit) makes all of it durable in one step if all
/// that was read still stands. Dropping the transaction forgets it. So an operation either happens whole or
/// leaves no trace, whatever fails or is cancelled, and of two that use the same ratchet state one
/// is refused.
///
/// Use nothing that an operation gave (a message, a plaintext, an error that says something about a session)
/// before its transaction is committed, or for an error [validated](Self::validate).
/// [`DurableStore::run`] does all that.
///
/// ```
/// use sprag::{DurableStore, IdentityKeyStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault, protocol::identity::IdentityKeyPair};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// let alice = ProtocolAddress::new("alice", 1)?;
/// let bob = ProtocolAddress::new("bob", 1)?;
/// let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
///
/// let transaction = store.begin(&alice);
/// let bobs_key = *IdentityKeyPair::generate(&mut transaction.rng()?).identity_key();
/// transaction.save_identity(&bob, &bobs_key).await?;
/// assert_eq!(store.begin(&alice).load_identity(&bob).await?, None);
/// transaction.commit().await?;
/// assert_eq!(store.begin(&alice).load_identity(&bob).await?, Some(bobs_key));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct Transaction<B> {
    store: DurableStore<B>,
    header: Arc<Header>,
    account: AccountId,
    reading: Reading,
    /// Never held across an await.
    slots: Mutex<HashMap<RecordKey, Slot>>,
    /// What is to be told after the commit.
    events: Mutex<Vec<Event>>,
}

/// Where a transaction takes its records from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// From the backend.
    Fresh,
    /// From the cache, if they are there. Only for an operation whose result is released after the commit
    /// or after validation, and that then runs again from fresh reads.
    Cached,
}

/// So many records are searched by their names.
const FEW: usize = 8;

/// A record that the transaction knows, or its absence.
pub(crate) struct Slot {
    name: Vec<u8>,
    /// The version that was read; `None` if there was no record.
    found: Option<Version>,
    /// As it is now; `None` if there is no record.
    value: Option<Arc<Value>>,
    changed: bool,
    /// The parts of a session, as they are stored.
    parts: Parts,
    /// How many bytes the record has where it is stored.
    size: usize,
}

impl Slot {
    /// The record; `None` if there is none.
    pub(crate) fn value(&self) -> Option<&Value> {
        self.value.as_deref()
    }

    pub(crate) fn put(&mut self, value: Value) {
        self.value = Some(Arc::new(value));
        self.changed = true;
    }

    pub(crate) fn remove(&mut self) {
        self.changed |= self.value.take().is_some();
    }
}

impl<B: Backend> Transaction<B> {
    pub(super) fn new(store: DurableStore<B>, account: AccountId, reading: Reading) -> Self {
        Self {
            header: store.header(),
            store,
            account,
            reading,
            slots: Mutex::default(),
            events: Mutex::default(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.store.environment().now()
    }

    /// A fresh generator for what a step draws. Never keep one for another transaction: a step that is run
    /// again after a conflict must not repeat its random numbers.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn rng(&self) -> Result<impl CryptoRng + Send + use<B>, Error> {
        generator(self.store.environment())
    }

    /// Makes everything durable in one step, if everything that was read still stands. A transaction
    /// that wrote nothing is only [validated](Self::validate).
    ///
    /// If the future is dropped before it answers, the transaction happens whole or not at all.
    ///
    /// # Errors
    /// [`Error::Conflict`]: somebody else came first; do the operation again in a new transaction.
    /// [`Error::OutcomeUnknown`]: it happened or it did not. Otherwise what the storage reports; nothing
    /// was applied then.
    pub async fn commit(self) -> Result<(), Error> {
        self.finish().await
    }

    pub(super) async fn finish(&self) -> Result<(), Error> {
        let batch = self.batch()?;
        let written: Vec<_> = batch
            .puts
            .iter()
            .map(|put| (put.key, put.version))
            .collect();
        self.settle(batch).await?;
        self.keep_in_cache(&written);
        self.tell();
        Ok(())
    }

    /// Has `event` told once the commit has made it true.
    pub(crate) fn note(&self, event: Event) {
        self.events_noted().push(event);
    }

    fn tell(&self) {
        for event in self.events_noted().drain(..) {
            self.store.events().emit(self.account, event);
        }
    }

    fn events_noted(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that all that was read stood at one moment. What was written is not looked at.
    ///
    /// An error that was computed from reads, such as `duplicate-message`, is to be believed only after
    /// this: the session may have moved on between two reads.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it did not; otherwise what the storage reports.
    pub async fn validate(&self) -> Result<(), Error> {
        let batch = self.expectations(OperationId::random(&mut generator(
            self.store.environment(),
        )?));
        self.settle(batch).await?;
        self.keep_in_cache(&[]);
        Ok(())
    }

    /// Looks at the record `name`, `None` if there is none. It is read if it is not known yet.
    pub(crate) async fn get<T>(
        &self,
        operation: &'static str,
        name: Name<'_>,
        look: impl FnOnce(Option<&Value>) -> T,
    ) -> Result<T, StoreError> {
        self.update(operation, name, |slot| look(slot.value()))
            .await
    }

    /// Looks at the record `name` and changes it, with no other call of this transaction in between. It
    /// is read if it is not known yet, so that the commit can expect it.
    pub(crate) async fn update<T>(
        &self,
        operation: &'static str,
        name: Name<'_>,
        change: impl FnOnce(&mut Slot) -> T,
    ) -> Result<T, StoreError> {
        let failed = |error| StoreError::backend(operation, error);
        let bytes = self.name_bytes(name).map_err(failed)?;
        if let Some(slot) = self.find_by_name(&mut self.slots(), name, &bytes) {
            return Ok(change(slot));
        }
        let key = self.key(name, &bytes);
        if !self.knows(&key, &bytes) {
            self.fetch(operation, vec![(key, name, bytes)]).await?;
        }
        let mut slots = self.slots();
        let slot = slots.get_mut(&key);
        Ok(change(slot.expect("what is known stays known")))
    }

    /// Puts `value` in place of the record `name`.
    pub(crate) async fn put(
        &self,
        operation: &'static str,
        name: Name<'_>,
        value: Value,
    ) -> Result<(), StoreError> {
        self.update(operation, name, |slot| slot.put(value)).await
    }

    /// Removes the record `name`, and answers whether it was there.
    pub(crate) async fn remove(
        &self,
        operation: &'static str,
        name: Name<'_>,
    ) -> Result<bool, StoreError> {
        self.update(operation, name, |slot| {
            let there = slot.value().is_some();
            slot.remove();
            there
        })
        .await
    }

    /// Reads the records `names` at once, those not known yet.
    pub(crate) async fn prefetch(
        &self,
        operation: &'static str,
        names: &[Name<'_>],
    ) -> Result<(), StoreError> {
        let failed = |error| StoreError::backend(operation, error);
        let mut missing = Vec::with_capacity(names.len());
        for name in names {
            let bytes = self.name_bytes(*name).map_err(failed)?;
            let key = self.key(*name, &bytes);
            if !self.knows(&key, &bytes) {
                missing.push((key, *name, bytes));
            }
        }
        self.fetch(operation, missing).await
    }

    /// Whether the record `name` is among the few that most operations know.
    pub(super) fn has_seen(&self, name: Name<'_>) -> bool {
        self.find_by_name(&mut self.slots(), name, &name.bytes())
            .is_some()
    }

    /// Looks at all known records of a kind that are there.
    pub(super) fn each_known(&self, kind: Kind, mut look: impl FnMut(&[u8], &Value)) {
        for (key, slot) in self.slots().iter() {
            if let Some(value) = slot.value()
                && key.kind() == kind
            {
                look(&slot.name, value);
            }
        }
    }

    /// Takes it that there is no record `name`, without looking, unless one is known. The commit finds out;
    /// the operation then runs again and looks.
    pub(crate) fn presume_absent(&self, name: Name<'_>) {
        let bytes = name.bytes();
        if self.reading == Reading::Cached && frame::fits(&bytes) {
            let key = self.key(name, &bytes);
            self.slots().entry(key).or_insert(Slot {
                name: bytes,
                found: None,
                value: None,
                changed: false,
                parts: Parts::default(),
                size: 0,
            });
        }
    }

    /// Finds a record among the few that most operations know. To compare names takes less than to hash one
    /// into a key.
    fn find_by_name<'a>(
        &self,
        slots: &'a mut HashMap<RecordKey, Slot>,
        name: Name<'_>,
        bytes: &[u8],
    ) -> Option<&'a mut Slot> {
        if slots.len() > FEW {
            return None;
        }
        let place = (name.kind(), name.owner(&self.account));
        let mut slots = slots.iter_mut();
        let found =
            slots.find(|(key, slot)| (key.kind(), key.account()) == place && slot.name == bytes);
        found.map(|(_, slot)| slot)
    }

    /// Whether a record is known, now if it was not before because the cache has it.
    fn knows(&self, key: &RecordKey, name: &[u8]) -> bool {
        let mut slots = self.slots();
        if slots.contains_key(key) {
            return true;
        }
        if self.reading == Reading::Fresh {
            return false;
        }
        let Some(cached) = self.store.cache().get(key) else {
            return false;
        };
        let slot = Slot {
            name: name.to_vec(),
            found: Some(cached.version),
            value: Some(cached.value),
            changed: false,
            parts: cached.parts,
            size: cached.size,
        };
        slots.insert(*key, slot);
        true
    }

    /// What was read.
    fn expectations(&self, operation: OperationId) -> Batch {
        let mut batch = Batch::new(operation);
        let slots = self.slots();
        if slots.is_empty() {
            return batch;
        }
        batch.expect.reserve_exact(1 + slots.len());
        let batch = batch.expect(header::key(), Some(self.header.version));
        let expected = slots.iter().map(|(key, slot)| (*key, slot.found));
        expected.fold(batch, |batch, (key, found)| batch.expect(key, found))
    }

    /// What was read and what is to be written.
    fn batch(&self) -> Result<Batch, Error> {
        let mut rng = generator(self.store.environment())?;
        let mut batch = self.expectations(OperationId::random(&mut rng));
        let seals = &self.header.seals;
        for (key, slot) in self.slots().iter_mut().filter(|(_, slot)| slot.changed) {
            let Some(value) = slot.value.as_deref() else {
                if slot.found.is_some() {
                    batch = batch.delete(*key);
                    for part in slot.parts.iter() {
                        batch = batch.delete(self.part_key(&slot.name, part.number));
                    }
                }
                continue;
            };
            let mut payload = SecretBytes::from(value.encode());
            if let Value::Session(_) = value {
                let cut = slot.parts.cut(&payload, &mut rng);
                let before = std::mem::replace(&mut slot.parts, cut.parts);
                for part in slot.parts.iter().filter(|part| !before.has(part)) {
                    let name = Name::SessionPart(&slot.name, part.number).bytes();
                    let key = self.part_key(&slot.name, part.number);
                    let bytes = frame::close(seals, &key, part.version, &name, &part.bytes);
                    batch = batch.put(key, part.version, bytes);
                }
                for number in cut.surplus {
                    batch = batch.delete(self.part_key(&slot.name, number));
                }
                payload = cut.payload;
            }
            let version = Version::random(&mut rng);
            let bytes = frame::close(seals, key, version, &slot.name, &payload);
            slot.size = bytes.len() + slot.parts.bytes();
            batch = batch.put(*key, version, bytes);
        }
        Ok(batch)
    }

    async fn settle(&self, batch: Batch) -> Result<(), Error> {
        if batch.expect.is_empty() {
            return Ok(());
        }
        self.store.settle(batch).await
    }

    /// What was read stands, and what was written is there.
    fn keep_in_cache(&self, written: &[(RecordKey, Version)]) {
        let slots = self.slots();
        let mut cache = self.store.cache();
        for (key, slot) in slots.iter() {
            let written = written.iter().find(|(written, _)| written == key);
            let version = match written {
                Some((_, version)) => Some(*version),
                None if slot.changed => None,
                None => slot.found,
            };
            match (version, &slot.value) {
                (Some(version), Some(_)) if cache.has(key, version) => {}
                (Some(version), Some(value)) => {
                    let cached = Cached {
                        version,
                        value: Arc::clone(value),
                        parts: slot.parts.clone(),
                        size: slot.size,
                    };
                    cache.put(*key, cached);
                }
                _ => {
                    cache.forget(key);
                }
            }
        }
    }

    fn name_bytes(&self, name: Name<'_>) -> Result<Vec<u8>, BackendError> {
        let bytes = name.bytes();
        if frame::fits(&bytes) {
            Ok(bytes)
        } else {
            Err(BackendError::LimitExceeded {
                what: "bytes of a name",
                actual: bytes.len(),
                limit: u16::MAX.into(),
            })
        }
    }

    /// Where a part of the session with these bytes of a name lies.
    fn part_key(&self, session: &[u8], number: u16) -> RecordKey {
        let name = Name::SessionPart(session, number);
        self.key(name, &name.bytes())
    }

    fn key(&self, name: Name<'_>, bytes: &[u8]) -> RecordKey {
        self.header.names.record_of(&self.account, name, bytes)
    }

    /// Every change under the lock is a single step that does not fail.
    fn slots(&self) -> MutexGuard<'_, HashMap<RecordKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
