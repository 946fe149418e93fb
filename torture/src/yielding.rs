//! A backend, or a vault, whose every call waits once before and once after its effect, so that a future can be cancelled
//! at each of its awaits.

use std::future::poll_fn;
use std::task::Poll;

use async_trait::async_trait;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};
use sprag::vault::{Secret, Vault, VaultError};

/// Passes everything on, with two waits.
pub struct Yielding<B>(pub B);

async fn wait_around<T>(effect: impl Future<Output = T>) -> T {
    give_way().await;
    let value = effect.await;
    give_way().await;
    value
}

async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl<B: Backend> Backend for Yielding<B> {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        wait_around(self.0.read(keys)).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        wait_around(self.0.commit(batch)).await
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        wait_around(self.0.delete_soon(batch)).await
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        wait_around(self.0.committed(operation)).await
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        wait_around(self.0.scan(account, kind, after, limit)).await
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        wait_around(self.0.scan_all(after, limit)).await
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        wait_around(self.0.checkpoint()).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        wait_around(self.0.close()).await
    }
}

#[async_trait]
impl<V: Vault> Vault for Yielding<V> {
    fn kind(&self) -> &str {
        self.0.kind()
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        wait_around(self.0.create(name, secret)).await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        wait_around(self.0.load(name)).await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        wait_around(self.0.destroy(name)).await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        wait_around(self.0.anchor(name)).await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        wait_around(self.0.raise_anchor(name, value)).await
    }
}
