//! Where the account is kept.

use std::cell::OnceCell;

use sprag::StoreOptions;
use sprag::{Account, DurableStore, backend::BackendError};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

use crate::error::CliError;

/// A store, by the URL that the user gave.
pub(crate) struct Place {
    url: String,
    opened: OnceCell<DurableStore<SqliteBackend>>,
}

impl Place {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            opened: OnceCell::new(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The account in the store. The command keeps one account in each.
    pub(crate) async fn account(&self) -> Result<Account<SqliteBackend>, CliError> {
        // A mistyped path must not make an empty store.
        let options = SqliteOptions::from_url(&self.url)?.create_if_missing(false);
        let backend = match options.open().await {
            Err(BackendError::Missing) => return Err(self.not_initialised()),
            opened => opened?,
        };
        let store = self.keep(
            StoreOptions::new()
                .dangerously_open_in_clear_text(backend)
                .await?,
        );
        match store.accounts().await?.into_iter().next() {
            Some(address) => Ok(Account::open(store, address).await?),
            None => Err(self.not_initialised()),
        }
    }

    /// The store, made if there is none.
    pub(crate) async fn store(&self) -> Result<DurableStore<SqliteBackend>, CliError> {
        let backend = SqliteOptions::from_url(&self.url)?.open().await?;
        Ok(self.keep(
            StoreOptions::new()
                .dangerously_open_in_clear_text(backend)
                .await?,
        ))
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
