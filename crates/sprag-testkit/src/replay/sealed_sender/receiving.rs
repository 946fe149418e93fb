//! Opening, and whole decryption.

use serde_json::{Value, json};
use sprag::SealedTrust;
use sprag_core::{address::ProtocolAddress, curve::PublicKey, time::Timestamp};

use super::{
    super::{
        Report, ScriptedRng,
        case::{Fields, Outcome, same, same_bytes},
        official::same_result,
        party::{protocol, ready},
    },
    calls,
    contents::same_content,
    party, same_calls,
};

pub(super) fn replay(version: &Value, report: &mut Report) {
    report.each(version, "to_content", replay_opening);
    report.each(version, "decrypt", replay_decryption);
}

fn replay_opening(case: &Value) -> Outcome {
    let mut receiver = party(case)?;
    let found = protocol(ready(receiver.sealed().open(&case.bytes("message")?)));
    if let Some((content, expected)) = same_result(case.field("result")?, found)? {
        same_content(&content, expected)?;
    }
    same_calls(&mut receiver, case)
}

fn replay_decryption(case: &Value) -> Outcome {
    let local = ProtocolAddress::new(case.text("local_uuid")?, case.number32("local_device_id")?);
    let local = local.map_err(|error| error.to_string())?;
    let mut state = case.field("receiver")?.clone();
    state["name"] = json!(local.name());
    state["device_id"] = json!(u32::from(local.device_id()));
    let mut receiver = party(&state)?;

    let root = PublicKey::deserialize(&case.bytes("trust_root")?);
    let trust = SealedTrust {
        roots: &[root.map_err(|error| error.to_string())?],
        own_e164: case.optional("local_e164").and_then(Value::as_str),
    };
    let now = Timestamp::from_millis(case.number("time")?);
    let message = case.bytes("message")?;
    let mut rng = ScriptedRng::repeating([1; 32]);
    let found = receiver.unseal(&message, trust, now, &mut rng);

    let refused = found.is_err();
    if let Some((found, expected)) = same_result(case.field("result")?, found)? {
        same_bytes("plaintext", &found.plaintext, &expected.bytes("plaintext")?)?;
        let sender = ProtocolAddress::new(
            expected.text("sender_uuid")?,
            expected.number32("sender_device_id")?,
        );
        same("sender", Ok(found.sender), sender)?;
        same(
            "phone number",
            found.sender_e164.as_deref(),
            expected.optional("sender_e164").and_then(Value::as_str),
        )?;
    }
    let expected = calls(case.list("store_calls")?)?;
    if refused {
        // Refused before anything was asked of a session, or by it.
        let own = receiver.calls().first().cloned();
        same("first store call", own.as_ref(), expected.first())?;
    }
    receiver.same_calls(&json!({ "calls": expected }))
}
