//! Certificates: what they parse to, and when they are valid.

use serde_json::Value;
use sprag_core::{
    curve::PublicKey,
    sealed_sender::{SenderCertificate, ServerCertificate},
    time::Timestamp,
};

use super::super::{
    Report,
    case::{Fields, Outcome, same, same_bytes},
    official::same_result,
};

pub(super) fn replay(certificates: &Value, report: &mut Report) {
    report.each(certificates, "server", replay_server);
    report.each(certificates, "sender", replay_sender);
    let sender = certificates.optional("sender").and_then(Value::as_array);
    for (number, case) in sender.into_iter().flatten().enumerate() {
        let validations = case.optional("validate").and_then(Value::as_array);
        for (at, validation) in validations.into_iter().flatten().enumerate() {
            report.case(format_args!("sender[{number}].validate[{at}]"), || {
                replay_validation(certificates, case, validation)
            });
        }
    }
}

fn replay_server(case: &Value) -> Outcome {
    let bytes = case.bytes("serialized")?;
    let found = ServerCertificate::deserialize(&bytes);
    let Some((found, expected)) = same_result(case.field("result")?, found)? else {
        return Ok(());
    };
    same_server(&found, expected)?;
    same_bytes(
        "certificate",
        found.certificate(),
        &expected.bytes("certificate")?,
    )?;
    same_bytes(
        "signature",
        found.signature(),
        &expected.bytes("signature")?,
    )?;
    same_bytes("serialized", found.serialized(), &bytes)
}

fn same_server(found: &ServerCertificate, expected: &Value) -> Outcome {
    same("key id", found.key_id(), expected.number32("key_id")?)?;
    same_bytes("key", &found.key().serialize(), &expected.bytes("key")?)
}

fn replay_sender(case: &Value) -> Outcome {
    let bytes = case.bytes("serialized")?;
    let parsed = SenderCertificate::deserialize(&bytes);
    let Some((found, expected)) = same_result(case.field("result")?, parsed)? else {
        return Ok(());
    };
    same("sender", found.sender_uuid(), expected.text("sender_uuid")?)?;
    same(
        "phone number",
        found.sender_e164(),
        expected.optional("sender_e164").and_then(Value::as_str),
    )?;
    same(
        "device",
        u32::from(found.sender_device_id()),
        expected.number32("sender_device_id")?,
    )?;
    same(
        "expiration",
        found.expiration().as_millis(),
        expected.number("expiration")?,
    )?;
    same_bytes("key", &found.key().serialize(), &expected.bytes("key")?)?;
    same_bytes(
        "certificate",
        found.certificate(),
        &expected.bytes("certificate")?,
    )?;
    same_bytes(
        "signature",
        found.signature(),
        &expected.bytes("signature")?,
    )?;
    same_bytes("serialized", found.serialized(), &bytes)?;
    let (server, expected) = (found.server_certificate(), expected.field("server")?);
    match expected.optional("error") {
        // Where a certificate names an unknown one, only asking for that fails.
        Some(_) => same_result(expected, server).map(|_| ()),
        None => same_server(&server.map_err(|error| error.to_string())?, expected),
    }
}

fn replay_validation(certificates: &Value, case: &Value, validation: &Value) -> Outcome {
    let certificate = SenderCertificate::deserialize(&case.bytes("serialized")?);
    let certificate = certificate.map_err(|error| error.to_string())?;
    let roots = roots(certificates, validation.text("trust_roots")?)?;
    let now = Timestamp::from_millis(validation.number("time")?);
    same(
        "valid",
        certificate.validate(&roots, now).is_ok(),
        validation.flag("valid"),
    )
}

/// The keys of a list of names, such as "other, right"; "none" is the empty list.
fn roots(certificates: &Value, names: &str) -> Result<Vec<PublicKey>, String> {
    let key = |name: &str| {
        let root = certificates.field("roots")?.field(name)?;
        PublicKey::deserialize(&root.bytes("public")?).map_err(|error| error.to_string())
    };
    let names = names.split(", ").filter(|name| *name != "none");
    names.map(key).collect()
}
