//! The durable store: typed records over a [`Backend`], one commit for each operation.
//!
//! [`DurableStore`] is the open store and [`Transaction`] one operation on it; only a transaction
//! implements the six store traits, because only a commit can make all writes of an operation take effect
//! together. What a backend gets to see:
//!
//! * the **header**, under [`AccountId::STORE`]: format, a random store id, the names of the roots in the vault, and
//!   the *name key*, sealed;
//! * every other record under an opaque key, a keyed hash of what it is about (see `names`);
//! * bytes in a frame (see `frame`), sealed under the root of an epoch (see `seal`).
//!
//! Every commit expects the header as it was read, so that whoever changes it (a new epoch) shuts out
//! writers that do not know yet.

mod cache;
mod epoch;
mod examination;
pub(crate) mod frame;
mod generation;
mod header;
pub(crate) mod identities;
mod inventory;
pub(crate) mod names;
mod opening;
mod parts;
mod reading;
mod recovery;
mod retry;
mod seal;
mod secret;
mod sets;
mod traits;
mod transaction;
mod turns;
pub(crate) mod value;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use sprag_core::{address::ProtocolAddress, time::Timestamp};
use tracing::{debug, warn};

pub use self::{
    epoch::{EpochChange, SealStatus},
    examination::{Damage, Examination},
    opening::StoreOptions,
    recovery::Recovery,
    transaction::Transaction,
};
pub(crate) use self::{secret::SecretBytes, transaction::Slot, turns::Turn};

use self::{
    cache::Cache, header::Header, names::Name, retry::Attempts, transaction::Reading, turns::Turns,
    value::AccountEntry,
};
use crate::{
    Error, StoreError,
    backend::{AccountId, Backend, Batch, CommitOutcome, Kind, OperationId, RecordKey},
    environment::{Environment, generator},
    events::{Event, Events, Hub},
    vault::Vault,
};

/// An open durable store over any [`Backend`]. Clones are handles on the same store.
///
/// Its records are sealed under roots that lie in a [`Vault`], not in the store. [`StoreOptions`] has more ways to
/// open it.
///
/// Most applications open an [`Account`](crate::Account) on it. With the ciphers themselves it is used like
/// this:
///
/// ```
/// use std::sync::Arc;
/// use sprag::{DurableStore, ProtocolAddress, SessionCipher, Transaction, backend::MemoryBackend, vault::MemoryVault};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// let alice = ProtocolAddress::new("alice", 1)?;
/// let bob = ProtocolAddress::new("bob", 1)?;
/// let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
///
/// // Begin, step, commit; and once more from fresh reads if somebody else came first.
/// let (from, to) = (&alice, &bob);
/// let step = |transaction: Arc<Transaction<_>>| async move {
///     let cipher = SessionCipher::new(&transaction, &transaction, from, to);
///     let mut rng = transaction.rng()?;
///     cipher.encrypt(b"hello", transaction.now(), &mut rng).await
/// };
/// let outcome = store.run(&alice, step).await;
/// assert_eq!(outcome.unwrap_err().code(), "no-session");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct DurableStore<B> {
    inner: Arc<Inner<B>>,
}

struct Inner<B> {
    backend: B,
    /// `None` if the store is in clear text.
    vault: Option<Arc<dyn Vault>>,
    environment: Arc<dyn Environment>,
    epoch_length: Duration,
    header: RwLock<Arc<Header>>,
    turns: Turns,
    /// When the outbox of an account was last swept.
    sweeps: Mutex<HashMap<AccountId, Timestamp>>,
    /// Never held across an await.
    cache: Mutex<Cache>,
    events: Hub,
}

impl<B: Backend> DurableStore<B> {
    /// Opens the store in `backend`, which is sealed under roots in `vault`, or makes one if there is none.
    ///
    /// # Errors
    /// As for [`StoreOptions::open`].
    pub async fn open(backend: B, vault: impl Vault) -> Result<Self, Error> {
        StoreOptions::new().open(backend, vault).await
    }

    fn new(
        backend: B,
        vault: Option<Arc<dyn Vault>>,
        header: Header,
        options: StoreOptions,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                backend,
                vault,
                environment: options.environment,
                epoch_length: options.epoch_length,
                header: RwLock::new(Arc::new(header)),
                turns: Turns::default(),
                sweeps: Mutex::default(),
                cache: Mutex::default(),
                events: Hub::default(),
            }),
        }
    }

    /// Begins an operation of the account `local`. Nothing is read yet.
    pub fn begin(&self, local: &ProtocolAddress) -> Transaction<B> {
        self.begin_as(self.account_id(local), Reading::Fresh)
    }

    /// Runs `step` in a transaction, commits, and only then hands out its result.
    ///
    /// If somebody else changed what the step read, it runs again from fresh reads, so it must have no
    /// effect but on the transaction, and take its randomness [from there](Transaction::rng). An error of the
    /// step is handed out only when what it was computed from is known to have stood.
    ///
    /// # Errors
    /// Those of `step` and of [`Transaction::commit`]; [`Error::Conflict`] only after many attempts.
    /// Nothing was changed then, except after [`Error::OutcomeUnknown`].
    pub async fn run<T, F>(
        &self,
        local: &ProtocolAddress,
        step: impl Fn(Arc<Transaction<B>>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.run_as(self.account_id(local), step).await
    }

    /// The addresses of all accounts in the store, in the order of their creation. Damaged entries are left out, unless
    /// all are damaged.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn accounts(&self) -> Result<Vec<ProtocolAddress>, Error> {
        let mut accounts = Vec::new();
        let each = |_: &[u8], payload| {
            accounts.push(AccountEntry::decode(payload)?);
            Some(())
        };
        let damaged = self.scan(&AccountId::STORE, Kind::Directory, each).await?;
        if damaged > 0 && accounts.is_empty() {
            return Err(self
                .unreadable("accounts", &AccountId::STORE, Kind::Directory)
                .into());
        }
        accounts.sort_by(|one, other| {
            (one.created, &one.address).cmp(&(other.created, &other.address))
        });
        Ok(accounts.into_iter().map(|entry| entry.address).collect())
    }

    /// What happens from now on to all accounts in the store, by this handle and its clones. Other processes have
    /// events of their own.
    ///
    /// Where it matters which account an event is about, ask [the account](crate::Account::events).
    pub fn subscribe(&self) -> Events {
        self.events().subscribe(None)
    }

    /// The backend below.
    pub fn backend(&self) -> &B {
        &self.inner.backend
    }

    /// Sets how much memory the decoded records of conversations that are going on may take: about so many
    /// bytes, 64 MiB unless this is called. With none every message reads what it needs. What is kept now is
    /// forgotten.
    pub fn limit_cache(&self, bytes: usize) {
        self.cache().limit(bytes);
    }

    /// Finishes what was accepted and releases the storage, for all handles. A store that is dropped
    /// without this loses nothing.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn close(&self) -> Result<(), Error> {
        Ok(self.inner.backend.close().await?)
    }

    fn begin_as(&self, account: AccountId, reading: Reading) -> Transaction<B> {
        Transaction::new(self.clone(), account, reading)
    }

    pub(crate) async fn run_as<T, F>(
        &self,
        account: AccountId,
        step: impl Fn(Arc<Transaction<B>>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempts = Attempts::new();
        let mut reading = Reading::Cached;
        loop {
            let transaction = Arc::new(self.begin_as(account, reading));
            let end = match step(Arc::clone(&transaction)).await {
                Ok(output) => transaction.finish().await.map(|()| output),
                Err(error) if retry::stands_by_itself(&error) => Err(error),
                Err(error) => transaction.validate().await.and(Err(error)),
            };
            match end {
                Err(Error::Conflict) => {
                    attempts.again(&*self.inner.environment).await?;
                    self.events().emit(account, Event::ConflictRetried);
                }
                Err(error) => {
                    // Not the error itself: it may name a peer.
                    debug!(code = error.code(), "the operation failed");
                    return Err(error);
                }
                end => return end,
            }
            reading = Reading::Fresh;
        }
    }

    /// Waits until nobody else in this process works on the record `name`. It prevents needless conflicts and
    /// nothing else: correctness rests on the commit.
    pub(crate) async fn turn(&self, account: &AccountId, name: Name<'_>) -> Turn<'_> {
        self.inner.turns.wait(self.key(account, name)).await
    }

    /// Deletes the parcel `name` without waiting for the disk, if it is known here that it is there and that
    /// nothing of it need be remembered; whether it was.
    pub(crate) async fn delete_soon(
        &self,
        account: &AccountId,
        name: Name<'_>,
    ) -> Result<bool, Error> {
        let key = self.key(account, name);
        if !self.cache().forget(&key) {
            return Ok(false);
        }
        let mut attempts = Attempts::new();
        loop {
            let operation = OperationId::random(&mut generator(self.environment())?);
            let batch = Batch::new(operation).delete(key);
            let outcome = self.backend().delete_soon(batch).await?;
            match self.resolve(outcome, operation).await {
                Err(Error::Conflict) => attempts.again(self.environment()).await?,
                end => return end.map(|()| true),
            }
        }
    }

    /// Commits a batch, [`Error::Conflict`] if it was not applied.
    async fn settle(&self, batch: Batch) -> Result<(), Error> {
        let operation = batch.operation;
        let outcome = self.backend().commit(batch).await?;
        if outcome == CommitOutcome::Conflict {
            debug!("somebody else came first");
            self.refresh_header().await?;
        }
        self.resolve(outcome, operation).await
    }

    /// What became of a batch, [`Error::Conflict`] if it was not applied.
    async fn resolve(&self, outcome: CommitOutcome, operation: OperationId) -> Result<(), Error> {
        match outcome {
            CommitOutcome::Committed => Ok(()),
            CommitOutcome::Conflict => Err(Error::Conflict),
            CommitOutcome::Unknown => match self.backend().committed(operation).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Error::Conflict),
                Err(error) => Err(Error::OutcomeUnknown(error)),
            },
        }
    }

    /// Whether the outbox of `account` was not swept for an hour; then it is swept now.
    pub(crate) fn sweep_is_due(&self, account: AccountId, now: Timestamp) -> bool {
        let mut sweeps = self
            .inner
            .sweeps
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let hour = Duration::from_secs(60 * 60);
        match sweeps.get(&account) {
            // A clock that was set back must not put it off for as long.
            Some(last) if *last <= now && now < last.saturating_add(hour) => false,
            _ => {
                sweeps.insert(account, now);
                true
            }
        }
    }

    pub(crate) fn environment(&self) -> &dyn Environment {
        &*self.inner.environment
    }

    pub(crate) fn account_id(&self, address: &ProtocolAddress) -> AccountId {
        self.header().names.account(address)
    }

    pub(crate) fn header(&self) -> Arc<Header> {
        let header = self.inner.header.read();
        Arc::clone(&header.unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes sure that the header of a store in clear text is the one that the accounts were listed under. Under another
    /// one nothing would be found, and everything be made anew.
    async fn check_header(&self) -> Result<(), Error> {
        let header = self.header();
        let first = self
            .backend()
            .scan(&AccountId::STORE, Kind::Directory, None, 1);
        let Some((found_at, record)) = first.await?.into_iter().next() else {
            return Ok(());
        };
        let key = RecordKey::new(AccountId::STORE, Kind::Directory, &found_at)?;
        let entry = frame::split(&header.seals, &key, &record)
            .and_then(|(_, payload)| AccountEntry::decode(payload))
            .ok_or_else(|| self.unreadable("open", &AccountId::STORE, Kind::Directory))?;
        if self.key(&AccountId::STORE, Name::AccountEntry(&entry.address)) == key {
            Ok(())
        } else {
            Err(header::corrupt("the header is not the one of the accounts").into())
        }
    }

    /// Reads the header anew.
    async fn refresh_header(&self) -> Result<(), Error> {
        let known = self.header();
        let record = header::read(self.backend()).await?;
        if record.is_some_and(|record| record.version == known.version) {
            return Ok(());
        }
        let header = header::load(self.backend(), self.vault(), Some(&known)).await?;
        let header = header.filter(|header| header.store_id == known.store_id);
        let header = header.ok_or_else(|| header::corrupt("the header is gone or replaced"))?;
        self.adopt_header(header);
        Ok(())
    }

    pub(crate) fn events(&self) -> &Hub {
        &self.inner.events
    }

    fn adopt_header(&self, header: Header) {
        let mut slot = self.inner.header.write();
        **slot.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut()) = header.into();
    }

    /// What is said of a record that is not what it must be.
    pub(crate) fn unreadable(
        &self,
        operation: &'static str,
        account: &AccountId,
        kind: Kind,
    ) -> StoreError {
        self.tell_of_damage(account, kind);
        match self.vault() {
            Some(_) => StoreError::tampered(operation, kind),
            None => {
                let kind = kind.name();
                let detail = format!("a record of kind {kind} is not readable");
                StoreError::corrupt(operation, detail)
            }
        }
    }

    fn tell_of_damage(&self, account: &AccountId, kind: Kind) {
        warn!(kind = kind.name(), "a record was altered or is damaged");
        self.events().emit(*account, Event::DamagedRecord { kind });
    }

    fn vault(&self) -> Option<&dyn Vault> {
        self.inner.vault.as_deref()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.inner
            .cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, account: &AccountId, name: Name<'_>) -> RecordKey {
        self.header().names.record(account, name)
    }
}

impl<B> Clone for DurableStore<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}
