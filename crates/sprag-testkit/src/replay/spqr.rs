//! Recordings of the post-quantum ratchet: transcripts, and single steps.
//!
//! They were made with a release whose version rule was more lenient than that of today's sessions.

use std::{collections::HashMap, convert::Infallible};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use sprag_core::{
    hazmat,
    spqr::{ChainParams, Direction, Error, MessageKey, State, Version, VersionRule},
};

use super::{
    Report,
    case::{Fields, Outcome, same, same_bytes, same_hash},
};

/// A whole conversation.
pub(super) fn replay_transcript(file: &Value, report: &mut Report) {
    let mut transcript = match Transcript::new(file) {
        Ok(transcript) => transcript,
        Err(reason) => return report.case("init", || Err(reason)),
    };
    for (number, step) in file.list("steps").into_iter().flatten().enumerate() {
        let (op, who) = (step.text("op"), step.text("who"));
        let name = format!(
            "step {number} ({} by {})",
            op.unwrap_or("?"),
            who.unwrap_or("?")
        );
        report.case(name, || transcript.step(step));
    }
}

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
            let key = key(fresh, "auth_key")?;
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

/// The key of a real message, and the message keys that it is mixed into.
fn mixing(case: &Value) -> Outcome {
    let seed = hazmat::message_key_seed(&key(case, "chain_key")?);
    same_bytes("seed", &seed[..], &case.bytes("message_key_seed")?)?;
    let keys = hazmat::message_keys(&seed, Some(&key(case, "spqr_key")?));
    same_bytes("cipher key", &keys[..32], &case.bytes("cipher_key")?)?;
    same_bytes("MAC key", &keys[32..64], &case.bytes("mac_key")?)?;
    same_bytes("IV", &keys[64..], &case.bytes("iv")?)?;
    let before = decode(&case.bytes("pq_ratchet_state_before")?)?;
    same_bytes(
        "state",
        &before.encode(),
        &case.bytes("pq_ratchet_state_before")?,
    )
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

struct Transcript {
    alice: State,
    bob: State,
    /// By number.
    messages: HashMap<u64, Vec<u8>>,
}

impl Transcript {
    fn new(file: &Value) -> Result<Self, String> {
        let init = file.field("init")?;
        let params = ChainParams::new(init.number32("max_jump")?, init.number32("max_ooo_keys")?);
        let auth_key = key(init, "auth_key")?;
        let start = |direction, min_version: &str, recorded: &str| {
            let (version, min_version) = (version(init, "version")?, version(init, min_version)?);
            let state = State::initial(direction, version, min_version, &auth_key, params);
            same_bytes("initial state", &state.encode(), &blob(init, recorded)?).map(|()| state)
        };
        Ok(Self {
            alice: start(Direction::AliceToBob, "min_version_a", "state_a_b64")?,
            bob: start(Direction::BobToAlice, "min_version_b", "state_b_b64")?,
            messages: HashMap::new(),
        })
    }

    fn step(&mut self, step: &Value) -> Outcome {
        let id = step.number("msg_id")?;
        let state = if step.text("who")? == "A" {
            &mut self.alice
        } else {
            &mut self.bob
        };
        if step.text("op")? == "send" {
            let mut rng = Recorded(step.bytes("random").unwrap_or_default());
            let sent = state.send(&mut rng).map_err(|error| error.to_string())?;
            // The recorded one goes on, whatever became of ours.
            self.messages.insert(id, step.bytes("msg")?);
            same("randomness left", rng.0.len(), 0)?;
            same_bytes("message", &sent.message, &step.bytes("msg")?)?;
            same_key(sent.key.as_ref(), step)?;
        } else {
            let message = self.messages.get(&id).ok_or("the message was not sent")?;
            let before = state.encode();
            same_result(state.recv_by(VersionRule::Lenient, message), step)?;
            if step.optional("error").is_some() {
                same_bytes("state after an error", &state.encode(), &before)?;
            }
        }
        let stored = state.encode();
        if step.optional("state_b64").is_some() {
            let expected = blob(step, "state_b64")?;
            same_bytes("state", &stored, &expected)?;
            same_bytes(
                "state read and written",
                &decode(&expected)?.encode(),
                &expected,
            )?;
        }
        same(
            "state length",
            stored.len() as u64,
            step.number("state_len")?,
        )?;
        same(
            "phase",
            state.phase().map(u64::from),
            step.number("v1_state_field").ok(),
        )?;
        same_hash(&stored, step.text("state_sha256")?)
    }
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

fn key(fields: &Value, name: &str) -> Result<[u8; 32], String> {
    fields
        .bytes(name)?
        .try_into()
        .map_err(|_| format!("{name} has not 32 bytes"))
}

fn version(fields: &Value, name: &str) -> Result<Version, String> {
    Ok(if fields.number(name)? == 0 {
        Version::V0
    } else {
        Version::V1
    })
}

/// Gives the recorded bytes, then zeros; what is left over is looked at afterwards.
struct Recorded(Vec<u8>);

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        let length = out.len().min(self.0.len());
        out[..length].copy_from_slice(&self.0[..length]);
        self.0.drain(..length);
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}
