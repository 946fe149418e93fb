//! The vault of a story, that can be had again as it was at any moment. A power cut does not set it back: what it
//! has answered is kept, and what it has not answered yet may have happened or not.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sprag::vault::{MemoryVault, Secret, Vault, VaultError};

use crate::diary::Diary;
use crate::ledger::Mark;

/// A vault in memory that remembers what it did, and puts it into the diary of a story. Clones are handles on the same one.
#[derive(Clone, Default)]
pub struct RecordedVault {
    inner: MemoryVault,
    changes: Arc<Mutex<Vec<Change>>>,
    diary: Option<Arc<Diary>>,
}

/// Something that a vault was asked to do.
#[derive(Debug, Clone)]
pub enum Change {
    /// Keep a secret.
    Create(String, Secret),
    /// Forget one.
    Destroy(String),
    /// Raise an anchor.
    Raise(String, u64),
}

impl RecordedVault {
    /// The empty one of a story.
    pub fn of_story(diary: Arc<Diary>) -> Self {
        Self {
            diary: Some(diary),
            ..Self::default()
        }
    }

    /// One with which these changes have happened, of no story.
    ///
    /// # Panics
    /// If they are not those of one vault.
    pub async fn after(changes: impl IntoIterator<Item = &Change>) -> Self {
        let vault = Self::default();
        for change in changes {
            vault.change(change.clone()).await.unwrap();
        }
        vault
    }

    /// What it did.
    pub fn changes(&self) -> Vec<Change> {
        let changes = self.changes.lock();
        changes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn change(&self, change: Change) -> Result<(), VaultError> {
        self.note(Mark::Keeping(change.clone()));
        change.happen(&self.inner).await?;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(change);
        self.note(Mark::Kept);
        Ok(())
    }

    fn note(&self, mark: Mark) {
        if let Some(diary) = &self.diary {
            diary.mark(mark);
        }
    }
}

impl Change {
    async fn happen(&self, vault: &MemoryVault) -> Result<(), VaultError> {
        match self {
            Self::Create(name, secret) => vault.create(name, secret).await,
            Self::Destroy(name) => vault.destroy(name).await,
            Self::Raise(name, value) => vault.raise_anchor(name, *value).await,
        }
    }
}

#[async_trait]
impl Vault for RecordedVault {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        self.change(Change::Create(name.to_owned(), secret.clone()))
            .await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.inner.load(name).await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        self.change(Change::Destroy(name.to_owned())).await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        self.inner.anchor(name).await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        self.change(Change::Raise(name.to_owned(), value)).await
    }
}
