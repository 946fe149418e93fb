//! Our pre-keys, and the bundles that hand them out.

use rand_core::CryptoRng;
use sprag_core::{
    bundle::{PreKey, PreKeyBundle},
    identity::IdentityKeyPair,
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
};

use super::{Account, random_in};
use crate::{
    Error, KyberPreKeyKind, KyberPreKeyStore, PreKeyStore, SignedPreKeyStore, Transaction,
    backend::{Backend, Kind},
    durable::{
        Slot,
        names::Name,
        value::{Publication, Value},
    },
};

/// Pre-key ids have 24 bits by convention, and are not 0.
const MAX_PRE_KEY_ID: u32 = 0xff_ffff;

const OPERATION: &str = "make_pre_key";

impl<B: Backend> Account<B> {
    /// A fresh bundle for one peer: a one-time EC pre-key and a one-time Kyber pre-key that no other
    /// bundle has, and the current signed pre-key, which is made on first use.
    ///
    /// The private halves are durable before the bundle is returned.
    ///
    /// # Errors
    /// What the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn bundle(&self) -> Result<PreKeyBundle, Error> {
        let _turn = self.store.turn(&self.id, Name::Publication).await;
        self.run(|tx| async move { self.make_bundle(&tx).await })
            .await
    }

    async fn make_bundle(&self, tx: &Transaction<B>) -> Result<PreKeyBundle, Error> {
        let names = [
            Name::Account,
            Name::Publication,
            Name::Counter(Kind::PreKey),
            Name::Counter(Kind::SignedPreKey),
            Name::Counter(Kind::KyberPreKey),
        ];
        tx.prefetch(OPERATION, &names).await?;
        let (identity, registration_id) = self
            .own(tx, |own| (own.key_pair.clone(), own.registration_id))
            .await?;
        let mut rng = tx.rng()?;
        let signed_pre_key = current_signed_pre_key(tx, &identity, &mut rng).await?;
        let pre_key = one_time_pre_key(tx, &mut rng).await?;
        let kyber_pre_key = one_time_kyber_pre_key(tx, &identity, &mut rng).await?;
        let bundle = PreKeyBundle {
            registration_id,
            device_id: self.address.device_id(),
            pre_key: Some(PreKey {
                id: pre_key.id(),
                public_key: pre_key.public_key()?,
            }),
            signed_pre_key: signed_pre_key.public_view()?,
            kyber_pre_key: kyber_pre_key.public_view()?,
            identity_key: *identity.identity_key(),
        };
        tx.store_pre_key(pre_key.id(), pre_key).await?;
        let (id, kind) = (kyber_pre_key.id(), KyberPreKeyKind::OneTime);
        tx.store_kyber_pre_key(id, kyber_pre_key, kind).await?;
        Ok(bundle)
    }
}

async fn one_time_pre_key<B: Backend>(
    tx: &Transaction<B>,
    rng: &mut (impl CryptoRng + Send),
) -> Result<PreKeyRecord, Error> {
    loop {
        let id = next_id(tx, Kind::PreKey, rng).await?.into();
        if !tx.contains_pre_key(id).await? {
            return Ok(PreKeyRecord::generate(id, rng));
        }
    }
}

async fn one_time_kyber_pre_key<B: Backend>(
    tx: &Transaction<B>,
    identity: &IdentityKeyPair,
    rng: &mut (impl CryptoRng + Send),
) -> Result<KyberPreKeyRecord, Error> {
    loop {
        let id = next_id(tx, Kind::KyberPreKey, rng).await?.into();
        if !tx.contains_kyber_pre_key(id).await? {
            return Ok(KyberPreKeyRecord::generate(id, tx.now(), identity, rng));
        }
    }
}

/// The signed pre-key that all bundles share.
async fn current_signed_pre_key<B: Backend>(
    tx: &Transaction<B>,
    identity: &IdentityKeyPair,
    rng: &mut (impl CryptoRng + Send),
) -> Result<SignedPreKeyRecord, Error> {
    let current = tx.get(OPERATION, Name::Publication, |value| match value {
        Some(Value::Publication(publication)) => Some(publication.signed_pre_key),
        _ => None,
    });
    if let Some(id) = current.await?
        && let Some(record) = tx.load_signed_pre_key(id).await?
    {
        return Ok(record);
    }
    let id = loop {
        let id = next_id(tx, Kind::SignedPreKey, rng).await?.into();
        if !tx.contains_signed_pre_key(id).await? {
            break id;
        }
    };
    let record = SignedPreKeyRecord::generate(id, tx.now(), identity, rng);
    tx.store_signed_pre_key(id, record.clone()).await?;
    let publication = Value::Publication(Publication { signed_pre_key: id });
    tx.put(OPERATION, Name::Publication, publication).await?;
    Ok(record)
}

/// The next id of a kind. They start at random, so that an account made anew does not hand out the same
/// ones, and go round.
async fn next_id<B: Backend>(
    tx: &Transaction<B>,
    kind: Kind,
    rng: &mut (impl CryptoRng + Send),
) -> Result<u32, Error> {
    let step = |slot: &mut Slot| {
        let id = match slot.value() {
            Some(Value::Counter(next)) => *next,
            _ => random_in(1..=MAX_PRE_KEY_ID, rng),
        };
        let following = if id >= MAX_PRE_KEY_ID { 1 } else { id + 1 };
        slot.put(Value::Counter(following));
        id
    };
    Ok(tx.update(OPERATION, Name::Counter(kind), step).await?)
}
