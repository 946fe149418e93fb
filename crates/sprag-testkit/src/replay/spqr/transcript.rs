//! Whole conversations: every message, key, error and stored state.

use std::collections::HashMap;

use serde_json::Value;
use sprag_core::spqr::{ChainParams, Direction, State, Version, VersionRule};

use super::{
    super::{
        Report,
        case::{Fields, Outcome, array, same, same_bytes, same_hash},
    },
    Recorded, blob, decode, same_key, same_result,
};

/// Replays a transcript twice: with states that stay in memory, and with states that are stored and
/// loaded before every step.
pub(in super::super) fn replay(file: &Value, report: &mut Report) {
    for (stored, how) in [(false, ""), (true, ", stored")] {
        let mut transcript = match Transcript::new(file, stored) {
            Ok(transcript) => transcript,
            Err(reason) => return report.case("init", || Err(reason)),
        };
        for (number, step) in file.list("steps").into_iter().flatten().enumerate() {
            let (op, who) = (step.text("op"), step.text("who"));
            let (op, who) = (op.unwrap_or("?"), who.unwrap_or("?"));
            let name = format_args!("step {number} ({op} by {who}{how})");
            report.case(name, || transcript.step(step));
        }
    }
}

struct Transcript {
    alice: State,
    bob: State,
    /// By number.
    messages: HashMap<u64, Vec<u8>>,
    /// Whether a state is stored and loaded before every step.
    stored: bool,
}

impl Transcript {
    fn new(file: &Value, stored: bool) -> Result<Self, String> {
        let init = file.field("init")?;
        let params = ChainParams::new(init.number32("max_jump")?, init.number32("max_ooo_keys")?);
        let auth_key = array(init, "auth_key")?;
        let start = |direction, min_version: &str, recorded: &str| {
            let (version, min_version) = (version(init, "version")?, version(init, min_version)?);
            let state = State::initial(direction, version, min_version, &auth_key, params);
            same_bytes("initial state", &state.encode(), &blob(init, recorded)?).map(|()| state)
        };
        Ok(Self {
            alice: start(Direction::AliceToBob, "min_version_a", "state_a_b64")?,
            bob: start(Direction::BobToAlice, "min_version_b", "state_b_b64")?,
            messages: HashMap::new(),
            stored,
        })
    }

    fn step(&mut self, step: &Value) -> Outcome {
        let id = step.number("msg_id")?;
        let state = if step.text("who")? == "A" {
            &mut self.alice
        } else {
            &mut self.bob
        };
        if self.stored {
            *state = decode(&state.encode())?;
        }
        if step.text("op")? == "send" {
            let random = step.optional("random").map(|_| step.bytes("random"));
            let mut rng = Recorded::new(random.transpose()?.unwrap_or_default());
            // The recorded one goes on, whatever becomes of ours.
            self.messages.insert(id, step.bytes("msg")?);
            let sent = state.send(&mut rng).map_err(|error| error.to_string())?;
            rng.finish()?;
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
        same_state(state, step)
    }
}

/// The state after a step, and its stored form where the recording has it whole.
fn same_state(state: &State, step: &Value) -> Outcome {
    let stored = state.encode();
    same("counted length", state.encoded_len(), stored.len())?;
    if step.optional("state_b64").is_some() {
        let expected = blob(step, "state_b64")?;
        same_bytes("state", &stored, &expected)?;
        let again = decode(&expected)?.encode();
        same_bytes("state read and written", &again, &expected)?;
    }
    let length = step.number("state_len")?;
    same("state length", stored.len() as u64, length)?;
    let phase = step.optional("v1_state_field").and_then(Value::as_u64);
    same("phase", state.phase().map(u64::from), phase)?;
    same_hash(&stored, step.text("state_sha256")?)
}

fn version(fields: &Value, name: &str) -> Result<Version, String> {
    Ok(if fields.number(name)? == 0 {
        Version::V0
    } else {
        Version::V1
    })
}
