//! Contents: made, and parsed.

use serde_json::Value;
use sprag_core::{
    message::CiphertextMessageType,
    sealed_sender::{SenderCertificate, UnidentifiedSenderMessageContent},
};

use super::super::{
    Report,
    case::{Fields, Outcome, same, same_bytes},
    official::same_result,
};

pub(super) fn replay(contents: &Value, report: &mut Report) {
    report.each(contents, "made", |case| {
        let certificate = SenderCertificate::deserialize(&contents.bytes("sender_certificate")?);
        let made = UnidentifiedSenderMessageContent::new(
            message_type(case)?,
            &case.bytes("message")?,
            certificate.map_err(|error| error.to_string())?,
            case.number32("content_hint")?.into(),
            group_id(case)?.as_deref(),
        );
        match same_result(case.field("result")?, Ok(made))? {
            Some((made, expected)) => same_content(&made, expected),
            None => Ok(()),
        }
    });
    report.each(contents, "parsed", |case| {
        let parsed = UnidentifiedSenderMessageContent::deserialize(&case.bytes("serialized")?);
        match same_result(case.field("result")?, parsed)? {
            Some((parsed, expected)) => same_content(&parsed, expected),
            None => Ok(()),
        }
    });
}

pub(super) fn same_content(found: &UnidentifiedSenderMessageContent, expected: &Value) -> Outcome {
    same("type", found.message_type(), message_type(expected)?)?;
    same(
        "hint",
        u32::from(found.content_hint()),
        expected.number32("content_hint")?,
    )?;
    same("group", found.group_id(), group_id(expected)?.as_deref())?;
    same_bytes("contents", found.contents(), &expected.bytes("contents")?)?;
    same_bytes(
        "certificate",
        found.sender_certificate().serialized(),
        &expected.bytes("sender_certificate")?,
    )?;
    same_bytes(
        "serialized",
        found.serialized(),
        &expected.bytes("serialized")?,
    )
}

fn message_type(fields: &Value) -> Result<CiphertextMessageType, String> {
    u8::try_from(fields.number("type")?)
        .ok()
        .and_then(CiphertextMessageType::from_number)
        .ok_or_else(|| "type is no message type".into())
}

fn group_id(fields: &Value) -> Result<Option<Vec<u8>>, String> {
    let group_id = fields.optional("group_id");
    group_id.map(|_| fields.bytes("group_id")).transpose()
}
