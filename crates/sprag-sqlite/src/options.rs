//! Where the store lies and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use sprag::backend::BackendError;

use crate::{SqliteBackend, backend};

/// How to open a [`SqliteBackend`]: the location and a few settings, all with sensible defaults.
///
/// ```
/// use std::time::Duration;
/// use sprag_sqlite::SqliteOptions;
///
/// # async fn example() -> Result<(), sprag::backend::BackendError> {
/// let backend = SqliteOptions::from_url("sqlite::memory:")?
///     .busy_timeout(Duration::from_secs(1))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub(crate) location: Location,
    pub(crate) create: bool,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) queue_length: usize,
    pub(crate) cache_bytes: usize,
    pub(crate) truncate_log_every: Duration,
}

/// Where a store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// Nowhere: it goes with its handle.
    Memory,
    /// In this file.
    File(PathBuf),
}

impl SqliteOptions {
    /// The store in the file at `path`.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::at(Location::File(path.into()))
    }

    /// A store in memory that goes with its handle; for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self::at(Location::Memory)
    }

    /// The store at a URL: `sqlite:PATH`, with the path as it stands, or `sqlite::memory:`.
    ///
    /// # Errors
    /// [`BackendError::InvalidUrl`].
    pub fn from_url(url: &str) -> Result<Self, BackendError> {
        let invalid = |reason| Err(BackendError::InvalidUrl { reason });
        match url.strip_prefix("sqlite:") {
            None => invalid("it must begin with sqlite:, as in sqlite:sprag.db"),
            Some("") => invalid("the path is missing, as in sqlite:sprag.db"),
            Some(":memory:") => Ok(Self::memory()),
            Some(path) if path.starts_with("//") => invalid(
                "the path follows the colon without slashes of its own, as in sqlite:/var/lib/sprag.db",
            ),
            Some(path) => Ok(Self::file(path)),
        }
    }

    fn at(location: Location) -> Self {
        Self {
            location,
            create: true,
            busy_timeout: Duration::from_secs(5),
            readers: 2,
            queue_length: 1024,
            cache_bytes: 16 << 20,
            truncate_log_every: Duration::from_secs(60),
        }
    }

    /// Whether a store is made where there is none (the default), or opening fails with
    /// [`BackendError::Missing`].
    #[must_use]
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How long to wait for another process before giving up with [`BackendError::Busy`]. Default:
    /// 5 seconds.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many threads serve reads, at least 1. Default: 2. Each has a connection and a cache of
    /// its own. (A store in memory has one connection for everything.)
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How many calls may wait for the writer, and for the readers, before further callers wait
    /// outside; at least 1. Default: 1024.
    #[must_use]
    pub fn queue_length(mut self, length: usize) -> Self {
        self.queue_length = length.max(1);
        self
    }

    /// How much memory each connection may use to cache pages. Default: 16 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How long what was overwritten or deleted may lie in the write-ahead log: so long after the
    /// first commit in it the log is emptied, whether or not anybody uses the store. As long as
    /// another process reads an older state that cannot be done, and is tried again every few
    /// seconds at least. Default: 60 seconds. A longer time saves little; with [`Duration::MAX`] only
    /// [`checkpoint`](sprag::backend::Backend::checkpoint) and closing empty the log.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sprag_sqlite::SqliteOptions;
    ///
    /// let options = SqliteOptions::file("sprag.db").truncate_log_every(Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn truncate_log_every(mut self, time: Duration) -> Self {
        self.truncate_log_every = time;
        self
    }

    /// Opens the store, or makes it.
    ///
    /// # Errors
    /// [`BackendError::NotAStore`], [`BackendError::TooNew`] or [`BackendError::Corrupt`] for a
    /// file that this library cannot take as its own, and does not touch;
    /// [`BackendError::Missing`], [`BackendError::ReadOnly`], [`BackendError::Busy`],
    /// [`BackendError::Full`] and [`BackendError::Io`] as their names say.
    pub async fn open(self) -> Result<SqliteBackend, BackendError> {
        backend::open(self).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn urls() {
        let location = |url| SqliteOptions::from_url(url).map(|options| options.location);
        let file = |path: &str| Ok(Location::File(path.into()));
        assert_eq!(location("sqlite:sprag.db"), file("sprag.db"));
        assert_eq!(
            location("sqlite:/var/lib/a b?c%20.db"),
            file("/var/lib/a b?c%20.db")
        );
        assert_eq!(location("sqlite::memory:"), Ok(Location::Memory));
        for invalid in [
            "",
            "sqlite",
            "sqlite:",
            "sprag.db",
            "postgres://host",
            "sqlite://sprag.db",
            "SQLITE:x",
        ] {
            assert_eq!(
                location(invalid).unwrap_err().code(),
                "invalid-store-url",
                "{invalid}"
            );
        }
    }
}
