//! An account at a glance.

use bytes::Bytes;
use sprag_core::{address::ProtocolAddress, identity::IdentityKey};

use super::Account;
use crate::{
    Error, KyberPreKeyKind,
    backend::{Backend, Kind},
    durable::value::{OwnIdentity, kyber_kind},
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
}

impl<B: Backend> Account<B> {
    /// The account at a glance. Counting reads all of its records.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn status(&self) -> Result<Status, Error> {
        let own = |own: &OwnIdentity| (own.registration_id, *own.key_pair.identity_key());
        let (registration_id, identity_key) = self.own_identity(own).await?;
        let (kyber_pre_keys, last_resort_pre_keys) = self.count_kyber_pre_keys().await?;
        Ok(Status {
            address: self.address.clone(),
            registration_id,
            identity_key,
            sessions: self.count(Kind::Session).await?,
            pre_keys: self.count(Kind::PreKey).await?,
            signed_pre_keys: self.count(Kind::SignedPreKey).await?,
            kyber_pre_keys,
            last_resort_pre_keys,
            keys: self.key_inventory().await?,
            outbox: self.outbox_pending().await?.len(),
            inbox: self.count(Kind::Inbox).await?,
        })
    }

    /// How many are one-time, and how many of last resort.
    async fn count_kyber_pre_keys(&self) -> Result<(usize, usize), Error> {
        let (mut one_time, mut last_resort) = (0, 0);
        let each = |_: &[u8], payload: Bytes| {
            match kyber_kind(&payload)? {
                KyberPreKeyKind::OneTime => one_time += 1,
                KyberPreKeyKind::LastResort => last_resort += 1,
            }
            Some(())
        };
        self.store.scan(&self.id, Kind::KyberPreKey, each).await?;
        Ok((one_time, last_resort))
    }

    async fn count(&self, kind: Kind) -> Result<usize, Error> {
        let mut count = 0;
        let each = |_: &[u8], _| {
            count += 1;
            Some(())
        };
        self.store.scan(&self.id, kind, each).await?;
        Ok(count)
    }
}
