//! What the command reports: a stable code and a sentence.

use std::io;

use sprag::{backend::BackendError, protocol::KeyError};

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
            Self::NoEntry(_) => "no-entry",
        }
    }
}

impl From<BackendError> for CliError {
    fn from(error: BackendError) -> Self {
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
