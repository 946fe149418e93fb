//! Our pre-keys: how they are made and named, and the bundles that hand them out.

use rand_core::CryptoRng;
use sprag_core::{
    bundle::{PreKey, PreKeyBundle},
    identity::IdentityKeyPair,
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
};
use tracing::debug;

use super::{Account, random_in};
use crate::{
    Error, KyberPreKeyKind, KyberPreKeyStore, PreKeyStore, SignedPreKeyStore, StoreError,
    Transaction,
    backend::{Backend, Kind},
    durable::{Slot, names::Name, value::Value},
    upkeep::{self, Inventory, KeyRange, KeySort, MAX_ID},
};

const OPERATION: &str = "make_pre_key";

impl<B: Backend> Account<B> {
    /// A fresh bundle for one peer: a one-time EC pre-key and a one-time Kyber pre-key that no other
    /// bundle has, and the current signed pre-key, which is made on first use and replaced when it is due.
    ///
    /// The private halves are durable before the bundle is returned. They are kept as long as the [`Policy`](crate::upkeep::Policy) says, and deleted
    /// by a later bundle, or by the [upkeep](Self::upkeep) of an account that has a server besides.
    ///
    /// # Errors
    /// What the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn bundle(&self) -> Result<PreKeyBundle, Error> {
        let _turn = self.key_turn().await;
        let made = self.run(|tx| async move { self.make_bundle(&tx).await });
        let (bundle, is_tidy) = made.await?;
        if !is_tidy && let Err(error) = self.tidy_keys().await {
            // What was asked for is done; the next bundle comes.
            debug!(code = error.code(), "old keys could not be deleted");
        }
        Ok(bundle)
    }

    /// The bundle, and whether no keys are to be deleted.
    async fn make_bundle(&self, tx: &Transaction<B>) -> Result<(PreKeyBundle, bool), Error> {
        let names = [
            Name::Account,
            Name::Keys,
            Name::Counter(Kind::PreKey),
            Name::Counter(Kind::SignedPreKey),
            Name::Counter(Kind::KyberPreKey),
        ];
        tx.prefetch(OPERATION, &names).await?;
        let (identity, registration_id) = self
            .own(tx, |own| (own.key_pair.clone(), own.registration_id))
            .await?;
        let mut rng = tx.rng()?;
        let mut inventory = load_inventory(tx).await?;
        let signed = self.signed_pre_key(tx, &mut inventory, &identity, &mut rng);
        let signed_pre_key = signed.await?.public_view()?;
        let (now, policy) = (tx.now(), &self.key_policy);

        let mut hand_out = async |sort| {
            let keys = make_keys(tx, sort, 1, &identity, &mut rng).await?;
            inventory.hand_out(sort, keys.first, now, policy);
            Ok::<_, Error>(keys.first)
        };
        let pre_key = hand_out(KeySort::PreKey).await?.into();
        let kyber_pre_key = hand_out(KeySort::KyberPreKey).await?.into();
        let tidy = upkeep::plan(&inventory, None, now, policy);
        put_inventory(tx, inventory).await?;

        let pre_key = tx.load_pre_key(pre_key).await?;
        let kyber_pre_key = tx.load_kyber_pre_key(kyber_pre_key).await?;
        let (Some(pre_key), Some(kyber_pre_key)) = (pre_key, kyber_pre_key) else {
            return Err(StoreError::tampered(OPERATION, Kind::PreKey).into());
        };
        let bundle = PreKeyBundle {
            registration_id,
            device_id: self.address.device_id(),
            pre_key: Some(PreKey {
                id: pre_key.id(),
                public_key: pre_key.public_key()?,
            }),
            signed_pre_key,
            kyber_pre_key: kyber_pre_key.public_view()?,
            identity_key: *identity.identity_key(),
        };
        Ok((bundle, tidy.is_empty()))
    }

    /// The signed pre-key that all bundles share, a new one if it is due.
    async fn signed_pre_key(
        &self,
        tx: &Transaction<B>,
        inventory: &mut Inventory,
        identity: &IdentityKeyPair,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<SignedPreKeyRecord, Error> {
        let sort = KeySort::SignedPreKey;
        if !inventory.rotation_is_due(sort, tx.now(), &self.key_policy)
            && let Some(batch) = inventory.newest(sort)
            && let Some(record) = tx.load_signed_pre_key(batch.keys.first.into()).await?
        {
            return Ok(record);
        }
        let keys = make_keys(tx, sort, 1, identity, rng).await?;
        inventory.add(keys, tx.now());
        let record = tx.load_signed_pre_key(keys.first.into()).await?;
        record.ok_or_else(|| StoreError::tampered(OPERATION, Kind::SignedPreKey).into())
    }
}

/// The batches that there are.
pub(super) async fn load_inventory<B: Backend>(tx: &Transaction<B>) -> Result<Inventory, Error> {
    let inventory = tx.get("load_keys", Name::Keys, |value| match value {
        Some(Value::Keys(inventory)) => inventory.clone(),
        _ => Inventory::default(),
    });
    Ok(inventory.await?)
}

pub(super) async fn put_inventory<B: Backend>(
    tx: &Transaction<B>,
    inventory: Inventory,
) -> Result<(), Error> {
    let inventory = Value::Keys(inventory);
    Ok(tx.put("store_keys", Name::Keys, inventory).await?)
}

/// What the key `id` of a sort is stored under.
pub(super) fn name(sort: KeySort, id: u32) -> Name<'static> {
    match sort {
        KeySort::PreKey => Name::PreKey(id.into()),
        KeySort::SignedPreKey => Name::SignedPreKey(id.into()),
        KeySort::KyberPreKey | KeySort::LastResort => Name::KyberPreKey(id.into()),
    }
}

pub(super) fn names(keys: &KeyRange) -> Vec<Name<'static>> {
    keys.ids().map(|id| name(keys.sort, id)).collect()
}

/// Makes keys and puts them into the store, under ids that no key has.
pub(super) async fn make_keys<B: Backend>(
    tx: &Transaction<B>,
    sort: KeySort,
    count: u32,
    identity: &IdentityKeyPair,
    rng: &mut (impl CryptoRng + Send),
) -> Result<KeyRange, Error> {
    let keys = free_ids(tx, sort, count, rng).await?;
    let kind = if sort.is_one_time() {
        KyberPreKeyKind::OneTime
    } else {
        KyberPreKeyKind::LastResort
    };
    for id in keys.ids() {
        match sort {
            KeySort::PreKey => {
                let record = PreKeyRecord::generate(id.into(), rng);
                tx.store_pre_key(id.into(), record).await?;
            }
            KeySort::SignedPreKey => {
                let record = SignedPreKeyRecord::generate(id.into(), tx.now(), identity, rng);
                tx.store_signed_pre_key(id.into(), record).await?;
            }
            KeySort::KyberPreKey | KeySort::LastResort => {
                let record = KyberPreKeyRecord::generate(id.into(), tx.now(), identity, rng);
                tx.store_kyber_pre_key(id.into(), record, kind).await?;
            }
        }
    }
    Ok(keys)
}

/// The next block of ids of which no key is in the store.
async fn free_ids<B: Backend>(
    tx: &Transaction<B>,
    sort: KeySort,
    count: u32,
    rng: &mut (impl CryptoRng + Send),
) -> Result<KeyRange, Error> {
    loop {
        let first = take_ids(tx, name(sort, 1).kind(), count, rng).await?;
        let keys = KeyRange { sort, first, count };
        let names = names(&keys);
        tx.prefetch(OPERATION, &names).await?;
        let mut all_free = true;
        for name in names {
            all_free &= tx.get(OPERATION, name, |value| value.is_none()).await?;
        }
        if all_free {
            return Ok(keys);
        }
    }
}

/// The next `count` ids of a kind; both kinds of Kyber pre-keys share theirs. They start at random, so that an account made
/// anew does not hand out the same ones, and go round.
async fn take_ids<B: Backend>(
    tx: &Transaction<B>,
    kind: Kind,
    count: u32,
    rng: &mut (impl CryptoRng + Send),
) -> Result<u32, Error> {
    let step = |slot: &mut Slot| {
        let first = match slot.value() {
            Some(Value::Counter(next)) => *next,
            _ => random_in(1..=MAX_ID, rng),
        };
        slot.put(Value::Counter(upkeep::advance(first, count)));
        first
    };
    Ok(tx.update(OPERATION, Name::Counter(kind), step).await?)
}
