//! The upkeep of pre-keys from the shell.

use std::collections::HashSet;

use crate::person::Shell;
use serde_json::Value;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Steps with the sorts and counts of keys.
fn steps(shell: &Shell, arguments: &[&str]) -> Vec<(String, String, u64)> {
    let printed = json(&shell.ok(&[&["upkeep", "--json"], arguments].concat(), b""));
    let text = |step: &Value, field: &str| step[field].as_str().unwrap().to_owned();
    let steps = printed["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let count = step["count"].as_u64().unwrap();
            (text(step, "step"), text(step, "keys"), count)
        })
        .collect()
}

#[test]
fn peers_write_by_what_the_upkeep_published() {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    let planned = steps(&bob, &["--dry-run"]);
    let absent = bob.error(&["bundle", "--from", "sprag-keys.json"], b"");
    assert_eq!(absent, "invalid-input");
    assert_eq!(steps(&bob, &[]), planned);
    assert_eq!(steps(&bob, &[]), []);
    for text in [&b"one"[..], b"two"] {
        let bundle = bob.ok(&["bundle", "--from", "sprag-keys.json"], b"");
        alice.ok(&["session", "start", "bob.1"], &bundle);
        let envelope = alice.ok(&["encrypt", "bob.1"], text);
        assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), text);
    }
    let status = json(&bob.ok(&["status", "--json"], b""));
    assert_eq!(status["preKeys"], 98);
    assert_eq!(status["kyberPreKeys"], 98);
    let signed = &status["keys"]["signedPreKey"];
    let lifetime = signed["due"].as_u64().unwrap() - signed["created"].as_u64().unwrap();
    assert_eq!(lifetime, 2 * 24 * 60 * 60 * 1000);
}

#[test]
fn a_one_time_key_is_handed_out_once_by_whatever_command() {
    let bob = Shell::with_account("bob.1");
    let mut seen = HashSet::new();
    for round in 0..95 {
        if round % 93 == 0 {
            bob.ok(&["upkeep"], b"");
        }
        let mut bundles = vec![bob.ok(&["bundle", "--from", "sprag-keys.json"], b"")];
        if round % 10 == 0 {
            bundles.push(bob.ok(&["bundle"], b""));
        }
        for bundle in bundles {
            let device = &json(&bundle)["devices"][0];
            assert!(seen.insert(device["preKey"]["publicKey"].to_string()));
            assert!(seen.insert(device["pqPreKey"]["publicKey"].to_string()));
        }
    }
}

#[test]
fn lost_keys_are_published_again() {
    let bob = Shell::with_account("bob.1");
    bob.ok(&["upkeep", "--server", "keys.json"], b"");
    let file = bob.store().with_file_name("keys.json");
    std::fs::remove_file(&file).unwrap();
    let done = steps(&bob, &["--server", "keys.json"]);
    assert!(done.contains(&("publish".into(), "signedPreKey".into(), 1)));
    assert!(done.contains(&("publish".into(), "preKeys".into(), 100)));
    std::fs::write(&file, b"not keys").unwrap();
    let refused = bob.error(&["upkeep", "--server", "keys.json"], b"");
    assert_eq!(refused, "key-server-failed");
}

/// Whenever the process is killed, what the file has can be used.
#[test]
fn an_upkeep_is_killed_at_any_moment() {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    let file = bob.store().with_file_name("sprag-keys.json");
    for round in 0..16_u64 {
        let mut child = bob.start(&["upkeep"], b"");
        std::thread::sleep(std::time::Duration::from_millis(round * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        if file.exists() {
            let bundle = bob.ok(&["bundle", "--from", "sprag-keys.json"], b"");
            alice.ok(&["session", "start", "bob.1"], &bundle);
            let envelope = alice.ok(&["encrypt", "bob.1"], b"text");
            assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), b"text");
            std::fs::remove_file(&file).unwrap();
        }
    }
    bob.ok(&["upkeep"], b"");
    assert_eq!(steps(&bob, &[]), []);
}
