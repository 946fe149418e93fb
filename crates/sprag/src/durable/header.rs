//! The header of a store: what must be known before anything else can be read.
//!
//! | bytes | what |
//! |---|---|
//! | | the header in protobuf, see [`Stored`] |
//! | 8 | of the SHA-256 of version and header: against damage, not against an attacker |
//!
//! In a sealed store the key of the names, and with it all that the header says, is sealed under the root that is
//! written under. The version of the record and the other fields are the associated data.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use sprag_core::time::Timestamp;
use zeroize::{Zeroize, Zeroizing};

use super::{
    names::Names,
    seal::{self, Seal, Seals, TAG},
};
use crate::{
    Error, StoreError,
    backend::{AccountId, Backend, BackendError, Kind, Record, RecordKey, Version},
    vault::{Secret, Vault},
};

/// The format that this release writes.
const FORMAT: u32 = 3;

const CHECKSUM: usize = 8;

/// The header as it was read.
pub(crate) struct Header {
    pub(super) store_id: [u8; 16],
    name_key: Zeroizing<[u8; 32]>,
    pub(crate) names: Names,
    pub(crate) seals: Seals,
    /// `None` if the store is not sealed.
    pub(super) epochs: Option<Epochs>,
    /// Expected by every commit.
    pub(super) version: Version,
}

/// What the header says about sealing.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Epochs {
    /// The sort of vault that has the roots.
    pub(super) vault: String,
    /// Ascending. The last one is written under; those below `min` wait to be destroyed.
    pub(super) roots: Vec<Root>,
    /// The oldest epoch that a record may be sealed under.
    pub(super) min: u32,
    /// When the last one began.
    pub(super) since: Timestamp,
}

/// A root, by its name in the vault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) epoch: u32,
    /// Random, so that no name ever stands for two secrets.
    id: [u8; 16],
}

/// Never `Clone` or `Debug`: it may hold the key of the names.
#[derive(PartialEq, Message)]
#[prost(skip_debug)]
struct Stored {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// 16 random bytes, by which this store is told from all others.
    #[prost(bytes = "vec", tag = "2")]
    store_id: Vec<u8>,
    /// 32 random bytes, the key of [`Names`]: it lives as long as the store. Sealed, and its tag after it, unless the
    /// store is in clear text.
    #[prost(bytes = "vec", tag = "3")]
    name_key: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    roots: Vec<StoredRoot>,
    #[prost(uint32, tag = "5")]
    min_epoch: u32,
    /// None: the store is in clear text.
    #[prost(string, optional, tag = "6")]
    vault: Option<String>,
    /// Milliseconds since 1970.
    #[prost(uint64, tag = "7")]
    since: u64,
}

#[derive(PartialEq, Message)]
struct StoredRoot {
    #[prost(uint32, tag = "1")]
    epoch: u32,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.name_key.zeroize();
    }
}

pub(super) fn key() -> RecordKey {
    RecordKey::fixed(AccountId::STORE, Kind::Header, [])
}

impl Root {
    pub(super) fn new(epoch: u32, rng: &mut impl CryptoRng) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self { epoch, id }
    }

    /// Its name in the vault.
    pub(super) fn name(&self, store_id: &[u8; 16]) -> String {
        let id = u128::from_be_bytes(self.id);
        format!("{:032x}.root.{id:032x}", u128::from_be_bytes(*store_id))
    }
}

/// The name of a store's anchor in the vault.
pub(super) fn anchor_name(store_id: &[u8; 16]) -> String {
    format!("{:032x}.anchor", u128::from_be_bytes(*store_id))
}

impl Epochs {
    /// The epoch that is written under.
    pub(super) fn current(&self) -> u32 {
        self.roots.last().map_or(0, |root| root.epoch)
    }

    /// The roots that no record is sealed under any more.
    pub(super) fn outlived(&self) -> impl Iterator<Item = &Root> {
        self.roots.iter().filter(|root| root.epoch < self.min)
    }

    fn needed(&self) -> impl Iterator<Item = &Root> {
        self.roots.iter().filter(|root| root.epoch >= self.min)
    }
}

impl Header {
    /// That of a new store, sealed under the root that `epochs` names; in clear text without.
    pub(super) fn new(
        store_id: [u8; 16],
        sealed: Option<(Epochs, Seal)>,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut name_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *name_key);
        let (epochs, seals) = match sealed {
            None => (None, Seals::Clear),
            Some((epochs, seal)) => (Some(epochs), Seals::Sealed(vec![seal.into()])),
        };
        Self {
            store_id,
            names: Names::new(&name_key),
            name_key,
            seals,
            epochs,
            version: Version::random(rng),
        }
    }

    /// The same header with other epochs, under a new version; `added` is the seal of an epoch that was not there.
    pub(super) fn with_epochs(
        &self,
        epochs: Epochs,
        added: Option<Seal>,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut seals: Vec<_> = self.seals.all().to_vec();
        seals.extend(added.map(Arc::new));
        seals.retain(|seal| epochs.needed().any(|root| root.epoch == seal.epoch));
        Self {
            store_id: self.store_id,
            names: Names::new(&self.name_key),
            name_key: self.name_key.clone(),
            seals: Seals::Sealed(seals),
            epochs: Some(epochs),
            version: Version::random(rng),
        }
    }

    /// The stored form.
    pub(super) fn encode(&self) -> Bytes {
        let mut stored = Stored {
            format: FORMAT,
            store_id: self.store_id.to_vec(),
            name_key: Vec::new(),
            roots: Vec::new(),
            min_epoch: 0,
            vault: None,
            since: 0,
        };
        if let Some(epochs) = &self.epochs {
            let stored_root = |root: &Root| StoredRoot {
                epoch: root.epoch,
                id: root.id.to_vec(),
            };
            stored.roots = epochs.roots.iter().map(stored_root).collect();
            stored.min_epoch = epochs.min;
            stored.vault = Some(epochs.vault.clone());
            stored.since = epochs.since.as_millis();
        }
        let about = stored.about(self.version);
        let mut name_key = self.name_key.to_vec();
        if let Some(seal) = self.seals.writing() {
            let tag = seal.seal(self.version, &about, &mut name_key);
            name_key.extend_from_slice(&tag);
        }
        stored.name_key = name_key;
        let mut bytes = stored.encode_to_vec();
        let checksum = checksum(&bytes, self.version);
        bytes.extend_from_slice(&checksum);
        bytes.into()
    }
}

impl Stored {
    /// What the key of the names is bound to: everything else.
    fn about(&mut self, version: Version) -> Vec<u8> {
        let name_key = std::mem::take(&mut self.name_key);
        let about = seal::about(&self.encode_to_vec(), &key(), version);
        self.name_key = name_key;
        about
    }
}

/// Reads the header, and loads from `vault` what the store is sealed under. `None` for an empty backend.
///
/// `known` is the header as it was a moment ago, if it was read before.
pub(super) async fn load(
    backend: &impl Backend,
    vault: Option<&dyn Vault>,
    known: Option<&Header>,
) -> Result<Option<Header>, Error> {
    let mut before = None;
    loop {
        let Some(record) = read(backend).await? else {
            return Ok(None);
        };
        match unseal(&record, vault, known).await {
            // Between the two somebody may have begun another epoch, and destroyed a root.
            Err(Error::RootMissing | Error::RolledBack) if before != Some(record.version) => {
                before = Some(record.version);
            }
            Ok(header) => return Ok(Some(header)),
            Err(error) => return Err(error),
        }
    }
}

/// The header's record, as it is stored.
pub(super) async fn read(backend: &impl Backend) -> Result<Option<Record>, BackendError> {
    Ok(backend.read(&[key()]).await?.into_iter().next().flatten())
}

async fn unseal(
    record: &Record,
    vault: Option<&dyn Vault>,
    known: Option<&Header>,
) -> Result<Header, Error> {
    let damaged = || match vault {
        Some(_) => Error::from(StoreError::tampered("open", Kind::Header)),
        None => corrupt("the header is not readable").into(),
    };
    let mut stored = decode(record).map_err(|error| error.unwrap_or_else(damaged))?;
    let store_id = <[u8; 16]>::try_from(&*stored.store_id).map_err(|_| damaged())?;
    let (vault, epochs) = match (vault, stored.epochs().ok_or_else(damaged)?) {
        (None, None) => {
            let name_key = <[u8; 32]>::try_from(&*stored.name_key).map_err(|_| damaged())?;
            return Ok(Header {
                store_id,
                names: Names::new(&name_key),
                name_key: name_key.into(),
                seals: Seals::Clear,
                epochs: None,
                version: record.version,
            });
        }
        (None, Some(_)) => return Err(Error::StoreSealed),
        (Some(_), None) => return Err(Error::StoreNotSealed),
        (Some(vault), Some(epochs)) => (vault, epochs),
    };
    let seals = load_seals(vault, &store_id, &epochs, known).await?;
    let about = stored.about(record.version);
    let (text, tag) = stored
        .name_key
        .split_last_chunk_mut::<TAG>()
        .ok_or_else(damaged)?;
    let opened = seals
        .writing()
        .and_then(|seal| seal.open(record.version, &about, text, *tag));
    opened.ok_or_else(damaged)?;
    let name_key = Zeroizing::new(<[u8; 32]>::try_from(&*text).map_err(|_| damaged())?);
    Ok(Header {
        store_id,
        names: Names::new(&name_key),
        name_key,
        seals,
        epochs: Some(epochs),
        version: record.version,
    })
}

/// The error is `None` if the header is damaged.
fn decode(record: &Record) -> Result<Stored, Option<Error>> {
    let (text, found) = record.bytes.split_last_chunk::<CHECKSUM>().ok_or(None)?;
    if *found != checksum(text, record.version) {
        return Err(None);
    }
    let stored = Stored::decode(text).map_err(|_| None)?;
    match stored.format {
        FORMAT => Ok(stored),
        older if older < FORMAT => Err(None),
        newer => Err(Some(
            BackendError::TooNew {
                found: newer.into(),
                supported: FORMAT.into(),
            }
            .into(),
        )),
    }
}

impl Stored {
    /// `None` if they make no sense, `Some(None)` for a store in clear text.
    fn epochs(&self) -> Option<Option<Epochs>> {
        let Some(vault) = self.vault.clone() else {
            return Some(None);
        };
        let roots = self.roots.iter().map(|root| {
            let id = <[u8; 16]>::try_from(&*root.id).ok()?;
            Some(Root {
                epoch: root.epoch,
                id,
            })
        });
        let epochs = Epochs {
            vault,
            roots: roots.collect::<Option<_>>()?,
            min: self.min_epoch,
            since: Timestamp::from_millis(self.since),
        };
        epochs.needed().next()?;
        Some(Some(epochs))
    }
}

/// Loads the roots that records may be sealed under, those that are not known.
async fn load_seals(
    vault: &dyn Vault,
    store_id: &[u8; 16],
    epochs: &Epochs,
    known: Option<&Header>,
) -> Result<Seals, Error> {
    let mut seals = Vec::new();
    for root in epochs.needed() {
        let has = |header: &&Header| {
            let epochs = header.epochs.as_ref();
            epochs.is_some_and(|epochs| epochs.roots.contains(root))
        };
        let known = known.filter(has);
        if let Some(seal) = known.and_then(|header| header.seals.of(root.epoch)) {
            seals.push(Arc::clone(seal));
            continue;
        }
        let Some(secret) = vault.load(&root.name(store_id)).await? else {
            return Err(missing_root(vault, store_id, epochs).await?);
        };
        seals.push(Seal::new(root.epoch, &secret, store_id).into());
    }
    Ok(Seals::Sealed(seals))
}

/// Why a vault does not have a root that the store names.
async fn missing_root(
    vault: &dyn Vault,
    store_id: &[u8; 16],
    epochs: &Epochs,
) -> Result<Error, Error> {
    if vault.anchor(&anchor_name(store_id)).await? > 0 {
        // It is the store's own vault, which has destroyed the root in a later epoch.
        return Ok(Error::RolledBack);
    }
    Ok(if vault.kind() == epochs.vault {
        Error::RootMissing
    } else {
        Error::WrongVault {
            expected: epochs.vault.clone(),
            given: vault.kind().to_owned(),
        }
    })
}

/// A new root, kept in the vault, and what seals under it.
pub(super) async fn create_root(
    vault: &dyn Vault,
    store_id: &[u8; 16],
    epoch: u32,
    rng: &mut (impl CryptoRng + Send),
) -> Result<(Root, Seal), Error> {
    let root = Root::new(epoch, rng);
    let secret = Secret::random(rng);
    vault.create(&root.name(store_id), &secret).await?;
    Ok((root, Seal::new(epoch, &secret, store_id)))
}

pub(super) fn corrupt(detail: &str) -> BackendError {
    BackendError::Corrupt {
        detail: detail.into(),
    }
}

fn checksum(bytes: &[u8], version: Version) -> [u8; CHECKSUM] {
    let hash = Sha256::new()
        .chain_update(version.number().to_be_bytes())
        .chain_update(bytes)
        .finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&hash[..CHECKSUM]);
    checksum
}
