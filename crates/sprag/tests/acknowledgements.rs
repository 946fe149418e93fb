//! What a crash leaves of acknowledgements that were not durable yet.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sprag::{
    Account, DurableStore, ProtocolAddress,
    backend::{Backend, BackendError, Batch, CommitOutcome, MemoryBackend, OperationId, RecordKey},
};
use sprag_testkit::{backend::PassThrough, vault};

/// Lets deletions that nobody waits for wait for the next commit. What waits is lost with the handle, as in
/// a crash.
#[derive(Clone, Default)]
struct Lazy {
    inner: MemoryBackend,
    waiting: Arc<Mutex<Vec<RecordKey>>>,
}

impl Lazy {
    fn crashed(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            waiting: Arc::default(),
        }
    }
}

#[async_trait]
impl PassThrough for Lazy {
    type Inner = MemoryBackend;

    fn inner(&self) -> &MemoryBackend {
        &self.inner
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        let delete = |batch: Batch, key| batch.delete(key);
        let deletions = Batch::new(OperationId::from_bytes([0; 16]));
        let deletions = waiting.into_iter().fold(deletions, delete);
        assert_eq!(
            self.inner.commit(deletions).await,
            Ok(CommitOutcome::Committed)
        );
        self.inner.commit(batch).await
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        batch.require_deletes_only()?;
        self.waiting.lock().unwrap().extend(batch.deletes);
        Ok(CommitOutcome::Committed)
    }
}

sprag_testkit::pass_through!(Lazy);

async fn accounts(backend: &Lazy) -> (Account<Lazy>, Account<Lazy>) {
    let store = DurableStore::open(backend.clone(), vault::shared())
        .await
        .unwrap();
    let account = async |name| {
        let address = ProtocolAddress::new(name, 1).unwrap();
        Account::open_or_create(store.clone(), address)
            .await
            .unwrap()
    };
    (account("alice").await, account("bob").await)
}

/// They are handed over once more, the same bytes under the same ids, and can be acknowledged again.
#[tokio::test]
async fn a_crash_brings_back_what_was_acknowledged_last() {
    let backend = Lazy::default();
    let (alice, bob) = accounts(&backend).await;
    let bundle = bob.bundle().await.unwrap();
    alice.start_session(bob.address(), &bundle).await.unwrap();
    let envelope = alice.send(bob.address(), b"hi").await.unwrap();
    let (kind, bytes) = (envelope.message_type, &envelope.bytes);
    let delivery = bob.receive(alice.address(), kind, bytes).await.unwrap();
    assert!(alice.sent(envelope.id).await.unwrap());
    assert!(bob.done(delivery.id).await.unwrap());
    assert_eq!(backend.waiting.lock().unwrap().len(), 2);

    let backend = backend.crashed();
    let (alice, bob) = accounts(&backend).await;
    assert_eq!(
        alice.outbox_pending().await.unwrap(),
        std::slice::from_ref(&envelope)
    );
    assert_eq!(
        bob.inbox_pending().await.unwrap(),
        std::slice::from_ref(&delivery)
    );
    let again = bob.receive(alice.address(), kind, bytes).await.unwrap();
    assert_eq!(again, delivery);
    assert!(alice.sent(envelope.id).await.unwrap());
    assert!(bob.done(delivery.id).await.unwrap());

    // The next commit of anybody takes them along.
    alice.send(bob.address(), b"next").await.unwrap();
    let (alice, bob) = accounts(&backend.crashed()).await;
    assert_eq!(alice.outbox_pending().await.unwrap().len(), 1);
    assert_eq!(bob.inbox_pending().await.unwrap(), []);
    assert!(!alice.sent(envelope.id).await.unwrap());
    let again = bob.receive(alice.address(), kind, bytes).await;
    assert_eq!(again.unwrap_err().code(), "duplicate-message");
}
