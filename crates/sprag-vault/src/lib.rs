//! Where [Sprag](sprag) keeps the root secrets of its stores.
//!
//! | vault | feature | |
//! |---|---|---|
//! | [`KeychainVault`] | `keychain` | the operating system's keychain |
//! | [`PassphraseVault`] | `passphrase` | a file under a passphrase |

#[cfg(feature = "passphrase")]
mod passphrase;
#[cfg(any(feature = "keychain", feature = "passphrase"))]
mod worker;

#[cfg(feature = "passphrase")]
pub use passphrase::{Cost, Passphrase, PassphraseVault};
