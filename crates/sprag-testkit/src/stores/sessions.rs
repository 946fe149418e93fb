//! Contracts of [`SessionStore`](sprag::SessionStore).

use std::{future::poll_fn, pin::pin, task::Poll};

use sprag::{KyberPreKeyKind, ProtocolAddress, SessionRecord};

use super::{
    Peer, StoreSet,
    sample::{NAMES, address, assert_same, must, session},
};

/// There is nothing before something was stored.
pub async fn an_unknown_session_is_none(stores: StoreSet) {
    let (sessions, nobody) = (&stores.sessions, address("nobody", 1));
    assert!(
        must(sessions.load_session(&nobody).await).is_none(),
        "load_session of an address that was never stored must answer None"
    );
    assert!(
        !must(sessions.contains_session(&nobody).await),
        "contains_session must agree with load_session"
    );
    assert!(
        must(sessions.sub_device_sessions("nobody").await).is_empty(),
        "sub_device_sessions of an unknown name must be empty"
    );
}

/// What was stored comes back, as often as it is asked for.
pub async fn a_stored_session_comes_back(stores: StoreSet) {
    let (sessions, bob, record) = (&stores.sessions, address("bob", 1), session().await);
    must(sessions.store_session(&bob, record.clone()).await);
    for time in ["first load", "second load"] {
        assert_same(&record, must(sessions.load_session(&bob).await), time);
    }
    assert!(
        must(sessions.contains_session(&bob).await),
        "contains_session must agree with load_session"
    );
    let fresh = SessionRecord::new_fresh();
    must(sessions.store_session(&bob, fresh).await);
    let loaded = must(sessions.load_session(&bob).await);
    assert!(
        loaded.is_some_and(|record| !record.has_current_state()),
        "a record without sessions has no bytes, but it is a record"
    );
}

/// The last one stored counts.
pub async fn a_session_is_replaced(stores: StoreSet) {
    let (sessions, bob) = (&stores.sessions, address("bob", 1));
    for time in ["first", "second", "third"] {
        let record = session().await;
        must(sessions.store_session(&bob, record.clone()).await);
        let loaded = must(sessions.load_session(&bob).await);
        assert_same(&record, loaded, &format!("after the {time} store"));
    }
    let devices = must(sessions.sub_device_sessions("bob").await);
    assert_eq!(devices.len(), 1, "replacing must not add a second record");
}

/// The devices of a name have a session each.
pub async fn sessions_of_devices_are_apart(stores: StoreSet) {
    all_are_apart(&stores, [1, 2, 11, 12, 127].map(|id| address("bob", id))).await;
}

/// Names are compared byte by byte.
pub async fn sessions_of_names_are_apart(stores: StoreSet) {
    all_are_apart(&stores, NAMES.map(|name| address(name, 1))).await;
    // Two of these would be one if name and device were joined without a separator.
    let alike = [
        address("alice.1", 2),
        address("alice", 12),
        address("alice1", 2),
    ];
    all_are_apart(&stores, alike).await;
}

async fn all_are_apart(stores: &StoreSet, addresses: impl IntoIterator<Item = ProtocolAddress>) {
    let mut stored = Vec::new();
    for address in addresses {
        let record = session().await;
        must(
            stores
                .sessions
                .store_session(&address, record.clone())
                .await,
        );
        stored.push((address, record));
    }
    for (address, record) in stored {
        let loaded = must(stores.sessions.load_session(&address).await);
        assert_same(&record, loaded, &format!("{address:?} among similar ones"));
    }
}

/// What was deleted is gone, and deleting it again is fine.
pub async fn a_deleted_session_is_gone(stores: StoreSet) {
    let (sessions, bob, other) = (&stores.sessions, address("bob", 1), address("bob", 2));
    let record = session().await;
    must(sessions.store_session(&bob, record.clone()).await);
    must(sessions.store_session(&other, record.clone()).await);
    for _ in 0..2 {
        must(sessions.delete_session(&bob).await);
        assert!(
            must(sessions.load_session(&bob).await).is_none(),
            "load_session after delete_session must answer None"
        );
    }
    let loaded = must(sessions.load_session(&other).await);
    assert_same(&record, loaded, "another device of the name");
    must(sessions.store_session(&bob, record.clone()).await);
    let loaded = must(sessions.load_session(&bob).await);
    assert_same(&record, loaded, "stored again after it was deleted");
}

/// Names are no patterns, and all devices go.
pub async fn all_sessions_of_a_name_are_deleted_and_no_others(stores: StoreSet) {
    let (sessions, record) = (&stores.sessions, session().await);
    for name in NAMES {
        for device in [1, 2, 127] {
            let address = address(name, device);
            must(sessions.store_session(&address, record.clone()).await);
        }
    }
    for (position, name) in NAMES.iter().enumerate() {
        must(sessions.delete_all_sessions(name).await);
        for (other, name) in NAMES.iter().enumerate() {
            let devices = must(sessions.sub_device_sessions(name).await).len();
            let there = must(sessions.contains_session(&address(name, 2)).await);
            let (expected, deleted) = if other <= position {
                (0, "gone")
            } else {
                (3, "kept")
            };
            assert!(
                devices == expected && there == (expected > 0),
                "the sessions of {name:?} must be {deleted} after delete_all_sessions({:?})",
                NAMES[position]
            );
        }
    }
    must(sessions.delete_all_sessions("nobody").await);
}

/// All devices of a name, in ascending order, and nobody else's.
pub async fn devices_with_sessions_are_listed(stores: StoreSet) {
    let (sessions, record) = (&stores.sessions, session().await);
    for device in [100, 2, 1, 127, 20] {
        let address = address("bob", device);
        must(sessions.store_session(&address, record.clone()).await);
    }
    let similar = address("bob.1", 3);
    must(sessions.store_session(&similar, record).await);
    must(sessions.delete_session(&address("bob", 20)).await);
    let devices = must(sessions.sub_device_sessions("bob").await);
    let devices: Vec<_> = devices.into_iter().map(u32::from).collect();
    assert_eq!(
        devices,
        [1, 2, 100, 127],
        "sub_device_sessions lists all devices with a session, in ascending order"
    );
}

/// One record for each address, in the order of the addresses.
pub async fn existing_sessions_come_in_the_order_asked_for(stores: StoreSet) {
    let sessions = &stores.sessions;
    let mut stored = Vec::new();
    for device in [3, 1, 2] {
        let (address, record) = (address("bob", device), session().await);
        must(sessions.store_session(&address, record.clone()).await);
        stored.push((address, record));
    }
    let addresses: Vec<_> = stored.iter().map(|(address, _)| address.clone()).collect();
    let loaded = must(sessions.load_existing_sessions(&addresses).await);
    assert_eq!(loaded.len(), 3, "one record for each address");
    for ((address, record), loaded) in stored.iter().zip(loaded) {
        assert_same(record, Some(loaded), &format!("the record of {address}"));
    }
    let none = must(sessions.load_existing_sessions(&[]).await);
    assert!(none.is_empty(), "no addresses, no records");
}

/// All or an error.
pub async fn a_missing_session_is_an_error_where_all_must_exist(stores: StoreSet) {
    let (sessions, bob) = (&stores.sessions, address("bob", 1));
    must(sessions.store_session(&bob, session().await).await);
    let answer = sessions
        .load_existing_sessions(&[bob, address("bob", 2)])
        .await;
    let code = answer.err().map(|error| error.code());
    assert_eq!(
        code,
        Some("no-session"),
        "load_existing_sessions must give StoreError::session_missing if one is missing"
    );
}

/// A session that has skipped 2000 messages is some 150 KB long.
pub async fn a_large_session_is_kept_whole(stores: StoreSet) {
    let (alice, bob) = (Peer::new("alice"), Peer::new("bob"));
    let bundle = bob.bundle(true, KyberPreKeyKind::OneTime).await;
    let bundle = bundle.expect("in-memory stores do not fail");
    let sound = "a sound conversation";
    alice.start(&bob.address, &bundle).await.expect(sound);
    let mut last = alice.encrypt(&bob.address, b"").await.expect(sound);
    bob.decrypt(&alice.address, &last).await.expect(sound);
    for _ in 0..2001 {
        last = alice.encrypt(&bob.address, b"").await.expect(sound);
    }
    bob.decrypt(&alice.address, &last).await.expect(sound);
    let record = bob.stores.sessions.load_session(&alice.address).await;
    let record = record.expect(sound).expect(sound);
    let length = record.serialize().len();
    assert!(length > 100_000, "the sample is not large: {length}");

    let sessions = &stores.sessions;
    must(sessions.store_session(&alice.address, record.clone()).await);
    let loaded = must(sessions.load_session(&alice.address).await);
    assert_same(&record, loaded, &format!("a session of {length} bytes"));
}

/// Calls for different addresses may overlap.
pub async fn sessions_stored_at_once_are_all_kept(stores: StoreSet) {
    let record = session().await;
    let mut tasks = Vec::new();
    for device in 1..=64 {
        let (sessions, record) = (stores.sessions.clone(), record.clone());
        let task = async move {
            sessions
                .store_session(&address("bob", device), record)
                .await
        };
        tasks.push(tokio::spawn(task));
    }
    for task in tasks {
        must(task.await.expect("store_session must not panic"));
    }
    let devices = must(stores.sessions.sub_device_sessions("bob").await);
    assert_eq!(
        devices.len(),
        64,
        "sessions of different addresses that are stored at once must all be kept"
    );
}

/// Dropping the future of a store, as a timeout does, must not lose the session that was there.
pub async fn a_cancelled_store_leaves_the_old_or_the_new_session(stores: StoreSet) {
    let (sessions, old, new) = (&stores.sessions, session().await, session().await);
    for polls in 0..100 {
        let bob = address(&format!("bob {polls}"), 1);
        must(sessions.store_session(&bob, old.clone()).await);
        let finished = poll_at_most(polls, sessions.store_session(&bob, new.clone())).await;
        let loaded = must(sessions.load_session(&bob).await).map(|record| record.serialize());
        assert!(
            loaded == Some(old.serialize()) || loaded == Some(new.serialize()),
            "after store_session over another session was cancelled (at its await number {polls}), one of the \
             two must be there: replace the row in one step, do not delete it first"
        );
        if let Some(outcome) = finished {
            return must(outcome);
        }
    }
}

/// Drives `future` for at most so many polls, then drops it.
async fn poll_at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
