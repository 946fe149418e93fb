//! Bundles of any kind, with keys that are made and kept through the store traits.

use rand::{CryptoRng, RngExt as _};
use sprag::{
    KyberPreKeyKind, PreKeyBundle, ProtocolAddress, Timestamp,
    protocol::{
        bundle::PreKey,
        identity::IdentityKeyPair,
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    },
};

use super::{
    ledger::{Ledger, kind_of},
    stores::Stores,
};
use crate::{BundleRequest, Failure};

impl Stores<'_> {
    /// A bundle as `request` says.
    pub(super) async fn make_bundle(
        &self,
        local: &ProtocolAddress,
        ledger: &Ledger,
        request: BundleRequest,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<PreKeyBundle, Failure> {
        let identity = self.identities.identity_key_pair().await?;
        let known = ledger.signed_pre_keys.last().filter(|_| !request.rotate);
        let signed = self.signed_pre_key(known, &identity, now, rng).await?;
        let kind = kind_of(request.kyber);
        let kyber = self
            .kyber_pre_key(ledger, kind, &identity, now, rng)
            .await?;
        let pre_key = match request.one_time_pre_key {
            true => Some(self.one_time_pre_key(rng).await?),
            false => None,
        };
        Ok(PreKeyBundle {
            registration_id: self.identities.local_registration_id().await?,
            device_id: local.device_id(),
            pre_key,
            signed_pre_key: signed.public_view()?,
            kyber_pre_key: kyber.public_view()?,
            identity_key: *identity.identity_key(),
        })
    }

    async fn one_time_pre_key(&self, rng: &mut impl CryptoRng) -> Result<PreKey, Failure> {
        let record = PreKeyRecord::generate(fresh_id(rng).into(), rng);
        let (id, public_key) = (record.id(), record.public_key()?);
        self.pre_keys.pre_keys.store_pre_key(id, record).await?;
        Ok(PreKey { id, public_key })
    }

    async fn signed_pre_key(
        &self,
        known: Option<&u32>,
        identity: &IdentityKeyPair,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<SignedPreKeyRecord, Failure> {
        let store = self.pre_keys.signed_pre_keys;
        if let Some(id) = known
            && let Some(record) = store.load_signed_pre_key((*id).into()).await?
        {
            return Ok(record);
        }
        let id = fresh_id(rng).into();
        let record = SignedPreKeyRecord::generate(id, now, identity, rng);
        store.store_signed_pre_key(id, record.clone()).await?;
        Ok(record)
    }

    /// A new one-time key, or the key of last resort, made if there is none.
    async fn kyber_pre_key(
        &self,
        ledger: &Ledger,
        kind: KyberPreKeyKind,
        identity: &IdentityKeyPair,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<KyberPreKeyRecord, Failure> {
        let store = self.pre_keys.kyber_pre_keys;
        if kind == KyberPreKeyKind::LastResort
            && let Some(id) = ledger.last_resort()
            && let Some(record) = store.load_kyber_pre_key(id.into()).await?
        {
            return Ok(record);
        }
        let id = fresh_id(rng).into();
        let record = KyberPreKeyRecord::generate(id, now, identity, rng);
        store.store_kyber_pre_key(id, record.clone(), kind).await?;
        Ok(record)
    }
}

/// A random id of 24 bits: ids of used-up keys may stand in bundles still under way, so none is given twice.
fn fresh_id<R: CryptoRng>(rng: &mut R) -> u32 {
    rng.random_range(1..1 << 24)
}
