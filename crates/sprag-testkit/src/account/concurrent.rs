//! Many tasks and handles at once.

use std::{collections::HashSet, sync::Arc};

use sprag::{Envelope, SessionStore, protocol::message::PreKeySignalMessage};

use super::sample::{
    Party, code, party, party_over, read, send, sound, start, store, talk, try_receive,
};
use crate::backend::Fixture;

/// Tasks that send in one conversation at once use different keys: every message is read.
pub async fn no_message_key_is_used_twice(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let alice = Arc::new(alice);
    let mut tasks = Vec::new();
    for number in 0..24_u8 {
        let (alice, bob) = (alice.clone(), bob.address().clone());
        let task = async move { (number, sound(alice.send(&bob, &[number]).await, "sending")) };
        tasks.push(tokio::spawn(task));
    }
    let mut envelopes = HashSet::new();
    for task in tasks {
        let (number, envelope) = task.await.expect("no panic");
        assert!(envelopes.insert(envelope.bytes.clone()));
        read(&bob, &alice, &envelope, &[number]).await;
    }
}

/// The transport gives an envelope to many tasks at once: one plaintext, one id, one entry.
pub async fn one_envelope_received_at_once_is_delivered_once(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    let bob = Arc::new(bob);
    for plaintext in ["first", "second"] {
        let envelope = send(&alice, &bob, plaintext.as_bytes()).await;
        let mut tasks = Vec::new();
        for _ in 0..12 {
            let (bob, alice, envelope) = (bob.clone(), alice.address().clone(), envelope.clone());
            let task = async move {
                let received = bob.receive(&alice, envelope.message_type, &envelope.bytes);
                sound(received.await, "receiving")
            };
            tasks.push(tokio::spawn(task));
        }
        let mut deliveries = Vec::new();
        for task in tasks {
            deliveries.push(task.await.expect("no panic"));
        }
        deliveries.dedup();
        assert_eq!(deliveries.len(), 1, "one delivery for all");
        assert_eq!(deliveries[0].plaintext, plaintext);
        let waiting = sound(bob.inbox_pending().await, "listing");
        assert_eq!(waiting, deliveries);
        assert!(sound(bob.done(deliveries[0].id).await, "acknowledging"));
    }
}

/// Two handles on the store, as two processes have, use one account at once.
pub async fn two_handles_share_one_account(fixture: Fixture) {
    let bob = party(&fixture, "bob").await;
    let alice = Arc::new(party(&fixture, "alice").await);
    let other = store(fixture.second().await).await;
    let twin = Arc::new(party_over(other, "alice").await);
    start(&*alice, &bob).await;
    talk(&*alice, &bob).await;
    let mut tasks = Vec::new();
    for number in 0..16_u8 {
        let account = if number % 2 == 0 {
            alice.clone()
        } else {
            twin.clone()
        };
        let to = bob.address().clone();
        let task = async move { (number, sound(account.send(&to, &[number]).await, "sending")) };
        tasks.push(tokio::spawn(task));
    }
    for task in tasks {
        let (number, envelope) = task.await.expect("no panic");
        read(&bob, &*alice, &envelope, &[number]).await;
    }
    talk(&*twin, &bob).await;
    talk(&*alice, &bob).await;
}

/// What another handle did counts, however recently this one has used the same records.
pub async fn a_handle_notices_what_another_one_did(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let twin = party_over(store(fixture.second().await).await, "alice").await;
    start(&alice, &bob).await;
    for _ in 0..2 {
        talk(&alice, &bob).await;
        talk(&twin, &bob).await;
    }
    // Both hold the session; one of them reads a message that the other one is given again.
    let envelope = send(&bob, &alice, b"once").await;
    let first = sound(try_receive(&alice, &bob, &envelope).await, "receiving");
    let second = sound(try_receive(&twin, &bob, &envelope).await, "receiving");
    assert_eq!(first, second);
    assert!(sound(twin.done(first.id).await, "acknowledging"));
    // Its looking makes that durable, so that others see it, too.
    assert_eq!(sound(twin.inbox_pending().await, "listing"), []);
    let again = try_receive(&alice, &bob, &envelope).await;
    assert_eq!(code(again), "duplicate-message");

    talk(&alice, &bob).await;
    let other = sound(twin.identity_key().await, "our identity");
    let approved = twin.approve_identity(bob.address(), &other).await;
    sound(approved, "approving");
    let refused = alice.send(bob.address(), b"").await;
    assert_eq!(code(refused), "untrusted-identity");

    let transaction = twin.store().begin(twin.address());
    let deleted = transaction.delete_session(bob.address()).await;
    sound(deleted.map_err(Into::into), "deleting the session");
    sound(transaction.commit().await, "deleting the session");
    let refused = alice.send(bob.address(), b"").await;
    assert_eq!(code(refused), "no-session");
}

/// A session that was deleted and made again is another one, also for a handle that still has the old one in mind: it
/// must not put that in its place.
pub async fn a_session_made_anew_is_not_taken_for_the_old_one(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let twin = party_over(store(fixture.second().await).await, "alice").await;
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    for _ in 0..3 {
        delete(&twin, &bob).await;
        start(&alice, &bob).await;
        // The record is as old as the one that `alice` has in mind, only another.
        delete(&twin, &bob).await;
        start(&twin, &bob).await;
        let first = send(&alice, &bob, b"in the new one").await;
        let second = send(&twin, &bob, b"in the same").await;
        assert_eq!(base_key(&first), base_key(&second));
        read(&bob, &alice, &first, b"in the new one").await;
        read(&bob, &twin, &second, b"in the same").await;
        talk(&alice, &bob).await;
    }
}

async fn delete(from: &Party, peer: &Party) {
    let transaction = from.store().begin(from.address());
    let deleted = transaction.delete_session(peer.address()).await;
    sound(deleted.map_err(Into::into), "deleting the session");
    sound(transaction.commit().await, "deleting the session");
}

/// By which the session of a first message is told from others.
fn base_key(envelope: &Envelope) -> Vec<u8> {
    let message = PreKeySignalMessage::deserialize(&envelope.bytes).expect("a first message");
    message.base_key().serialize().to_vec()
}

/// Conversations that have nothing to do with each other do not stop each other.
pub async fn many_conversations_at_once_get_through(fixture: Fixture) {
    let hub = Arc::new(party(&fixture, "hub").await);
    let mut tasks = Vec::new();
    for number in 0..12 {
        let peer = party(&fixture, &format!("peer{number}")).await;
        let hub = hub.clone();
        tasks.push(tokio::spawn(async move {
            start(&peer, &*hub).await;
            for _ in 0..3 {
                talk(&peer, &*hub).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let status = sound(hub.status().await, "status");
    assert_eq!(
        (
            status.sessions,
            status.pre_keys,
            status.outbox,
            status.inbox
        ),
        (12, 0, 0, 0)
    );
}
