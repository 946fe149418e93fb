//! Reading for a transaction: from the backend into its slots.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;

use super::{Slot, Transaction};
use crate::{
    StoreError,
    backend::{Backend, Kind, Record, RecordKey},
    durable::{
        frame,
        header::Header,
        names::Name,
        parts::{self, Parts},
        value::Value,
    },
};

/// What was read at one moment, absence included, and the header that opens it.
struct Snapshot {
    header: Arc<Header>,
    records: HashMap<RecordKey, Option<Record>>,
}

impl<B: Backend> Transaction<B> {
    /// Reads records from the backend, all of them at once.
    pub(super) async fn fetch(
        &self,
        operation: &'static str,
        missing: Vec<(RecordKey, Name<'_>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<_> = missing.iter().map(|(key, ..)| *key).collect();
        for (_, name, bytes) in &missing {
            if name.kind() == Kind::Session {
                keys.extend((0..parts::EXPECTED).map(|number| self.part_key(bytes, number)));
            }
        }
        let mut found = self.read(operation, &keys).await?;
        for (key, name, bytes) in missing {
            if name.kind() == Kind::Session {
                self.fetch_session(operation, key, name, bytes, &found)
                    .await?;
            } else {
                let record = found.records.remove(&key).flatten();
                self.remember(operation, key, name, bytes, record, &found.header)?;
            }
        }
        Ok(())
    }

    /// Puts a session together from its records, of which some were `found` in one snapshot.
    async fn fetch_session(
        &self,
        operation: &'static str,
        key: RecordKey,
        name: Name<'_>,
        bytes: Vec<u8>,
        found: &Snapshot,
    ) -> Result<(), StoreError> {
        let damaged = || {
            self.store
                .unreadable(operation, &self.account, Kind::Session)
        };
        let mut later;
        let mut found = found;
        loop {
            let Some(Some(record)) = found.records.get(&key) else {
                return self.remember(operation, key, name, bytes, None, &found.header);
            };
            let seals = &found.header.seals;
            let payload = frame::open(seals, &key, record, &bytes).ok_or_else(damaged)?;
            let (mut parts, rest) = Parts::read(&payload).ok_or_else(damaged)?;
            let keys = parts.iter().map(|part| self.part_key(&bytes, part.number));
            let keys: Vec<_> = keys.chain([key]).collect();
            if keys.iter().all(|key| found.records.contains_key(key)) {
                let whole = parts.fill(|part| {
                    let name = Name::SessionPart(&bytes, part.number).bytes();
                    let key = self.part_key(&bytes, part.number);
                    let record = found.records.get(&key)?.as_ref()?;
                    let version_fits = record.version == part.version;
                    version_fits.then(|| frame::open(seals, &key, record, &name))?
                });
                let whole = whole.and_then(|()| parts.join(rest));
                let whole = whole.ok_or_else(damaged)?;
                let value = Value::decode(name, Bytes::from_owner(whole));
                let value = Arc::new(value.ok_or_else(damaged)?);
                self.slots().entry(key).or_insert(Slot {
                    name: bytes,
                    found: Some(record.version),
                    value: Some(value),
                    changed: false,
                    size: record.bytes.len() + parts.bytes(),
                    parts,
                });
                return Ok(());
            }
            // More parts than were read, or others than a moment ago.
            later = self.read(operation, &keys).await?;
            found = &later;
        }
    }

    async fn read(
        &self,
        operation: &'static str,
        keys: &[RecordKey],
    ) -> Result<Snapshot, StoreError> {
        let read = self.store.read(keys).await;
        let (header, records) = read.map_err(|error| StoreError::from_error(operation, error))?;
        let records = keys.iter().copied().zip(records).collect();
        Ok(Snapshot { header, records })
    }

    /// Reads all records of a kind, page by page, and remembers them, those that are not damaged. `name` tells
    /// what a record is about. That none is added afterwards is for the caller to guard.
    pub(in crate::durable) async fn load_all(
        &self,
        operation: &'static str,
        kind: Kind,
        name: impl Fn(&[u8]) -> Option<Name<'static>> + Send,
    ) -> Result<(), StoreError> {
        let failed = |error| StoreError::from_error(operation, error);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.page(&self.account, kind, after.as_deref());
            let (header, page) = page.await.map_err(failed)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (found_at, record) in page {
                let key = RecordKey::new(self.account, kind, &found_at);
                let key = key.map_err(|error| StoreError::backend(operation, error))?;
                let known = frame::split(&header.seals, &key, &record)
                    .and_then(|(bytes, _)| Some((name(&bytes)?, bytes)))
                    .filter(|(name, bytes)| self.key(*name, bytes) == key);
                let Some((name, bytes)) = known else {
                    // The others go on.
                    self.store.unreadable(operation, &self.account, kind);
                    continue;
                };
                self.remember(operation, key, name, bytes.into(), Some(record), &header)?;
            }
        }
    }

    /// Keeps what was read. If another call of this transaction was faster, its answer holds.
    fn remember(
        &self,
        operation: &'static str,
        key: RecordKey,
        name: Name<'_>,
        bytes: Vec<u8>,
        record: Option<Record>,
        header: &Header,
    ) -> Result<(), StoreError> {
        let mut slots = self.slots();
        let Entry::Vacant(slot) = slots.entry(key) else {
            return Ok(());
        };
        let size = record.as_ref().map_or(0, |record| record.bytes.len());
        let (found, value) = match record {
            None => (None, None),
            Some(record) => {
                let payload = frame::open(&header.seals, &key, &record, &bytes);
                let value = payload.and_then(|payload| Value::decode(name, payload));
                let value = value
                    .ok_or_else(|| self.store.unreadable(operation, &self.account, name.kind()))?;
                (Some(record.version), Some(Arc::new(value)))
            }
        };
        slot.insert(Slot {
            name: bytes,
            found,
            value,
            changed: false,
            parts: Parts::default(),
            size,
        });
        Ok(())
    }
}
