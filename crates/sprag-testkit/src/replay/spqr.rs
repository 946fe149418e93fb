//! Recordings of the post-quantum ratchet: transcripts, single steps, and steps inside it.
//!
//! They were made with a release whose version rule was more lenient than that of today's sessions.

mod recorded;
mod transcript;
mod units;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sprag_core::{
    hazmat,
    spqr::{ChainParams, Direction, Error, MessageKey, State, Version, VersionRule},
};

use super::{
    Report,
    case::{Fields, Outcome, array, same, same_bytes, same_hash, same_value},
};

pub(super) use transcript::replay as replay_transcript;

use recorded::Recorded;

/// Single steps, and states.
pub(super) fn replay_units(file: &Value, report: &mut Report) {
    if let Some(fresh) = file.optional("fresh_states") {
        replay_fresh_states(fresh, report);
    }
    report.each(file, "recv_edge_cases_on_fresh_B", |case| {
        for name in ["fresh_b_min_v1", "fresh_b_min_v0"] {
            let before = file.field("fresh_states")?.bytes(name)?;
            let expected = case.field(name)?;
            let after = receive(&before, &case.bytes("msg")?, expected)?;
            if expected.optional("error").is_none() {
                same("length", after.len() as u64, expected.number("state_len")?)?;
                same_hash(&after, expected.text("state_sha256")?)?;
                same("unchanged", after == before, expected.flag("unchanged"))?;
            }
        }
        Ok(())
    });
    report.each(file, "recv_cases_mid_protocol", |case| {
        let after = receive(&blob(case, "state_before_b64")?, &case.bytes("msg")?, case)?;
        match case.optional("error") {
            Some(_) => Ok(()),
            None => same_hash(&after, case.text("state_after_sha256")?),
        }
    });
    report.each(file, "libsignal_mixing", mixing);
    units::replay(file, report);
}

fn replay_fresh_states(fresh: &Value, report: &mut Report) {
    let states = [
        (
            "fresh_a_min_v1",
            Direction::AliceToBob,
            Version::V1,
            ChainParams::DEFAULT,
        ),
        (
            "fresh_a_min_v0",
            Direction::AliceToBob,
            Version::V0,
            ChainParams::DEFAULT,
        ),
        (
            "fresh_b_min_v1",
            Direction::BobToAlice,
            Version::V1,
            ChainParams::DEFAULT,
        ),
        (
            "fresh_b_min_v0",
            Direction::BobToAlice,
            Version::V0,
            ChainParams::DEFAULT,
        ),
        (
            "fresh_a_self",
            Direction::AliceToBob,
            Version::V1,
            ChainParams::with_self(),
        ),
    ];
    for (name, direction, min_version, params) in states {
        report.case(format_args!("fresh_states: {name}"), || {
            let key = array(fresh, "auth_key")?;
            let state = State::initial(direction, Version::V1, min_version, &key, params);
            let expected = fresh.bytes(name)?;
            same_bytes("state", &state.encode(), &expected)?;
            same_bytes(
                "state read and written",
                &decode(&expected)?.encode(),
                &expected,
            )
        });
    }
}

/// A real message: its post-quantum part, the key, and the message keys that this is mixed into.
fn mixing(case: &Value) -> Outcome {
    let seed = hazmat::message_key_seed(&array(case, "chain_key")?);
    same_bytes("seed", &seed[..], &case.bytes("message_key_seed")?)?;
    let keys = hazmat::message_keys(&seed, Some(&array(case, "spqr_key")?));
    same_bytes("cipher key", &keys[..32], &case.bytes("cipher_key")?)?;
    same_bytes("MAC key", &keys[32..64], &case.bytes("mac_key")?)?;
    same_bytes("IV", &keys[64..], &case.bytes("iv")?)?;

    let mut state = decode(&case.bytes("pq_ratchet_state_before")?)?;
    same_value(case, "pq_ratchet_state_before", &state.encode())?;
    // Where a key pair is made, its chunk depends on randomness that was not recorded.
    let makes_key_pair = state.phase() == Some(1);
    let mut rng = Recorded::new(vec![7; if makes_key_pair { 64 } else { 0 }]);
    let sent = state.send(&mut rng).map_err(|error| error.to_string())?;
    rng.finish()?;
    let key = sent.key.ok_or("the message has no key")?;
    same_value(case, "spqr_key", key.as_bytes())?;
    if makes_key_pair {
        let message = case.bytes("pq_ratchet")?;
        return same(
            "start of the message",
            sent.message.get(..5),
            message.get(..5),
        );
    }
    same_value(case, "pq_ratchet", &sent.message)?;
    same_value(case, "pq_ratchet_state_after", &state.encode())
}

/// Gives a message to a stored state: the outcome must be the recorded one, and an error must leave
/// the state as it was.
fn receive(before: &[u8], message: &[u8], expected: &Value) -> Result<Vec<u8>, String> {
    let mut state = decode(before)?;
    let found = state.recv_by(VersionRule::Lenient, message);
    same_result(found, expected)?;
    let after = state.encode();
    if expected.optional("error").is_some() {
        same_bytes("state after an error", &after, before)?;
    }
    Ok(after)
}

fn same_result(found: Result<Option<MessageKey>, Error>, expected: &Value) -> Outcome {
    match (found, expected.optional("error")) {
        (Ok(found), None) => same_key(found.as_ref(), expected),
        (Err(error), Some(expected)) => same(
            "error",
            error_name(&error).as_str(),
            expected.as_str().unwrap_or_default(),
        ),
        (Ok(_), Some(expected)) => Err(format!("succeeded, expected {expected}")),
        (Err(error), None) => Err(format!("failed: {error}")),
    }
}

fn same_key(found: Option<&MessageKey>, expected: &Value) -> Outcome {
    let found = found.map(|key| hex::encode(key.as_bytes()));
    let expected = expected.optional("key").and_then(Value::as_str);
    same("key", found.as_deref(), expected)
}

/// An error as recordings write it.
fn error_name(error: &Error) -> String {
    match error {
        Error::StateDecode(_) => "StateDecode".into(),
        Error::MessageDecode => "MsgDecode".into(),
        Error::MacVerifyFailed => "MacVerifyFailed".into(),
        Error::ErroneousDataReceived => "ErroneousDataReceived".into(),
        Error::EpochOutOfRange(epoch) => format!("EpochOutOfRange({epoch})"),
        Error::KeyJump { counter, at } => format!("KeyJump({counter}, {at})"),
        Error::KeyTrimmed(at) => format!("KeyTrimmed({at})"),
        Error::KeyAlreadyRequested(at) => format!("KeyAlreadyRequested({at})"),
        Error::VersionMismatch => "VersionMismatch".into(),
        Error::MinimumVersion => "MinimumVersion".into(),
        Error::ChainNotAvailable => "ChainNotAvailable".into(),
        other => other.to_string(),
    }
}

fn decode(stored: &[u8]) -> Result<State, String> {
    State::decode(stored).map_err(|error| error.to_string())
}

fn blob(fields: &Value, name: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(fields.text(name)?)
        .map_err(|error| format!("{name}: {error}"))
}
