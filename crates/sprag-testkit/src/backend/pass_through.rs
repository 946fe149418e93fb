//! Backends that change a few calls of another one and pass the rest on.

use async_trait::async_trait;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};

/// The calls of a [`Backend`], each passed on to another backend unless it is written otherwise.
/// [`pass_through!`](crate::pass_through) makes a backend of it.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use async_trait::async_trait;
/// use sprag::backend::{
///     Backend, BackendError, Batch, CommitOutcome, MemoryBackend, OperationId, Record, RecordKey,
/// };
/// use sprag_testkit::backend::PassThrough;
///
/// /// Counts the commits.
/// #[derive(Default)]
/// struct Counting {
///     inner: MemoryBackend,
///     commits: AtomicUsize,
/// }
///
/// #[async_trait]
/// impl PassThrough for Counting {
///     type Inner = MemoryBackend;
///
///     fn inner(&self) -> &MemoryBackend {
///         &self.inner
///     }
///
///     async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
///         self.commits.fetch_add(1, Ordering::Relaxed);
///         self.inner.commit(batch).await
///     }
/// }
///
/// sprag_testkit::pass_through!(Counting);
///
/// # async fn example() -> Result<(), BackendError> {
/// let backend: Box<dyn Backend> = Box::new(Counting::default());
/// backend.read(&[]).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
#[async_trait]
pub trait PassThrough: Send + Sync + 'static {
    /// The backend to which calls are passed on.
    type Inner: Backend;

    /// The backend to which calls are passed on.
    fn inner(&self) -> &Self::Inner;

    /// [`Backend::read`]
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.inner().read(keys).await
    }

    /// [`Backend::commit`]
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.inner().commit(batch).await
    }

    /// [`Backend::delete_soon`]
    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.inner().delete_soon(batch).await
    }

    /// [`Backend::committed`]
    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        self.inner().committed(operation).await
    }

    /// [`Backend::scan`]
    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        self.inner().scan(account, kind, after, limit).await
    }

    /// [`Backend::scan_all`]
    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        self.inner().scan_all(after, limit).await
    }

    /// [`Backend::limits`]
    fn limits(&self) -> Limits {
        self.inner().limits()
    }

    /// [`Backend::checkpoint`]
    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.inner().checkpoint().await
    }

    /// [`Backend::close`]
    async fn close(&self) -> Result<(), BackendError> {
        self.inner().close().await
    }
}

/// What [`pass_through!`](crate::pass_through) needs to name.
#[doc(hidden)]
pub mod names {
    pub use async_trait::async_trait;
    pub use sprag::backend::{
        AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits,
        OperationId, Record, RecordKey,
    };

    pub use super::PassThrough;
}

/// Makes a [`Backend`](sprag::backend::Backend) of a type that is a
/// [`PassThrough`](crate::backend::PassThrough). What is generic about the type stands in front, as in
/// `pass_through!(<B: Backend> Counting<B>)`.
#[macro_export]
macro_rules! pass_through {
    ($backend:ident) => {
        $crate::pass_through!(<> $backend);
    };
    (<$($parameter:ident: $bound:path)?> $backend:ty) => {
        const _: () = {
            use $crate::backend::names::*;

            #[async_trait]
            impl<$($parameter: $bound)?> Backend for $backend {
                async fn read(
                    &self,
                    keys: &[RecordKey],
                ) -> Result<Vec<Option<Record>>, BackendError> {
                    PassThrough::read(self, keys).await
                }

                async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
                    PassThrough::commit(self, batch).await
                }

                async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
                    PassThrough::delete_soon(self, batch).await
                }

                async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
                    PassThrough::committed(self, operation).await
                }

                async fn scan(
                    &self,
                    account: &AccountId,
                    kind: Kind,
                    after: Option<&[u8]>,
                    limit: usize,
                ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
                    PassThrough::scan(self, account, kind, after, limit).await
                }

                async fn scan_all(
                    &self,
                    after: Option<&RecordKey>,
                    limit: usize,
                ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
                    PassThrough::scan_all(self, after, limit).await
                }

                fn limits(&self) -> Limits {
                    PassThrough::limits(self)
                }

                async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
                    PassThrough::checkpoint(self).await
                }

                async fn close(&self) -> Result<(), BackendError> {
                    PassThrough::close(self).await
                }
            }
        };
    };
}
