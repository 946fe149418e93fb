//! Codes, retry messages and helpers.

use std::sync::LazyLock;

use sprag_core::{
    crypto::{Aes256GcmSiv, hkdf},
    curve::PrivateKey,
    fingerprint::{DisplayableFingerprint, Fingerprint, ScannableFingerprint},
    identity::{IdentityKey, IdentityKeyPair},
    message::{DecryptionErrorMessage, PlaintextContent},
    time::Timestamp,
};

/// Scanned codes: comparing is the same from both sides, and what is displayed is read back.
pub fn fingerprint(input: &[u8]) {
    let theirs = ScannableFingerprint::from_bytes(input);
    let compared = OURS.compare(input);
    if let Ok(same) = compared {
        assert_eq!(theirs.compare(OURS.as_bytes()), Ok(same));
    }
    let _ = theirs.compare(input);
    if let Some(Ok(displayed)) = std::str::from_utf8(input)
        .ok()
        .map(str::parse::<DisplayableFingerprint>)
    {
        assert_eq!(displayed.blocks().count(), 12);
        assert_eq!(displayed.to_string().parse(), Ok(displayed));
    }
}

/// Decryption error messages keep the bytes they were parsed from, and come out of the content as they went in.
pub fn decryption_error(input: &[u8]) {
    if let Ok(message) = DecryptionErrorMessage::deserialize(input) {
        assert_eq!(message.serialized(), input);
        let content = PlaintextContent::from(&message);
        let again = DecryptionErrorMessage::extract_from_body(content.body());
        let again = again.expect("what was written can be read");
        assert_eq!(again.serialized(), input);
    }
    if let Ok(message) = DecryptionErrorMessage::extract_from_body(input) {
        let again = DecryptionErrorMessage::deserialize(message.serialized());
        let again = again.expect("what was read can be read again");
        assert_eq!(again.timestamp(), message.timestamp());
    }
    let time = Timestamp::from_millis(1);
    for message_type in 0..=9 {
        if let Ok(made) = DecryptionErrorMessage::for_original(input, message_type, time, 1) {
            let again = DecryptionErrorMessage::deserialize(made.serialized());
            let again = again.expect("what was made can be read");
            assert_eq!(again.ratchet_key(), made.ratchet_key());
        }
    }
}

/// Plaintext content keeps the bytes it was parsed from.
pub fn plaintext_content(input: &[u8]) {
    let Ok(content) = PlaintextContent::deserialize(input) else {
        return;
    };
    assert_eq!(content.serialized(), input);
    assert_eq!(content.body(), &input[1..]);
    let _ = DecryptionErrorMessage::extract_from_body(content.body());
}

/// Sealed and encrypted bytes: what can be decrypted is what would be encrypted again.
pub fn crypto(input: &[u8]) {
    let key = PrivateKey::deserialize(&[7; 32]).expect("32 bytes are a key");
    let _ = key.open(input, b"info", b"about");

    let cipher = Aes256GcmSiv::new(&[7; 32]).expect("32 bytes are a key");
    if let Ok(text) = cipher.decrypt(input, &[1; 12], b"about") {
        let again = cipher.encrypt(&text, &[1; 12], b"about");
        assert_eq!(again.as_deref(), Ok(input));
    }
    let _ = cipher.decrypt(input, input, input);
    let length = input
        .first_chunk()
        .map_or(0, |bytes| u16::from_be_bytes(*bytes).into());
    match hkdf(length, input, input, Some(input)) {
        Ok(output) => assert_eq!(output.len(), length),
        Err(_) => assert!(length > 8160),
    }
}

/// A code to compare others with.
static OURS: LazyLock<ScannableFingerprint> = LazyLock::new(|| {
    let identity = |byte| {
        let key = PrivateKey::deserialize(&[byte; 32]).expect("32 bytes are a key");
        *IdentityKeyPair::from(key).identity_key()
    };
    let (us, them): (IdentityKey, IdentityKey) = (identity(1), identity(2));
    Fingerprint::new(2, 2, b"us", &us, b"them", &them)
        .expect("two iterations are enough")
        .scannable()
});
