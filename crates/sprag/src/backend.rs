//! The narrow waist: what a durable store asks of the place where its bytes lie.
//!
//! A [`Backend`] keeps opaque records `(account, kind, key) -> (version, bytes)` and does a handful
//! of things with them: read some, commit a batch, tell whether an operation was committed, scan a
//! kind or everything page by page. It knows nothing of the protocol. Whoever calls it has sealed the bytes and
//! hashed the names, so that a backend never sees a secret; it must all the same not print what it
//! is given.
//!
//! Correctness under concurrency rests here and on nothing else. A commit is a
//! **compare-and-swap**: a [`Batch`] names the version of every record that an operation read
//! (*absent* included, and records that it only read), and is applied whole if all of them still
//! stand, or not at all. Hence two tasks, two processes or two hosts can never both advance one
//! ratchet from the same state; locks and caches above this line exist only to avoid needless
//! conflicts.
//!
//! What every backend must hold (the conformance suite in `sprag-testkit` checks it):
//!
//! 1. **Atomic.** All puts and deletes of a batch are applied, or none, whatever fails or is
//!    cancelled.
//! 2. **Serialisable.** The batches that were committed, and the reads, have the same result as in
//!    some order one after the other; expectations on records that are not written count like the
//!    others.
//! 3. **Durable.** [`CommitOutcome::Committed`] is answered only when the batch would survive a
//!    power cut. Nothing that is not yet durable is shown to a reader, except to one that comes
//!    after a crash.
//! 4. **Honest.** An error from [`Backend::commit`] means that *nothing* was applied. A backend
//!    that cannot tell answers [`CommitOutcome::Unknown`].
//! 5. **Cancellable.** A future may be dropped at any await: the store stays whole and the handle
//!    usable. A commit whose future was dropped happens completely or not at all, perhaps a little
//!    later, but *not after somebody looked*: once the future was dropped, its batch has taken effect
//!    before any later read, scan or validation of the same handle answers, or it never does. A
//!    future that is neither polled nor dropped holds up nobody.
//!
//! ```
//! use sprag::backend::{
//!     AccountId, Backend, Batch, CommitOutcome, Kind, MemoryBackend, OperationId, RecordKey, Version,
//! };
//!
//! # async fn example() -> Result<(), sprag::backend::BackendError> {
//! let backend = MemoryBackend::new();
//! let mut rng = rand::rng();
//! let key = RecordKey::new(AccountId::from_bytes([1; 16]), Kind::Session, b"opaque name")?;
//!
//! // Read; remember what was there (here: nothing); write on that condition.
//! let before = backend.read(&[key]).await?.remove(0);
//! let batch = Batch::new(OperationId::random(&mut rng))
//!     .expect(key, before.map(|record| record.version))
//!     .put(key, Version::random(&mut rng), &b"sealed bytes"[..]);
//! assert_eq!(backend.commit(batch.clone()).await?, CommitOutcome::Committed);
//!
//! // The same condition no longer holds.
//! assert_eq!(backend.commit(batch).await?, CommitOutcome::Conflict);
//! # Ok(())
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(example()).unwrap();
//! ```

mod batch;
mod error;
mod key;
mod limits;
mod memory;
mod record;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::batch::{Batch, Expectation, Put};
pub use self::error::{BackendError, Remedy};
pub use self::key::{AccountId, Kind, RecordKey};
pub use self::limits::Limits;
pub use self::memory::MemoryBackend;
pub use self::record::{OperationId, Record, Version};

/// A place that keeps versioned records and commits batches of changes to them atomically.
///
/// Object-safe: `Arc<dyn Backend>` and `Box<dyn Backend>` are backends themselves. The [module
/// page](self) lists the five promises that an implementation makes.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Reads the records under `keys`, in the order of `keys`; `None` where there is none.
    ///
    /// All answers come from one snapshot: no commit lies between two of them. The snapshot is not
    /// older than the call, so it shows every commit that was answered before. A key may be named
    /// twice.
    ///
    /// # Errors
    /// [`BackendError::LimitExceeded`] for more keys than [`Limits::max_read_keys`]; otherwise what
    /// the storage reports.
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError>;

    /// Applies `batch` if every expectation in it holds, and answers when that is durable.
    ///
    /// A batch that writes nothing only validates: `Committed` then says that all of its
    /// expectations held at one moment during the call. It leaves no trace in the store.
    ///
    /// If the future is dropped before it answers, the batch happens whole or not at all, perhaps
    /// later. But once it was dropped, the batch has taken effect before any later read, scan or
    /// validation of the same handle answers, or before the handle is closed, or it never does. So
    /// whoever gave up may look whether it is there, and do it again if not. Other handles may see
    /// it come.
    ///
    /// # Errors
    /// An error means that nothing was applied. [`BackendError::LimitExceeded`] and
    /// [`BackendError::InvalidBatch`] are the caller's fault; [`Remedy`] tells what helps with the
    /// others.
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError>;

    /// Deletes the records of `batch`, which must expect and put nothing, without making the caller
    /// wait for the disk: the deletion is durable with the next commit of this handle, when the
    /// backend is closed or dropped, or a short while later, whatever comes first. A crash before
    /// that brings the records back.
    ///
    /// Whatever this handle is asked afterwards sees the records gone, and is answered only when that
    /// is durable; other handles see it then, too. So a read, scan or validation that concerns such a
    /// record waits for the disk, and fails as a commit does if the deletion cannot be done now: with
    /// [`BackendError::Busy`] while another process holds the store. For what does no harm if it is
    /// there again, such as what an application has acknowledged.
    ///
    /// A record that cannot be deleted because the storage is damaged stays, and is seen again.
    ///
    /// Unless a backend has something better to do, this is an ordinary commit; and it is one if too
    /// many deletions wait already.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit); [`BackendError::InvalidBatch`] for a batch that does more than
    /// delete.
    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        batch.require_deletes_only()?;
        self.commit(batch).await
    }

    /// Resolves [`CommitOutcome::Unknown`]: is the batch of this operation in the store?
    ///
    /// Both answers are final and durable. In particular, `false` promises that the operation will
    /// not appear later: a backend waits for, or makes impossible, whatever might still be under
    /// way.
    ///
    /// Only a bounded number of the latest operations is remembered, at least
    /// [`Limits::remembered_operations`] that came later than the one in question; beyond that the
    /// answer is a false `false`. Ask at once, as the first thing after an unknown outcome. Batches
    /// that write nothing are never remembered.
    ///
    /// # Errors
    /// What the storage reports; the outcome is then as unknown as before. After
    /// [`BackendError::Poisoned`], open the store anew and ask there.
    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError>;

    /// Reads up to `limit` records of one account and kind, in ascending order of their keys
    /// (compared as unsigned bytes), starting after the key `after` or, without it, at the first.
    ///
    /// Each page is one snapshot; two pages are not. A page may hold fewer than `limit` records
    /// although more follow (a backend bounds the memory that a page takes); an **empty page is the
    /// end**. A scan is not protected from phantoms: guard a set by a record of
    /// [`Kind::Directory`].
    ///
    /// # Errors
    /// [`BackendError::LimitExceeded`] for a limit of 0, whose page could not be told from the end;
    /// otherwise what the storage reports.
    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError>;

    /// Reads up to `limit` records of all accounts and kinds, in an order of the backend's own that is
    /// the same on every call, starting after the place `after`, which need not exist any more, or
    /// without it at the first. This is how a store is walked through as a whole: to seal all of it
    /// anew, or to examine it.
    ///
    /// Each page is one snapshot; two pages are not. A record that is there during the whole scan is
    /// seen exactly once, whatever is written meanwhile; one that comes or goes may be seen or not. A
    /// page may hold fewer than `limit` records although more follow; an **empty page is the end**. The
    /// caller cannot check the order, so the backend makes sure that a scan of damaged storage ends,
    /// too.
    ///
    /// # Errors
    /// As for [`scan`](Self::scan); [`BackendError::Corrupt`] if the search leads back to where it was.
    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError>;

    /// How much this backend takes in one call. Never below [`Limits::MINIMUM`].
    fn limits(&self) -> Limits;

    /// Moves what was committed to its final place and empties the log in which the backend keeps
    /// superseded versions of records, if it has one.
    ///
    /// Needed for forgetting, not for durability: as long as old versions lie in a log, destroying
    /// the key that sealed them is the only thing that makes them unreadable.
    ///
    /// # Errors
    /// What the storage reports. That a reader or another process is in the way is not an error but
    /// [`Checkpoint::Busy`].
    async fn checkpoint(&self) -> Result<Checkpoint, BackendError>;

    /// Finishes what was accepted, checkpoints if nobody is in the way, and releases the storage.
    ///
    /// Every call that begins later fails with [`BackendError::Closed`]; closing again waits for the
    /// same end, and answers the same. A backend that is dropped without this loses nothing that was committed.
    ///
    /// # Errors
    /// What the storage reports. The backend is closed all the same.
    async fn close(&self) -> Result<(), BackendError>;
}

/// What became of a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a batch that was not committed must be run again or resolved"]
pub enum CommitOutcome {
    /// All of it is applied and durable; what depends on it may be released.
    Committed,
    /// An expectation did not hold, so nothing was applied: run the operation again from fresh
    /// reads, with fresh versions, a fresh operation id and fresh randomness.
    Conflict,
    /// The storage failed while it committed, and the batch is applied or it is not. Release
    /// nothing and do not repeat it; ask [`Backend::committed`], after opening the store anew if it
    /// says [`BackendError::Poisoned`].
    Unknown,
}

/// What [`Backend::checkpoint`] achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// No log holds a superseded version of a record any more.
    Complete,
    /// Somebody was reading or writing; the log still holds old versions. Try again later.
    Busy,
}

#[async_trait]
impl<T: Backend + ?Sized> Backend for Arc<T> {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        (**self).read(keys).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        (**self).commit(batch).await
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        (**self).delete_soon(batch).await
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        (**self).committed(operation).await
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        (**self).scan(account, kind, after, limit).await
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        (**self).scan_all(after, limit).await
    }

    fn limits(&self) -> Limits {
        (**self).limits()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        (**self).checkpoint().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        (**self).close().await
    }
}

#[async_trait]
impl<T: Backend + ?Sized> Backend for Box<T> {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        (**self).read(keys).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        (**self).commit(batch).await
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        (**self).delete_soon(batch).await
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        (**self).committed(operation).await
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        (**self).scan(account, kind, after, limit).await
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        (**self).scan_all(after, limit).await
    }

    fn limits(&self) -> Limits {
        (**self).limits()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        (**self).checkpoint().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        (**self).close().await
    }
}
