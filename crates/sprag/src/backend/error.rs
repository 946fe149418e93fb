//! What can go wrong below the waist, whose matter it is, and what helps.

use super::{Kind, RecordKey};

/// Why a backend could not do what it was asked.
///
/// No variant carries a key, a record or anything else that was stored; a `detail` names the step
/// that failed and what the storage library said of it. An error from
/// [`Backend::commit`](super::Backend::commit) always means that nothing was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Somebody else held the storage for longer than we were willing to wait.
    #[error("the store is busy: another process or connection holds it; try again")]
    Busy,

    /// There is no room left. Nothing was lost.
    #[error("the disk of the store is full; free some space and try again")]
    Full,

    /// The storage reported an input or output error, before anything was applied.
    #[error("the storage failed ({detail}); check the disk and its permissions")]
    Io {
        /// The step that failed and what was reported.
        detail: String,
    },

    /// After an earlier error the storage cannot be trusted until it is opened anew: pages that the
    /// operating system could not write may look written to this process.
    #[error("the store failed earlier ({detail}) and must be opened anew before it is used")]
    Poisoned {
        /// The earlier failure.
        detail: String,
    },

    /// The backend was closed.
    #[error("the store is closed; open it anew")]
    Closed,

    /// What was read cannot have been written by this library: the storage is damaged.
    #[error("the store is damaged ({detail}); restore it from a backup or recover it")]
    Corrupt {
        /// What was found.
        detail: String,
    },

    /// The file or database belongs to something else. It was left as it is.
    #[error("this is not a Sprag store ({detail}); it was not touched; give another location")]
    NotAStore {
        /// What was found instead.
        detail: String,
    },

    /// A later release of the library wrote the store. It was left as it is.
    #[error(
        "the store has format {found}, this release knows up to {supported}; it was not touched; upgrade"
    )]
    TooNew {
        /// The format of the store.
        found: i64,
        /// The latest format that this release knows.
        supported: i64,
    },

    /// There is no store at this location, and making one was not asked for.
    #[error("there is no store at this location; create it first or give another location")]
    Missing,

    /// The file was deleted, moved or replaced while it was open. What is written through this
    /// handle would be lost.
    #[error(
        "the file of the store was deleted, moved or replaced while it was open; put it back and open it anew"
    )]
    Moved,

    /// The store can be read but not written.
    #[error("the store is read-only; check the permissions of its file and folder")]
    ReadOnly,

    /// The location is not written in a form that this backend understands.
    #[error("not a location of a store: {reason}")]
    InvalidUrl {
        /// What is expected.
        reason: &'static str,
    },

    /// A record key has more than [`RecordKey::MAX_LENGTH`] bytes.
    #[error(
        "a record key of {length} bytes is too long; the limit is {}",
        RecordKey::MAX_LENGTH
    )]
    KeyTooLong {
        /// The length of the key in bytes.
        length: usize,
    },

    /// A call goes beyond the backend's [`Limits`](super::Limits).
    #[error("{what}: {actual} is outside the limit of {limit}; ask for less at once")]
    LimitExceeded {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        actual: usize,
        /// How much there may be.
        limit: usize,
    },

    /// A batch contradicts itself.
    #[error("the batch is not well-formed: {reason}")]
    InvalidBatch {
        /// The contradiction.
        reason: &'static str,
    },

    /// The backend is older than this kind of record.
    #[error("this backend does not know records of the kind {}; upgrade it", .kind.name())]
    UnsupportedKind {
        /// The kind.
        kind: Kind,
    },
}

/// Who can do something about an error, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// The caller: try the same again, after a moment.
    Retry,
    /// The caller: open the store anew, then resolve what was under way.
    Reopen,
    /// Whoever runs the machine: the disk, the file or the release is at fault. Trying again does
    /// not help.
    Operator,
    /// The programmer: the call was wrong.
    Caller,
}

impl BackendError {
    /// The stable short code of the error, for the command line, bindings and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy => "store-busy",
            Self::Full => "store-full",
            Self::Io { .. } => "store-io",
            Self::Poisoned { .. } => "store-poisoned",
            Self::Closed => "store-closed",
            Self::Corrupt { .. } => "store-corrupt",
            Self::NotAStore { .. } => "not-a-store",
            Self::TooNew { .. } => "store-too-new",
            Self::Missing => "store-missing",
            Self::Moved => "store-moved",
            Self::ReadOnly => "store-read-only",
            Self::InvalidUrl { .. } => "invalid-store-url",
            Self::KeyTooLong { .. } => "store-key-too-long",
            Self::LimitExceeded { .. } => "store-limit-exceeded",
            Self::InvalidBatch { .. } => "store-invalid-batch",
            Self::UnsupportedKind { .. } => "store-unsupported-kind",
        }
    }

    /// What helps.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Busy => Remedy::Retry,
            Self::Poisoned { .. } | Self::Closed | Self::Moved => Remedy::Reopen,
            Self::Full
            | Self::Io { .. }
            | Self::Corrupt { .. }
            | Self::NotAStore { .. }
            | Self::TooNew { .. }
            | Self::Missing
            | Self::ReadOnly => Remedy::Operator,
            Self::InvalidUrl { .. }
            | Self::KeyTooLong { .. }
            | Self::LimitExceeded { .. }
            | Self::InvalidBatch { .. }
            | Self::UnsupportedKind { .. } => Remedy::Caller,
        }
    }
}
