//! A party's keys and sessions behind the store traits, whoever implements those.

use sprag::{
    IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore, KyberPreKeyUse, PreKeyStore, PreKeyStores,
    ProtocolAddress, ProtocolError, SessionRecord, SessionStore, SignedPreKeyStore,
    protocol::{
        curve::PublicKey,
        identity::IdentityKey,
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    },
};

use super::ledger::Ledger;
use crate::{
    Address, Blob, Failure, FailureKind, KnownIdentity, KyberPreKey, PartyState, Session,
    sprag::parse_address,
};

/// The stores that one-to-one sessions ask for.
pub(super) struct Stores<'a> {
    pub(super) sessions: &'a dyn SessionStore,
    pub(super) identities: &'a dyn IdentityKeyStore,
    pub(super) pre_keys: PreKeyStores<'a>,
}

impl<'a> Stores<'a> {
    /// All of them in one.
    pub(super) fn all_in<S>(store: &'a S) -> Self
    where
        S: SessionStore + IdentityKeyStore + PreKeyStore + SignedPreKeyStore + KyberPreKeyStore,
    {
        Self {
            sessions: store,
            identities: store,
            pre_keys: PreKeyStores::all_in(store),
        }
    }

    /// Stores everything that `state` holds but the own identity.
    pub(super) async fn move_in(&self, state: &PartyState) -> Result<Ledger, Failure> {
        let mut ledger = Ledger::of(state);
        for Session { remote, record } in &state.sessions {
            let record = SessionRecord::deserialize(record)?;
            let remote = parse_address(remote)?;
            self.sessions.store_session(&remote, record).await?;
        }
        for KnownIdentity { remote, key } in &state.identities {
            let key = IdentityKey::deserialize(key)?;
            let remote = parse_address(remote)?;
            self.identities.save_identity(&remote, &key).await?;
        }
        self.move_pre_keys_in(state, &mut ledger).await?;
        Ok(ledger)
    }

    async fn move_pre_keys_in(
        &self,
        state: &PartyState,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        let PreKeyStores {
            pre_keys,
            signed_pre_keys,
            kyber_pre_keys,
        } = self.pre_keys;
        for record in &state.pre_keys {
            let record = PreKeyRecord::deserialize(record)?;
            ledger.pre_keys.push(record.id().into());
            pre_keys.store_pre_key(record.id(), record).await?;
        }
        for record in &state.signed_pre_keys {
            let record = SignedPreKeyRecord::deserialize(record)?;
            ledger.signed_pre_keys.push(record.id().into());
            signed_pre_keys
                .store_signed_pre_key(record.id(), record)
                .await?;
        }
        for KyberPreKey {
            record,
            last_resort,
        } in &state.kyber_pre_keys
        {
            let record = KyberPreKeyRecord::deserialize(record)?;
            let kind = match last_resort {
                true => KyberPreKeyKind::LastResort,
                false => KyberPreKeyKind::OneTime,
            };
            ledger.kyber_pre_keys.push((record.id().into(), kind));
            kyber_pre_keys
                .store_kyber_pre_key(record.id(), record, kind)
                .await?;
        }
        for seen in &state.kyber_uses {
            let base_key = PublicKey::deserialize(&seen.base_key)?;
            kyber_pre_keys
                .mark_kyber_pre_key_used(seen.kyber_id.into(), seen.signed_id.into(), &base_key)
                .await?;
        }
        Ok(())
    }

    /// Everything that is there.
    pub(super) async fn state(
        &self,
        address: &Address,
        ledger: &Ledger,
    ) -> Result<PartyState, Failure> {
        let identity = self.identities.identity_key_pair().await?;
        let mut state = PartyState {
            address: address.clone(),
            registration_id: self.identities.local_registration_id().await?,
            identity_key_pair: identity.serialize().as_slice().into(),
            sessions: Vec::new(),
            identities: Vec::new(),
            pre_keys: Vec::new(),
            signed_pre_keys: Vec::new(),
            kyber_pre_keys: Vec::new(),
            kyber_uses: ledger.kyber_uses.clone(),
        };
        for remote in &ledger.peers {
            let peer = parse_address(remote)?;
            if let Some(record) = self.sessions.load_session(&peer).await? {
                state.sessions.push(Session {
                    remote: remote.clone(),
                    record: record.serialize().as_slice().into(),
                });
            }
            if let Some(key) = self.identities.load_identity(&peer).await? {
                state.identities.push(KnownIdentity {
                    remote: remote.clone(),
                    key: key.serialize().as_slice().into(),
                });
            }
        }
        self.read_pre_keys(&mut state, ledger).await?;
        Ok(state)
    }

    async fn read_pre_keys(&self, state: &mut PartyState, ledger: &Ledger) -> Result<(), Failure> {
        let PreKeyStores {
            pre_keys,
            signed_pre_keys,
            kyber_pre_keys,
        } = self.pre_keys;
        for id in &ledger.pre_keys {
            if let Some(record) = pre_keys.load_pre_key((*id).into()).await? {
                state
                    .pre_keys
                    .push(Blob::from(record.serialize().as_slice()));
            }
        }
        for id in &ledger.signed_pre_keys {
            if let Some(record) = signed_pre_keys.load_signed_pre_key((*id).into()).await? {
                let record = Blob::from(record.serialize().as_slice());
                state.signed_pre_keys.push(record);
            }
        }
        for (id, kind) in &ledger.kyber_pre_keys {
            if let Some(record) = kyber_pre_keys.load_kyber_pre_key((*id).into()).await? {
                state.kyber_pre_keys.push(KyberPreKey {
                    record: record.serialize().as_slice().into(),
                    last_resort: *kind == KyberPreKeyKind::LastResort,
                });
            }
        }
        let counted = [
            pre_keys.pre_key_ids().await?.len() == state.pre_keys.len(),
            signed_pre_keys.signed_pre_key_ids().await?.len() == state.signed_pre_keys.len(),
            kyber_pre_keys.kyber_pre_key_ids().await?.len() == state.kyber_pre_keys.len(),
        ];
        match counted {
            [true, true, true] => Ok(()),
            _ => Err(broken("the stores hold pre-keys that nobody made")),
        }
    }

    /// Puts the current session with `remote` aside.
    pub(super) async fn archive_session(&self, remote: &ProtocolAddress) -> Result<(), Failure> {
        let record = self.sessions.load_session(remote).await?;
        let mut record =
            record.ok_or_else(|| ProtocolError::SessionNotFound(Some(remote.clone())))?;
        record.archive_current_state();
        Ok(self.sessions.store_session(remote, record).await?)
    }

    /// Makes sure that the stores remember what the ledger says of Kyber pre-keys. Asking changes them, so whoever calls
    /// this must forget the changes.
    pub(super) async fn audit(&self, ledger: &Ledger) -> Result<(), Failure> {
        let store = self.pre_keys.kyber_pre_keys;
        for seen in &ledger.kyber_uses {
            let (id, signed_id) = (seen.kyber_id.into(), seen.signed_id.into());
            let base_key = PublicKey::deserialize(&seen.base_key)?;
            let answer = store.mark_kyber_pre_key_used(id, signed_id, &base_key);
            if answer.await? != KyberPreKeyUse::Repeated {
                return Err(broken("the use of a Kyber pre-key was forgotten"));
            }
        }
        for (id, kind) in &ledger.kyber_pre_keys {
            let id = (*id).into();
            if let Some(record) = store.load_kyber_pre_key(id).await? {
                let unused = self.identities.identity_key_pair().await?;
                let unused = unused.identity_key().public_key();
                store.mark_kyber_pre_key_used(id, 0.into(), unused).await?;
                let stays = store.load_kyber_pre_key(record.id()).await?.is_some();
                if stays != (*kind == KyberPreKeyKind::LastResort) {
                    return Err(broken("a Kyber pre-key has become one of the other kind"));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn broken(text: &str) -> Failure {
    Failure::new(FailureKind::Other, text)
}
