//! What can go wrong with a vault, and what helps.

use crate::backend::Remedy;

/// Why a vault could not do what it was asked. No variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is no vault at this location, and making one was not asked for.
    #[error("there is no vault at this location; create it first or give another location")]
    Missing,

    /// There is a vault at this location already. It was left as it is.
    #[error(
        "there is a vault at this location already; it was not touched; open it or give another location"
    )]
    AlreadyCreated,

    /// An empty passphrase, which would protect nothing.
    #[error("the passphrase is empty; give one that cannot be guessed")]
    EmptyPassphrase,

    /// The passphrase is not the one of the vault.
    #[error("the passphrase is wrong")]
    WrongPassphrase,

    /// The vault was altered since it was written.
    #[error("the vault was altered or is damaged ({detail}); put a copy of it back")]
    Tampered {
        /// What was found.
        detail: String,
    },

    /// The vault is locked, or its owner did not let us in.
    #[error("the vault is locked; unlock it and try again")]
    Locked,

    /// The vault cannot be reached from here.
    #[error("the vault cannot be reached ({detail})")]
    Unavailable {
        /// What was reported.
        detail: String,
    },

    /// The storage below the vault reported an error.
    #[error("the vault failed ({detail}); check the disk and its permissions")]
    Io {
        /// The step that failed and what was reported.
        detail: String,
    },

    /// A later release of the library wrote the vault. It was left as it is.
    #[error(
        "the vault has format {found}, this release knows up to {supported}; it was not touched; upgrade"
    )]
    TooNew {
        /// The format of the vault.
        found: u32,
        /// The latest format that this release knows.
        supported: u32,
    },

    /// There is a secret of this name already. It was left as it is.
    #[error("there is a secret of this name already; it was not touched")]
    Exists,

    /// A name does not have the form that vaults take.
    #[error(
        "not a name of a secret: it has 1 to {} characters of a-z, 0-9, full stop and hyphen",
        super::MAX_NAME
    )]
    InvalidName,
}

impl VaultError {
    /// The stable short code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "vault-missing",
            Self::AlreadyCreated => "vault-exists",
            Self::EmptyPassphrase => "vault-empty-passphrase",
            Self::WrongPassphrase => "vault-wrong-passphrase",
            Self::Tampered { .. } => "vault-tampered",
            Self::Locked => "vault-locked",
            Self::Unavailable { .. } => "vault-unavailable",
            Self::Io { .. } => "vault-io",
            Self::TooNew { .. } => "vault-too-new",
            Self::Exists => "vault-secret-exists",
            Self::InvalidName => "vault-invalid-name",
        }
    }

    /// What helps.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Locked => Remedy::Retry,
            Self::Missing
            | Self::AlreadyCreated
            | Self::EmptyPassphrase
            | Self::WrongPassphrase
            | Self::Tampered { .. }
            | Self::Unavailable { .. }
            | Self::Io { .. }
            | Self::TooNew { .. } => Remedy::Operator,
            Self::Exists | Self::InvalidName => Remedy::Caller,
        }
    }
}
