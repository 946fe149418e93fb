//! Recordings of sealed sender.

mod certificates;
mod contents;
mod messages;
mod receiving;
mod sending;

use serde_json::{Value, json};

use super::{
    Report,
    case::{Fields, Outcome, same},
    party::Party,
};

pub(super) fn replay(file: &Value, report: &mut Report) {
    if let Some(certificates) = file.optional("certificates") {
        certificates::replay(certificates, report);
    }
    if let Some(contents) = file.optional("contents") {
        contents::replay(contents, report);
    }
    for version in ["v1", "v2"] {
        if let Some(part) = file.optional(version) {
            receiving::replay(part, report);
            sending::replay(part, report);
            messages::replay(part, report);
        }
    }
}

/// A party whose stores hold what a recording says of the `receiver` or `sender`; what it does not say does not count.
fn party(state: &Value) -> Result<Party, String> {
    let private_key = state.bytes("identity_private")?;
    let private_key = sprag_core::curve::PrivateKey::deserialize(&private_key);
    let identity = private_key.map_err(|error| error.to_string())?;
    let identity = sprag_core::identity::IdentityKeyPair::from(identity);
    let of = |name: &str| state.optional(name).cloned().unwrap_or_else(|| json!({}));
    Party::new(&json!({
        "address": {
            "name": state.optional("name").cloned().unwrap_or_else(|| json!("")),
            "device_id": state.optional("device_id").cloned().unwrap_or_else(|| json!(1)),
        },
        "identity_key_pair": hex::encode(identity.serialize()),
        "registration_id": state.optional("registration_id").cloned().unwrap_or_else(|| json!(1)),
        "sessions": of("sessions"),
        "identities": of("known_identities"),
        "pre_keys": of("pre_keys"),
        "signed_pre_keys": of("signed_pre_keys"),
        "kyber_pre_keys": of("kyber_pre_keys"),
        "last_resort_kyber_ids": [],
    }))
}

/// The recorded store calls, each as our stores log it.
fn calls(list: &[Value]) -> Result<Vec<String>, String> {
    let call = |call: &Value| {
        let mut text = call.text("call")?.to_owned();
        for argument in [
            "address",
            "id",
            "signed_pre_key_id",
            "base_key",
            "direction",
        ] {
            match call.optional(argument) {
                Some(Value::String(value)) => text += &format!(" {value}"),
                Some(value) => text += &format!(" {value}"),
                None => {}
            }
        }
        Ok(text)
    };
    list.iter().map(call).collect()
}

/// The calls must be the recorded ones, in their order.
fn same_calls(party: &mut Party, recorded: &Value) -> Outcome {
    let expected = calls(recorded.list("store_calls")?)?;
    same("store calls", party.calls(), expected)
}
