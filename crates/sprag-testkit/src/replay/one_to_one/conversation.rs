//! Conversations: every step replayed from the recorded state before it, in either role.
//!
//! Where the recording says what randomness was drawn, or that none was, the bytes must be the
//! recorded ones. Otherwise the step must succeed, and the next one starts from the recorded state.

use std::collections::HashMap;

use rand::{rand_core::UnwrapErr, rngs::SysRng};
use serde_json::Value;
use sprag_core::{
    address::ProtocolAddress,
    session::{SenderChainRequirements, SessionRecord},
    time::Timestamp,
};

use super::{
    super::{
        Report, ScriptedRng,
        case::{Fields, Outcome, same, same_bytes, same_hash, same_outcome},
        party::{Party, address, encapsulation_randomness},
    },
    records::bundle,
};

pub(super) fn replay(conversation: &Value, report: &mut Report) {
    let name = conversation
        .text("name")
        .unwrap_or("conversation")
        .to_owned();
    let mut replay = match Replay::new(conversation) {
        Ok(replay) => replay,
        Err(reason) => return report.case(&name, || Err(reason)),
    };
    for step in conversation.list("steps").into_iter().flatten() {
        let number = step.number("i").unwrap_or_default();
        let op = step.text("op").unwrap_or_default();
        report.case(format_args!("{name}: step {number} ({op})"), || {
            replay.step(step)
        });
    }
    if let Some(last) = conversation.optional("final").and_then(Value::as_object) {
        for (label, expected) in last {
            report.case(format_args!("{name}: final state of {label}"), || {
                replay
                    .parties
                    .get_mut(label)
                    .ok_or("no such party")?
                    .same_state(expected)
            });
        }
    }
}

struct Replay {
    parties: HashMap<String, Party>,
    /// Messages by the step that made them.
    messages: HashMap<u64, Vec<u8>>,
}

impl Replay {
    fn new(conversation: &Value) -> Result<Self, String> {
        let parties = conversation
            .field("parties")?
            .as_object()
            .ok_or("parties is no map")?;
        let parties = parties
            .iter()
            .map(|(label, state)| Ok((label.clone(), Party::new(state)?)));
        Ok(Self {
            parties: parties.collect::<Result<_, String>>()?,
            messages: HashMap::new(),
        })
    }

    fn step(&mut self, step: &Value) -> Outcome {
        let remote = self.party(step.text("remote")?)?.address().clone();
        let before = self.party(step.text("party")?)?.session(&remote);
        let after = session_after(step, &before)?;
        let outcome = self.run(step, &remote, &before, after.as_deref());
        // The next step starts from the recorded state, whatever became of this one.
        self.party(step.text("party")?)?
            .replace_session(&remote, after.as_deref())?;
        outcome
    }

    fn run(
        &mut self,
        step: &Value,
        remote: &ProtocolAddress,
        before: &[u8],
        after: Option<&[u8]>,
    ) -> Outcome {
        let now = Timestamp::from_millis(step.number("now_ms").unwrap_or_default());
        let note = step.text("note").unwrap_or_default().to_owned();
        let message = match step.optional("message_of_step") {
            Some(of) => self.messages.get(&of.as_u64().unwrap_or_default()).cloned(),
            None => step.bytes("message").ok(),
        };
        let party = self.party(step.text("party")?)?;
        party.begin_step(&note);
        match step.text("op")? {
            "process_bundle" => {
                let bundle = bundle(step.field("bundle")?)?;
                let result = party.process_bundle(remote, &bundle, now, &mut UnwrapErr(SysRng));
                same_outcome(step, result)?;
                party.same_calls(step)
            }
            "encrypt" => self.encrypt(step, remote, now, before, after),
            "decrypt" => {
                let message = message.ok_or("there is no message")?;
                decrypt(party, step, remote, &message, after)
            }
            "has_usable_sender_chain" => {
                let record = SessionRecord::deserialize(before).map_err(|e| e.to_string())?;
                let usable = record.has_usable_sender_chain(now, requirements(step)?);
                same("usable", usable, step.flag("result"))
            }
            "edit" => Ok(()),
            other => Err(format!("unknown op {other}")),
        }
    }

    fn encrypt(
        &mut self,
        step: &Value,
        remote: &ProtocolAddress,
        now: Timestamp,
        before: &[u8],
        after: Option<&[u8]>,
    ) -> Outcome {
        if let (Ok(number), Ok(message)) = (step.number("i"), step.bytes("message")) {
            self.messages.insert(number, message);
        }
        let party = self.party(step.text("party")?)?;
        let plaintext = step.bytes("plaintext")?;
        // Where the post-quantum ratchet encapsulated, its state ends with what was drawn.
        let random = after.and_then(|after| encapsulation_randomness(before, after));
        let known = step.flag("repeatable") || random.is_some();
        let result = match random {
            Some(random) => {
                party.encrypt(remote, &plaintext, now, &mut ScriptedRng::repeating(random))
            }
            None => party.encrypt(remote, &plaintext, now, &mut UnwrapErr(SysRng)),
        };
        let Some(message) = same_outcome(step, result)? else {
            return party.same_calls(step);
        };
        let message_type = message.message_type() as u64;
        same("message type", message_type, step.number("type")?)?;
        if known {
            same_bytes("message", message.serialized(), &step.bytes("message")?)?;
            same_bytes("record", &party.session(remote), after.unwrap_or_default())?;
        }
        party.same_calls(step)
    }

    fn party(&mut self, label: &str) -> Result<&mut Party, String> {
        self.parties
            .get_mut(label)
            .ok_or_else(|| format!("there is no party {label}"))
    }
}

fn decrypt(
    party: &mut Party,
    step: &Value,
    remote: &ProtocolAddress,
    message: &[u8],
    after: Option<&[u8]>,
) -> Outcome {
    let local = step.optional("local_address").map(address).transpose()?;
    let random = step.bytes("new_ratchet_private").unwrap_or_default();
    let mut rng = ScriptedRng::repeating(random);
    let message_type = step.number("type")?;
    let result = party.decrypt(remote, message_type, message, local.as_ref(), &mut rng);
    if let Some(plaintext) = same_outcome(step, result)? {
        same_bytes("plaintext", &plaintext, &step.bytes("plaintext")?)?;
    }
    same_bytes("record", &party.session(remote), after.unwrap_or_default())?;
    party.same_calls(step)
}

/// The record after a step, as the recording gives it: whole, as a difference, or unchanged. `None`
/// if it was deleted.
fn session_after(step: &Value, before: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if let Ok(delta) = step.list("session_after_delta") {
        let mut after = Vec::new();
        for item in delta {
            match (
                item.as_str(),
                item.get(0).and_then(Value::as_u64),
                item.get(1).and_then(Value::as_u64),
            ) {
                (Some(literal), _, _) => {
                    after.extend(hex::decode(literal).map_err(|error| error.to_string())?);
                }
                (None, Some(offset), Some(length)) => {
                    let range = offset as usize..(offset + length) as usize;
                    after.extend(before.get(range).ok_or("the difference does not fit")?);
                }
                _ => return Err("the difference is not readable".into()),
            }
        }
        same_hash(&after, step.text("session_after_sha256")?)?;
        return Ok(Some(after));
    }
    match step.get("session_after") {
        Some(Value::Null) => Ok(None),
        Some(_) => step.bytes("session_after").map(Some),
        None => Ok(Some(before.to_vec())),
    }
}

fn requirements(step: &Value) -> Result<SenderChainRequirements, String> {
    let names: Vec<_> = step.text("requirements")?.split(" + ").collect();
    Ok(SenderChainRequirements {
        not_stale: names.contains(&"not_stale"),
        pqxdh: names.contains(&"pqxdh"),
        pq_ratchet: names.contains(&"spqr"),
    })
}
