//! Where the few root secrets of a store lie: outside of it.
//!
//! Everything in a sealed store is encrypted under a *root*, 32 random bytes that a [`Vault`] keeps. Whoever has
//! the store's files and not its vault can read nothing in them; and what was sealed under a root that the
//! vault has [destroyed](Vault::destroy) can be read by nobody any more.
//!
//! The crate `sprag-vault` has two vaults for production: the operating system's keychain, and a file under a
//! passphrase. [`MemoryVault`] is for tests. Bring your own (a KMS, an HSM) by implementing the trait; the
//! conformance kit in `sprag-testkit` tests it.

mod error;
mod memory;
mod secret;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::{error::VaultError, memory::MemoryVault, secret::Secret};

/// A place for root secrets.
///
/// A secret never changes: it is created once under a name, loaded, and destroyed. Besides secrets a
/// vault keeps **anchors**, numbers that only rise, by which a store that was put back to an earlier state is
/// told from the current one.
///
/// Names have 1 to [`MAX_NAME`] characters of `a-z`, `0-9`, `.` and `-`; the store makes them so that no name is ever
/// used for a second secret. One vault may serve several stores and several processes at once.
///
/// What every vault must hold (the suite in `sprag-testkit` checks it):
///
/// 1. **Durable.** What was answered is kept, whatever happens to the process or the machine.
/// 2. **Immutable.** Creating a secret never replaces another one.
/// 3. **Forgetting.** After `destroy` has answered nobody gets the secret back from the vault: not from
///    this handle, not from its files. Copies that others made of it are beyond a vault; say so to your users.
/// 4. **Rising.** An anchor is never lowered.
/// 5. **Silent.** No secret is printed, logged, or put into an error.
///
/// Calls that wait, for a disk, a user or a slow derivation, must not hold up the executor.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// What sort of vault it is, such as `keychain`: at most 64 characters, the same for ever. A store remembers it
    /// and refuses a vault of another sort.
    fn kind(&self) -> &str;

    /// Keeps a secret under a new name.
    ///
    /// # Errors
    /// [`VaultError::Exists`] if the name has a secret, which stays as it is; otherwise what the vault reports. After
    /// an error the secret may be there or not.
    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError>;

    /// The secret of this name, if there is one.
    ///
    /// # Errors
    /// What the vault reports. A vault that cannot be reached, or is locked, must not answer `None`.
    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError>;

    /// Forgets the secret of this name for ever. If there is none, nothing happens.
    ///
    /// # Errors
    /// What the vault reports. The secret may be there still or not.
    async fn destroy(&self, name: &str) -> Result<(), VaultError>;

    /// The anchor of this name, 0 if it was never raised.
    ///
    /// # Errors
    /// What the vault reports.
    async fn anchor(&self, name: &str) -> Result<u64, VaultError>;

    /// Raises the anchor of this name to `value`. One that stands higher stays where it is.
    ///
    /// # Errors
    /// What the vault reports. The anchor may be raised or not.
    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError>;
}

/// The greatest length of a name, in characters.
pub const MAX_NAME: usize = 96;

/// Refuses what is not a name. Vaults call this first.
///
/// # Errors
/// [`VaultError::InvalidName`].
pub fn check_name(name: &str) -> Result<(), VaultError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(VaultError::InvalidName)
    }
}

#[async_trait]
impl<T: Vault + ?Sized> Vault for Arc<T> {
    fn kind(&self) -> &str {
        (**self).kind()
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        (**self).create(name, secret).await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        (**self).load(name).await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        (**self).destroy(name).await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        (**self).anchor(name).await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        (**self).raise_anchor(name, value).await
    }
}
