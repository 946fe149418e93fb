//! Sending once, and to several devices.

use std::time::Duration;

use sprag::{Account, Outgoing, ProtocolAddress, StoreOptions};

use super::sample::{
    Party, code, party, read, send, sound, start, store, talk, talking_to, try_receive,
};
use crate::{
    Clock,
    backend::{FaultyBackend, Fixture},
    vault,
};

/// The same key gives the same envelope, while it waits and when it was sent, across a restart.
pub async fn a_text_with_a_key_is_sent_once(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    let text = Outgoing::new(b"once").key(b"17");
    let envelope = sound(alice.send(bob.address(), text).await, "sending");
    let again = sound(alice.send(bob.address(), text).await, "sending again");
    assert_eq!(again, envelope);
    let other = Outgoing::new(b"once").key(b"18");
    let other = sound(alice.send(bob.address(), other).await, "sending another");
    assert_ne!(other.id, envelope.id);
    assert_ne!(other.bytes, envelope.bytes);

    let fixture = fixture.reopened().await;
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let again = sound(alice.send(bob.address(), text).await, "sending again");
    assert_eq!(again, envelope);
    let waiting = sound(alice.outbox_pending().await, "listing");
    assert_eq!(waiting.len(), 2);
    assert!(sound(alice.sent(envelope.id).await, "acknowledging"));
    assert!(!sound(alice.sent(envelope.id).await, "acknowledging again"));
    let waiting = sound(alice.outbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&other));
    assert_eq!(sound(alice.status().await, "status").outbox, 1);

    let again = sound(alice.send(bob.address(), text).await, "sending again");
    assert_eq!(again, envelope);
    read(&bob, &alice, &envelope, b"once").await;
    read(&bob, &alice, &other, b"once").await;
    talk(&bob, &alice).await;
}

/// Also when many tasks do it at once.
pub async fn a_key_used_by_many_at_once_is_sent_once(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let second = party(&fixture, "alice").await;
    start(&alice, &bob).await;
    let text = Outgoing::new(b"once").key(b"17");
    let sends = [&alice, &second, &alice, &second].map(|from| from.send(bob.address(), text));
    let [one, two, three, four] = sends;
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    let envelope = sound(one, "sending");
    for other in [two, three, four] {
        assert_eq!(sound(other, "sending at once"), envelope);
    }
    read(&bob, &alice, &envelope, b"once").await;
    talk(&alice, &bob).await;
}

/// A key that is remembered no longer is free for another message, and nothing is left of it.
pub async fn a_key_is_remembered_for_its_time(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    let text = Outgoing::new(b"now").key(b"17").kept_for(Duration::ZERO);
    let first = sound(alice.send(bob.address(), text).await, "sending");
    let again = sound(alice.send(bob.address(), text).await, "sending again");
    assert_eq!(again, first, "an envelope that waits is never forgotten");
    assert!(sound(alice.sent(first.id).await, "acknowledging"));
    let second = sound(alice.send(bob.address(), text).await, "sending anew");
    assert_ne!(second.bytes, first.bytes);
    let waiting = sound(alice.outbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&second));
    read(&bob, &alice, &first, b"now").await;
    read(&bob, &alice, &second, b"now").await;
}

/// The same key for somebody else is another one, so that nothing is swallowed; and to one device it is the same key however
/// the text is sent to it.
pub async fn a_key_belongs_to_its_recipient_and_account(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let carol = party(&fixture, "carol").await;
    start(&alice, &bob).await;
    start(&alice, &carol).await;
    start(&carol, &bob).await;
    let text = Outgoing::new(b"once").key(b"17");
    let envelope = sound(alice.send(bob.address(), text).await, "sending");
    let others = sound(alice.send(carol.address(), text).await, "to another");
    assert_ne!(others.id, envelope.id);
    read(&carol, &alice, &others, b"once").await;
    let others = sound(carol.send(bob.address(), text).await, "another account");
    assert_ne!(others.id, envelope.id);

    let second = device_of(&fixture, "bob", 2).await;
    start(&alice, &second).await;
    let to_all = sound(alice.send_to_all("bob", text).await, "sending to all");
    assert_eq!((to_all.len(), &to_all[0]), (2, &envelope));
    let to_one = sound(alice.send(second.address(), text).await, "sending to one");
    assert_eq!(to_one, to_all[1]);
}

/// All devices get the text in one commit; a session that cannot send stops all.
pub async fn a_text_goes_to_all_devices_or_to_none(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let mut bobs = Vec::new();
    for device in [3, 1, 2] {
        bobs.push(device_of(&fixture, "bob", device).await);
    }
    let unknown = alice.send_to_all("bob", b"hello").await;
    assert_eq!(code(unknown), "no-session");
    for bob in &bobs {
        talking_to(&alice, bob).await;
    }
    bobs.sort_by_key(|bob| bob.address().device_id());
    let devices = sound(alice.devices("bob").await, "listing");
    let addresses = bobs.iter().map(|bob| bob.address().clone());
    assert_eq!(devices, addresses.collect::<Vec<_>>());

    let text = Outgoing::new(b"hello").key(b"17");
    let envelopes = sound(alice.send_to_all("bob", text).await, "sending to all");
    assert_eq!(envelopes.len(), 3);
    for (bob, envelope) in bobs.iter().zip(&envelopes) {
        assert_eq!(envelope.recipient, bob.address().into());
        read(bob, &alice, envelope, b"hello").await;
    }
    let again = sound(alice.send_to_all("bob", text).await, "sending again");
    assert_eq!(again, envelopes);
    // A device that comes later gets the same text, the others nothing more.
    let late = device_of(&fixture, "bob", 4).await;
    talking_to(&alice, &late).await;
    let again = sound(alice.send_to_all("bob", text).await, "sending again");
    assert_eq!(again[..3], envelopes);
    read(&late, &alice, &again[3], b"hello").await;

    let archived = alice.archive_session(bobs[2].address()).await;
    assert!(sound(archived, "archiving"));
    let before = sound(alice.outbox_pending().await, "listing");
    let refused = alice.send_to_all("bob", b"no").await;
    assert_eq!(code(refused), "no-session");
    assert_eq!(sound(alice.outbox_pending().await, "listing"), before);
    let deleted = alice.delete_session(bobs[2].address()).await;
    assert!(sound(deleted, "deleting"));
    let rest = sound(alice.send_to_all("bob", b"rest").await, "sending");
    assert_eq!(rest.len(), 3);
}

/// Our own devices get a copy, the one that sends does not.
pub async fn our_other_devices_are_sent_to_but_not_ourselves(fixture: Fixture) {
    let one = device_of(&fixture, "alice", 1).await;
    let two = device_of(&fixture, "alice", 2).await;
    talking_to(&one, &two).await;
    start(&one, &one).await;
    let envelopes = sound(one.send_to_all("alice", b"copy").await, "sending");
    assert_eq!(envelopes.len(), 1);
    read(&two, &one, &envelopes[0], b"copy").await;
}

/// An archived session reads what was sent in it; a deleted one does not.
pub async fn a_session_is_put_aside_or_forgotten(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    talking_to(&alice, &bob).await;
    let late = send(&bob, &alice, b"late").await;
    assert!(sound(
        alice.archive_session(bob.address()).await,
        "archiving"
    ));
    let again = alice.archive_session(bob.address()).await;
    assert!(!sound(again, "archiving again"));
    let refused = alice.send(bob.address(), b"no").await;
    assert_eq!(code(refused), "no-session");
    read(&alice, &bob, &late, b"late").await;

    let later = send(&bob, &alice, b"later").await;
    assert!(sound(alice.delete_session(bob.address()).await, "deleting"));
    let again = alice.delete_session(bob.address()).await;
    assert!(!sound(again, "deleting again"));
    assert_eq!(sound(alice.devices("bob").await, "listing"), []);
    let lost = try_receive(&alice, &bob, &later).await;
    assert_eq!(code(lost), "no-session");
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
}

/// A host of many accounts lists them in the order of their creation, and making the last one asks no more of the storage
/// than making the second.
pub async fn one_store_holds_many_accounts(fixture: Fixture) {
    let storage = FaultyBackend::new(fixture.backend().clone());
    let clock = Clock::new();
    let options = StoreOptions::new().environment(clock.clone());
    let store = options.open(storage.clone(), vault::shared()).await;
    let store = sound(store, "opening the store");
    let (mut addresses, mut costs) = (Vec::new(), Vec::new());
    // From the last name and device to the first.
    for number in (0..300).rev() {
        let device = number % 127 + 1;
        let address = ProtocolAddress::new(format!("bot{}", number / 127), device);
        let address = address.expect("a device id from 1 to 127");
        let calls = storage.log().len();
        storage.record();
        sound(
            Account::create(store.clone(), address.clone()).await,
            "creating an account",
        );
        let commits = storage.recorded().into_iter();
        let entries: Vec<_> = commits.map(|passed| passed.batch.entries()).collect();
        costs.push((storage.log().split_off(calls), entries));
        addresses.push(address);
        clock.advance(Duration::from_millis(1));
    }
    for cost in &costs[2..] {
        assert_eq!(cost, &costs[1], "calls, and entries of commits");
    }
    assert_eq!(sound(store.accounts().await, "listing"), addresses);
}

async fn device_of(fixture: &Fixture, name: &str, device: u32) -> Party {
    let address = ProtocolAddress::new(name, device).expect("a device id from 1 to 127");
    let store = store(fixture.backend().clone()).await;
    sound(
        Account::open_or_create(store, address).await,
        "opening an account",
    )
}
