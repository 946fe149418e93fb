//! The post-quantum ratchet against what was recorded from the deployed one: every message, key,
//! error and stored state, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use core::{convert::Infallible, fmt::Write as _};
use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sprag_core::spqr::{ChainParams, Direction, Error, MessageKey, State, Version, VersionRule};

fn file(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn blob(value: &Value) -> Vec<u8> {
    STANDARD.decode(text(value)).unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn version(value: &Value) -> Version {
    match number(value) {
        0 => Version::V0,
        _ => Version::V1,
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A hash as it stands in the vectors, with or without its marker.
fn hash(value: &Value) -> &str {
    text(value).trim_start_matches("sha256:")
}

fn key_text(key: Option<MessageKey>) -> Value {
    key.map_or(Value::Null, |key| hex::encode(key.as_bytes()).into())
}

/// An error as it is written in the vectors.
fn error_text(error: &Error) -> String {
    match error {
        Error::MessageDecode => "MsgDecode".into(),
        Error::MacVerifyFailed => "MacVerifyFailed".into(),
        Error::ErroneousDataReceived => "ErroneousDataReceived".into(),
        Error::EpochOutOfRange(epoch) => format!("EpochOutOfRange({epoch})"),
        Error::KeyJump { counter, at } => format!("KeyJump({counter}, {at})"),
        Error::KeyTrimmed(at) => format!("KeyTrimmed({at})"),
        Error::KeyAlreadyRequested(at) => format!("KeyAlreadyRequested({at})"),
        Error::VersionMismatch => "VersionMismatch".into(),
        Error::MinimumVersion => "MinimumVersion".into(),
        other => panic!("not in the vectors: {other}"),
    }
}

/// Gives the recorded bytes; there must be exactly as many as are drawn.
struct Recorded(Vec<u8>);

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("the ratchet draws byte strings only")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("the ratchet draws byte strings only")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        assert!(out.len() <= self.0.len(), "more randomness than recorded");
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

/// One party of a recorded conversation.
struct Party {
    state: State,
    /// Go through the stored form before every step?
    stored: bool,
}

impl Party {
    fn step(&mut self) -> &mut State {
        if self.stored {
            self.state = State::decode(&self.state.encode()).unwrap();
        }
        &mut self.state
    }

    fn assert_recorded(&self, step: &Value, context: &str) {
        let stored = self.state.encode();
        assert_eq!(stored.len(), self.state.encoded_len(), "{context}");
        if let Some(expected) = step.get("state_b64") {
            let expected = blob(expected);
            assert_eq!(hex::encode(&stored), hex::encode(&expected), "{context}");
            let again = State::decode(&expected).unwrap();
            assert!(again.encode() == expected, "{context}: stored form changes");
        }
        assert_eq!(stored.len() as u64, step["state_len"], "{context}");
        assert_eq!(sha256(&stored), step["state_sha256"], "{context}");
        let phase = step["v1_state_field"].as_u64();
        assert_eq!(self.state.phase().map(u64::from), phase, "{context}");
    }
}

fn start(init: &Value, direction: Direction, min_version: &str, stored: bool) -> Party {
    let params = ChainParams::new(number(&init["max_jump"]), number(&init["max_ooo_keys"]));
    let auth_key = bytes(&init["auth_key"]).try_into().unwrap();
    let state = State::initial(
        direction,
        version(&init["version"]),
        version(&init[min_version]),
        &auth_key,
        params,
    );
    Party { state, stored }
}

fn replay(name: &str, stored: bool) {
    let transcript = file(&format!("spqr_transcript_{name}"));
    let init = &transcript["init"];
    let mut alice = start(init, Direction::AliceToBob, "min_version_a", stored);
    let mut bob = start(init, Direction::BobToAlice, "min_version_b", stored);
    assert_eq!(alice.state.encode(), blob(&init["state_a_b64"]));
    assert_eq!(bob.state.encode(), blob(&init["state_b_b64"]));

    let mut messages = HashMap::new();
    for (position, step) in transcript["steps"].as_array().unwrap().iter().enumerate() {
        let mut context = format!("{name}, step {position}");
        let party = match text(&step["who"]) {
            "A" => &mut alice,
            _ => &mut bob,
        };
        let id = step["msg_id"].as_u64().unwrap();
        write!(context, ", message {id}").unwrap();
        if step["op"] == "send" {
            let random = step.get("random").map_or(Vec::new(), bytes);
            let mut rng = Recorded(random);
            let sent = party.step().send(&mut rng).unwrap();
            assert!(rng.0.is_empty(), "{context}: less randomness than recorded");
            assert_eq!(hex::encode(&sent.message), step["msg"], "{context}");
            assert_eq!(key_text(sent.key), step["key"], "{context}");
            messages.insert(id, sent.message);
        } else {
            let before = party.state.encode();
            match party.step().recv_by(VersionRule::Lenient, &messages[&id]) {
                Ok(key) => {
                    assert!(step["error"].is_null(), "{context}");
                    assert_eq!(key_text(key), step["key"], "{context}");
                }
                Err(error) => {
                    assert_eq!(error_text(&error), step["error"], "{context}");
                    assert!(party.state.encode() == before, "{context}: state changed");
                }
            }
        }
        party.assert_recorded(step, &context);
    }
}

#[test]
fn strict_alternation() {
    replay("inorder", false);
}

#[test]
fn loss_and_bursts() {
    replay("lossy", false);
}

#[test]
fn delays_stragglers_and_duplicates() {
    replay("reordered", false);
}

#[test]
fn small_limits_and_a_start_without_keys() {
    replay("smalllimits", false);
}

#[test]
fn rare_transitions_and_parity_only() {
    replay("directed", false);
}

#[test]
fn states_may_be_stored_between_all_steps() {
    for name in ["inorder", "lossy", "reordered", "smalllimits", "directed"] {
        replay(name, true);
    }
}

#[test]
fn fresh_states() {
    let recorded = &file("spqr")["fresh_states"];
    let auth_key = bytes(&recorded["auth_key"]).try_into().unwrap();
    let fresh = |direction, min_version, params| {
        State::initial(direction, Version::V1, min_version, &auth_key, params)
    };
    let usual = ChainParams::default();
    for (name, direction, min_version, params) in [
        ("fresh_a_min_v1", Direction::AliceToBob, Version::V1, usual),
        ("fresh_a_min_v0", Direction::AliceToBob, Version::V0, usual),
        ("fresh_b_min_v1", Direction::BobToAlice, Version::V1, usual),
        ("fresh_b_min_v0", Direction::BobToAlice, Version::V0, usual),
        (
            "fresh_a_self",
            Direction::AliceToBob,
            Version::V1,
            ChainParams::with_self(),
        ),
    ] {
        let state = fresh(direction, min_version, params);
        let stored = bytes(&recorded[name]);
        assert_eq!(hex::encode(state.encode()), hex::encode(&stored), "{name}");
        assert_eq!(State::decode(&stored).unwrap().encode(), stored, "{name}");
    }
}

#[test]
fn odd_messages_to_a_fresh_responder() {
    let recorded = file("spqr");
    for case in recorded["recv_edge_cases_on_fresh_B"].as_array().unwrap() {
        let message = bytes(&case["msg"]);
        for name in ["fresh_b_min_v1", "fresh_b_min_v0"] {
            let context = format!("{}, {name}", case["case"]);
            let before = bytes(&recorded["fresh_states"][name]);
            let expected = &case[name];
            let mut state = State::decode(&before).unwrap();
            match state.recv_by(VersionRule::Lenient, &message) {
                Ok(key) => {
                    assert_eq!(key_text(key), expected["key"], "{context}");
                    let after = state.encode();
                    assert_eq!(after.len() as u64, expected["state_len"], "{context}");
                    assert_eq!(sha256(&after), hash(&expected["state_sha256"]), "{context}");
                    assert_eq!(after == before, expected["unchanged"], "{context}");
                }
                Err(error) => {
                    assert_eq!(error_text(&error), expected["error"], "{context}");
                    assert_eq!(state.encode(), before, "{context}");
                }
            }
        }
    }
}

#[test]
fn odd_messages_in_the_middle() {
    for case in file("spqr")["recv_cases_mid_protocol"].as_array().unwrap() {
        let context = text(&case["case"]);
        let before = blob(&case["state_before_b64"]);
        let mut state = State::decode(&before).unwrap();
        match state.recv_by(VersionRule::Lenient, &bytes(&case["msg"])) {
            Ok(key) => {
                assert_eq!(key_text(key), case["key"], "{context}");
                assert_eq!(
                    sha256(&state.encode()),
                    hash(&case["state_after_sha256"]),
                    "{context}"
                );
            }
            Err(error) => {
                assert_eq!(error_text(&error), case["error"], "{context}");
                assert_eq!(state.encode(), before, "{context}");
            }
        }
    }
}

/// Real messages of the official client: the part that travels, the key that is mixed in, and the
/// state afterwards.
#[test]
fn parts_of_real_messages() {
    for case in file("spqr")["libsignal_mixing"].as_array().unwrap() {
        let mut state = State::decode(&bytes(&case["pq_ratchet_state_before"])).unwrap();
        // Where a key pair is made, its chunk depends on randomness that was not recorded.
        let makes_key_pair = state.phase() == Some(1);
        let mut rng = Recorded(vec![7; if makes_key_pair { 64 } else { 0 }]);
        let sent = state.send(&mut rng).unwrap();
        assert_eq!(key_text(sent.key), case["spqr_key"]);
        let message = bytes(&case["pq_ratchet"]);
        if makes_key_pair {
            assert_eq!(sent.message[..5], message[..5]);
            continue;
        }
        assert_eq!(sent.message, message);
        let after = state.encode();
        match text(&case["pq_ratchet_state_after"]).strip_prefix("sha256:") {
            Some(hash) => assert_eq!(sha256(&after), hash),
            None => assert_eq!(after, bytes(&case["pq_ratchet_state_after"])),
        }
    }
}
