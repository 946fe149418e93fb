//! Looking through a whole store for records that were altered, moved or are damaged.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use rand_core::CryptoRng;
use sprag_core::address::{DeviceId, ProtocolAddress};

use super::{
    DurableStore, frame,
    header::{self, Header},
    names::{self, Name},
    parts::{self, Parts},
    value::{AccountEntry, Value},
};
use crate::{
    Error, SessionStore, Transaction,
    backend::{AccountId, Backend, Batch, Kind, OperationId, Record, RecordKey, Version},
    environment::generator,
};

/// How many parts of a session are looked for when it is discarded.
const PARTS: u16 = 512;

/// What [`DurableStore::examine`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// How many records there are.
    pub records: u64,
    /// Those that were altered, moved or are damaged.
    pub damaged: Vec<Damage>,
}

/// A record that nobody can read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// What sort of record it is.
    pub kind: Kind,
    /// Whose it is, if that account is on the store's list.
    pub account: Option<ProtocolAddress>,
    /// Whom it is about, if it is about somebody that is known from other records.
    pub peer: Option<ProtocolAddress>,
    place: RecordKey,
    version: Version,
}

impl Damage {
    /// What to do about it, as a sentence for people.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            Kind::Header | Kind::Account => {
                "it cannot be replaced: put a backup of the store back and recover it, or make the account anew"
            }
            Kind::Session | Kind::SessionPart => {
                "discard it, and start a new session with the peer"
            }
            Kind::Identity => {
                "discard it, and compare safety numbers with the peer before its next identity is trusted"
            }
            Kind::PreKey | Kind::SignedPreKey | Kind::KyberPreKey | Kind::Counter => {
                "discard it, and publish new pre-keys"
            }
            Kind::SenderKey => "discard it, and have the sender key distributed anew",
            Kind::Outbox => "discard it, and send the message again",
            Kind::Inbox => "discard it, and ask the sender to send the message again",
            _ => "discard it",
        }
    }

    /// Whether [`DurableStore::discard`] helps.
    pub fn can_be_discarded(&self) -> bool {
        !matches!(self.kind, Kind::Header | Kind::Account)
    }
}

impl<B: Backend> DurableStore<B> {
    /// Looks at every record. A row that was deleted, or put back to an earlier version of the same epoch, is not
    /// noticed, unless it is a part of a session.
    ///
    /// # Errors
    /// What the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn examine(&self) -> Result<Examination, Error> {
        let mut survey = Survey::default();
        let mut after = None;
        loop {
            let (header, page) = self.walk(after.as_ref()).await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            for (key, record) in page {
                survey.records += 1;
                if key != header::key() && survey.look(&header, &key, &record).is_none() {
                    survey.damaged.push((key, record.version));
                }
            }
        }
        self.look_for_parts(&mut survey).await?;
        Ok(survey.report(&self.header()))
    }

    /// Deletes a record that nobody can read, with what makes no sense without it, if it is still as it was found. For a list
    /// of devices, the list is made anew. Whether it was there.
    ///
    /// Discarding the identity of a peer makes the next one trusted, so that whoever can alter the store's files could
    /// have brought this about: have the safety number compared.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it was replaced meanwhile; what the storage reports. `store-tampered` for what cannot be
    /// discarded: our own identity.
    pub async fn discard(&self, damage: &Damage) -> Result<bool, Error> {
        if !damage.can_be_discarded() {
            return Err(self
                .unreadable("discard", damage.place.account(), damage.kind)
                .into());
        }
        let found = self.backend().read(&[damage.place]).await?;
        if found
            .into_iter()
            .flatten()
            .all(|record| record.version != damage.version)
        {
            return Ok(false);
        }
        let mut rng = generator(self.environment())?;
        let mut batch = self
            .deletion(&mut rng)
            .expect(damage.place, Some(damage.version))
            .delete(damage.place);
        for (key, version) in self.rest_of_session(damage).await? {
            batch = batch.expect(key, Some(version)).delete(key);
        }
        for key in &batch.deletes {
            self.cache().forget(key);
        }
        self.settle(batch).await?;
        if damage.kind == Kind::Directory {
            self.list_devices_anew(*damage.place.account()).await?;
        }
        Ok(true)
    }

    fn deletion(&self, rng: &mut impl CryptoRng) -> Batch {
        let batch = Batch::new(OperationId::random(rng));
        batch.expect(header::key(), Some(self.header().version))
    }

    /// The other records of the session that a damaged one belongs to.
    async fn rest_of_session(&self, damage: &Damage) -> Result<Vec<(RecordKey, Version)>, Error> {
        let (Kind::Session | Kind::SessionPart, Some(peer)) = (damage.kind, &damage.peer) else {
            return Ok(Vec::new());
        };
        let (header, account) = (self.header(), damage.place.account());
        let session = Name::Session(peer);
        let name = session.bytes();
        let part = |number| {
            header
                .names
                .record(account, Name::SessionPart(&name, number))
        };
        let mut keys: Vec<_> = (0..PARTS).map(part).collect();
        keys.push(header.names.record(account, session));
        keys.retain(|key| *key != damage.place);
        let found = self.backend().read(&keys).await?;
        let found = keys.into_iter().zip(found);
        Ok(found
            .filter_map(|(key, record)| Some((key, record?.version)))
            .collect())
    }

    /// Puts the devices of all sessions of an account on the lists of their names.
    async fn list_devices_anew(&self, account: AccountId) -> Result<(), Error> {
        let mut peers = BTreeSet::new();
        let each = |name: &[u8], _: Bytes| {
            peers.insert(names::address(name)?);
            Some(())
        };
        self.scan(&account, Kind::Session, each).await?;
        for peer in &peers {
            let step = |tx: Arc<Transaction<B>>| async move {
                if tx.contains_session(peer).await? {
                    tx.add_device("discard", peer).await?;
                }
                Ok(())
            };
            match self.run_as(account, step).await {
                Err(Error::Store(error)) if error.is_tampered() => {}
                end => end?,
            }
        }
        Ok(())
    }

    /// Makes sure that all sessions have their parts.
    async fn look_for_parts(&self, survey: &mut Survey) -> Result<(), Error> {
        for (account, peer) in std::mem::take(&mut survey.sessions) {
            let tx = self.begin_as(account, super::transaction::Reading::Fresh);
            match tx.load_session(&peer).await {
                Err(error) if error.is_tampered() || error.code() == "store-corrupt" => {
                    let key = self.header().names.record(&account, Name::Session(&peer));
                    let found = self.backend().read(&[key]).await?;
                    let versions = found.into_iter().flatten().map(|record| record.version);
                    survey
                        .damaged
                        .extend(versions.map(|version| (key, version)));
                }
                end => {
                    end?;
                }
            }
        }
        Ok(())
    }
}

/// What is known of a store that is being examined.
#[derive(Default)]
struct Survey {
    records: u64,
    damaged: Vec<(RecordKey, Version)>,
    accounts: HashMap<AccountId, ProtocolAddress>,
    /// Whom readable records are about.
    peers: BTreeSet<ProtocolAddress>,
    sessions: Vec<(AccountId, ProtocolAddress)>,
}

impl Survey {
    /// `None` if the record is damaged.
    fn look(&mut self, header: &Header, key: &RecordKey, record: &Record) -> Option<()> {
        let (name, payload) = frame::split(&header.seals, key, record)?;
        match key.kind() {
            Kind::Session => {
                Parts::read(&payload)?;
                let peer = names::address(&name)?;
                self.peers.insert(peer.clone());
                self.sessions.push((*key.account(), peer));
            }
            Kind::Identity => {
                self.peers.extend(names::address(&name));
            }
            Kind::Directory if *key.account() == AccountId::STORE => {
                let entry = AccountEntry::decode(payload)?;
                let id = header.names.account(&entry.address);
                self.accounts.insert(id, entry.address);
            }
            Kind::Directory => self.peers.extend(devices(&name, payload)),
            Kind::Account if *name == Name::Account.bytes() => {
                Value::decode(Name::Account, payload)?;
            }
            _ => {}
        }
        Some(())
    }

    fn report(self, header: &Header) -> Examination {
        let damage = |(place, version): (RecordKey, Version)| Damage {
            kind: place.kind(),
            account: self.accounts.get(place.account()).cloned(),
            peer: self
                .peers
                .iter()
                .find(|peer| is_about(header, &place, peer))
                .cloned(),
            place,
            version,
        };
        Examination {
            records: self.records,
            damaged: self.damaged.iter().copied().map(damage).collect(),
        }
    }
}

/// Whom a list of devices names, if the record is one.
fn devices(name: &[u8], payload: Bytes) -> Vec<ProtocolAddress> {
    let Some(name) = names::listed(name) else {
        return Vec::new();
    };
    let Some(Value::Devices(devices)) = Value::decode(Name::Devices(name), payload) else {
        return Vec::new();
    };
    let address = |device: DeviceId| ProtocolAddress::new(name, device.into()).ok();
    devices.into_iter().filter_map(address).collect()
}

/// Whether the record at `place` is about `peer`.
fn is_about(header: &Header, place: &RecordKey, peer: &ProtocolAddress) -> bool {
    let is = |name: Name<'_>| header.names.record(place.account(), name) == *place;
    match place.kind() {
        Kind::Session => is(Name::Session(peer)),
        Kind::Identity => is(Name::Identity(peer)) || is(Name::IdentityOfAll(peer.name())),
        Kind::SessionPart => {
            let session = Name::Session(peer).bytes();
            (0..=parts::EXPECTED + 8).any(|number| is(Name::SessionPart(&session, number)))
        }
        _ => false,
    }
}
