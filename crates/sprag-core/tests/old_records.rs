//! A record that is older than what was sent since must not be used for sending.

#![allow(clippy::unwrap_used, clippy::panic)]

mod pair;

use pair::pair;
use sprag_core::{ProtocolError, message::CiphertextMessage};

/// Chain and number of a message.
fn place(message: &CiphertextMessage) -> (Vec<u8>, u32) {
    let CiphertextMessage::Signal(message) = message else {
        panic!("the peer has answered");
    };
    let ratchet_key = message.ratchet_key().serialize().to_vec();
    (ratchet_key, message.counter())
}

#[test]
fn no_message_key_is_used_twice_after_a_backup_was_put_back() {
    let (mut alice, mut bob) = pair(1);
    let first = alice.encrypt(b"first").unwrap();
    bob.decrypt(&first).unwrap();
    let hello = bob.encrypt(b"hello").unwrap();
    alice.decrypt(&hello).unwrap();
    // Bob's message is under way when the backup is made.
    let under_way = bob.encrypt(b"under way").unwrap();
    let before = alice.encrypt(b"before the backup").unwrap();
    let backup = alice.session.clone();
    let lost = alice.encrypt(b"after the backup").unwrap();

    // Without the remedy the message makes the old session go on, and a key is used twice.
    alice.session = backup.clone();
    alice.session.archive_current_state();
    assert_eq!(alice.decrypt(&under_way).unwrap(), b"under way");
    assert_eq!(place(&alice.encrypt(b"twice").unwrap()), place(&lost));

    alice.session = backup;
    alice.session.archive_and_end_sending();
    assert!(!alice.session.has_current_state());
    assert_eq!(alice.decrypt(&under_way).unwrap(), b"under way");
    let refused = alice.encrypt(b"again").unwrap_err();
    assert!(matches!(refused, ProtocolError::InvalidSessionStructure(_)));

    // A new chain of Bob's lets us answer on a new chain of ours.
    bob.decrypt(&before).unwrap();
    let next = bob.encrypt(b"next").unwrap();
    assert_eq!(alice.decrypt(&next).unwrap(), b"next");
    let answer = alice.encrypt(b"answer").unwrap();
    assert_ne!(place(&answer).0, place(&lost).0);
    assert_eq!(bob.decrypt(&answer).unwrap(), b"answer");
}
