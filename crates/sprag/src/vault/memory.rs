//! A vault in memory, **for tests**: it forgets everything with the process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{Secret, Vault, VaultError, check_name};

/// A [`Vault`] in memory, for tests only. A clone is another handle on the same secrets, which go with the
/// last one.
#[derive(Clone, Default)]
pub struct MemoryVault {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    secrets: HashMap<String, Secret>,
    anchors: HashMap<String, u64>,
}

impl MemoryVault {
    /// An empty vault.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The state behind its lock, which nobody holds across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryVault(..)")
    }
}

#[async_trait]
impl Vault for MemoryVault {
    fn kind(&self) -> &str {
        "memory"
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        check_name(name)?;
        let mut state = self.lock();
        if state.secrets.contains_key(name) {
            return Err(VaultError::Exists);
        }
        state.secrets.insert(name.to_owned(), secret.clone());
        Ok(())
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        check_name(name)?;
        Ok(self.lock().secrets.get(name).cloned())
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        check_name(name)?;
        self.lock().secrets.remove(name);
        Ok(())
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        check_name(name)?;
        Ok(self.lock().anchors.get(name).copied().unwrap_or(0))
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        check_name(name)?;
        let mut state = self.lock();
        let anchor = state.anchors.entry(name.to_owned()).or_default();
        *anchor = value.max(*anchor);
        Ok(())
    }
}
