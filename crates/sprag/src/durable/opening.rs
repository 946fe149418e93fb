//! Opening a store: its header, its roots, and the generation by which an earlier copy is told.
//!
//! A killed process may have left commits in the storage's log that were never synced, and whoever opens the storage then
//! finds them. So every opening makes durable what it found before it answers: nothing may be released that a power
//! cut could still take back.

use std::{sync::Arc, time::Duration};

use rand_core::Rng;
use sprag_core::time::Timestamp;

use super::{
    DurableStore, generation,
    header::{self, Epochs, Header},
};
use crate::{
    Error, StoreError,
    backend::{AccountId, Backend, Batch, CommitOutcome, Kind, OperationId},
    environment::{Environment, System, generator},
    vault::Vault,
};

/// How to open a [`DurableStore`]: a few settings, all with sensible defaults.
///
/// ```
/// use std::time::Duration;
/// use sprag::{StoreOptions, backend::MemoryBackend, vault::MemoryVault};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// let store = StoreOptions::new()
///     .epoch_length(Duration::from_secs(24 * 60 * 60))
///     .open(MemoryBackend::new(), MemoryVault::new())
///     .await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct StoreOptions {
    pub(super) environment: Arc<dyn Environment>,
    pub(super) epoch_length: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl StoreOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            environment: Arc::new(System),
            epoch_length: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }

    /// A clock and a source of seeds of the caller's. Default: [`System`].
    #[must_use]
    pub fn environment(mut self, environment: impl Environment) -> Self {
        self.environment = Arc::new(environment);
        self
    }

    /// After how long [`DurableStore::upkeep`] begins a new epoch. Default: a week. What was forgotten in
    /// an epoch may be readable, with the vault, in old copies of the files until the next one has begun.
    #[must_use]
    pub fn epoch_length(mut self, length: Duration) -> Self {
        self.epoch_length = length;
        self
    }

    /// Opens the store in `backend`, which is sealed under roots in `vault`, or makes one if there is none. It commits, so
    /// what is found in the store then is durable, even if a killed process has left it there.
    ///
    /// # Errors
    /// [`Error::RolledBack`] for an earlier copy of the store; [`Error::WrongVault`], [`Error::RootMissing`],
    /// [`Error::StoreNotSealed`] for one that is not of this vault; [`Error::Vault`] and [`Error::Backend`]: what vault and
    /// storage report; `store-tampered` if the header was altered or is damaged; [`Error::NoRandomness`].
    pub async fn open<B: Backend>(
        self,
        backend: B,
        vault: impl Vault,
    ) -> Result<DurableStore<B>, Error> {
        let store = self
            .open_at_any_generation(backend, Some(Arc::new(vault)))
            .await?;
        generation::enter(&store).await?;
        Ok(store)
    }

    /// Opens a store whose records are **not encrypted**, or makes one. Whoever reads its files reads all keys and
    /// messages, also those that were deleted, and a copy that was put back is not told from the current state.
    ///
    /// As in a sealed store, what is found in it then is durable, even if a killed process has left it there. So this writes,
    /// too.
    ///
    /// # Errors
    /// [`Error::StoreSealed`]; otherwise what the storage reports; [`Error::NoRandomness`].
    pub async fn dangerously_open_in_clear_text<B: Backend>(
        self,
        backend: B,
    ) -> Result<DurableStore<B>, Error> {
        let store = self.open_at_any_generation(backend, None).await?;
        store.check_header().await?;
        make_durable(&store).await?;
        Ok(store)
    }

    pub(super) async fn open_at_any_generation<B: Backend>(
        self,
        backend: B,
        vault: Option<Arc<dyn Vault>>,
    ) -> Result<DurableStore<B>, Error> {
        let header = read_or_create(&backend, vault.as_deref(), &*self.environment).await?;
        Ok(DurableStore::new(backend, vault, header, self))
    }
}

/// Makes durable what is in the store. A sealed one does so by committing its generation.
async fn make_durable<B: Backend>(store: &DurableStore<B>) -> Result<(), Error> {
    // It is known not to be there. But the backend may say so only for good, and so with all that came before.
    let nothing = OperationId::random(&mut generator(store.environment())?);
    store.backend().committed(nothing).await?;
    Ok(())
}

/// Reads the header, and makes it if the store is new. Of two that make one at once, one wins.
async fn read_or_create(
    backend: &impl Backend,
    vault: Option<&dyn Vault>,
    environment: &dyn Environment,
) -> Result<Header, Error> {
    loop {
        if let Some(header) = header::load(backend, vault, None).await? {
            return Ok(header);
        }
        if is_headless(backend).await? {
            // Unless somebody has made it just now.
            let header = header::load(backend, vault, None).await?;
            return header.ok_or_else(|| match vault {
                Some(_) => StoreError::tampered("open", Kind::Header).into(),
                None => header::corrupt("the header is gone").into(),
            });
        }
        create(backend, vault, environment).await?;
    }
}

/// Whether there is anything that only a store with a header has.
async fn is_headless(backend: &impl Backend) -> Result<bool, Error> {
    for kind in [Kind::Header, Kind::Directory] {
        if !backend
            .scan(&AccountId::STORE, kind, None, 1)
            .await?
            .is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a store out of nothing, if nobody else is faster.
async fn create(
    backend: &impl Backend,
    vault: Option<&dyn Vault>,
    environment: &dyn Environment,
) -> Result<(), Error> {
    let mut rng = generator(environment)?;
    let mut store_id = [0; 16];
    rng.fill_bytes(&mut store_id);
    let mut root = None;
    let mut sealed = None;
    if let Some(vault) = vault {
        let (first, seal) = header::create_root(vault, &store_id, 1, &mut rng).await?;
        root = Some(first.name(&store_id));
        sealed = Some((Epochs::first(vault.kind(), first, environment.now()), seal));
    }
    let header = Header::new(store_id, sealed, &mut rng);
    let operation = OperationId::random(&mut rng);
    let mut batch = Batch::new(operation).expect(header::key(), None).put(
        header::key(),
        header.version,
        header.encode(),
    );
    if vault.is_some() {
        batch = generation::put(batch.expect(generation::key(), None), &header, 0, &mut rng);
    }
    let made = match backend.commit(batch).await {
        Ok(CommitOutcome::Committed) => Ok(true),
        Ok(CommitOutcome::Conflict) => Ok(false),
        Ok(CommitOutcome::Unknown) => {
            let resolved = backend.committed(operation).await;
            Ok(resolved.map_err(Error::OutcomeUnknown)?)
        }
        Err(error) => Err(error),
    };
    if let (Some(vault), Some(root), Ok(false) | Err(_)) = (vault, root, &made) {
        vault.destroy(&root).await?;
    }
    made?;
    Ok(())
}

impl Epochs {
    fn first(vault: &str, root: header::Root, now: Timestamp) -> Self {
        Self {
            vault: vault.to_owned(),
            roots: vec![root],
            min: root.epoch,
            since: now,
        }
    }
}
