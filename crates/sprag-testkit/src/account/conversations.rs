//! Whole conversations.

use super::sample::{code, party, read, send, sound, start, talk, try_receive};
use crate::backend::Fixture;

/// The store is opened anew between any two steps.
pub async fn a_conversation_goes_on_across_restarts(mut fixture: Fixture) {
    {
        let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
        assert!(!sound(
            alice.has_usable_session(bob.address()).await,
            "asking"
        ));
        start(&alice, &bob).await;
        assert!(sound(
            alice.has_usable_session(bob.address()).await,
            "asking"
        ));
    }
    for round in 0..12_u8 {
        let (from, to) = if round % 2 == 0 {
            ("alice", "bob")
        } else {
            ("bob", "alice")
        };
        fixture = fixture.reopened().await;
        let envelope = {
            let (from, to) = (party(&fixture, from).await, party(&fixture, to).await);
            send(&from, &to, &[round]).await
        };
        fixture = fixture.reopened().await;
        let (from, to) = (party(&fixture, from).await, party(&fixture, to).await);
        read(&to, &from, &envelope, &[round]).await;
    }
}

/// Crossing first messages: both are read, and the conversation settles.
pub async fn both_may_start_at_once(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    start(&bob, &alice).await;
    let there = send(&alice, &bob, b"there").await;
    let back = send(&bob, &alice, b"back").await;
    read(&alice, &bob, &back, b"back").await;
    read(&bob, &alice, &there, b"there").await;
    for _ in 0..4 {
        talk(&alice, &bob).await;
        talk(&bob, &alice).await;
    }
}

/// Messages of the session before are still read.
pub async fn a_session_may_be_started_anew(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let old = send(&bob, &alice, b"old").await;
    start(&alice, &bob).await;
    let new = send(&alice, &bob, b"new").await;
    read(&bob, &alice, &new, b"new").await;
    read(&alice, &bob, &old, b"old").await;
    talk(&alice, &bob).await;
    talk(&bob, &alice).await;
}

/// Messages come in any order, or not at all.
pub async fn messages_may_be_late_or_lost(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    let mut late = Vec::new();
    for round in 0..5_u8 {
        for number in 0..6 {
            late.push(([round, number], send(&alice, &bob, &[round, number]).await));
        }
        let ([_, number], last) = late.pop().expect("six were sent");
        read(&bob, &alice, &last, &[round, number]).await;
        let answer = send(&bob, &alice, b"go on").await;
        read(&alice, &bob, &answer, b"go on").await;
    }
    for (plaintext, envelope) in late.iter().rev().step_by(2) {
        read(&bob, &alice, envelope, plaintext).await;
    }
    for (_, envelope) in late.iter().rev().step_by(2) {
        let outcome = try_receive(&bob, &alice, envelope).await;
        assert_eq!(code(outcome), "duplicate-message");
    }
}

/// Errors say what is wrong, and change nothing.
pub async fn without_a_session_nothing_is_sent_or_read(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let carol = party(&fixture, "carol").await;
    assert_eq!(code(alice.send(bob.address(), b"").await), "no-session");
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let envelope = send(&alice, &bob, b"for bob").await;
    let stray = try_receive(&carol, &alice, &envelope).await;
    assert_eq!(code(stray), "no-session");
    start(&carol, &alice).await;
    talk(&carol, &alice).await;
    let stray = try_receive(&carol, &alice, &envelope).await;
    assert_eq!(code(stray), "invalid-message");
    let garbage = bob
        .receive(alice.address(), envelope.message_type, b"garbage")
        .await;
    assert_eq!(code(garbage), "message-too-short");
    let status = sound(carol.status().await, "status");
    assert_eq!(status.inbox, 0);
    read(&bob, &alice, &envelope, b"for bob").await;
}

/// A bundle with a wrong signature leaves the session as it was.
pub async fn a_forged_bundle_starts_nothing(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let sound_bundle = sound(bob.bundle().await, "making a bundle");
    let mut forged = sound_bundle.clone();
    forged.signed_pre_key.signature[10] ^= 1;
    let outcome = alice.start_session(bob.address(), &forged).await;
    assert_eq!(code(outcome), "invalid-signature");
    let mut forged = sound_bundle;
    forged.kyber_pre_key.signature[10] ^= 1;
    let outcome = alice.start_session(bob.address(), &forged).await;
    assert_eq!(code(outcome), "invalid-signature");
    talk(&alice, &bob).await;
}
