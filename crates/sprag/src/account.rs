//! An account over a durable store: the whole job, one commit for each step.
//!
//! Every method is one operation: begin, step, commit, release. What it returns is durable before it is
//! returned; what it does not return was not done, or is found in the outbox or inbox. Any of its
//! futures may be dropped at any moment, and the process may die: the store stays whole.

mod envelope;
mod groups;
mod identities;
mod ids;
mod keys;
mod mailbox;
mod options;
mod outgoing;
mod peers;
mod retry;
mod safety;
mod sealed;
mod sessions;
mod status;
mod upkeep;

use std::{ops::RangeInclusive, sync::Arc};

use rand_core::CryptoRng;
use sprag_core::{
    address::ProtocolAddress,
    identity::{IdentityKey, IdentityKeyPair},
};

pub use self::envelope::{Delivery, Envelope, EnvelopeType, Recipient};
pub use self::ids::{InboxId, OutboxId};
pub use self::options::AccountOptions;
pub use self::outgoing::Outgoing;
pub use self::retry::RetryAssessment;
pub use self::sealed::Opened;
pub use self::status::Status;

use crate::{
    DurableStore, Error, IdentityScope, Transaction,
    backend::{AccountId, Backend, Kind},
    durable::{
        Turn,
        identities::identity_name,
        names::Name,
        value::{AccountEntry, OwnIdentity, Value},
    },
    events::Events,
    upkeep::Policy,
};

type Tx<B> = Arc<Transaction<B>>;

/// One account: an identity and its conversations.
///
/// It holds no state of the protocol, only the way to it; several handles, tasks, processes or hosts may use one
/// account at once.
///
/// ```
/// use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
/// let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
/// let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
///
/// // Bob's server hands out his bundle; Alice starts a session with it.
/// let bundle = bob.bundle().await?;
/// alice.start_session(bob.address(), &bundle).await?;
///
/// // The envelope waits in the outbox until Alice knows that it was sent.
/// let envelope = alice.send(bob.address(), b"hello").await?;
/// alice.sent(envelope.id).await?;
///
/// // The plaintext waits in the inbox until Bob has it safe.
/// let delivery = bob.receive(alice.address(), envelope.message_type, &envelope.bytes).await?;
/// assert_eq!(delivery.plaintext, "hello");
/// bob.done(delivery.id).await?;
///
/// let again = bob.receive(alice.address(), envelope.message_type, &envelope.bytes).await;
/// assert_eq!(again.unwrap_err().code(), "duplicate-message");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct Account<B> {
    store: DurableStore<B>,
    address: ProtocolAddress,
    id: AccountId,
    scope: IdentityScope,
    key_policy: Policy,
    hints: upkeep::Hints,
}

impl<B: Backend> Account<B> {
    /// Makes an account, with a new identity and registration id. [`AccountOptions`] can do more.
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`]; otherwise what the storage reports, or `store-corrupt` if the account is on the
    /// store's list but its identity is lost.
    pub async fn create(store: DurableStore<B>, address: ProtocolAddress) -> Result<Self, Error> {
        AccountOptions::new(address).create(store).await
    }

    /// Makes an account with an identity that exists already: one that the user's other devices have, or
    /// that moves in from another implementation, such as libsignal.
    ///
    /// Sessions, known identities and pre-keys move in through the store traits of a
    /// [`Transaction`]. Whatever moves in must not be used any more where it comes from: two that go on from
    /// one session use its keys twice.
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`]; otherwise what the storage reports.
    ///
    /// ```
    /// use sprag::{
    ///     Account, DurableStore, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore, ProtocolAddress, SessionRecord,
    ///     SessionStore, backend::MemoryBackend, vault::MemoryVault,
    ///     protocol::{identity::{IdentityKey, IdentityKeyPair}, pre_key::KyberPreKeyRecord},
    /// };
    ///
    /// /// Records as libsignal serialises them.
    /// struct Old {
    ///     identity_key_pair: Vec<u8>,
    ///     registration_id: u32,
    ///     sessions: Vec<(ProtocolAddress, Vec<u8>)>,
    ///     identities: Vec<(ProtocolAddress, Vec<u8>)>,
    ///     last_resort: Vec<u8>,
    /// }
    ///
    /// async fn move_in(alice: &ProtocolAddress, old: Old) -> Result<(), sprag::Error> {
    ///     let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
    ///     let identity = IdentityKeyPair::deserialize(&old.identity_key_pair)?;
    ///     Account::create_with_identity(store.clone(), alice.clone(), identity, old.registration_id).await?;
    ///
    ///     // The other kinds of pre-keys alike.
    ///     let transaction = store.begin(alice);
    ///     for (peer, record) in &old.sessions {
    ///         transaction.store_session(peer, SessionRecord::deserialize(record)?).await?;
    ///     }
    ///     for (peer, key) in &old.identities {
    ///         transaction.save_identity(peer, &IdentityKey::deserialize(key)?).await?;
    ///     }
    ///     let kyber = KyberPreKeyRecord::deserialize(&old.last_resort)?;
    ///     transaction.store_kyber_pre_key(kyber.id(), kyber, KyberPreKeyKind::LastResort).await?;
    ///     transaction.commit().await
    /// }
    /// ```
    pub async fn create_with_identity(
        store: DurableStore<B>,
        address: ProtocolAddress,
        identity: IdentityKeyPair,
        registration_id: u32,
    ) -> Result<Self, Error> {
        AccountOptions::new(address)
            .identity(identity, registration_id)
            .create(store)
            .await
    }

    /// Opens an account that was made before.
    ///
    /// # Errors
    /// [`Error::NotInitialised`]; otherwise what the storage reports.
    pub async fn open(store: DurableStore<B>, address: ProtocolAddress) -> Result<Self, Error> {
        let mut account = Self::handle(store, address, IdentityScope::default());
        let own = account.own_identity(OwnIdentity::clone).await?;
        account.scope = own.scope;
        Ok(account)
    }

    /// Opens the account, and makes it first if there is none.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn open_or_create(
        store: DurableStore<B>,
        address: ProtocolAddress,
    ) -> Result<Self, Error> {
        match Self::open(store.clone(), address.clone()).await {
            Err(Error::NotInitialised(_)) => {}
            opened => return opened,
        }
        match Self::create(store.clone(), address.clone()).await {
            // Somebody else was faster.
            Err(Error::AlreadyInitialised(_)) => Self::open(store, address).await,
            created => created,
        }
    }

    /// Our address.
    pub fn address(&self) -> &ProtocolAddress {
        &self.address
    }

    /// The store that the account lies in.
    pub fn store(&self) -> &DurableStore<B> {
        &self.store
    }

    /// Our identity, which others know us by.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn identity_key(&self) -> Result<IdentityKey, Error> {
        self.own_identity(|own| *own.key_pair.identity_key()).await
    }

    /// What happens to the account from now on, by this handle on the store and its clones.
    pub fn events(&self) -> Events {
        self.store.events().subscribe(Some(self.id))
    }

    fn handle(store: DurableStore<B>, address: ProtocolAddress, scope: IdentityScope) -> Self {
        let id = store.account_id(&address);
        Self {
            store,
            address,
            id,
            scope,
            key_policy: Policy::default(),
            hints: upkeep::Hints::default(),
        }
    }

    async fn run<T, F>(&self, step: impl Fn(Tx<B>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.store.run_as(self.id, step).await
    }

    /// Waits for our turn in the conversation with `peer`.
    async fn turn(&self, peer: &ProtocolAddress) -> Turn<'_> {
        self.store.turn(&self.id, Name::Session(peer)).await
    }

    /// Where the identity of `peer` lies.
    fn identity_name<'a>(&self, peer: &'a ProtocolAddress) -> Name<'a> {
        identity_name(&self.address, self.scope, peer)
    }

    /// Looks at our own identity, as an operation of its own.
    async fn own_identity<T>(&self, look: fn(&OwnIdentity) -> T) -> Result<T, Error> {
        self.run(|tx| async move { self.own(&tx, look).await })
            .await
    }

    /// Looks at our own identity.
    async fn own<T>(
        &self,
        tx: &Transaction<B>,
        look: impl FnOnce(&OwnIdentity) -> T,
    ) -> Result<T, Error> {
        let own = tx.get("identity_key_pair", Name::Account, |value| match value {
            Some(Value::Account(own)) => Some(look(own)),
            _ => None,
        });
        own.await?
            .ok_or_else(|| Error::NotInitialised(self.address.clone()))
    }

    /// Keeps our identity, and puts the account on the store's list.
    async fn initialise(&self, tx: &Transaction<B>, own: &OwnIdentity) -> Result<(), Error> {
        let operation = "store_identity_key_pair";
        let entry = Name::AccountEntry(&self.address);
        tx.prefetch(operation, &[Name::Account, entry]).await?;
        match self.own(tx, |_| ()).await {
            Ok(()) => return Err(Error::AlreadyInitialised(self.address.clone())),
            Err(Error::NotInitialised(_)) => {}
            Err(error) => return Err(error),
        }
        if tx.get(operation, entry, |value| value.is_some()).await? {
            // It was made, and its identity is lost: another one must not silently take its place.
            return Err(self
                .store
                .unreadable(operation, &self.id, Kind::Account)
                .into());
        }
        let own = Value::Account(own.clone());
        tx.put(operation, Name::Account, own).await?;
        let listed = Value::AccountEntry(AccountEntry {
            address: self.address.clone(),
            created: tx.now(),
        });
        Ok(tx.put(operation, entry, listed).await?)
    }
}

/// Registration ids have 14 bits and are not 0.
const MAX_REGISTRATION_ID: u32 = 0x3fff;

/// A random number in a range that is far smaller than 2^32: the bias does not matter for ids.
fn random_in<R: CryptoRng + ?Sized>(range: RangeInclusive<u32>, rng: &mut R) -> u32 {
    let count = u64::from(range.end() - range.start()) + 1;
    let offset = (u64::from(rng.next_u32()) * count) >> 32;
    range.start() + offset as u32
}
