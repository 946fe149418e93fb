//! Stores that were put back, or altered.

use std::fs;

use crate::person::{Shell, code};

/// Alice, who has a session with Bob.
fn alice() -> Shell {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    let bundle = bob.ok(&["bundle"], b"");
    alice.ok(&["session", "start", "bob.1"], &bundle);
    alice
}

fn status(shell: &Shell) -> serde_json::Value {
    serde_json::from_slice(&shell.ok(&["status", "--json"], b"")).unwrap()
}

#[test]
fn an_earlier_copy_is_refused_until_it_is_recovered() {
    let alice = alice();
    let identity = status(&alice)["identityKey"].clone();
    let copy = fs::read(alice.store()).unwrap();
    alice.ok(&["encrypt", "bob.1"], b"after the copy");

    fs::write(alice.store(), copy).unwrap();
    assert_eq!(alice.error(&["status"], b""), "store-rolled-back");
    assert_eq!(
        alice.error(&["encrypt", "bob.1"], b"x"),
        "store-rolled-back"
    );
    assert_eq!(alice.error(&["doctor"], b""), "store-rolled-back");
    let said = String::from_utf8(alice.ok(&["recover"], b"")).unwrap();
    assert!(said.contains("1 sessions put aside"), "{said}");
    assert_eq!(status(&alice)["identityKey"], identity);
    assert_eq!(alice.error(&["encrypt", "bob.1"], b"x"), "no-session");
}

#[test]
fn a_copy_from_before_the_last_epoch_is_lost() {
    let alice = alice();
    assert_eq!(status(&alice)["store"]["epoch"], 1);
    let copy = fs::read(alice.store()).unwrap();
    alice.ok(&["upkeep", "--new-epoch"], b"");
    assert_eq!(status(&alice)["store"]["epoch"], 2);
    alice.ok(&["encrypt", "bob.1"], b"it goes on");
    fs::write(alice.store(), copy).unwrap();
    assert_eq!(alice.error(&["recover"], b""), "store-rolled-back");
}

#[test]
fn the_doctor_names_what_is_damaged_and_discards_it() {
    let alice = alice();
    let healthy = String::from_utf8(alice.ok(&["doctor"], b"")).unwrap();
    assert!(healthy.contains(" records, 0 damaged"), "{healthy}");
    let file = rusqlite::Connection::open(alice.store()).unwrap();
    let altered = file.execute("UPDATE session SET bytes = zeroblob(200)", []);
    assert_eq!(altered, Ok(1));
    drop(file);

    assert_eq!(alice.error(&["encrypt", "bob.1"], b"x"), "store-tampered");
    alice.ok(&["bundle"], b"");
    let counts = status(&alice);
    assert_eq!(
        (&counts["sessions"], &counts["damaged"]),
        (&0.into(), &1.into())
    );
    let output = alice.run(&["doctor"], b"");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("session of alice.1, about bob.1"), "{said}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error[store-tampered]"), "{said}");
    let json = alice.run(&["doctor", "--json"], b"");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let found = &json["damaged"][0];
    assert_eq!(
        (&found["kind"], &found["peer"]),
        (&"session".into(), &"bob.1".into())
    );

    let said = String::from_utf8(alice.ok(&["doctor", "--discard"], b"")).unwrap();
    assert!(said.contains("discarded; "), "{said}");
    alice.ok(&["doctor"], b"");
    assert_eq!(alice.error(&["encrypt", "bob.1"], b"x"), "no-session");
    // Without the header nothing can be read, and nothing is made anew.
    let file = rusqlite::Connection::open(alice.store()).unwrap();
    file.execute("UPDATE header SET bytes = zeroblob(100)", [])
        .unwrap();
    drop(file);
    for command in [
        &["doctor"][..],
        &["status"],
        &["recover"],
        &["init", "alice.1"],
    ] {
        assert_eq!(
            code(alice.run(command, b"")),
            "store-tampered",
            "{command:?}"
        );
    }
}
