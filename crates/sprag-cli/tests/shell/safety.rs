//! Safety numbers from the shell.

use crate::person::{Shell, pair};
use serde_json::Value;

fn json(shell: &Shell, peer: &str) -> Value {
    let printed = shell.ok(&["safety-number", peer, "--json"], b"");
    serde_json::from_slice(&printed).unwrap()
}

fn talking() -> (Shell, Shell) {
    let (alice, bob) = pair();
    let envelope = alice.ok(&["encrypt", "bob.1"], b"hello");
    bob.ok(&["decrypt", "alice.1"], &envelope);
    (alice, bob)
}

#[test]
fn both_people_see_one_number() {
    let (alice, bob) = talking();
    let at_alice = alice.ok(&["safety-number", "bob.1"], b"");
    assert_eq!(bob.ok(&["safety-number", "alice.1"], b""), at_alice);

    let text = String::from_utf8(at_alice).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.len() == 4));
    let blocks = lines.concat();
    let digits = |block: &&str| block.len() == 5 && block.bytes().all(|b| b.is_ascii_digit());
    assert!(blocks.iter().all(digits));

    let (at_alice, at_bob) = (json(&alice, "bob.1"), json(&bob, "alice.1"));
    assert_eq!(at_alice["displayable"], blocks.concat());
    assert_eq!(at_alice["displayable"], at_bob["displayable"]);
    assert_eq!(at_alice["version"], 1);
    assert_ne!(at_alice["scannable"], at_bob["scannable"]);
}

#[test]
fn a_code_is_drawn_above_the_digits() {
    let (alice, _) = talking();
    let digits = String::from_utf8(alice.ok(&["safety-number", "bob.1"], b"")).unwrap();
    let drawn = alice.ok(&["safety-number", "bob.1", "--qr"], b"");
    let drawn = String::from_utf8(drawn).unwrap();
    let code = drawn.strip_suffix(&digits).unwrap();
    let lines: Vec<&str> = code.lines().collect();
    assert_eq!(lines.len(), 23);
    assert!(lines.iter().all(|line| line.chars().count() == 45));
}

#[test]
fn a_number_changes_with_the_peer() {
    let (alice, bob) = talking();
    let carol = Shell::with_account("carol.1");
    let bundle = carol.ok(&["bundle"], b"");
    alice.ok(&["session", "start", "carol.1"], &bundle);
    let with_bob = json(&alice, "bob.1");
    assert_ne!(
        with_bob["displayable"],
        json(&alice, "carol.1")["displayable"]
    );
    assert_eq!(
        bob.error(&["safety-number", "carol.1"], b""),
        "unknown-identity"
    );
}
