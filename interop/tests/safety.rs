//! Safety numbers and helpers: the official client and we compute the same, and read each other's.
#![allow(clippy::unwrap_used, clippy::panic)]

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Deserialize;
use serde_json::json;
use sprag_core::{
    crypto::{Aes256GcmSiv, hkdf},
    curve::{KeyPair, PrivateKey},
    error::FingerprintError,
    fingerprint::{Fingerprint, ScannableFingerprint},
    identity::IdentityKey,
};
use sprag_interop::{Blob, Peer, PeerError};

#[derive(Deserialize)]
struct Seen {
    displayable: String,
    scannable: Blob,
}

/// A person, and how the safety number is made.
struct Person {
    id: Vec<u8>,
    key: IdentityKey,
}

fn any_bytes(rng: &mut StdRng, longest: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..=longest)];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn person(rng: &mut StdRng) -> Person {
    Person {
        id: any_bytes(rng, 40),
        key: IdentityKey::new(KeyPair::generate(rng).public_key),
    }
}

fn theirs(
    peer: &Peer,
    (iterations, version): (u32, u32),
    local: &Person,
    remote: &Person,
) -> Result<Seen, PeerError> {
    let key = |person: &Person| Blob::from(person.key.serialize().as_slice());
    let body = json!({
        "iterations": iterations,
        "version": version,
        "localId": Blob::from(local.id.as_slice()),
        "localKey": key(local),
        "remoteId": Blob::from(remote.id.as_slice()),
        "remoteKey": key(remote),
    });
    peer.request("fingerprint", body)
}

fn ours(
    (iterations, version): (u32, u32),
    local: &Person,
    remote: &Person,
) -> Result<Fingerprint, FingerprintError> {
    let (id, remote_id) = (&local.id, &remote.id);
    Fingerprint::new(iterations, version, id, &local.key, remote_id, &remote.key)
}

fn compare(peer: &Peer, own: &[u8], theirs: &[u8]) -> Result<bool, PeerError> {
    let body = json!({ "own": Blob::from(own), "theirs": Blob::from(theirs) });
    peer.request("compare_fingerprints", body)
}

#[test]
fn both_compute_one_number_and_read_each_others_code() {
    let peer = Peer::lease().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for round in 0..30_u32 {
        let (alice, bob) = (person(&mut rng), person(&mut rng));
        let how = (rng.random_range(2..400), round % 4);
        let at_alice = ours(how, &alice, &bob).unwrap();
        let at_bob = theirs(&peer, how, &bob, &alice).unwrap();
        assert_eq!(at_alice.displayable().as_str(), at_bob.displayable);
        let code = at_alice.scannable();
        assert_eq!(code.compare(&at_bob.scannable), Ok(true));
        assert!(compare(&peer, &at_bob.scannable, code.as_bytes()).unwrap());

        // The very bytes that the client shows in our place.
        let in_our_place = theirs(&peer, how, &alice, &bob).unwrap();
        assert_eq!(code.as_bytes(), &*in_our_place.scannable);
        assert!(!compare(&peer, code.as_bytes(), &in_our_place.scannable).unwrap());
        assert_eq!(code.compare(&in_our_place.scannable), Ok(false));
    }
}

#[test]
fn numbers_of_iterations_are_refused_alike() {
    let peer = Peer::lease().unwrap();
    let mut rng = StdRng::seed_from_u64(2);
    let (alice, bob) = (person(&mut rng), person(&mut rng));
    for iterations in [0, 1, 2, 1_000_001, u32::MAX] {
        let how = (iterations, 1);
        let refused = theirs(&peer, how, &alice, &bob).is_err();
        assert_eq!(ours(how, &alice, &bob).is_err(), refused, "{iterations}");
    }
}

/// The words with which the client says what we say with a kind and a text.
fn same_refusal(ours: &FingerprintError, theirs: &PeerError) -> bool {
    let words = theirs.to_string();
    match ours {
        FingerprintError::VersionMismatch { theirs, ours } => {
            words.ends_with(&format!("mismatch them {theirs} us {ours}"))
        }
        FingerprintError::Parsing(_) => words.contains("fingerprint parsing error"),
        _ => false,
    }
}

/// Codes of all kinds of damage, each compared with each.
#[test]
fn codes_are_refused_alike() {
    let peer = Peer::lease().unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    let (alice, bob) = (person(&mut rng), person(&mut rng));
    let at_alice = ours((2, 2), &alice, &bob).unwrap().scannable();
    let at_bob = ours((2, 2), &bob, &alice).unwrap().scannable();
    let older = ours((2, 1), &bob, &alice).unwrap().scannable();
    let codes: [&[u8]; 13] = [
        at_alice.as_bytes(),
        at_bob.as_bytes(),
        older.as_bytes(),
        &at_bob.as_bytes()[2..],
        &at_bob.as_bytes()[..38],
        &at_bob.as_bytes()[..40],
        b"",
        b"\xff",
        b"\x08\x02",
        // An empty part is one, a missing part is not.
        b"\x08\x02\x12\x02\x0a\x00\x1a\x02\x0a\x00",
        b"\x08\x02\x12\x00\x1a\x02\x0a\x00",
        // A part in two pieces, and one with a field of another kind.
        b"\x08\x02\x12\x03\x0a\x01\x01\x12\x02\x10\x01\x1a\x03\x0a\x01\x02",
        b"\x08\x02\x12\x02\x08\x01\x1a\x03\x0a\x01\x02",
    ];
    for own in codes {
        for theirs in codes {
            let ours = ScannableFingerprint::from_bytes(own).compare(theirs);
            match (ours, compare(&peer, own, theirs)) {
                (Ok(ours), Ok(same)) => assert_eq!(ours, same),
                (Err(ours), Err(refusal)) if same_refusal(&ours, &refusal) => {}
                (ours, refusal) => panic!("{own:?}, {theirs:?}: {ours:?}, {refusal:?}"),
            }
        }
    }
}

#[test]
fn keys_are_derived_alike() {
    let peer = Peer::lease().unwrap();
    let mut rng = StdRng::seed_from_u64(4);
    for length in [0, 1, 31, 32, 33, 100, 8160] {
        let (input, info) = (any_bytes(&mut rng, 100), any_bytes(&mut rng, 100));
        let salts = [None, Some(Vec::new()), Some(any_bytes(&mut rng, 100))];
        for salt in salts {
            let body = json!({
                "length": length,
                "input": Blob::from(input.as_slice()),
                "info": Blob::from(info.as_slice()),
                "salt": salt.as_deref().map(Blob::from),
            });
            let theirs: Blob = peer.request("hkdf", body).unwrap();
            let ours = hkdf(length, &input, &info, salt.as_deref()).unwrap();
            assert_eq!(*ours, theirs.0);
        }
    }
}

#[test]
fn gcm_siv_is_encrypted_alike_and_decrypted_by_both() {
    let peer = Peer::lease().unwrap();
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..20 {
        let (key, nonce): ([u8; 32], [u8; 12]) = (rng.random(), rng.random());
        let (text, about) = (any_bytes(&mut rng, 200), any_bytes(&mut rng, 200));
        let cipher = Aes256GcmSiv::new(&key).unwrap();
        let ask = |op: &str, what: &str, bytes: &[u8]| -> Result<Blob, PeerError> {
            let mut body = json!({
                "key": Blob::from(key.as_slice()),
                "nonce": Blob::from(nonce.as_slice()),
                "associatedData": Blob::from(about.as_slice()),
            });
            body[what] = json!(Blob::from(bytes));
            peer.request(op, body)
        };
        let mut sealed = cipher.encrypt(&text, &nonce, &about).unwrap();
        let theirs = ask("gcm_siv_encrypt", "plaintext", &text).unwrap();
        assert_eq!(sealed, theirs.0);
        let opened = ask("gcm_siv_decrypt", "ciphertext", &sealed).unwrap();
        assert_eq!(opened.0, text);
        sealed[0] ^= 1;
        assert!(ask("gcm_siv_decrypt", "ciphertext", &sealed).is_err());
        assert!(cipher.decrypt(&sealed, &nonce, &about).is_err());
    }
}

/// Sealed by one and opened by the other, in both directions.
#[test]
fn what_one_seals_the_other_opens() {
    let peer = Peer::lease().unwrap();
    let mut rng = StdRng::seed_from_u64(6);
    for _ in 0..20 {
        let pair = KeyPair::generate(&mut rng);
        let text = any_bytes(&mut rng, 200);
        let (info, about) = (any_bytes(&mut rng, 50), any_bytes(&mut rng, 50));
        let context = json!({
            "info": Blob::from(info.as_slice()),
            "associatedData": Blob::from(about.as_slice()),
        });

        let mut body = context.clone();
        body["publicKey"] = json!(Blob::from(pair.public_key.serialize().as_slice()));
        body["plaintext"] = json!(Blob::from(text.as_slice()));
        let sealed: Blob = peer.request("hpke_seal", body).unwrap();
        let opened = pair.private_key.open(&sealed, &info, &about).unwrap();
        assert_eq!(*opened, text);

        let sealed = pair
            .public_key
            .seal(&text, &info, &about, &mut rng)
            .unwrap();
        let open = |sealed: &[u8]| -> Result<Blob, PeerError> {
            let mut body = context.clone();
            body["privateKey"] = json!(Blob::from(&pair.private_key.serialize()[..]));
            body["sealed"] = json!(Blob::from(sealed));
            peer.request("hpke_open", body)
        };
        assert_eq!(open(&sealed).unwrap().0, text);
        for length in [0, 1, 32, 33, 48, sealed.len() - 1] {
            let cut = &sealed[..length];
            let ours = pair.private_key.open(cut, &info, &about).unwrap_err();
            let theirs = open(cut).unwrap_err().to_string();
            let size = theirs.contains("invalid input size");
            assert_eq!(ours.code() == "invalid-input-size", size, "{theirs}");
        }
    }
}

/// Whatever point is given as the encapsulated key, both refuse.
#[test]
fn odd_encapsulated_keys_are_refused_alike() {
    let peer = Peer::lease().unwrap();
    let key = PrivateKey::deserialize(&[7; 32]).unwrap();
    let mut small_order = [0; 32];
    small_order[0] = 1;
    for point in [[0; 32], small_order, [0xff; 32]] {
        let sealed = [&[1][..], &point, &[9; 20]].concat();
        let body = json!({
            "privateKey": Blob::from(&key.serialize()[..]),
            "sealed": Blob::from(sealed.as_slice()),
            "info": "",
            "associatedData": "",
        });
        let theirs = peer.request::<Blob>("hpke_open", body).unwrap_err();
        assert!(theirs.to_string().contains("invalid authentication tag"));
        let ours = key.open(&sealed, b"", b"").unwrap_err();
        assert_eq!(ours.code(), "invalid-authentication-tag");
    }
}
