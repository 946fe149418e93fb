//! The contracts of the six store traits, on every implementation of ours.

mod in_memory {
    use sprag::protocol::identity::IdentityKeyPair;
    use sprag_testkit::stores::StoreSet;

    async fn stores() -> StoreSet {
        StoreSet::in_memory(IdentityKeyPair::generate(&mut rand::rng()), 7)
    }

    sprag_testkit::store_suite!(stores);
}

/// Behind pointers, as applications hold them.
mod behind_pointers {
    use std::sync::Arc;

    use sprag::protocol::identity::IdentityKeyPair;
    use sprag_testkit::stores::{FaultyStores, StoreSet};

    async fn stores() -> StoreSet {
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        let stores = FaultyStores::new(StoreSet::in_memory(identity, 7));
        StoreSet::all_in(Arc::new(Arc::new(Box::new(stores))))
    }

    sprag_testkit::store_suite!(stores);
}

/// All calls of a contract in one transaction: it reads its own writes.
mod one_transaction {
    use std::sync::Arc;

    use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend};
    use sprag_testkit::{stores::StoreSet, vault};

    async fn stores() -> StoreSet {
        let store = DurableStore::open(MemoryBackend::new(), vault::shared()).await;
        let store = store.expect("a store in memory opens");
        let address = ProtocolAddress::new("we", 1).expect("1 is a device id");
        let account = Account::create(store.clone(), address.clone()).await;
        account.expect("an empty store takes an account");
        StoreSet::all_in(Arc::new(store.begin(&address)))
    }

    sprag_testkit::store_suite!(stores);
}

/// Each call in a transaction of its own: what is read was stored.
mod one_commit_each {
    use std::sync::Arc;

    use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend};
    use sprag_testkit::{
        stores::{CommittedStores, ReopenableStores, StoreSet},
        vault,
    };

    async fn over(backend: MemoryBackend) -> StoreSet {
        let store = DurableStore::open(backend, vault::shared()).await;
        let store = store.expect("a store in memory opens");
        let address = ProtocolAddress::new("we", 1).expect("1 is a device id");
        let account = Account::open_or_create(store.clone(), address.clone()).await;
        account.expect("a store takes an account");
        StoreSet::all_in(Arc::new(CommittedStores::new(store, address)))
    }

    async fn stores() -> StoreSet {
        over(MemoryBackend::new()).await
    }

    async fn reopenable() -> ReopenableStores {
        let backend = MemoryBackend::new();
        ReopenableStores::new(move || over(backend.clone()))
    }

    sprag_testkit::store_suite!(stores);
    sprag_testkit::durable_store_suite!(reopenable);
}
