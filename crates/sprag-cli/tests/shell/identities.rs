//! Identities from the shell.

use crate::person::{Shell, pair};
use serde_json::Value;

fn list(shell: &Shell) -> Value {
    let printed = shell.ok(&["identity", "list", "--json"], b"");
    serde_json::from_slice(&printed).unwrap()
}

fn listed_key(shell: &Shell) -> String {
    list(shell)[0]["identityKey"].as_str().unwrap().to_owned()
}

#[test]
fn a_peer_is_verified() {
    let (alice, bob) = pair();
    let status: Value = serde_json::from_slice(&bob.ok(&["status", "--json"], b"")).unwrap();
    let known = &list(&alice)[0];
    assert_eq!(known["name"], "bob");
    assert_eq!(known["deviceId"], 1);
    assert_eq!(known["identityKey"], status["identityKey"]);
    assert_eq!(known["trust"], "unverified");
    assert!(known["firstSeen"].as_u64().unwrap() > 0);
    assert_eq!(known.get("changed"), None);

    let key = listed_key(&alice);
    let said = alice.ok(&["identity", "verify", "bob.1", &key], b"");
    assert_eq!(said, b"the identity of bob.1 is verified\n");
    let line = String::from_utf8(alice.ok(&["identity", "list"], b"")).unwrap();
    assert_eq!(line, format!("bob.1  {key}  verified\n"));

    let carol = Shell::with_account("carol.1");
    let status: Value = serde_json::from_slice(&carol.ok(&["status", "--json"], b"")).unwrap();
    let other = status["identityKey"].as_str().unwrap();
    let refused = alice.error(&["identity", "verify", "bob.1", other], b"");
    assert_eq!(refused, "untrusted-identity");
    let refused = alice.error(&["identity", "approve", "alice.1", other], b"");
    assert_eq!(refused, "invalid-argument");
}

#[test]
fn a_peer_that_installs_anew_is_read_with_a_warning_and_answered_after_approval() {
    let (alice, _) = pair();
    let bob = Shell::with_account("bob.1");
    let bundle = alice.ok(&["bundle"], b"");
    bob.ok(&["session", "start", "alice.1"], &bundle);
    let envelope = bob.ok(&["encrypt", "alice.1"], b"it is me");

    let output = alice.run(&["decrypt", "bob.1"], &envelope);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"it is me");
    let key = listed_key(&alice);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("warning[identity-changed]: "), "{said}");
    let command = format!("sprag identity approve bob.1 {key}\n");
    assert!(said.ends_with(&command), "{said}");

    let known = &list(&alice)[0];
    assert_eq!(known["trust"], "changed");
    assert!(known["changed"].as_u64() >= known["firstSeen"].as_u64());
    let refused = alice.error(&["encrypt", "bob.1"], b"who?");
    assert_eq!(refused, "untrusted-identity");
    let said = alice.ok(&["identity", "approve", "bob.1", &key], b"");
    assert_eq!(said, b"the identity of bob.1 is approved\n");
    let envelope = alice.ok(&["encrypt", "bob.1"], b"welcome back");
    assert_eq!(bob.ok(&["decrypt", "alice.1"], &envelope), b"welcome back");
}
