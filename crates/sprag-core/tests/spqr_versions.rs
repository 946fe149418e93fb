//! The post-quantum ratchet and messages of other versions, as the client of 0.103 treats them.
//!
//! The transcripts were recorded with an older release, whose rule differs in a few rows; here are
//! the rule that sessions follow, row by row, and the comparison with the older one.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use sprag_core::spqr::{ChainParams, Direction, Error, State, Version, VersionRule};

const AUTH_KEY: [u8; 32] = [41; 32];

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn start(direction: Direction, min_version: Version) -> State {
    State::initial(
        direction,
        Version::V1,
        min_version,
        &AUTH_KEY,
        ChainParams::default(),
    )
}

fn bob(min_version: Version) -> State {
    start(Direction::BobToAlice, min_version)
}

fn alice() -> State {
    start(Direction::AliceToBob, Version::V1)
}

/// Bob after the first message of Alice: the versions are agreed on.
fn bob_agreed(min_version: Version) -> State {
    let mut bob = bob(min_version);
    let first = alice().send(&mut rng()).unwrap();
    bob.recv(&first.message).unwrap();
    bob
}

/// A message of which all but the version byte is of version 1.
fn of_version(version: u8, mut message: Vec<u8>) -> Vec<u8> {
    message[0] = version;
    message
}

#[track_caller]
fn assert_refused(state: &State, message: &[u8], error: &Error) {
    let mut after = state.clone();
    assert_eq!(after.recv(message).map(drop).as_ref(), Err(error));
    assert_eq!(after.encode(), state.encode());
}

#[test]
fn without_a_ratchet_every_readable_message_is_ignored() {
    for message in [
        &[][..],
        &[0, 1, 1],
        &[1, 1, 1],
        &[1, 1, 1, 0],
        &[9, 1, 1, 200],
    ] {
        let mut off = State::off();
        assert!(off.recv(message).unwrap().is_none());
        assert!(off.is_off());
    }
}

#[test]
fn the_prefix_must_be_readable_whatever_the_versions() {
    let states = [
        State::off(),
        bob(Version::V0),
        bob(Version::V1),
        bob_agreed(Version::V0),
        bob_agreed(Version::V1),
    ];
    // No epoch; no index; epoch 0; an index above 32 bits; a varint that does not end.
    let rests: [&[u8]; 5] = [
        &[],
        &[1],
        &[0, 1, 0],
        &[1, 0x80, 0x80, 0x80, 0x80, 0x10, 0],
        &[0x80; 12],
    ];
    for state in &states {
        for version in [0, 1, 2, 255] {
            for rest in rests {
                let message = [&[version], rest].concat();
                assert_refused(state, &message, &Error::MessageDecode);
            }
        }
    }
}

#[test]
fn a_later_version_gives_its_key_while_nothing_is_agreed() {
    for min_version in [Version::V0, Version::V1] {
        let mut sender = alice();
        let mut receiver = bob(min_version);
        let mut chain_only = receiver.clone();
        for _ in 0..3 {
            let sent = sender.send(&mut rng()).unwrap();
            let key = receiver.recv(&of_version(2, sent.message)).unwrap();
            assert_eq!(
                key.map(|key| *key.as_bytes()),
                sent.key.map(|key| *key.as_bytes())
            );
        }
        // The three header chunks were not looked at: the braid is where it was.
        assert_eq!(receiver.phase(), Some(6));
        let sent = sender.send(&mut rng()).unwrap();
        receiver.recv(&sent.message).unwrap();
        assert_eq!(receiver.phase(), Some(6));
        // And the state differs from a fresh one by its chain alone.
        chain_only
            .recv(&of_version(2, sent.message.clone()))
            .unwrap();
        let fallback = chain_only.recv(&[]);
        match min_version {
            Version::V0 => assert!(fallback.unwrap().is_none() && chain_only.is_off()),
            Version::V1 => assert_eq!(fallback.map(drop), Err(Error::MinimumVersion)),
        }
    }
}

#[test]
fn of_a_later_version_only_the_prefix_is_read() {
    let key = |message: &[u8]| {
        let mut bob = bob(Version::V1);
        let key = bob.recv(message).unwrap().map(|key| *key.as_bytes());
        (key, bob.encode())
    };
    let bare = key(&[2, 1, 1]);
    assert!(bare.0.is_some());
    // An unknown type; a chunk that is cut off; any epoch: it is always chain epoch 0.
    assert_eq!(key(&[2, 1, 1, 77]), bare);
    assert_eq!(key(&[2, 1, 1, 1, 0, 5]), bare);
    assert_eq!(key(&[255, 0xff, 0x7f, 1]), bare);
    // It is the key that version 1 would give.
    assert_eq!(key(&[1, 1, 1, 0]).0, bare.0);
}

#[test]
fn a_later_version_without_index_has_no_key_but_starts_the_chain() {
    let mut bob = bob(Version::V1);
    let fresh = bob.encoded_len();
    assert!(bob.recv(&[2, 1, 0]).unwrap().is_none());
    assert!(bob.encoded_len() > fresh);
    // Still nothing agreed.
    assert!(bob.recv(&[3, 1, 1]).unwrap().is_some());
}

#[test]
fn keys_of_a_later_version_are_given_once_and_have_limits() {
    let mut bob = bob(Version::V1);
    bob.recv(&[2, 1, 3]).unwrap();
    assert_refused(&bob, &[2, 1, 3], &Error::KeyAlreadyRequested(3));
    let too_far = Error::KeyJump {
        counter: 3,
        at: u32::MAX,
    };
    assert_refused(&bob, &[2, 1, 0xff, 0xff, 0xff, 0xff, 0x0f], &too_far);
    assert!(bob.recv(&[2, 1, 1]).unwrap().is_some());
}

#[test]
fn an_initiator_that_has_only_sent_treats_a_later_version_alike() {
    let mut alice = alice();
    alice.send(&mut rng()).unwrap();
    assert!(alice.recv(&[2, 1, 1]).unwrap().is_some());
    assert_eq!(alice.phase(), Some(2));
}

#[test]
fn a_later_version_is_refused_once_one_is_agreed() {
    for min_version in [Version::V0, Version::V1] {
        let bob = bob_agreed(min_version);
        assert_refused(&bob, &[2, 1, 2], &Error::VersionMismatch);
        assert_refused(&bob, &[255, 1, 0], &Error::VersionMismatch);
    }
}

#[test]
fn falling_back_is_possible_only_at_the_start_and_if_allowed() {
    for message in [&[][..], &[0, 1, 1]] {
        let mut willing = bob(Version::V0);
        assert!(willing.recv(message).unwrap().is_none());
        assert!(willing.is_off());
        assert!(willing.encode().is_empty());
        assert_refused(&bob(Version::V1), message, &Error::MinimumVersion);
        for min_version in [Version::V0, Version::V1] {
            assert_refused(&bob_agreed(min_version), message, &Error::MinimumVersion);
        }
    }
}

/// Where the rules agree, the recorded cases hold under both.
#[test]
fn recorded_cases_differ_only_for_later_versions() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/spqr.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let outcome = |before: &[u8], rule, message: &[u8]| {
        let mut state = State::decode(before).unwrap();
        let key = state.recv_by(rule, message);
        (
            key.map(|key| key.map(|key| *key.as_bytes())),
            state.encode(),
        )
    };
    let mut different = Vec::new();
    for case in vectors["recv_edge_cases_on_fresh_B"].as_array().unwrap() {
        for name in ["fresh_b_min_v1", "fresh_b_min_v0"] {
            let before = bytes(&vectors["fresh_states"][name]);
            let message = bytes(&case["msg"]);
            let strict = outcome(&before, VersionRule::Strict, &message);
            if strict != outcome(&before, VersionRule::Lenient, &message) {
                different.push(case["case"].as_str().unwrap());
            }
        }
    }
    assert_eq!(different, ["future version byte"; 2]);
}
