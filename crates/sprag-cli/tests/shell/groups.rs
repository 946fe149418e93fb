//! Groups from the shell: every command a process of its own.

use crate::person::{Shell, pair};
use serde_json::Value;

const GROUP: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";

/// Hands a sender key over in the session between the two.
fn hand_over(key: &[u8], from: (&Shell, &str), to: (&Shell, &str)) {
    let envelope = from.0.ok(&["encrypt", to.1], key);
    let key = to.0.ok(&["decrypt", from.1], &envelope);
    to.0.ok(&["group", "join", from.1], &key);
}

/// Alice and Bob, who has Alice's sender key.
fn group() -> (Shell, Shell) {
    let (alice, bob) = pair();
    let key = alice.ok(&["group", "distribute", GROUP], b"");
    hand_over(&key, (&alice, "alice.1"), (&bob, "bob.1"));
    (alice, bob)
}

#[test]
fn all_members_speak() {
    let (alice, bob) = group();
    let key = bob.ok(&["group", "distribute", GROUP], b"");
    hand_over(&key, (&bob, "bob.1"), (&alice, "alice.1"));
    for round in 0..3_u8 {
        // Any bytes, and none.
        let text = vec![round; usize::from(round) * 1000];
        let envelope = alice.ok(&["group", "encrypt", GROUP], &text);
        assert_eq!(bob.ok(&["group", "decrypt", "alice.1"], &envelope), text);
        let envelope = bob.ok(&["group", "encrypt", GROUP], b"answer \xff\n");
        let read = alice.ok(&["group", "decrypt", "bob.1"], &envelope);
        assert_eq!(read, b"answer \xff\n");
        let parsed: Value = serde_json::from_slice(&envelope).unwrap();
        assert_eq!(parsed["type"], 7);
    }
    assert_eq!(alice.ok(&["outbox", "list"], b""), b"");
    assert_eq!(bob.ok(&["inbox", "list"], b""), b"");
}

#[test]
fn who_joins_late_reads_what_comes_later() {
    let (alice, bob) = group();
    let before = alice.ok(&["group", "encrypt", GROUP], b"before");
    let carol = Shell::with_account("carol.1");
    let bundle = carol.ok(&["bundle"], b"");
    alice.ok(&["session", "start", "carol.1"], &bundle);
    let key = alice.ok(&["group", "distribute", GROUP], b"");
    hand_over(&key, (&alice, "alice.1"), (&carol, "carol.1"));
    let after = alice.ok(&["group", "encrypt", GROUP], b"after");
    let decrypt = ["group", "decrypt", "alice.1"];
    assert_eq!(carol.error(&decrypt, &before), "duplicate-message");
    assert_eq!(carol.ok(&decrypt, &after), b"after");
    assert_eq!(bob.ok(&decrypt, &after), b"after");
    assert_eq!(bob.ok(&decrypt, &before), b"before");
}

#[test]
fn who_was_removed_reads_nothing_new() {
    let (alice, bob) = group();
    alice.ok(&["group", "renew", GROUP], b"");
    let envelope = alice.ok(&["group", "encrypt", GROUP], b"just us");
    let decrypt = ["group", "decrypt", "alice.1"];
    assert_eq!(bob.error(&decrypt, &envelope), "no-sender-key");
    let key = alice.ok(&["group", "distribute", GROUP], b"");
    hand_over(&key, (&alice, "alice.1"), (&bob, "bob.1"));
    let envelope = alice.ok(&["group", "encrypt", GROUP], b"back again");
    assert_eq!(bob.ok(&decrypt, &envelope), b"back again");
}

#[test]
fn errors() {
    let (alice, bob) = group();
    let other = "00000000-0000-0000-0000-000000000001";
    let unknown = alice.error(&["group", "encrypt", other], b"text");
    assert_eq!(unknown, "no-sender-key");
    let envelope = alice.ok(&["group", "encrypt", GROUP], b"text");
    let decrypt = ["group", "decrypt", "alice.1"];
    let from_another = bob.error(&["group", "decrypt", "alice.2"], &envelope);
    assert_eq!(from_another, "no-sender-key");

    let mut parsed: Value = serde_json::from_slice(&envelope).unwrap();
    let body = parsed["body"].as_str().unwrap().to_owned();
    let other = if body.ends_with("AA==") { "BB" } else { "AA" };
    // The last bytes are the signature.
    parsed["body"] = format!(
        "{}{other}{}",
        &body[..body.len() - 8],
        &body[body.len() - 6..]
    )
    .into();
    let altered = parsed.to_string();
    assert_eq!(bob.error(&decrypt, altered.as_bytes()), "invalid-signature");

    for input in [&b""[..], b"{}", b"{\"type\":2,\"body\":\"\"}", b"\xff"] {
        assert_eq!(bob.error(&decrypt, input), "invalid-input");
        assert_eq!(
            bob.error(&["group", "join", "alice.1"], input),
            "invalid-input"
        );
    }
    assert_eq!(
        bob.error(&["decrypt", "alice.1"], &envelope),
        "invalid-input"
    );
    let damaged = bob.error(
        &["group", "join", "alice.1"],
        b"{\"distribution\":\"AAAA\"}",
    );
    assert_eq!(damaged, "message-too-short");

    // None of this harmed the real one.
    assert_eq!(bob.ok(&decrypt, &envelope), b"text");
    assert_eq!(bob.error(&decrypt, &envelope), "duplicate-message");
}

#[test]
fn an_envelope_that_nobody_saw_waits_in_the_outbox() {
    let (alice, bob) = group();
    alice.run_unprinted(&["group", "encrypt", GROUP], b"not lost");
    let listed = alice.ok(&["outbox", "list", "--json"], b"");
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    let entry = &listed[0];
    assert_eq!(entry["recipient"], GROUP);
    let id = entry["id"].as_str().unwrap();
    let line = String::from_utf8(alice.ok(&["outbox", "list"], b"")).unwrap();
    assert!(line.starts_with(&format!("{id} to {GROUP}, ")), "{line}");
    let envelope = serde_json::json!({ "type": entry["type"], "body": entry["body"] });
    let decrypt = ["group", "decrypt", "alice.1"];
    let read = bob.ok(&decrypt, envelope.to_string().as_bytes());
    assert_eq!(read, b"not lost");
    alice.ok(&["outbox", "sent", id], b"");

    let with_id = ["group", "encrypt", GROUP, "--id", "order 17"];
    alice.run_unprinted(&with_id, b"once");
    let envelope = alice.ok(&with_id, b"once");
    assert_eq!(alice.ok(&with_id, b"once"), envelope);
    assert_eq!(alice.ok(&["outbox", "list"], b""), b"");
    assert_eq!(bob.ok(&decrypt, &envelope), b"once");
}

#[test]
fn a_plaintext_that_nobody_saw_is_printed_again() {
    let (alice, bob) = group();
    let envelope = alice.ok(&["group", "encrypt", GROUP], b"keep me");
    let decrypt = ["group", "decrypt", "alice.1"];
    bob.run_unprinted(&decrypt, &envelope);
    let listed = bob.ok(&["inbox", "list", "--json"], b"");
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed[0]["body"], "a2VlcCBtZQ==");
    assert_eq!(listed[0]["sender"], "alice.1");
    assert_eq!(listed[0]["group"], GROUP);
    assert_eq!(bob.ok(&decrypt, &envelope), b"keep me");
    assert_eq!(bob.error(&decrypt, &envelope), "duplicate-message");
    assert_eq!(bob.ok(&["inbox", "list"], b""), b"");
}

/// Whenever a process is killed, the message is read in the end, and only once.
#[test]
fn killed_at_any_moment() {
    let (alice, bob) = group();
    let decrypt = ["group", "decrypt", "alice.1"];
    for round in 0..16_u64 {
        let text = format!("message {round}");
        let key = format!("key {round}");
        let encrypt = ["group", "encrypt", GROUP, "--id", &key];
        let mut child = alice.start(&encrypt, text.as_bytes());
        std::thread::sleep(std::time::Duration::from_millis(round));
        child.kill().unwrap();
        let printed = child.wait_with_output().unwrap().stdout;
        let envelope = alice.ok(&encrypt, text.as_bytes());
        assert!(envelope.starts_with(&printed), "a second envelope was made");

        let mut child = bob.start(&decrypt, &envelope);
        std::thread::sleep(std::time::Duration::from_millis(round));
        child.kill().unwrap();
        let printed = child.wait_with_output().unwrap();
        let again = bob.run(&decrypt, &envelope);
        if again.status.success() {
            assert_eq!(again.stdout, text.as_bytes());
        } else {
            // It had been acknowledged: only after it was printed.
            assert_eq!(printed.stdout, text.as_bytes());
        }
        assert_eq!(bob.error(&decrypt, &envelope), "duplicate-message");
    }
}
