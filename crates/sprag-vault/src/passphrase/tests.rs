//! What only the inside of the module can say.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{Cost, Passphrase, header::Header, sealing::Key};

/// From the reference implementation: `printf 'correct horse battery staple' | argon2 0123456789abcdef -id -t 3 -k 64 -p 4 -l 32 -v 13 -r`.
#[test]
fn the_derivation_is_argon2id() {
    let passphrase = Passphrase::from("correct horse battery staple");
    let cost = Cost::new(64, 3, 4).unwrap();
    let key = passphrase.derive(b"0123456789abcdef", cost).unwrap();
    assert_eq!(
        key.map(|byte| format!("{byte:02x}")).concat(),
        "e745a52cc4d2eb64e6d1ba135fa823f7f4f083d26a2c23a49f79d41617c2a47b"
    );
}

#[test]
fn every_head_and_seal_is_another_one() {
    let (master, passphrase) = (Key::random().unwrap(), Passphrase::from("x"));
    let wrap = || Header::wrap(&master, &passphrase, Cost::new(8, 1, 1).unwrap()).unwrap();
    let (one, two) = (wrap(), wrap());
    assert_ne!(one.as_bytes()[24..40], two.as_bytes()[24..40], "the salt");
    assert_ne!(one.as_bytes()[40..52], two.as_bytes()[40..52], "the nonce");
    let seal = || master.seal(b"text", b"").unwrap();
    assert_ne!(seal()[..12], seal()[..12], "the nonce");
}

proptest! {
    #[test]
    fn no_head_panics(bytes: Vec<u8>) {
        let file = [b"SPRAGVLT\0\0\0\x01", &bytes[..]].concat();
        prop_assert!(Header::parse(&bytes).is_err());
        prop_assert!(Header::parse(&file).is_err());
    }

    #[test]
    fn what_is_sealed_opens_for_what_it_is_about_alone(text: Vec<u8>, about: Vec<u8>, other: Vec<u8>) {
        let key = Key::random().unwrap();
        let sealed = key.seal(&text, &about).unwrap();
        let opened = key.open(&sealed, &about);
        prop_assert_eq!(opened.as_deref(), Some(&text));
        prop_assert_eq!(key.open(&sealed, &other).is_some(), about == other);
        prop_assert!(Key::random().unwrap().open(&sealed, &about).is_none());
        prop_assert!(key.open(&about, &about).is_none());
    }
}
