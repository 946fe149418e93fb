//! Messages of given parts are read back as such.

#![allow(clippy::unwrap_used)]

use sprag_core::{
    curve::PrivateKey,
    hazmat::message::{
        PreKeySignalMessageParts, SignalMessageParts, pre_key_signal_message, signal_message,
    },
    identity::IdentityKeyPair,
    message::{PreKeySignalMessage, SignalMessage},
};

#[test]
fn messages_of_parts_are_read_back() {
    let key = |byte| PrivateKey::deserialize(&[byte; 32]).unwrap();
    let sender = *IdentityKeyPair::from(key(1)).identity_key();
    let receiver = *IdentityKeyPair::from(key(2)).identity_key();
    let parts = SignalMessageParts {
        version: 3,
        ratchet_key: key(3).public_key(),
        counter: u32::MAX,
        previous_counter: 7,
        ciphertext: b"ciphertext".to_vec(),
        pq_ratchet: b"part".to_vec(),
    };
    let made = signal_message(parts, &[9; 32], &sender, &receiver);
    let read = SignalMessage::deserialize(made.serialized()).unwrap();
    assert!(read.verify_mac(&sender, &receiver, &[9; 32]));
    assert!(!read.verify_mac(&sender, &receiver, &[8; 32]));
    assert_eq!(
        (read.version(), read.counter(), read.previous_counter()),
        (3, u32::MAX, 7)
    );
    assert_eq!(read.ratchet_key(), &key(3).public_key());
    assert_eq!(
        (read.body(), read.pq_ratchet()),
        (&b"ciphertext"[..], &b"part"[..])
    );

    let made = pre_key_signal_message(PreKeySignalMessageParts {
        version: 4,
        registration_id: 1,
        pre_key_id: Some(2.into()),
        signed_pre_key_id: 3.into(),
        kyber: Some((4.into(), b"kyber".to_vec())),
        base_key: key(5).public_key(),
        identity_key: sender,
        message: read,
    });
    let outer = PreKeySignalMessage::deserialize(made.serialized()).unwrap();
    assert_eq!((outer.version(), outer.registration_id()), (4, 1));
    assert_eq!(outer.pre_key_id(), Some(2.into()));
    assert_eq!(outer.signed_pre_key_id(), 3.into());
    assert_eq!(outer.kyber_pre_key_id(), Some(4.into()));
    assert_eq!(outer.base_key(), &key(5).public_key());
    assert_eq!(outer.identity_key(), &sender);
    assert_eq!(outer.message().counter(), u32::MAX);
}
