//! What goes wrong says so, with a code that does not change, and changes nothing.

use std::fs;

use crate::person::{Shell, pair};
use serde_json::Value;

#[test]
fn before_init() {
    let shell = Shell::new();
    for arguments in [
        &["bundle"][..],
        &["status"],
        &["encrypt", "bob.1"],
        &["decrypt", "bob.1"],
        &["session", "start", "bob.1"],
        &[
            "group",
            "distribute",
            "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6",
        ],
        &["group", "join", "bob.1"],
        &["inbox", "list"],
        &["outbox", "list"],
        &["safety-number", "bob.1"],
    ] {
        assert_eq!(shell.error(arguments, b""), "not-initialised");
    }
    assert!(
        !shell.store().exists(),
        "asking for an account made a store"
    );
}

#[test]
fn init_twice() {
    let shell = Shell::with_account("alice.1");
    let before = shell.ok(&["status", "--json"], b"");
    assert_eq!(
        shell.error(&["init", "alice.1"], b""),
        "already-initialised"
    );
    assert_eq!(
        shell.error(&["init", "somebody.else.2"], b""),
        "already-initialised"
    );
    assert_eq!(shell.ok(&["status", "--json"], b""), before);
}

#[test]
fn no_session() {
    let alice = Shell::with_account("alice.1");
    assert_eq!(alice.error(&["encrypt", "bob.1"], b"text"), "no-session");
    assert_eq!(alice.ok(&["outbox", "list"], b""), b"");
}

#[test]
fn damaged_messages() {
    let (alice, bob) = pair();
    let envelope = alice.ok(&["encrypt", "bob.1"], b"text");
    let mut parsed: Value = serde_json::from_slice(&envelope).unwrap();
    let body = parsed["body"].as_str().unwrap().to_owned();

    // The last bytes are the MAC.
    let end = body.trim_end_matches('=').len() - 4;
    let other = if &body[end..=end] == "A" { "B" } else { "A" };
    parsed["body"] = format!("{}{other}{}", &body[..end], &body[end + 1..]).into();
    let altered = parsed.to_string();
    assert_eq!(
        bob.error(&["decrypt", "alice.1"], altered.as_bytes()),
        "invalid-message"
    );

    parsed["body"] = "".into();
    let empty = parsed.to_string();
    assert_eq!(
        bob.error(&["decrypt", "alice.1"], empty.as_bytes()),
        "message-too-short"
    );

    // None of this harmed the real one.
    assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), b"text");
}

#[test]
fn input_of_the_wrong_kind() {
    let (alice, bob) = pair();
    for input in [
        &b""[..],
        b"{}",
        b"[]",
        b"{\"type\":3}",
        b"{\"type\":7,\"body\":\"\"}",
        b"{\"type\":8,\"body\":\"wA==\"}",
        b"\xff",
    ] {
        assert_eq!(bob.error(&["decrypt", "alice.1"], input), "invalid-input");
        assert_eq!(
            alice.error(&["session", "start", "bob.1"], input),
            "invalid-input"
        );
    }
    let bundle = bob.ok(&["bundle"], b"");
    assert_eq!(
        alice.error(&["session", "start", "bob.2"], &bundle),
        "invalid-input"
    );
}

#[test]
fn a_forged_bundle() {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    let mallory = Shell::with_account("mallory.1");
    let mut bundle: Value = serde_json::from_slice(&bob.ok(&["bundle"], b"")).unwrap();
    let other: Value = serde_json::from_slice(&mallory.ok(&["bundle"], b"")).unwrap();
    for key in ["signedPreKey", "pqPreKey"] {
        let genuine = bundle["devices"][0][key].clone();
        bundle["devices"][0][key] = other["devices"][0][key].clone();
        let forged = bundle.to_string();
        let error = alice.error(&["session", "start", "bob.1"], forged.as_bytes());
        assert_eq!(error, "invalid-signature");
        bundle["devices"][0][key] = genuine;
    }
    assert_eq!(alice.error(&["encrypt", "bob.1"], b"text"), "no-session");
}

#[test]
fn a_changed_identity() {
    let (alice, _) = pair();
    let impostor = Shell::with_account("bob.1");
    let bundle = impostor.ok(&["bundle"], b"");
    let error = alice.error(&["session", "start", "bob.1"], &bundle);
    assert_eq!(error, "untrusted-identity");
}

#[test]
fn one_time_keys_are_gone_after_use() {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    let carol = Shell::with_account("carol.1");
    let bundle = bob.ok(&["bundle"], b"");
    // A server that hands out one bundle twice.
    for peer in [&alice, &carol] {
        peer.ok(&["session", "start", "bob.1"], &bundle);
    }
    let envelope = alice.ok(&["encrypt", "bob.1"], b"first");
    bob.ok(&["decrypt", "alice.1"], &envelope);
    let envelope = carol.ok(&["encrypt", "bob.1"], b"second");
    let error = bob.error(&["decrypt", "carol.1"], &envelope);
    assert!(
        ["invalid-pre-key-id", "invalid-kyber-pre-key-id"].contains(&error.as_str()),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_store() {
    let shell = Shell::new();
    for content in [
        &b"some text that is not a database at all, and long enough to have a header......"[..],
        b"",
    ] {
        fs::write(shell.store(), content).unwrap();
        let before = fs::read(shell.store()).unwrap();
        let output = shell.run(&["status"], b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(
            fs::read(shell.store()).unwrap() == before,
            "the file was changed"
        );
    }
}

#[test]
fn a_corrupt_store() {
    let shell = Shell::with_account("alice.1");
    let mut bytes = fs::read(shell.store()).unwrap();
    let length = bytes.len();
    bytes[200..length].fill(0x5a);
    fs::write(shell.store(), &bytes).unwrap();
    assert_eq!(shell.error(&["status"], b""), "store-corrupt");
    assert!(
        fs::read(shell.store()).unwrap() == bytes,
        "the file was changed"
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let shell = Shell::new();
    for arguments in [
        &["nonsense"][..],
        &["init"],
        &["init", "alice"],
        &["init", "alice.0"],
        &["group", "encrypt", "friends"],
        &["inbox", "done", "x"],
        &["safety-number"],
        &["safety-number", "bob.1", "--qr", "--json"],
    ] {
        let output = shell.run(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(
        shell.error(&["--store", "mysql://x", "status"], b""),
        "invalid-store-url"
    );
}

#[cfg(unix)]
#[test]
fn the_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::with_account("alice.1");
    let mode = fs::metadata(shell.store()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
