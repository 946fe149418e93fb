//! A vault that fails where a test wants it to, and tells what it holds.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sprag::vault::{MemoryVault, Secret, Vault, VaultError};

/// A vault in memory that counts its calls and makes chosen ones fail. Clones share everything.
#[derive(Clone, Default)]
pub struct FaultyVault {
    inner: MemoryVault,
    plan: Arc<Mutex<Plan>>,
}

/// What happens to a chosen call, which then gives [`VaultError::Locked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultFault {
    /// It has no effect.
    Before,
    /// It has its effect, and the answer is lost.
    After,
}

#[derive(Default)]
struct Plan {
    calls: u64,
    faults: HashMap<u64, VaultFault>,
    secrets: BTreeSet<String>,
}

impl FaultyVault {
    /// A vault without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The `nth` call from now on, counted from 1, fails.
    pub fn inject(&self, nth: u64, fault: VaultFault) {
        let mut plan = self.plan();
        let nth = plan.calls + nth;
        plan.faults.insert(nth, fault);
    }

    /// Forgets the faults that have not happened.
    pub fn heal(&self) {
        self.plan().faults.clear();
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// The names of the secrets that it holds.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<String> {
        self.plan().secrets.clone()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(
        &self,
        effect: impl Future<Output = Result<T, VaultError>> + Send,
    ) -> Result<T, VaultError> {
        let fault = {
            let mut plan = self.plan();
            plan.calls += 1;
            let nth = plan.calls;
            plan.faults.remove(&nth)
        };
        if fault == Some(VaultFault::Before) {
            return Err(VaultError::Locked);
        }
        let result = effect.await;
        match fault {
            Some(_) => Err(VaultError::Locked),
            None => result,
        }
    }
}

#[async_trait]
impl Vault for FaultyVault {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        self.call(async {
            self.inner.create(name, secret).await?;
            self.plan().secrets.insert(name.to_owned());
            Ok(())
        })
        .await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.call(self.inner.load(name)).await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        self.call(async {
            self.inner.destroy(name).await?;
            self.plan().secrets.remove(name);
            Ok(())
        })
        .await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        self.call(self.inner.anchor(name)).await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        self.call(self.inner.raise_anchor(name, value)).await
    }
}
