//! Where Kyber pre-keys are kept. Source: sheet 03 section 5, "Contract of mark used".

use async_trait::async_trait;
use sprag_core::{
    curve::PublicKey,
    pre_key::{KyberPreKeyId, KyberPreKeyRecord, SignedPreKeyId},
};

use super::StoreError;

/// How often a Kyber pre-key may be used. The record itself does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KyberPreKeyKind {
    /// Once: it goes when it is marked used.
    OneTime,
    /// By everybody who finds no one-time key left, but by each first message only once.
    LastResort,
}

/// What [`KyberPreKeyStore::mark_kyber_pre_key_used`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KyberPreKeyUse {
    /// The key had not been used with this base key.
    First,
    /// It had, or the key is gone. In a new session this is a replayed first message.
    Repeated,
}

/// Keeps our Kyber pre-keys, and remembers what those of last resort were used for.
#[async_trait]
pub trait KyberPreKeyStore: Send + Sync {
    /// The Kyber pre-key `id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn load_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
    ) -> Result<Option<KyberPreKeyRecord>, StoreError>;

    /// Keeps a Kyber pre-key under `id`, in place of one that was there.
    ///
    /// # Errors
    /// The record may or may not be stored.
    async fn store_kyber_pre_key(
        &self,
        id: KyberPreKeyId,
        record: KyberPreKeyRecord,
        kind: KyberPreKeyKind,
    ) -> Result<(), StoreError>;

    /// Notes that the Kyber pre-key `id` was used in a first message with this signed pre-key and this
    /// base key, in one atomic step.
    ///
    /// A one-time key is forgotten for good ([`First`](KyberPreKeyUse::First)); if it is not there
    /// any more the answer is [`Repeated`](KyberPreKeyUse::Repeated). Of a key of last resort the triple is
    /// remembered, durably, for as long as the key is there; the answer is `First` the first time and
    /// `Repeated` from then on. Without this, whoever has recorded a first message can have it
    /// delivered again after its session was deleted.
    ///
    /// # Errors
    /// The use may or may not be noted.
    async fn mark_kyber_pre_key_used(
        &self,
        id: KyberPreKeyId,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<KyberPreKeyUse, StoreError>;

    /// Forgets the Kyber pre-key `id` for good. Nothing happens if there is none.
    ///
    /// # Errors
    /// The pre-key may or may not be there.
    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<(), StoreError>;

    /// The ids of all Kyber pre-keys of both kinds, in ascending order.
    ///
    /// # Errors
    /// The store could not tell.
    async fn kyber_pre_key_ids(&self) -> Result<Vec<KyberPreKeyId>, StoreError>;

    /// Whether there is a Kyber pre-key `id`.
    ///
    /// # Errors
    /// The store could not tell.
    async fn contains_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<bool, StoreError> {
        Ok(self.load_kyber_pre_key(id).await?.is_some())
    }
}

super::implement_for_pointers!(KyberPreKeyStore {
    async fn load_kyber_pre_key(&self, id: KyberPreKeyId) -> Option<KyberPreKeyRecord>;
    async fn store_kyber_pre_key(&self, id: KyberPreKeyId, record: KyberPreKeyRecord, kind: KyberPreKeyKind) -> ();
    async fn mark_kyber_pre_key_used(&self, id: KyberPreKeyId, signed_pre_key_id: SignedPreKeyId, base_key: &PublicKey) -> KyberPreKeyUse;
    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> ();
    async fn kyber_pre_key_ids(&self) -> Vec<KyberPreKeyId>;
    async fn contains_kyber_pre_key(&self, id: KyberPreKeyId) -> bool;
});
