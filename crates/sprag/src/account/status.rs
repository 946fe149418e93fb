//! An account at a glance.

use bytes::Bytes;
use sprag_core::{address::ProtocolAddress, identity::IdentityKey};

use super::Account;
use crate::{
    Error, KyberPreKeyKind,
    backend::{Backend, Kind},
    durable::value::{OwnIdentity, Posted, kyber_kind},
    upkeep::Inventory,
};

/// An account at a glance. The numbers are counted one after the other while others may be at work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Our address.
    pub address: ProtocolAddress,
    /// Our registration id.
    pub registration_id: u32,
    /// Our identity.
    pub identity_key: IdentityKey,
    /// How many addresses there are session records for.
    pub sessions: usize,
    /// How many one-time EC pre-keys were made and not used yet.
    pub pre_keys: usize,
    /// How many signed EC pre-keys are held.
    pub signed_pre_keys: usize,
    /// How many one-time Kyber pre-keys were made and not used yet.
    pub kyber_pre_keys: usize,
    /// How many last-resort Kyber pre-keys are held.
    pub last_resort_pre_keys: usize,
    /// The pre-keys that the account looks after, by batch, with their ages.
    pub keys: Inventory,
    /// How many envelopes wait in the outbox.
    pub outbox: usize,
    /// How many plaintexts wait in the inbox.
    pub inbox: usize,
    /// How many records of these kinds were altered or are damaged, and are counted nowhere else: what
    /// [`DurableStore::examine`](crate::DurableStore::examine) is for.
    pub damaged: usize,
}

impl<B: Backend> Account<B> {
    /// The account at a glance. Counting reads all of its records.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn status(&self) -> Result<Status, Error> {
        let own = |own: &OwnIdentity| (own.registration_id, *own.key_pair.identity_key());
        let (registration_id, identity_key) = self.own_identity(own).await?;
        let mut damaged = 0;
        let (mut one_time, mut last_resort, mut outbox) = (0, 0, 0);
        let kyber = |_: &[u8], payload: Bytes| {
            match kyber_kind(&payload)? {
                KyberPreKeyKind::OneTime => one_time += 1,
                KyberPreKeyKind::LastResort => last_resort += 1,
            }
            Some(())
        };
        damaged += self.store.scan(&self.id, Kind::KyberPreKey, kyber).await?;
        let posted = |_: &[u8], payload: Bytes| {
            outbox += usize::from(Posted::decode(payload)?.sent.is_none());
            Some(())
        };
        damaged += self.store.scan(&self.id, Kind::Outbox, posted).await?;
        Ok(Status {
            address: self.address.clone(),
            registration_id,
            identity_key,
            sessions: self.count(Kind::Session, &mut damaged).await?,
            pre_keys: self.count(Kind::PreKey, &mut damaged).await?,
            signed_pre_keys: self.count(Kind::SignedPreKey, &mut damaged).await?,
            kyber_pre_keys: one_time,
            last_resort_pre_keys: last_resort,
            keys: self.key_inventory().await?,
            outbox,
            inbox: self.count(Kind::Inbox, &mut damaged).await?,
            damaged,
        })
    }

    /// How many records of a kind there are, and `damaged` ones more.
    async fn count(&self, kind: Kind, damaged: &mut usize) -> Result<usize, Error> {
        let mut count = 0;
        let each = |_: &[u8], _| {
            count += 1;
            Some(())
        };
        *damaged += self.store.scan(&self.id, kind, each).await?;
        Ok(count)
    }
}
