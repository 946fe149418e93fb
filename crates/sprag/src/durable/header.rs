//! The header of a store: what must be known before anything else can be read.

use prost::Message;
use rand_core::Rng;
use zeroize::{Zeroize, Zeroizing};

use super::{frame, names::Names};
use crate::{
    Error,
    backend::{
        AccountId, Backend, BackendError, Batch, CommitOutcome, Kind, OperationId, Record,
        RecordKey, Version,
    },
    environment::{Environment, generator},
};

/// The format that this release writes.
const FORMAT: u32 = 2;

/// The header as it was read.
pub(crate) struct Header {
    pub(super) store_id: [u8; 16],
    pub(crate) names: Names,
    /// Expected by every commit.
    pub(super) version: Version,
}

/// Never `Clone` or `Debug`: it holds the name key.
#[derive(PartialEq, Message)]
#[prost(skip_debug)]
struct Stored {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// 16 random bytes, by which this store is told from all others.
    #[prost(bytes = "vec", tag = "2")]
    store_id: Vec<u8>,
    /// 32 random bytes, the key of [`Names`]. It lives as long as the store.
    #[prost(bytes = "vec", tag = "3")]
    name_key: Vec<u8>,
    /// The epoch under whose root records are sealed. 0: they are not.
    #[prost(uint64, tag = "4")]
    write_epoch: u64,
    /// The oldest epoch under whose root a record may be sealed.
    #[prost(uint64, tag = "5")]
    min_epoch: u64,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.name_key.zeroize();
    }
}

pub(super) fn key() -> RecordKey {
    RecordKey::fixed(AccountId::STORE, Kind::Header, [])
}

/// Reads the header, and makes it if the store is new. Of two that make one at once, one wins.
pub(super) async fn read_or_create(
    backend: &impl Backend,
    environment: &dyn Environment,
) -> Result<Header, Error> {
    loop {
        if let Some(header) = read(backend).await? {
            return Ok(header);
        }
        if first_account(backend).await?.is_some() {
            // Unless somebody has made it just now.
            let header = read(backend).await?;
            return header.ok_or_else(|| corrupt("the header is gone").into());
        }
        let batch = new_store(environment)?;
        let operation = batch.operation;
        if backend.commit(batch).await? == CommitOutcome::Unknown {
            let resolved = backend.committed(operation).await;
            resolved.map_err(Error::OutcomeUnknown)?;
        }
    }
}

/// Where the first entry of the store's list of accounts lies, and the entry.
pub(super) async fn first_account(
    backend: &impl Backend,
) -> Result<Option<(Vec<u8>, Record)>, BackendError> {
    let first = backend.scan(&AccountId::STORE, Kind::Directory, None, 1);
    Ok(first.await?.into_iter().next())
}

pub(super) async fn read(backend: &impl Backend) -> Result<Option<Header>, Error> {
    let record = backend.read(&[key()]).await?.into_iter().next().flatten();
    let Some(record) = record else {
        return Ok(None);
    };
    let payload = frame::open(&record.bytes, b"").ok_or_else(not_readable)?;
    let stored = Stored::decode(payload).map_err(|_| not_readable())?;
    if stored.format < FORMAT {
        return Err(corrupt("a format that no release wrote").into());
    }
    if stored.format > FORMAT || stored.write_epoch > 0 {
        return Err(BackendError::TooNew {
            found: i64::from(stored.format.max(FORMAT + 1)),
            supported: i64::from(FORMAT),
        }
        .into());
    }
    let store_id = stored.store_id.as_slice().try_into();
    let name_key = <&[u8; 32]>::try_from(stored.name_key.as_slice());
    Ok(Some(Header {
        store_id: store_id.map_err(|_| not_readable())?,
        names: Names::new(name_key.map_err(|_| not_readable())?),
        version: record.version,
    }))
}

/// The commit that makes a store out of nothing.
fn new_store(environment: &dyn Environment) -> Result<Batch, Error> {
    let mut rng = generator(environment)?;
    let mut stored = Stored {
        format: FORMAT,
        store_id: vec![0; 16],
        name_key: vec![0; 32],
        write_epoch: 0,
        min_epoch: 0,
    };
    rng.fill_bytes(&mut stored.store_id);
    rng.fill_bytes(&mut stored.name_key);
    let payload = Zeroizing::new(stored.encode_to_vec());
    Ok(Batch::new(OperationId::random(&mut rng))
        .expect(key(), None)
        .put(
            key(),
            Version::random(&mut rng),
            frame::close(b"", &payload),
        ))
}

pub(super) fn corrupt(detail: &str) -> BackendError {
    BackendError::Corrupt {
        detail: detail.into(),
    }
}

fn not_readable() -> BackendError {
    corrupt("the header is not readable")
}
