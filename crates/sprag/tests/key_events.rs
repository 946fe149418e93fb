//! What is told of the keys that are looked after.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sprag::{
    Account, Event, ProtocolAddress, StoreOptions, backend::MemoryBackend, vault::MemoryVault,
};
use sprag_testkit::{Clock, MemoryKeyServer};

#[tokio::test]
async fn few_keys_and_rotations_are_told() {
    let clock = Clock::default();
    let store = StoreOptions::new()
        .environment(clock.clone())
        .open(MemoryBackend::new(), MemoryVault::new());
    let alice = ProtocolAddress::new("alice", 1).unwrap();
    let account = Account::create(store.await.unwrap(), alice).await.unwrap();
    let (server, mut events) = (MemoryKeyServer::new(), account.events());
    let mut told = async || {
        account.upkeep(&server).await.unwrap();
        let mut told = Vec::new();
        told.extend(std::iter::from_fn(|| events.try_next()));
        told
    };
    assert_eq!(told().await, [Event::RotationDone], "the first keys");
    assert_eq!(told().await, []);
    server.lose_one_time_keys();
    assert_eq!(told().await, [Event::KeysLow]);
    clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(told().await, [Event::RotationDue, Event::RotationDone]);
}
