//! Hand-over under stable ids.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sprag::{Envelope, EnvelopeType, InboxId, OutboxId};

use super::sample::{Party, code, party, send, sound, start, talk, try_receive};
use crate::backend::Fixture;

/// The same bytes are there under the same id until they were sent.
pub async fn an_envelope_waits_until_it_was_sent(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    let envelope = send(&alice, &bob, b"wait").await;
    assert_eq!(envelope.message_type, EnvelopeType::PreKey);
    let fixture = fixture.reopened().await;
    let alice = party(&fixture, "alice").await;
    let waiting = sound(alice.outbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&envelope));
    assert!(sound(alice.sent(envelope.id).await, "acknowledging"));
    assert_eq!(sound(alice.outbox_pending().await, "listing"), []);
    assert!(!sound(alice.sent(envelope.id).await, "acknowledging again"));
    let unknown = OutboxId::from_bytes([7; 16]);
    assert!(!sound(alice.sent(unknown).await, "acknowledging nothing"));
}

/// The same envelope gives the same delivery until that is done, and is a duplicate from then on.
pub async fn a_plaintext_waits_until_it_is_done(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    let envelope = send(&alice, &bob, b"wait").await;
    let delivery = sound(try_receive(&bob, &alice, &envelope).await, "receiving");
    assert_eq!(delivery.plaintext, "wait");
    let again = sound(try_receive(&bob, &alice, &envelope).await, "again");
    assert_eq!(again, delivery);

    let fixture = fixture.reopened().await;
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let waiting = sound(bob.inbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&delivery));
    let again = sound(try_receive(&bob, &alice, &envelope).await, "again");
    assert_eq!(again, delivery);
    // Later messages do not wait for it.
    talk(&alice, &bob).await;

    assert!(sound(bob.done(delivery.id).await, "acknowledging"));
    assert_eq!(sound(bob.inbox_pending().await, "listing"), []);
    let again = try_receive(&bob, &alice, &envelope).await;
    assert_eq!(code(again), "duplicate-message");
    assert!(!sound(bob.done(delivery.id).await, "acknowledging again"));
    let unknown = InboxId::from_bytes([7; 16]);
    assert!(!sound(bob.done(unknown).await, "acknowledging nothing"));
}

/// Whoever gives a send too little time, looks into the outbox then, and sends again only what is not there, sends
/// every text once.
pub async fn what_is_not_in_the_outbox_may_be_sent_again(fixture: Fixture) {
    let alice = Arc::new(party(&fixture, "alice").await);
    let mut tasks = Vec::new();
    for number in 0..4 {
        let bob = party(&fixture, &format!("bob{number}")).await;
        start(&alice, &bob).await;
        talk(&alice, &bob).await;
        let alice = Arc::clone(&alice);
        tasks.push(tokio::spawn(async move {
            send_impatiently(&alice, &bob, 40).await;
            let mut texts = Vec::new();
            for envelope in waiting_for(&alice, &bob).await {
                let delivery = try_receive(&bob, &alice, &envelope).await;
                texts.push(sound(delivery, "receiving").plaintext[0]);
            }
            texts.sort_unstable();
            assert_eq!(texts, (0..40).collect::<Vec<_>>());
        }));
    }
    for task in tasks {
        task.await.expect("every text is sent once");
    }
}

/// Sends texts that are their number, each until it is in the outbox.
async fn send_impatiently(from: &Party, to: &Party, texts: u8) {
    let mut usual = Duration::from_millis(1);
    for text in 0..texts {
        let plaintext = [text];
        while waiting_for(from, to).await.len() <= usize::from(text) {
            let begun = Instant::now();
            let patience = 2.0 * rand::random::<f64>();
            // The timer of the runtime is too coarse.
            let patience = move || std::thread::sleep(usual.mul_f64(patience));
            tokio::select! {
                sent = from.send(to.address(), &plaintext) => {
                    sound(sent, "sending");
                    usual = begun.elapsed();
                }
                _ = tokio::task::spawn_blocking(patience) => usual *= 2,
            }
        }
    }
}

async fn waiting_for(from: &Party, to: &Party) -> Vec<Envelope> {
    let mut waiting = sound(from.outbox_pending().await, "listing");
    waiting.retain(|envelope| envelope.recipient == to.address().into());
    waiting
}

/// In the order in which they were made, as well as the clock tells.
pub async fn what_waits_is_listed_oldest_first(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    for number in 0..10 {
        let envelope = send(&alice, &bob, &[number]).await;
        sound(try_receive(&bob, &alice, &envelope).await, "receiving");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let outbox = sound(alice.outbox_pending().await, "listing");
    assert!(outbox.is_sorted_by_key(|envelope| envelope.created));
    let inbox = sound(bob.inbox_pending().await, "listing");
    let plaintexts: Vec<_> = inbox.iter().map(|delivery| delivery.plaintext[0]).collect();
    assert_eq!(plaintexts, (0..10).collect::<Vec<_>>());
    assert_eq!(outbox.len(), 10);
}

/// Everything that is kept shows in the status.
pub async fn the_status_counts_everything(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let carol = party(&fixture, "carol").await;
    start(&alice, &bob).await;
    start(&alice, &carol).await;
    sound(alice.bundle().await, "making a bundle");
    let envelope = send(&alice, &bob, b"").await;
    sound(try_receive(&bob, &alice, &envelope).await, "receiving");

    let status = sound(alice.status().await, "status");
    assert_eq!((status.sessions, status.outbox, status.inbox), (2, 1, 0));
    assert_eq!(
        (
            status.pre_keys,
            status.kyber_pre_keys,
            status.signed_pre_keys
        ),
        (1, 1, 1)
    );
    let status = sound(bob.status().await, "status");
    assert_eq!((status.sessions, status.outbox, status.inbox), (1, 0, 1));
}
