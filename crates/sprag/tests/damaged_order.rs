//! A damaged index may lead a scan back to where it was. That is an error, not a loop.
#![allow(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use sprag::vault::MemoryVault;
use sprag::{
    Account, DurableStore, PreKeyStore, ProtocolAddress,
    backend::{AccountId, Backend, BackendError, Kind, MemoryBackend, Record},
};
use sprag_testkit::backend::PassThrough;

/// Begins every page of a scan anew.
struct Circular(MemoryBackend);

#[async_trait]
impl PassThrough for Circular {
    type Inner = MemoryBackend;

    fn inner(&self) -> &MemoryBackend {
        &self.0
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        _: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        self.0.scan(account, kind, None, limit).await
    }
}

sprag_testkit::pass_through!(Circular);

#[tokio::test]
async fn a_scan_that_does_not_go_on_is_an_error() {
    let store = DurableStore::open(Circular(MemoryBackend::new()), MemoryVault::new()).await;
    let store = store.unwrap();
    let alice = ProtocolAddress::new("alice", 1).unwrap();
    let account = Account::create(store.clone(), alice.clone()).await.unwrap();
    assert_eq!(account.outbox_pending().await.unwrap(), []);
    account.bundle().await.unwrap();

    let code = |error: sprag::Error| error.code();
    assert_eq!(
        account.status().await.map_err(code).unwrap_err(),
        "store-corrupt"
    );
    let transaction = store.begin(&alice);
    let ids = transaction.pre_key_ids().await;
    assert_eq!(ids.unwrap_err().code(), "store-corrupt");
}
