//! Where [Sprag](sprag) keeps the root secrets of its stores, outside of them.
//!
//! | vault | feature | where |
//! |---|---|---|
//! | [`KeychainVault`] | `keychain` | the operating system's keychain |
//! | [`PassphraseVault`] | `passphrase` | a file under a passphrase |
//!
//! Both features are on by default. For a server without a keychain the file is the one; where a user is logged in, the
//! keychain asks for nothing. Choose one for good: a store remembers the sort of its vault, and nothing here ever takes
//! another vault, or none, when the one that was asked for cannot be had. For a KMS or an HSM implement
//! [`Vault`](sprag::vault::Vault) yourself, and test it with the contracts of `sprag-testkit`.
//!
//! ```
//! use sprag::vault::{Secret, Vault, VaultError};
//! use sprag_vault::PassphraseVault;
//!
//! # async fn example(folder: &std::path::Path) -> Result<(), VaultError> {
//! # let path = folder.join("sprag.db.vault");
//! let vault = PassphraseVault::create(&path, "correct horse battery staple").await?;
//! vault.create("root.1", &Secret::random(&mut rand::rng())).await?;
//! vault.raise_anchor("generation", 7).await?;
//!
//! vault.change_passphrase("stapler battery horse correct").await?;
//! drop(vault);
//!
//! let vault = PassphraseVault::open(&path, "stapler battery horse correct").await?;
//! assert!(vault.load("root.1").await?.is_some());
//! assert_eq!(vault.anchor("generation").await?, 7);
//! # Ok(())
//! # }
//! # let folder = tempfile::tempdir().unwrap();
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(example(folder.path())).unwrap();
//! ```
//!
//! Each handle has a thread of its own, on which files, derivations and keychains may wait; no particular async
//! runtime is needed. A call whose future is dropped is still done.

#[cfg(feature = "keychain")]
mod keychain;
#[cfg(feature = "passphrase")]
mod passphrase;
#[cfg(any(feature = "keychain", feature = "passphrase"))]
mod worker;

#[cfg(feature = "keychain")]
pub use keychain::KeychainVault;
#[cfg(feature = "passphrase")]
pub use passphrase::{Cost, Passphrase, PassphraseVault};

/// The examples of the README compile.
#[cfg(all(doctest, feature = "keychain"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
