//! Where the account is kept.

use std::{cell::OnceCell, fs};

use sprag::{Account, DurableStore, Recovery, StoreOptions, backend::BackendError};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

use super::vault::VaultPlace;
use crate::error::CliError;

/// A store, by the URL that the user gave, and its vault.
pub(crate) struct Place {
    url: String,
    vault: VaultPlace,
    opened: OnceCell<DurableStore<SqliteBackend>>,
}

impl Place {
    pub(crate) fn new(url: String, vault: VaultPlace) -> Self {
        Self {
            url,
            vault,
            opened: OnceCell::new(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn vault(&self) -> &VaultPlace {
        &self.vault
    }

    /// The account in the store. The command keeps one account in each.
    pub(crate) async fn account(&self) -> Result<Account<SqliteBackend>, CliError> {
        let store = self.existing_store().await?;
        match store.accounts().await?.into_iter().next() {
            Some(address) => Ok(Account::open(store, address).await?),
            None => Err(self.not_initialised()),
        }
    }

    /// The store, which is there: a mistyped path must not make an empty one.
    pub(crate) async fn existing_store(&self) -> Result<DurableStore<SqliteBackend>, CliError> {
        let (backend, vault) = (self.existing_file().await?, self.vault.open().await?);
        Ok(self.keep(DurableStore::open(backend, vault).await?))
    }

    /// The store, in whatever state it was put back to, after what was used once is dropped.
    pub(crate) async fn recover(&self) -> Result<Recovery, CliError> {
        let (backend, vault) = (self.existing_file().await?, self.vault.open().await?);
        let (store, recovery) = StoreOptions::new().recover(backend, vault).await?;
        self.keep(store);
        Ok(recovery)
    }

    async fn existing_file(&self) -> Result<SqliteBackend, CliError> {
        let options = SqliteOptions::from_url(&self.url)?.create_if_missing(false);
        match options.open().await {
            Err(BackendError::Missing) => Err(self.not_initialised()),
            opened => Ok(opened?),
        }
    }

    /// How many bytes the files of the store have.
    pub(crate) fn size(&self) -> u64 {
        let path = self.url.strip_prefix("sqlite:").unwrap_or(&self.url);
        let size = |path: &str| fs::metadata(path).map_or(0, |file| file.len());
        size(path) + size(&format!("{path}-wal"))
    }

    /// The store, made with its vault if there is none.
    pub(crate) async fn store(&self) -> Result<DurableStore<SqliteBackend>, CliError> {
        let options = SqliteOptions::from_url(&self.url)?;
        // First, so that no store is left behind without a vault.
        let vault = self.vault.open_or_create().await?;
        Ok(self.keep(DurableStore::open(options.open().await?, vault).await?))
    }

    /// Leaves no log of old records behind.
    pub(crate) async fn close(&self) -> Result<(), CliError> {
        match self.opened.get() {
            Some(store) => Ok(store.close().await?),
            None => Ok(()),
        }
    }

    fn keep(&self, store: DurableStore<SqliteBackend>) -> DurableStore<SqliteBackend> {
        self.opened.get_or_init(|| store).clone()
    }

    fn not_initialised(&self) -> CliError {
        CliError::NotInitialised(self.url.clone())
    }
}
