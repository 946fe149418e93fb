//! The generation of a store: how often it was opened.
//!
//! Every opening raises it by a commit, before anything is released, and then raises the vault's anchor to it.
//! So the store is never behind the anchor, unless an earlier copy of it was put back. It may be ahead, after a
//! crash between the two, which the next opening heals.
//!
//! The commit also makes durable whatever a killed process has left in the storage's log.

use rand_core::CryptoRng;

use super::{DurableStore, frame, header, header::Header, retry::Attempts};
use crate::{
    Error, StoreError,
    backend::{AccountId, Backend, Batch, Kind, OperationId, RecordKey, Version},
    environment::generator,
};

const NAME: &[u8] = b"generation";

pub(super) fn key() -> RecordKey {
    RecordKey::fixed(AccountId::STORE, Kind::Header, [1])
}

/// Takes the store into its next generation.
///
/// # Errors
/// [`Error::RolledBack`] if it is behind its anchor.
pub(super) async fn enter<B: Backend>(store: &DurableStore<B>) -> Result<(), Error> {
    raise(store, |generation, anchor| {
        if generation < anchor {
            return Err(Error::RolledBack);
        }
        Ok(generation.saturating_add(1))
    })
    .await
}

/// Takes the store into a generation beyond its anchor, wherever it is.
pub(super) async fn overtake<B: Backend>(store: &DurableStore<B>) -> Result<(), Error> {
    raise(store, |generation, anchor| {
        Ok(generation.max(anchor).saturating_add(1))
    })
    .await
}

/// `next` says which generation follows on the store's and the anchor.
async fn raise<B: Backend>(
    store: &DurableStore<B>,
    next: impl Fn(u64, u64) -> Result<u64, Error>,
) -> Result<(), Error> {
    let Some(vault) = store.vault() else {
        return Ok(());
    };
    let anchor_name = header::anchor_name(&store.header().store_id);
    let mut attempts = Attempts::new();
    let generation = loop {
        // In this order: whoever raises the anchor has raised the store before.
        let anchor = vault.anchor(&anchor_name).await?;
        let (header, records) = store.read(&[key()]).await?;
        let damaged = || StoreError::tampered("open", Kind::Header);
        let record = records.into_iter().next().flatten().ok_or_else(damaged)?;
        let payload = frame::open(&header.seals, &key(), &record, NAME).ok_or_else(damaged)?;
        let stored = payload.as_ref().try_into().map_err(|_| damaged())?;
        let generation = next(u64::from_be_bytes(stored), anchor)?;

        let mut rng = generator(store.environment())?;
        let operation = OperationId::random(&mut rng);
        let batch = Batch::new(operation)
            .expect(header::key(), Some(header.version))
            .expect(key(), Some(record.version));
        let batch = put(batch, &header, generation, &mut rng);
        match store.settle(batch).await {
            Ok(()) => break generation,
            Err(error) => attempts.after(error, store.environment()).await?,
        }
    };
    Ok(vault.raise_anchor(&anchor_name, generation).await?)
}

/// Adds the record to a batch.
pub(super) fn put(
    batch: Batch,
    header: &Header,
    generation: u64,
    rng: &mut impl CryptoRng,
) -> Batch {
    let version = Version::random(rng);
    let payload = generation.to_be_bytes();
    let bytes = frame::close(&header.seals, &key(), version, NAME, &payload);
    batch.put(key(), version, bytes)
}
