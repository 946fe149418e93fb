//! SQLite storage for [Sprag](sprag): a [`Backend`](sprag::backend::Backend) in one file, durable
//! and transactional, with one writer and group commit.
//!
//! ```
//! use sprag::backend::{
//!     AccountId, Backend, Batch, CommitOutcome, Kind, OperationId, RecordKey, Version,
//! };
//! use sprag_sqlite::SqliteBackend;
//!
//! # async fn example(folder: &std::path::Path) -> Result<(), sprag::backend::BackendError> {
//! # let url = format!("sqlite:{}", folder.join("sprag.db").display());
//! let backend = SqliteBackend::open(&url).await?; // "sqlite:sprag.db"
//!
//! let mut rng = rand::rng();
//! let key = RecordKey::fixed(AccountId::from_bytes([1; 16]), Kind::Session, *b"opaque");
//! let batch = Batch::new(OperationId::random(&mut rng))
//!     .expect(key, None)
//!     .put(key, Version::random(&mut rng), &b"sealed"[..]);
//! assert_eq!(backend.commit(batch).await?, CommitOutcome::Committed);
//! backend.close().await?;
//! # Ok(())
//! # }
//! # let folder = tempfile::tempdir().unwrap();
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(example(folder.path())).unwrap();
//! ```
//!
//! # What it promises
//! * **Durable.** The database is in WAL mode with `synchronous=FULL` (and `fullfsync` where that
//!   matters): what was answered `Committed` survives a power cut.
//! * **Forgetful.** `secure_delete` is on, and the write-ahead log is emptied [a minute after the first
//!   commit in it](SqliteOptions::truncate_log_every), by
//!   [`checkpoint`](sprag::backend::Backend::checkpoint) and by closing. Neither alone would be enough.
//! * **Shared.** Any number of processes on one machine may use one file. Not over a network file
//!   system, where SQLite's locks cannot be relied on.
//! * **Careful.** A file that is not a store, is damaged at its head or comes from a later release
//!   is refused and left as it is, byte for byte. A new file has mode 0600 from its first moment,
//!   its companions `-wal` and `-shm` too.
//! * **Loud.** If the disk fails while a commit is under way, its outcome is *unknown* and the
//!   handle is poisoned; if the file is deleted or replaced while it is open (on Unix), the next
//!   commit tells.
//!
//! # How it works
//! One thread owns the writing connection and takes batches from a bounded queue. Whatever waits
//! there goes into one transaction with one fsync (group commit), so that throughput rises with the
//! number of concurrent callers; a conflict fails its own batch only. A few threads with read-only
//! connections serve reads, scans and validations. It needs no particular async runtime.

mod abandoned;
mod backend;
mod busy;
mod error;
mod location;
mod open;
mod options;
mod queue;
mod reader;
mod schema;
mod shared;
mod walk;
mod writer;

pub use backend::SqliteBackend;
pub use options::SqliteOptions;
