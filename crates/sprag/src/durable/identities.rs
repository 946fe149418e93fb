//! The identities that an account knows, and the store trait for them over a transaction.
//!
//! Our own identity is one of them: what is known of our own address is the identity of the account, and nobody stores
//! another one over it.

use async_trait::async_trait;
use sprag_core::{
    address::ProtocolAddress,
    identity::{IdentityKey, IdentityKeyPair},
    time::Timestamp,
};

use super::{
    names::Name,
    transaction::{Slot, Transaction},
    value::{OwnIdentity, Value},
};
use crate::{
    backend::Backend,
    identity_policy::{IdentityScope, IdentityTrust, Known, Profile, Purpose, Word},
    stores::{Direction, IdentityChange, IdentityKeyStore, StoreError},
};

/// Where the identity of `peer` lies, in an account of ours.
pub(crate) fn identity_name<'a>(
    us: &ProtocolAddress,
    scope: IdentityScope,
    peer: &'a ProtocolAddress,
) -> Name<'a> {
    match scope {
        _ if scope.joins(us, peer) => Name::Account,
        IdentityScope::PerAddress => Name::Identity(peer),
        IdentityScope::PerName => Name::IdentityOfAll(peer.name()),
    }
}

impl<B: Backend> Transaction<B> {
    /// What is known of the identity of `peer`.
    pub(crate) async fn known_identity(
        &self,
        operation: &'static str,
        peer: &ProtocolAddress,
    ) -> Result<Option<Known>, StoreError> {
        let name = self.identity_name(operation, peer).await?;
        self.get(operation, name, known).await
    }

    /// Whether the account's policy allows `key` as the identity of `peer`.
    pub(crate) async fn allows_identity(
        &self,
        operation: &'static str,
        peer: &ProtocolAddress,
        key: &IdentityKey,
        purpose: Purpose,
    ) -> Result<bool, StoreError> {
        let known = self.known_identity(operation, peer).await?;
        let known = known.as_ref();
        let allows = |own: Option<&OwnIdentity>| match own {
            Some(own) => {
                let (address, policy) = (&own.address, own.policy);
                Profile { address, policy }.allows(peer, known, key, purpose)
            }
            None => known.is_none_or(|known| known.key == *key),
        };
        self.look_at_own(operation, peer, allows).await
    }

    /// Keeps `key` as the identity of `peer`, on this word, unless it is our own that would change.
    pub(crate) async fn keep_identity(
        &self,
        operation: &'static str,
        peer: &ProtocolAddress,
        key: &IdentityKey,
        word: Word,
    ) -> Result<IdentityChange, StoreError> {
        let name = self.identity_name(operation, peer).await?;
        let now = self.now();
        let keep = |slot: &mut Slot| {
            let before = known(slot.value());
            let after = Known::after(before.as_ref(), key, word, now);
            if before != Some(after) && !matches!(name, Name::Account) {
                slot.put(Value::Identity(after));
                if before.is_some_and(|before| before.key != *key) {
                    return IdentityChange::ReplacedExisting;
                }
            }
            IdentityChange::NewOrUnchanged
        };
        self.update(operation, name, keep).await
    }

    async fn identity_name<'a>(
        &self,
        operation: &'static str,
        peer: &'a ProtocolAddress,
    ) -> Result<Name<'a>, StoreError> {
        let name = |own: Option<&OwnIdentity>| match own {
            Some(own) => identity_name(&own.address, own.scope, peer),
            None => Name::Identity(peer),
        };
        self.look_at_own(operation, peer, name).await
    }

    /// Looks at our own identity; `None` if there is no account. It is read like any other record, so that a policy that
    /// somebody else has just set is not passed over. What is most likely asked for next is read along with it.
    async fn look_at_own<T>(
        &self,
        operation: &'static str,
        peer: &ProtocolAddress,
        look: impl FnOnce(Option<&OwnIdentity>) -> T + Send,
    ) -> Result<T, StoreError> {
        if !self.has_seen(Name::Account) {
            let names = [Name::Account, Name::Identity(peer)];
            self.prefetch(operation, &names).await?;
        }
        self.get(operation, Name::Account, |value| match value {
            Some(Value::Account(own)) => look(Some(own)),
            _ => look(None),
        })
        .await
    }

    async fn own<T>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&OwnIdentity) -> T + Send,
    ) -> Result<T, StoreError> {
        let own = self.get(operation, Name::Account, |value| match value {
            Some(Value::Account(own)) => Some(look(own)),
            _ => None,
        });
        own.await?
            .ok_or_else(|| StoreError::not_initialised(operation))
    }
}

/// What a record says of an identity. We know ourselves.
fn known(value: Option<&Value>) -> Option<Known> {
    match value {
        Some(Value::Identity(known)) => Some(*known),
        Some(Value::Account(own)) => Some(Known {
            key: *own.key_pair.identity_key(),
            trust: IdentityTrust::Verified,
            // Nobody asks.
            first_seen: Timestamp::from_millis(0),
            changed: None,
        }),
        _ => None,
    }
}

/// Trusts what is known, or the first that is seen. For sending it asks the account's
/// [policy](crate::IdentityPolicy), too: an identity that has changed since is not sent to until it is
/// [approved](crate::Account::approve_identity).
///
/// Another identity than the known one is not trusted in either direction until it is saved, which takes it as approved; only
/// an [`Account`](crate::Account) receives under one, because it can tell.
#[async_trait]
impl<B: Backend> IdentityKeyStore for Transaction<B> {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        self.own("identity_key_pair", |own| own.key_pair.clone())
            .await
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        self.own("local_registration_id", |own| own.registration_id)
            .await
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        self.keep_identity("save_identity", address, identity, Word::Saved)
            .await
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        direction: Direction,
    ) -> Result<bool, StoreError> {
        let operation = "is_trusted_identity";
        match direction {
            Direction::Sending => {
                self.allows_identity(operation, address, identity, Purpose::Sending)
                    .await
            }
            Direction::Receiving => {
                let known = self.known_identity(operation, address).await?;
                Ok(known.is_none_or(|known| known.key == *identity))
            }
        }
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        let known = self.known_identity("load_identity", address).await?;
        Ok(known.map(|known| known.key))
    }
}
