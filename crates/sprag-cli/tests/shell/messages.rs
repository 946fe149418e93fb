//! Conversations from the shell: every command a process of its own.

use std::collections::HashSet;

use crate::person::{Shell, pair};
use serde_json::Value;

#[test]
fn a_conversation() {
    let (alice, bob) = pair();
    for round in 0..3_u8 {
        // Any bytes, and none.
        let text = vec![round; usize::from(round) * 1000];
        let envelope = alice.ok(&["encrypt", "bob.1"], &text);
        assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), text);
        let envelope = bob.ok(&["encrypt", "alice.1"], b"answer \xff\n");
        assert_eq!(alice.ok(&["decrypt", "bob.1"], &envelope), b"answer \xff\n");
    }
}

#[test]
fn first_messages_have_type_3_and_later_ones_2() {
    let (alice, bob) = pair();
    let kind = |envelope: &[u8]| serde_json::from_slice::<Value>(envelope).unwrap()["type"].clone();
    let first = alice.ok(&["encrypt", "bob.1"], b"1");
    assert_eq!(kind(&first), 3);
    bob.ok(&["decrypt", "alice.1"], &first);
    let answer = bob.ok(&["encrypt", "alice.1"], b"2");
    assert_eq!(kind(&answer), 2);
    alice.ok(&["decrypt", "bob.1"], &answer);
    assert_eq!(kind(&alice.ok(&["encrypt", "bob.1"], b"3")), 2);
}

#[test]
fn a_message_is_read_once() {
    let (alice, bob) = pair();
    let envelope = alice.ok(&["encrypt", "bob.1"], b"once");
    bob.ok(&["decrypt", "alice.1"], &envelope);
    assert_eq!(
        bob.error(&["decrypt", "alice.1"], &envelope),
        "duplicate-message"
    );
}

#[test]
fn a_text_with_an_id_is_encrypted_once() {
    let (alice, bob) = pair();
    let encrypt = ["encrypt", "bob.1", "--id", "order 17"];
    let envelope = alice.ok(&encrypt, b"once");
    assert_eq!(alice.ok(&encrypt, b"once"), envelope);
    assert_eq!(alice.ok(&["outbox", "list"], b""), b"");
    assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), b"once");
    let other = alice.ok(&["encrypt", "bob.1", "--id", "order 18"], b"once");
    assert_ne!(other, envelope);

    let carols = Shell::with_account("carol.1").ok(&["bundle"], b"");
    alice.ok(&["session", "start", "carol.1"], &carols);
    let hers = alice.ok(&["encrypt", "carol.1", "--id", "order 17"], b"once");
    assert_ne!(hers, envelope);
}

/// An id is good for what was killed before it printed, too.
#[test]
fn an_envelope_that_nobody_saw_is_printed_again_under_its_id() {
    let (alice, bob) = pair();
    let encrypt = ["encrypt", "bob.1", "--id", "order 17"];
    alice.run_unprinted(&encrypt, b"once");
    assert_ne!(alice.ok(&["outbox", "list"], b""), b"");
    let envelope = alice.ok(&encrypt, b"once");
    assert_eq!(alice.ok(&["outbox", "list"], b""), b"");
    assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), b"once");
}

#[test]
fn sessions_are_listed_put_aside_and_forgotten() {
    let (alice, bob) = pair();
    assert_eq!(alice.ok(&["session", "list", "bob"], b""), b"bob.1\n");
    assert_eq!(alice.ok(&["session", "list", "carol"], b""), b"");
    let envelope = alice.ok(&["encrypt", "bob.1"], b"before");
    bob.ok(&["decrypt", "alice.1"], &envelope);
    let answer = bob.ok(&["encrypt", "alice.1"], b"late");

    alice.ok(&["session", "archive", "bob.1"], b"");
    let archived = alice.error(&["session", "archive", "bob.1"], b"");
    assert_eq!(archived, "no-session");
    assert_eq!(alice.error(&["encrypt", "bob.1"], b"no"), "no-session");
    assert_eq!(alice.ok(&["decrypt", "bob.1"], &answer), b"late");

    let answer = bob.ok(&["encrypt", "alice.1"], b"too late");
    alice.ok(&["session", "delete", "bob.1"], b"");
    let deleted = alice.error(&["session", "delete", "bob.1"], b"");
    assert_eq!(deleted, "no-session");
    assert_eq!(alice.error(&["decrypt", "bob.1"], &answer), "no-session");
}

#[test]
fn base64_may_come_without_padding() {
    let (alice, bob) = pair();
    let strip = |json: Vec<u8>| {
        String::from_utf8(json)
            .unwrap()
            .replace('=', "")
            .into_bytes()
    };
    let bundle = strip(alice.ok(&["bundle"], b""));
    bob.ok(&["session", "start", "alice.1"], &bundle);
    let envelope = strip(bob.ok(&["encrypt", "alice.1"], b"text"));
    assert_eq!(alice.ok(&["decrypt", "bob.1"], &envelope), b"text");
}

#[test]
fn every_bundle_has_one_time_keys_of_its_own() {
    let bob = Shell::with_account("bob.1");
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let bundle: Value = serde_json::from_slice(&bob.ok(&["bundle"], b"")).unwrap();
        let device = &bundle["devices"][0];
        assert!(seen.insert(device["preKey"]["publicKey"].to_string()));
        assert!(seen.insert(device["pqPreKey"]["publicKey"].to_string()));
    }
}

/// What cannot be printed is not acknowledged.
#[test]
fn a_plaintext_that_nobody_saw_is_printed_again() {
    let (alice, bob) = pair();
    let envelope = alice.ok(&["encrypt", "bob.1"], b"keep me");
    bob.run_unprinted(&["decrypt", "alice.1"], &envelope);

    let listed = bob.ok(&["inbox", "list", "--json"], b"");
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["body"], "a2VlcCBtZQ==");
    assert_eq!(listed[0]["sender"], "alice.1");

    assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), b"keep me");
    assert_eq!(
        bob.error(&["decrypt", "alice.1"], &envelope),
        "duplicate-message"
    );
    assert_eq!(bob.ok(&["inbox", "list"], b""), b"");
}

/// Whenever the process is killed, the message is read in the end, and only once.
#[test]
fn killed_at_any_moment() {
    let (alice, bob) = pair();
    for round in 0..24_u64 {
        let text = format!("message {round}");
        let envelope = alice.ok(&["encrypt", "bob.1"], text.as_bytes());
        let mut child = bob.start(&["decrypt", "alice.1"], &envelope);
        std::thread::sleep(std::time::Duration::from_millis(round));
        child.kill().unwrap();
        let printed = child.wait_with_output().unwrap();
        let again = bob.run(&["decrypt", "alice.1"], &envelope);
        if again.status.success() {
            assert_eq!(again.stdout, text.as_bytes());
        } else {
            // It had been acknowledged: only after it was printed.
            assert_eq!(printed.stdout, text.as_bytes());
        }
        assert_eq!(
            bob.error(&["decrypt", "alice.1"], &envelope),
            "duplicate-message"
        );
    }
}

/// An envelope that was not printed waits in the outbox, and the next message is another one.
#[test]
fn an_envelope_that_nobody_saw_waits_in_the_outbox() {
    let (alice, bob) = pair();
    alice.run_unprinted(&["encrypt", "bob.1"], b"not lost");
    let listed = alice.ok(&["outbox", "list", "--json"], b"");
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    let entry = &listed[0];
    let envelope = serde_json::json!({ "type": entry["type"], "body": entry["body"] });
    let sent = bob.ok(&["decrypt", "alice.1"], envelope.to_string().as_bytes());
    assert_eq!(sent, b"not lost");

    let next = alice.ok(&["encrypt", "bob.1"], b"next");
    assert_eq!(bob.ok(&["decrypt", "alice.1"], &next), b"next");
    let id = entry["id"].as_str().unwrap();
    alice.ok(&["outbox", "sent", id], b"");
    assert_eq!(alice.error(&["outbox", "sent", id], b""), "no-entry");
    assert_eq!(alice.ok(&["outbox", "list"], b""), b"");
}
