//! The contracts of the six stores.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use own_stores_example::Database;
use sprag_testkit::stores::{ReopenableStores, StoreSet};

/// Empty stores, but for an identity of our own.
async fn stores() -> StoreSet {
    let database = Database::in_memory().unwrap();
    StoreSet::all_in(Arc::new(database.begin().await.unwrap()))
}

/// The same in a file, opened again and again.
async fn reopenable() -> ReopenableStores {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.db");
    ReopenableStores::new(move || {
        let database = Database::open(&path).unwrap();
        async move { StoreSet::all_in(Arc::new(database.stores().await)) }
    })
    .keeping(folder)
}

sprag_testkit::store_suite!(stores);
sprag_testkit::durable_store_suite!(reopenable);
