//! Earlier copies of a store.

use sprag::{
    Account, Advice, DurableStore, PreKeyBundle, StoreOptions, Uuid, backend::BackendError,
};
use sprag_testkit::{
    backend::{Fault, FaultyBackend},
    vault::VaultFault,
};

use super::world::{World, address, copy_of, records, refused};

#[tokio::test]
async fn an_earlier_copy_is_told() {
    let world = World::new().await;
    let copy = world.copy().await;
    // The copy is the current state as long as nobody opens the store again.
    assert_eq!(refused(copy, world.vault.clone()).await, "opened");
    // Now this one is behind it.
    let opened = world.reopened().await;
    assert_eq!(opened.err().unwrap().code(), "store-rolled-back");
}

/// A crash between the commit and the anchor leaves the store ahead, which is no harm.
#[tokio::test]
async fn a_store_ahead_of_its_anchor_is_healed() {
    let world = World::new().await;
    let calls = world.vault.calls();
    world.reopened().await.unwrap();
    let raising = world.vault.calls() - calls;
    for fault in [VaultFault::Before, VaultFault::After] {
        world.vault.inject(raising, fault);
        let opened = DurableStore::open(world.storage.clone(), world.vault.clone()).await;
        assert_eq!(opened.err().unwrap().code(), "vault-locked");
    }
    let earlier = world.copy().await;
    world.reopened().await.unwrap().talk().await;
    assert_eq!(
        refused(earlier, world.vault.clone()).await,
        "store-rolled-back"
    );
}

#[tokio::test]
async fn recovery_keeps_identity_and_trust_and_drops_what_is_for_one_use() {
    let world = World::new().await;
    let (alice, bob) = (address("alice"), address("bob"));
    let identity = world.alice.identity_key().await.unwrap();
    let group = Uuid::from_bytes([7; 16]);
    world.alice.group_distribute(group).await.unwrap();
    let earlier = world.copy().await;
    // Bob is elsewhere, and goes on from the state that the copy does not know.
    let world = world.reopened().await.unwrap();
    let lost = world.alice.send(&bob, b"lost").await.unwrap();

    let opened = DurableStore::open(earlier.clone(), world.vault.clone()).await;
    let error = opened.err().unwrap();
    assert_eq!(
        (error.code(), error.advice()),
        ("store-rolled-back", Advice::Operator)
    );
    let recover = || StoreOptions::new().recover(earlier.clone(), world.vault.clone());
    let (store, recovery) = recover().await.unwrap();
    assert_eq!(
        (recovery.sessions, recovery.sender_keys, recovery.damaged),
        (2, 1, 0)
    );
    assert!(recovery.pre_keys >= 1);

    let again = Account::open(store, alice.clone()).await.unwrap();
    assert_eq!(again.identity_key().await.unwrap(), identity);
    let bobs = world.bob.identity_key().await.unwrap();
    assert_eq!(again.identity(&bob).await.unwrap(), Some(bobs));
    let status = again.status().await.unwrap();
    assert_eq!((status.pre_keys, status.kyber_pre_keys), (0, 0));
    assert_eq!(
        again.send(&bob, b"x").await.unwrap_err().code(),
        "no-session"
    );
    assert_eq!(
        again.group_send(group, b"x").await.unwrap_err().code(),
        "no-sender-key"
    );

    // The session is renewed, and the message that the copy does not know uses no key of it.
    let bundle = world.bob.bundle().await.unwrap();
    again.start_session(&bob, &bundle).await.unwrap();
    let new = again.send(&bob, b"new").await.unwrap();
    for (envelope, text) in [(new, "new"), (lost, "lost")] {
        let received = world
            .bob
            .receive(&alice, envelope.message_type, &envelope.bytes);
        assert_eq!(received.await.unwrap().plaintext, text);
    }
    // From now on it is the current one.
    assert_eq!(
        refused(earlier.clone(), world.vault.clone()).await,
        "opened"
    );
    assert_eq!(
        world.reopened().await.err().unwrap().code(),
        "store-rolled-back"
    );
}

/// An id of a pre-key is not handed out again, unless by chance.
#[tokio::test]
async fn recovery_begins_anew_with_the_ids_of_pre_keys() {
    let world = World::new().await;
    let earlier = world.copy().await;
    let world = world.reopened().await.unwrap();
    let id = |bundle: PreKeyBundle| bundle.pre_key.unwrap().id;
    let before = id(world.alice.bundle().await.unwrap());
    let recovered = StoreOptions::new()
        .recover(earlier, world.vault.clone())
        .await;
    let (store, _) = recovered.unwrap();
    let alice = Account::open(store, address("alice")).await.unwrap();
    assert_ne!(id(alice.bundle().await.unwrap()), before);
}

#[tokio::test]
async fn recovery_that_was_interrupted_goes_on() {
    let world = World::new().await;
    let copy = records(world.storage.inner()).await;
    world.reopened().await.unwrap();
    for nth in 1.. {
        let earlier = FaultyBackend::new(copy_of(&copy).await);
        earlier.inject_any(nth, Fault::FailBefore(BackendError::Busy));
        let recover = || StoreOptions::new().recover(earlier.clone(), world.vault.clone());
        if recover().await.is_ok() {
            assert!(nth > 10, "the faults must have hit something");
            return;
        }
        earlier.heal();
        let (store, _) = recover().await.unwrap();
        let alice = Account::open(store, address("alice")).await.unwrap();
        assert_eq!(
            alice.send(&address("bob"), b"x").await.unwrap_err().code(),
            "no-session"
        );
        assert_eq!(alice.status().await.unwrap().pre_keys, 0);
    }
}

/// Of a copy from an epoch whose root is destroyed nothing can be saved.
#[tokio::test]
async fn a_copy_of_an_earlier_epoch_is_unreadable() {
    let world = World::new().await;
    let earlier = world.copy().await;
    world.store().new_epoch().await.unwrap();
    let recover = StoreOptions::new().recover(earlier.clone(), world.vault.clone());
    assert_eq!(recover.await.err().unwrap().code(), "store-rolled-back");
    assert_eq!(
        refused(earlier, world.vault.clone()).await,
        "store-rolled-back"
    );
}
