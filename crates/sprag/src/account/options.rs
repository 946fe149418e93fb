//! How an account is made.

use sprag_core::{address::ProtocolAddress, identity::IdentityKeyPair};

use super::{Account, MAX_REGISTRATION_ID, Tx, random_in};
use crate::{
    DurableStore, Error, IdentityPolicy, IdentityScope, backend::Backend,
    durable::value::OwnIdentity, environment::generator,
};

/// How an account is made. What is chosen here is stored with it, and holds for all who open it.
///
/// ```
/// use sprag::{AccountOptions, DurableStore, IdentityPolicy, IdentityScope, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
/// let alice = AccountOptions::new(ProtocolAddress::new("alice", 1)?)
///     .identity_policy(IdentityPolicy::VerifiedOnly)
///     .identity_scope(IdentityScope::PerName)
///     .create(store)
///     .await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct AccountOptions {
    address: ProtocolAddress,
    identity: Option<(IdentityKeyPair, u32)>,
    policy: IdentityPolicy,
    scope: IdentityScope,
}

impl AccountOptions {
    /// An account of this address with a new identity, that trusts on first use.
    pub fn new(address: ProtocolAddress) -> Self {
        Self {
            address,
            identity: None,
            policy: IdentityPolicy::default(),
            scope: IdentityScope::default(),
        }
    }

    /// With an identity and registration id that exist already, as
    /// [`create_with_identity`](Account::create_with_identity) says.
    #[must_use]
    pub fn identity(self, identity: IdentityKeyPair, registration_id: u32) -> Self {
        let identity = Some((identity, registration_id));
        Self { identity, ..self }
    }

    /// With this policy, until [another one](Account::set_identity_policy) is set.
    #[must_use]
    pub fn identity_policy(self, policy: IdentityPolicy) -> Self {
        Self { policy, ..self }
    }

    /// With this scope, for ever.
    #[must_use]
    pub fn identity_scope(self, scope: IdentityScope) -> Self {
        Self { scope, ..self }
    }

    /// Makes the account.
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`]; otherwise what the storage reports, or `store-corrupt` if the account is on the
    /// store's list but its identity is lost.
    pub async fn create<B: Backend>(self, store: DurableStore<B>) -> Result<Account<B>, Error> {
        let (key_pair, registration_id) = match self.identity {
            Some(identity) => identity,
            None => {
                let mut rng = generator(store.environment())?;
                let key_pair = IdentityKeyPair::generate(&mut rng);
                (key_pair, random_in(1..=MAX_REGISTRATION_ID, &mut rng))
            }
        };
        let own = OwnIdentity {
            address: self.address,
            key_pair,
            registration_id,
            policy: self.policy,
            scope: self.scope,
        };
        let account = Account::handle(store, own.address.clone(), own.scope);
        let step = |tx: Tx<B>| {
            let (account, own) = (&account, &own);
            async move { account.initialise(&tx, own).await }
        };
        account.run(step).await?;
        Ok(account)
    }
}
