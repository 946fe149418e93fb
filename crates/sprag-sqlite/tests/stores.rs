//! The six stores over SQLite keep their contracts, each call in a commit of its own.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{path::PathBuf, sync::Arc};

use sprag::{Account, DurableStore, ProtocolAddress};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_testkit::stores::{CommittedStores, ReopenableStores, StoreSet};
use sprag_testkit::vault;

async fn over(backend: SqliteBackend) -> StoreSet {
    let store = DurableStore::open(backend, vault::shared()).await.unwrap();
    let address = ProtocolAddress::new("we", 1).unwrap();
    let account = Account::open_or_create(store.clone(), address.clone()).await;
    account.unwrap();
    StoreSet::all_in(Arc::new(CommittedStores::new(store, address)))
}

async fn in_memory() -> StoreSet {
    over(SqliteBackend::open("sqlite::memory:").await.unwrap()).await
}

async fn in_file(path: PathBuf) -> StoreSet {
    over(SqliteOptions::file(&path).open().await.unwrap()).await
}

async fn reopenable() -> ReopenableStores {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.db");
    ReopenableStores::new(move || in_file(path.clone())).keeping(folder)
}

sprag_testkit::store_suite!(in_memory);
sprag_testkit::durable_store_suite!(reopenable);
