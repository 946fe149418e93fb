//! What the command reports: a stable code and a sentence.

use std::{io, path::PathBuf};

use sprag::{backend::BackendError, protocol::KeyError, vault::VaultError};

/// A command failed. No message carries a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The library refused.
    #[error(transparent)]
    Sprag(#[from] sprag::Error),
    /// Standard input or output failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came on standard input is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The store holds no account yet.
    #[error("there is no account in {0}; make one with: sprag init NAME.DEVICE")]
    NotInitialised(String),
    /// The store holds an account already.
    #[error("{store} holds the account {address} already")]
    AlreadyInitialised {
        /// The store's URL.
        store: String,
        /// The account.
        address: String,
    },
    /// There is no keychain, and no other vault was asked for.
    #[error(
        "{0}. To keep the secrets in a file under a passphrase instead, give --vault passphrase, or set SPRAG_VAULT=passphrase"
    )]
    NoKeychain(VaultError),
    /// The vault file is not where it should be.
    #[error("there is no vault in {}; give the one of this store with --vault-file", .0.display())]
    NoVaultFile(PathBuf),
    /// Nobody gave a passphrase, or can be asked for one.
    #[error("there is no passphrase: set {variable}, give {option}, or use a terminal")]
    NoPassphrase {
        /// The environment variable that could have it.
        variable: &'static str,
        /// The option that could name a file with it.
        option: &'static str,
    },
    /// The store has damaged records.
    #[error("{0} records are damaged; discard those that can be with: sprag doctor --discard")]
    Damaged(usize),
    /// No such entry in inbox or outbox.
    #[error("there is no entry {0}")]
    NoEntry(String),
}

impl CliError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Sprag(error) => error.code(),
            Self::Io(_) => "io",
            Self::Input(_) => "invalid-input",
            Self::NotInitialised(_) => "not-initialised",
            Self::AlreadyInitialised { .. } => "already-initialised",
            Self::NoKeychain(error) => error.code(),
            Self::NoVaultFile(_) => VaultError::Missing.code(),
            Self::NoPassphrase { .. } => "no-passphrase",
            Self::Damaged(_) => "store-tampered",
            Self::NoEntry(_) => "no-entry",
        }
    }
}

impl From<BackendError> for CliError {
    fn from(error: BackendError) -> Self {
        Self::Sprag(error.into())
    }
}

impl From<VaultError> for CliError {
    fn from(error: VaultError) -> Self {
        Self::Sprag(error.into())
    }
}

impl From<KeyError> for CliError {
    fn from(error: KeyError) -> Self {
        Self::Sprag(sprag::ProtocolError::from(error).into())
    }
}

impl From<sprag::ProtocolError> for CliError {
    fn from(error: sprag::ProtocolError) -> Self {
        Self::Sprag(error.into())
    }
}
