//! The pre-keys of a party: made for bundles, looked up and consumed by first messages.

use rand::{CryptoRng, RngExt as _};
use sprag_core::{
    error::{KeyError, ProtocolError},
    identity::IdentityKeyPair,
    message::PreKeySignalMessage,
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    session::{RecipientKeys, RequiredPreKeys},
    time::Timestamp,
};

use crate::{
    Blob, Failure, FailureKind, KyberKind, KyberPreKey, KyberUse, PartyState, PublicPreKey,
    SignedPublicPreKey,
};

/// Records in the order in which they were made.
#[derive(Default)]
pub(super) struct PreKeys {
    one_time: Vec<PreKeyRecord>,
    signed: Vec<SignedPreKeyRecord>,
    kyber: Vec<OwnKyberPreKey>,
    kyber_uses: Vec<KyberUse>,
}

struct OwnKyberPreKey {
    record: KyberPreKeyRecord,
    last_resort: bool,
}

impl PreKeys {
    /// Reads the pre-keys of `state`.
    pub(super) fn read(state: &PartyState) -> Result<Self, ProtocolError> {
        let one_time = state.pre_keys.iter();
        let signed = state.signed_pre_keys.iter();
        let kyber = state.kyber_pre_keys.iter().map(|entry| {
            Ok::<_, ProtocolError>(OwnKyberPreKey {
                record: KyberPreKeyRecord::deserialize(&entry.record)?,
                last_resort: entry.last_resort,
            })
        });
        Ok(Self {
            one_time: one_time
                .map(|record| PreKeyRecord::deserialize(record))
                .collect::<Result<_, _>>()?,
            signed: signed
                .map(|record| SignedPreKeyRecord::deserialize(record))
                .collect::<Result<_, _>>()?,
            kyber: kyber.collect::<Result<_, _>>()?,
            kyber_uses: state.kyber_uses.clone(),
        })
    }

    /// Writes the pre-keys into `state`.
    pub(super) fn write(&self, state: &mut PartyState) {
        let one_time = self.one_time.iter().map(PreKeyRecord::serialize);
        let signed = self.signed.iter().map(SignedPreKeyRecord::serialize);
        let kyber = self.kyber.iter().map(|entry| KyberPreKey {
            record: entry.record.serialize().as_slice().into(),
            last_resort: entry.last_resort,
        });
        state.pre_keys = one_time.map(|bytes| Blob::from(&bytes[..])).collect();
        state.signed_pre_keys = signed.map(|bytes| Blob::from(&bytes[..])).collect();
        state.kyber_pre_keys = kyber.collect();
        state.kyber_uses = self.kyber_uses.clone();
    }

    /// A new one-time pre-key.
    pub(super) fn new_one_time<R: CryptoRng>(
        &mut self,
        rng: &mut R,
    ) -> Result<PublicPreKey, KeyError> {
        let id = fresh_id(rng);
        let record = PreKeyRecord::generate(id.into(), rng);
        let public_key = record.public_key()?.serialize().as_slice().into();
        self.one_time.push(record);
        Ok(PublicPreKey { id, public_key })
    }

    /// The newest signed pre-key; a new one if there is none or `rotate` asks for it.
    pub(super) fn signed<R: CryptoRng>(
        &mut self,
        rotate: bool,
        identity: &IdentityKeyPair,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<SignedPublicPreKey, KeyError> {
        if rotate || self.signed.is_empty() {
            let id = fresh_id(rng).into();
            self.signed
                .push(SignedPreKeyRecord::generate(id, now, identity, rng));
        }
        let record = &self.signed[self.signed.len() - 1];
        Ok(SignedPublicPreKey {
            id: record.id().into(),
            public_key: record.public_key()?.serialize().as_slice().into(),
            signature: record.signature().into(),
        })
    }

    /// A new one-time Kyber pre-key, or the last-resort one, made if there is none yet.
    pub(super) fn kyber<R: CryptoRng>(
        &mut self,
        kind: KyberKind,
        identity: &IdentityKeyPair,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<SignedPublicPreKey, KeyError> {
        let last_resort = kind == KyberKind::LastResort;
        let known = self
            .kyber
            .iter()
            .position(|entry| last_resort && entry.last_resort);
        let index = known.unwrap_or_else(|| {
            let id = fresh_id(rng).into();
            self.kyber.push(OwnKyberPreKey {
                record: KyberPreKeyRecord::generate(id, now, identity, rng),
                last_resort,
            });
            self.kyber.len() - 1
        });
        let record = &self.kyber[index].record;
        Ok(SignedPublicPreKey {
            id: record.id().into(),
            public_key: record.public_key()?.serialize().into(),
            signature: record.signature().into(),
        })
    }

    /// The keys that a first message asks for.
    pub(super) fn recipient_keys<'a>(
        &'a self,
        required: &RequiredPreKeys,
        identity: &'a IdentityKeyPair,
        registration_id: u32,
    ) -> Result<RecipientKeys<'a>, ProtocolError> {
        let mut signed = self.signed.iter();
        let mut kyber = self.kyber.iter().map(|entry| &entry.record);
        let one_time = required.pre_key.map(|id| {
            let mut records = self.one_time.iter();
            let found = records.find(|record| record.id() == id);
            found.ok_or(ProtocolError::InvalidPreKeyId)
        });
        Ok(RecipientKeys {
            identity,
            registration_id,
            signed_pre_key: signed
                .find(|record| record.id() == required.signed_pre_key)
                .ok_or(ProtocolError::InvalidSignedPreKeyId)?,
            kyber_pre_key: kyber
                .find(|record| record.id() == required.kyber_pre_key)
                .ok_or(ProtocolError::InvalidKyberPreKeyId)?,
            pre_key: one_time.transpose()?,
        })
    }

    /// One-time keys go; the use of a last-resort key is remembered, and must be the first of its kind.
    pub(super) fn consume(
        &mut self,
        required: &RequiredPreKeys,
        message: &PreKeySignalMessage,
    ) -> Result<(), Failure> {
        let kyber_id = required.kyber_pre_key;
        let mut last_resort = self.kyber.iter().filter(|entry| entry.last_resort);
        if last_resort.any(|entry| entry.record.id() == kyber_id) {
            let this = KyberUse {
                kyber_id: kyber_id.into(),
                signed_id: required.signed_pre_key.into(),
                base_key: message.base_key().serialize().as_slice().into(),
            };
            if self.kyber_uses.contains(&this) {
                return Err(Failure::new(FailureKind::ReusedBaseKey, "reused base key"));
            }
            self.kyber_uses.push(this);
        }
        self.kyber
            .retain(|entry| entry.last_resort || entry.record.id() != kyber_id);
        self.one_time
            .retain(|record| Some(record.id()) != required.pre_key);
        Ok(())
    }
}

/// A random id of 24 bits: ids of used-up keys may stand in bundles still under way, so none is given twice.
fn fresh_id<R: CryptoRng>(rng: &mut R) -> u32 {
    rng.random_range(1..1 << 24)
}
