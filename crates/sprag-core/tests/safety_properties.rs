//! Safety numbers, retry messages and helpers, for any input.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use sprag_core::{
    ProtocolError,
    crypto::{Aes256GcmSiv, CryptoError, hkdf},
    curve::{KeyPair, PrivateKey, PublicKey},
    error::{FingerprintError, KeyError},
    fingerprint::{DisplayableFingerprint, Fingerprint, ScannableFingerprint},
    identity::{IdentityKey, IdentityKeyPair},
    message::{CiphertextMessage, CiphertextMessageType, DecryptionErrorMessage, PlaintextContent},
    service_id::{ServiceId, Uuid},
    time::Timestamp,
};

fn identity() -> impl Strategy<Value = IdentityKey> {
    any::<[u8; 32]>().prop_map(|key| {
        *IdentityKeyPair::from(PrivateKey::deserialize(&key).unwrap()).identity_key()
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..120)
}

fn other_byte() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    (any::<prop::sample::Index>(), 1..=u8::MAX)
}

fn altered(bytes: &[u8], (place, change): (prop::sample::Index, u8)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *place.get_mut(&mut bytes) ^= change;
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn both_people_see_the_same(
        (us, our_key) in (bytes(), identity()),
        (them, their_key) in (bytes(), identity()),
        iterations in 2_u32..8,
        version in any::<u32>(),
    ) {
        let ours = Fingerprint::new(iterations, version, &us, &our_key, &them, &their_key).unwrap();
        let theirs = Fingerprint::new(iterations, version, &them, &their_key, &us, &our_key).unwrap();
        prop_assert_eq!(ours.displayable(), theirs.displayable());
        let (our_code, their_code) = (ours.scannable(), theirs.scannable());
        prop_assert_eq!(our_code.compare(their_code.as_bytes()), Ok(true));
        prop_assert_eq!(their_code.compare(our_code.as_bytes()), Ok(true));
        prop_assert_eq!(our_code.compare(our_code.as_bytes()), Ok(ours.displayable().as_str()[..30] == ours.displayable().as_str()[30..]));
    }

    #[test]
    fn another_key_or_identifier_is_another_number(
        (us, our_key) in (bytes(), identity()),
        (them, their_key) in (bytes(), identity()),
        (other, other_key) in (bytes(), identity()),
    ) {
        prop_assume!(other != them && other != us && other_key != their_key && other_key != our_key);
        let make = |a: &[u8], a_key, b: &[u8], b_key| Fingerprint::new(2, 1, a, a_key, b, b_key).unwrap();
        let ours = make(&us, &our_key, &them, &their_key);
        // They are somebody else than we believe, or believe that we are.
        for theirs in [
            make(&other, &their_key, &us, &our_key),
            make(&them, &other_key, &us, &our_key),
            make(&them, &their_key, &other, &our_key),
            make(&them, &their_key, &us, &other_key),
        ] {
            prop_assert_ne!(ours.displayable(), theirs.displayable());
            prop_assert_eq!(ours.scannable().compare(theirs.scannable().as_bytes()), Ok(false));
            prop_assert_eq!(theirs.scannable().compare(ours.scannable().as_bytes()), Ok(false));
        }
    }

    #[test]
    fn a_number_is_read_back_from_its_blocks(us in identity(), them in identity()) {
        let shown = Fingerprint::new(2, 1, b"us", &us, b"them", &them).unwrap().displayable();
        let blocks: Vec<_> = shown.blocks().collect();
        prop_assert_eq!(blocks.len(), 12);
        prop_assert!(blocks.iter().all(|block| block.len() == 5));
        prop_assert_eq!(blocks.concat(), shown.as_str());
        let lines: Vec<_> = blocks.chunks(4).map(|line| line.join(" ")).collect();
        prop_assert_eq!(lines.join("\n").parse(), Ok(shown));
    }

    #[test]
    fn a_retry_message_is_read_back(
        key in prop::option::of(any::<[u8; 32]>()),
        timestamp in any::<u64>(),
        device_id in any::<u32>(),
        padding in 0_usize..3,
    ) {
        let mut written = Vec::new();
        if let Some(key) = key {
            written.extend([0x0a, 33, 5]);
            written.extend(key);
        }
        written.push(0x10);
        prost::encoding::encode_varint(timestamp, &mut written);
        written.push(0x18);
        prost::encoding::encode_varint(device_id.into(), &mut written);
        let message = DecryptionErrorMessage::deserialize(&written).unwrap();
        prop_assert_eq!(message.timestamp(), Timestamp::from_millis(timestamp));
        prop_assert_eq!(message.device_id(), device_id);
        let key = key.map(|key| PublicKey::from_raw_bytes(&key).unwrap());
        prop_assert_eq!(message.ratchet_key(), key.as_ref());

        let content = PlaintextContent::from(&message);
        let content = PlaintextContent::deserialize(content.serialized()).unwrap();
        let again = DecryptionErrorMessage::extract_from_body(content.body()).unwrap();
        prop_assert_eq!(again.serialized(), &written[..]);

        // Padding is the application's to take off.
        let mut padded = content.body().to_vec();
        padded.extend(vec![0; padding]);
        let read = DecryptionErrorMessage::extract_from_body(&padded);
        prop_assert_eq!(read.is_ok(), padding == 0);
    }

    #[test]
    fn what_was_encrypted_is_decrypted_and_nothing_else(
        key in any::<[u8; 32]>(),
        nonce in any::<[u8; 12]>(),
        (text, about) in (bytes(), bytes()),
        change in other_byte(),
    ) {
        let cipher = Aes256GcmSiv::new(&key).unwrap();
        let sealed = cipher.encrypt(&text, &nonce, &about).unwrap();
        prop_assert_eq!(sealed.len(), text.len() + Aes256GcmSiv::TAG_LENGTH);
        prop_assert_eq!(&cipher.encrypt(&text, &nonce, &about).unwrap(), &sealed);
        prop_assert_eq!(&*cipher.decrypt(&sealed, &nonce, &about).unwrap(), &text);

        let refused = Err(CryptoError::InvalidAuthenticationTag);
        prop_assert_eq!(cipher.decrypt(&altered(&sealed, change), &nonce, &about), refused.clone());
        prop_assert_eq!(cipher.decrypt(&sealed, &altered(&nonce, change), &about), refused.clone());
        let mut longer = about.clone();
        longer.push(0);
        prop_assert_eq!(cipher.decrypt(&sealed, &nonce, &longer), refused.clone());
        let other = Aes256GcmSiv::new(&altered(&key, change)).unwrap();
        prop_assert_eq!(other.decrypt(&sealed, &nonce, &about), refused);
    }

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else(
        seed in any::<u64>(),
        (text, info, about) in (bytes(), bytes(), bytes()),
        change in other_byte(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let pair = KeyPair::generate(&mut rng);
        let sealed = pair.public_key.seal(&text, &info, &about, &mut rng).unwrap();
        prop_assert_eq!(sealed.len(), text.len() + 49);
        prop_assert_eq!(&*pair.private_key.open(&sealed, &info, &about).unwrap(), &text);

        let refused = Err(CryptoError::InvalidAuthenticationTag);
        let changed = altered(&sealed, change);
        // The highest bit of a Curve25519 key does not count, but the encoding is authenticated.
        let expected = match changed[0] {
            1 => refused.clone(),
            other => Err(CryptoError::UnknownAlgorithm(other)),
        };
        prop_assert_eq!(pair.private_key.open(&changed, &info, &about), expected);
        let mut longer = info.clone();
        longer.push(0);
        prop_assert_eq!(pair.private_key.open(&sealed, &longer, &about), refused.clone());
        let mut longer = about.clone();
        longer.push(0);
        prop_assert_eq!(pair.private_key.open(&sealed, &info, &longer), refused.clone());
        let stranger = PrivateKey::generate(&mut rng);
        prop_assert_eq!(stranger.open(&sealed, &info, &about), refused);
    }

    #[test]
    fn derived_bytes_are_a_beginning_of_longer_ones(
        (input, info) in (bytes(), bytes()),
        (short, long) in (0_usize..200, 0_usize..200),
    ) {
        let (short, long) = (short.min(long), short.max(long));
        let derived = hkdf(long, &input, &info, None).unwrap();
        prop_assert_eq!(derived.len(), long);
        prop_assert_eq!(&hkdf(short, &input, &info, Some(&[])).unwrap()[..], &derived[..short]);
    }
}

#[test]
fn sizes_are_checked_before_anything_else() {
    assert_eq!(
        Aes256GcmSiv::new(&[0; 31]).unwrap_err(),
        CryptoError::InvalidKeySize(31)
    );
    let cipher = Aes256GcmSiv::new(&[0; 32]).unwrap();
    let size = CryptoError::InvalidNonceSize(11);
    assert_eq!(cipher.encrypt(b"", &[0; 11], b""), Err(size));
    assert_eq!(cipher.decrypt(b"", &[0; 11], b""), Err(size));
    assert_eq!(
        hkdf(8161, b"", b"", None),
        Err(CryptoError::OutputTooLong(8161))
    );
    assert_eq!(
        hkdf(usize::MAX, b"", b"", None).unwrap_err().code(),
        "output-too-long"
    );
}

/// The official client panics here; an error serves the caller better.
#[test]
fn nothing_is_sealed_to_a_key_of_small_order() {
    let mut rng = StdRng::seed_from_u64(1);
    for first in [0, 1] {
        let mut key = [0; 32];
        key[0] = first;
        let key = PublicKey::from_raw_bytes(&key).unwrap();
        let refused = CryptoError::Key(KeyError::InvalidKeyAgreement);
        assert_eq!(key.seal(b"text", b"", b"", &mut rng), Err(refused));
    }
}

#[test]
fn a_number_is_nothing_but_sixty_digits() {
    let digits = "0123456789".repeat(6);
    let parsed: DisplayableFingerprint = digits.parse().unwrap();
    assert_eq!(parsed.to_string(), digits);
    assert_eq!(format!("{parsed:>62}"), format!("  {digits}"));
    let arabic = format!("{}\u{0661}", "1".repeat(58));
    for wrong in [&digits[1..], "", &digits.replace('5', "x"), &arabic] {
        let error = wrong.parse::<DisplayableFingerprint>().unwrap_err();
        assert_eq!(error.code(), "invalid-fingerprint");
    }
}

/// A part may be empty, as deployed; only a missing one is an error.
#[test]
fn codes_with_empty_parts() {
    let empty = ScannableFingerprint::from_bytes(b"\x08\x02\x12\x02\x0a\x00\x1a\x02\x0a\x00");
    assert_eq!(empty.compare(empty.as_bytes()), Ok(true));
    let missing = empty.compare(b"\x08\x02\x12\x00\x1a\x02\x0a\x00");
    assert!(matches!(missing, Err(FingerprintError::Parsing(_))));
}

#[test]
fn messages_by_their_number() {
    for (number, kind) in [
        (2, CiphertextMessageType::Whisper),
        (3, CiphertextMessageType::PreKey),
        (7, CiphertextMessageType::SenderKey),
        (8, CiphertextMessageType::Plaintext),
    ] {
        assert_eq!(CiphertextMessageType::from_number(number), Some(kind));
        assert_eq!(kind as u8, number);
    }
    for number in [0, 1, 4, 5, 6, 9, 255] {
        assert_eq!(CiphertextMessageType::from_number(number), None);
        let time = Timestamp::from_millis(1);
        let error = DecryptionErrorMessage::for_original(b"", number, time, 1).unwrap_err();
        assert!(matches!(error, ProtocolError::InvalidArgument(_)));
    }
    let content =
        CiphertextMessage::deserialize(CiphertextMessageType::Plaintext, b"\xc0x").unwrap();
    assert_eq!(content.message_type(), CiphertextMessageType::Plaintext);
    assert_eq!(content.serialized(), b"\xc0x");
}

#[test]
fn joined_service_ids() {
    let (aci, pni) = (
        ServiceId::aci(Uuid::from_u128(1)),
        ServiceId::pni(Uuid::from_u128(2)),
    );
    let joined = ServiceId::concatenate_fixed_width([aci, pni]);
    assert_eq!(joined.len(), 34);
    let parsed: Vec<_> = joined
        .chunks(17)
        .map(ServiceId::parse_fixed_width_binary)
        .collect();
    assert_eq!(parsed, [Some(aci), Some(pni)]);
}
