//! What we know of the identities of others, and what the user says about them.

use sprag_core::{
    ProtocolError,
    address::{DeviceId, ProtocolAddress},
    identity::IdentityKey,
};

use super::Account;
use crate::{
    Error, Event, IdentityChange, IdentityKeyStore, IdentityPolicy, IdentityScope, KnownIdentity,
    Transaction,
    backend::{Backend, Kind},
    durable::{
        names::Name,
        value::{OwnIdentity, Value},
    },
    identity_policy::{Known, Purpose, Word},
};

impl<B: Backend> Account<B> {
    /// The identity that we know `peer` by, if we do.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn identity(&self, peer: &ProtocolAddress) -> Result<Option<IdentityKey>, Error> {
        self.run(|tx| async move { Ok(tx.load_identity(peer).await?) })
            .await
    }

    /// What we know of the identity of `peer`. Nothing of our own one.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn known_identity(
        &self,
        peer: &ProtocolAddress,
    ) -> Result<Option<KnownIdentity>, Error> {
        if self.scope.joins(&self.address, peer) {
            return Ok(None);
        }
        let device = match self.scope {
            IdentityScope::PerAddress => Some(peer.device_id()),
            IdentityScope::PerName => None,
        };
        let known = self
            .run(|tx| async move { Ok(tx.known_identity("load_identity", peer).await?) })
            .await?;
        Ok(known.map(|known| describe(peer.name(), device, &known)))
    }

    /// All identities that we know, in the order of names and devices. Each is read while others may be at work.
    ///
    /// # Errors
    /// What the storage reports.
    ///
    /// ```
    /// use sprag::{Account, DurableStore, IdentityTrust, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
    ///
    /// # async fn example() -> Result<(), sprag::Error> {
    /// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
    /// # let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
    /// # let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
    /// # alice.start_session(bob.address(), &bob.bundle().await?).await?;
    /// // The two have compared their safety number.
    /// let key = alice.identity(bob.address()).await?.expect("there is a session");
    /// alice.verify(bob.address(), &key).await?;
    ///
    /// let known = alice.identities().await?;
    /// assert_eq!((known.len(), known[0].trust), (1, IdentityTrust::Verified));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub async fn identities(&self) -> Result<Vec<KnownIdentity>, Error> {
        let mut identities = Vec::new();
        let each = |name: &[u8], payload| {
            let (device, name) = name.split_last()?;
            let device = match device {
                0 => None,
                device => Some(DeviceId::new((*device).into())?),
            };
            let name = std::str::from_utf8(name).ok()?;
            identities.push(describe(name, device, &Known::decode(payload)?));
            Some(())
        };
        self.store.scan(&self.id, Kind::Identity, each).await?;
        identities
            .sort_by(|one, other| (&one.name, one.device_id).cmp(&(&other.name, other.device_id)));
        Ok(identities)
    }

    /// Trusts `key` as the identity of `peer` from now on, in place of the one known so far. Do this only
    /// when the user has said so: it is what keeps somebody in between from taking the peer's place.
    ///
    /// If `key` is not known yet as the peer's, sessions with the identity before stop working; start one from
    /// a fresh bundle, or receive the peer's first message. Those with the peer's other devices are put aside.
    ///
    /// # Errors
    /// `invalid-argument`: the identity is our own, and `key` another one. Otherwise what the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn approve_identity(
        &self,
        peer: &ProtocolAddress,
        key: &IdentityKey,
    ) -> Result<IdentityChange, Error> {
        self.run(|tx| async move { self.vouch(&tx, peer, key, Word::Approved).await })
            .await
    }

    /// Trusts `key` as the identity of `peer`, and holds that the user has made sure of it: by comparing the
    /// [safety number](Self::safety_number), or by having it from a source as good. It is verified until it changes.
    ///
    /// A peer of whom no identity is known yet can be verified in advance.
    ///
    /// # Errors
    /// `untrusted-identity`: `key` is not the one that is known (any more), so what was compared is not
    /// what is used; compare again. `invalid-argument`: the identity is our own, and `key` another one. Otherwise what the
    /// storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn verify(&self, peer: &ProtocolAddress, key: &IdentityKey) -> Result<(), Error> {
        self.run(|tx| async move {
            let known = tx.load_identity(peer).await?;
            if known.is_some_and(|known| known != *key) && !self.scope.joins(&self.address, peer) {
                return Err(ProtocolError::UntrustedIdentity(peer.clone()).into());
            }
            self.vouch(&tx, peer, key, Word::Verified).await?;
            Ok(())
        })
        .await
    }

    /// What we ask of a peer's identity before we send.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn identity_policy(&self) -> Result<IdentityPolicy, Error> {
        self.own_identity(|own| own.policy).await
    }

    /// Asks this of a peer's identity from now on before we send. It is stored with the account: whatever is sent after
    /// this has returned follows it, in other processes too.
    ///
    /// # Errors
    /// What the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn set_identity_policy(&self, policy: IdentityPolicy) -> Result<(), Error> {
        self.run(|tx| async move {
            let own = self.own(&tx, OwnIdentity::clone).await?;
            let own = Value::Account(OwnIdentity { policy, ..own });
            Ok(tx.put("store_policy", Name::Account, own).await?)
        })
        .await
    }

    /// Whose identity one is.
    pub fn identity_scope(&self) -> IdentityScope {
        self.scope
    }

    /// Keeps `key` on the user's word.
    async fn vouch(
        &self,
        tx: &Transaction<B>,
        peer: &ProtocolAddress,
        key: &IdentityKey,
        word: Word,
    ) -> Result<IdentityChange, Error> {
        if self.scope.joins(&self.address, peer) {
            let ours = self.own(tx, |own| *own.key_pair.identity_key()).await?;
            if ours != *key {
                return Err(
                    ProtocolError::InvalidArgument("our own identity is not another one").into(),
                );
            }
        }
        let change = tx.keep_identity("save_identity", peer, key, word).await?;
        if change == IdentityChange::ReplacedExisting {
            self.identity_changed(tx, peer).await?;
        }
        Ok(change)
    }

    /// Does what follows from another identity of `peer`: nothing more is sent to its other devices in sessions that belong
    /// to the one before.
    pub(super) async fn identity_changed(
        &self,
        tx: &Transaction<B>,
        peer: &ProtocolAddress,
    ) -> Result<(), Error> {
        tx.note(Event::IdentityChanged {
            address: peer.clone(),
        });
        for device in self.devices_in(tx, peer.name()).await? {
            if device != *peer && device != self.address {
                self.archive_in(tx, &device).await?;
            }
        }
        Ok(())
    }

    /// Refuses to send to `peer` if the policy does.
    pub(super) async fn require_sendable(
        &self,
        tx: &Transaction<B>,
        peer: &ProtocolAddress,
    ) -> Result<(), Error> {
        let operation = "is_trusted_identity";
        let Some(key) = tx.load_identity(peer).await? else {
            // Whoever asks for the identity finds out.
            return Ok(());
        };
        let purpose = Purpose::Sending;
        if tx.allows_identity(operation, peer, &key, purpose).await? {
            Ok(())
        } else {
            Err(ProtocolError::UntrustedIdentity(peer.clone()).into())
        }
    }

    /// Tells if somebody has used our own name with another identity. It was refused, and nothing has changed.
    pub(super) fn report_refusal<T>(&self, peer: &ProtocolAddress, outcome: &Result<T, Error>) {
        let refused = matches!(
            outcome,
            Err(Error::Protocol(ProtocolError::UntrustedIdentity(_)))
        );
        if refused && peer.name() == self.address.name() {
            let address = peer.clone();
            self.store
                .events()
                .emit(self.id, Event::OwnIdentityContested { address });
        }
    }
}

fn describe(name: &str, device_id: Option<DeviceId>, known: &Known) -> KnownIdentity {
    KnownIdentity {
        name: name.to_owned(),
        device_id,
        key: known.key,
        trust: known.trust,
        first_seen: known.first_seen,
        changed: known.changed,
    }
}
