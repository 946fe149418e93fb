//! Many tasks and handles at once.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use sprag::{
    Envelope, SessionStore,
    backend::{BackendError, Batch, CommitOutcome},
    protocol::message::{PreKeySignalMessage, SignalMessage},
};
use tokio::sync::Barrier;

use super::sample::{
    AnyBackend, Party, code, party, party_over, read, send, sound, start, store, talk, talking_to,
    try_receive,
};
use crate::backend::{Fixture, PassThrough};

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

/// Two handles take no turns with each other. Whatever two tasks do in one session, both do it from the same state and
/// commit at once: everything is delivered once, and no message key is used twice.
pub async fn without_turns_no_message_key_is_used_twice(fixture: Fixture) {
    const ROUNDS: u8 = 6;
    let bob = party(&fixture, "bob").await;
    let meeting = Arc::new(Meeting::default());
    let handle = async || {
        let (inner, meeting) = (fixture.backend().clone(), Arc::clone(&meeting));
        party_over(store(Colliding { inner, meeting }).await, "alice").await
    };
    let [one, other] = [handle().await, handle().await];
    talking_to(&one, &bob).await;
    let mut keys = HashSet::new();
    for round in 0..ROUNDS {
        let letters = [0, 1, 2].map(|number| [round, number]);
        let mut envelopes = Vec::new();
        for letter in &letters {
            envelopes.push(send(&bob, &one, letter).await);
        }
        let receives = |alice, number: usize| try_receive(alice, &bob, &envelopes[number]);
        let sends = |alice| send(alice, &bob, b"text");
        let (first, second) = meeting.hold(sends(&one), sends(&other)).await;
        let (third, delivery) = meeting.hold(sends(&one), receives(&other, 2)).await;
        let (earlier, later) = meeting.hold(receives(&one, 0), receives(&other, 1)).await;

        for envelope in [first, second, third] {
            assert!(keys.insert(message_key(&envelope)), "a key was used twice");
            read(&bob, &one, &envelope, b"text").await;
        }
        let deliveries = [earlier, later, delivery].map(|delivery| sound(delivery, "receiving"));
        for (number, delivery) in deliveries.iter().enumerate() {
            assert_eq!(delivery.plaintext, letters[number][..]);
            for alice in [&one, &other] {
                assert_eq!(
                    &sound(receives(alice, number).await, "redelivery"),
                    delivery
                );
            }
            assert!(sound(one.done(delivery.id).await, "acknowledging"));
            let again = receives(&other, number).await;
            assert_eq!(code(again), "duplicate-message");
        }
        assert_eq!(sound(other.inbox_pending().await, "listing"), []);
    }
    let conflicts = meeting.conflicts.load(Ordering::Relaxed);
    assert!(
        conflicts >= 3 * usize::from(ROUNDS),
        "{conflicts} conflicts"
    );
}

/// By which no two messages may be encrypted.
fn message_key(envelope: &Envelope) -> (Vec<u8>, u32) {
    let message = SignalMessage::deserialize(&envelope.bytes).expect("both have spoken");
    (
        message.ratchet_key().serialize().to_vec(),
        message.counter(),
    )
}

/// Where two commits wait for each other.
struct Meeting {
    /// How many are still to come.
    awaited: AtomicUsize,
    both: Barrier,
    conflicts: AtomicUsize,
}

impl Default for Meeting {
    fn default() -> Self {
        Self {
            awaited: AtomicUsize::new(0),
            both: Barrier::new(2),
            conflicts: AtomicUsize::new(0),
        }
    }
}

impl Meeting {
    /// Runs two operations at once, the first commits of which wait for each other.
    async fn hold<A, B>(
        &self,
        one: impl Future<Output = A>,
        other: impl Future<Output = B>,
    ) -> (A, B) {
        self.awaited.store(2, Ordering::Relaxed);
        tokio::join!(one, other)
    }

    fn is_awaited(&self) -> bool {
        let order = Ordering::Relaxed;
        let less = |awaited: usize| awaited.checked_sub(1);
        self.awaited.fetch_update(order, order, less).is_ok()
    }
}

/// Passes everything on, commits when they have met.
struct Colliding {
    inner: AnyBackend,
    meeting: Arc<Meeting>,
}

#[async_trait]
impl PassThrough for Colliding {
    type Inner = AnyBackend;

    fn inner(&self) -> &AnyBackend {
        &self.inner
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        if !batch.is_read_only() && self.meeting.is_awaited() {
            self.meeting.both.wait().await;
        }
        let outcome = self.inner.commit(batch).await;
        if outcome == Ok(CommitOutcome::Conflict) {
            self.meeting.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

crate::pass_through!(Colliding);

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
