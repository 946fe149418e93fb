//! The one error of all six stores.

use std::{error::Error as StdError, fmt};

use sprag_core::{ProtocolError, address::ProtocolAddress};

use crate::{
    Error,
    backend::{BackendError, Kind},
};

/// A store could not do what it was asked.
///
/// It says which call failed and keeps what the storage said as its source. Put no record, key or plaintext
/// into it: errors are logged.
///
/// ```
/// use sprag::StoreError;
///
/// let disk_says = std::io::Error::from(std::io::ErrorKind::StorageFull);
/// let error = StoreError::new("store_session", disk_says).with_code("store-full");
/// assert_eq!(error.code(), "store-full");
/// assert_eq!(error.operation(), "store_session");
/// ```
#[derive(Debug)]
pub struct StoreError {
    operation: &'static str,
    code: &'static str,
    source: Box<dyn StdError + Send + Sync>,
}

impl StoreError {
    /// The call `operation` failed because of `source`. The code is `store-failed`.
    pub fn new(
        operation: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            operation,
            code: "store-failed",
            source: source.into(),
        }
    }

    /// What is stored cannot be read: `detail` says what is wrong with it. The code is
    /// `store-corrupt`.
    pub fn corrupt(operation: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::backend(operation, BackendError::Corrupt { detail })
    }

    /// A record of a sealed store does not open: it was altered, moved or damaged. The code is `store-tampered`.
    pub(crate) fn tampered(operation: &'static str, kind: Kind) -> Self {
        Self::new(operation, Tampered(kind)).with_code("store-tampered")
    }

    /// What an operation below a store trait failed with.
    pub(crate) fn from_error(operation: &'static str, error: Error) -> Self {
        match error {
            Error::Store(error) => error,
            Error::Backend(error) => Self::backend(operation, error),
            other => {
                let code = other.code();
                Self::new(operation, other).with_code(code)
            }
        }
    }

    /// Whether a record was altered, moved or damaged.
    pub(crate) fn is_tampered(&self) -> bool {
        self.source.is::<Tampered>()
    }

    /// There is no session with `address`, although there must be. The code is `no-session`.
    pub fn session_missing(operation: &'static str, address: &ProtocolAddress) -> Self {
        let source = ProtocolError::SessionNotFound(Some(address.clone()));
        Self {
            operation,
            code: source.code(),
            source: source.into(),
        }
    }

    /// There is no identity of our own yet. The code is `not-initialised`.
    pub fn not_initialised(operation: &'static str) -> Self {
        Self::new(operation, "there is no identity of our own").with_code("not-initialised")
    }

    pub(crate) fn backend(operation: &'static str, source: BackendError) -> Self {
        Self {
            operation,
            code: source.code(),
            source: source.into(),
        }
    }

    /// The same error under another stable short code, in lower case with hyphens.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// The stable short code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The call that failed, by the name of its trait method.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What the protocol says of it, if it is an error that the protocol knows, such as a
    /// [missing session](Self::session_missing).
    pub(crate) fn as_protocol(&self) -> Option<&ProtocolError> {
        self.source.downcast_ref()
    }

    /// What the backend of a durable store said, if the error is one of its.
    pub fn as_backend(&self) -> Option<&BackendError> {
        self.source.downcast_ref()
    }
}

/// Of a record of this kind.
#[derive(Debug, thiserror::Error)]
#[error(
    "a record of the kind {} was altered, moved or damaged; have the store examined",
    .0.name()
)]
struct Tampered(Kind);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.operation, self.source)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
