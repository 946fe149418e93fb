//! The server's view of messages to many.

use serde_json::Value;
use sprag_core::{
    ProtocolError,
    sealed_sender::{Receiver, SealedSenderMultiRecipientMessage},
    service_id::ServiceId,
};

use super::super::{
    Report,
    case::{Fields, Outcome, same, same_bytes},
    official::same_result,
};

pub(super) fn replay(version: &Value, report: &mut Report) {
    report.each(version, "parse", replay_parsing);
    report.each(version, "single", replay_single);
}

fn replay_parsing(case: &Value) -> Outcome {
    let message = case.bytes("message")?;
    let found = SealedSenderMultiRecipientMessage::parse(&message);
    let Some((found, expected)) = same_result(case.field("result")?, found)? else {
        return Ok(());
    };
    same(
        "shared offset",
        found.shared_offset() as u64,
        expected.number("offset_of_shared_data")?,
    )?;
    let receivers: Vec<&Receiver> = found.receivers().collect();
    let recipients = expected.list("recipients")?;
    same("receivers", receivers.len(), recipients.len())?;
    for (receiver, expected) in receivers.into_iter().zip(recipients) {
        same_receiver(receiver, expected)?;
        let cut = found.message_for_recipient(&receiver.service_id());
        let expected = expected.bytes("received_message")?;
        same_bytes("cut message", &cut.unwrap_or_default(), &expected)?;
    }
    same_excluded(&found, expected.list("excluded")?)
}

fn same_receiver(receiver: &Receiver, expected: &Value) -> Outcome {
    let numbers = |name: &str| -> Result<Vec<u64>, String> {
        Ok(expected
            .list(name)?
            .iter()
            .filter_map(Value::as_u64)
            .collect())
    };
    let devices = receiver.devices().iter();
    same(
        "service id",
        receiver.service_id().to_string().as_str(),
        expected.text("service_id")?,
    )?;
    same(
        "devices",
        devices
            .clone()
            .map(|device| u32::from(device.device_id).into())
            .collect(),
        numbers("device_ids")?,
    )?;
    same(
        "registration ids",
        devices
            .map(|device| device.registration_id.into())
            .collect(),
        numbers("registration_ids")?,
    )?;
    let material = receiver.key_material();
    same(
        "key material",
        [material.start as u64, material.len() as u64],
        [
            expected.number("key_material_offset")?,
            expected.number("key_material_length")?,
        ],
    )
}

/// Those left out, and that a stranger gets nothing.
fn same_excluded(found: &SealedSenderMultiRecipientMessage<'_>, expected: &[Value]) -> Outcome {
    let texts: Vec<String> = found.excluded().map(|id| id.to_string()).collect();
    let expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
    same(
        "excluded",
        texts.iter().map(String::as_str).collect(),
        expected,
    )?;
    let none = ServiceId::pni(uuid::Uuid::max());
    same("stranger", found.message_for_recipient(&none), None)
}

fn replay_single(case: &Value) -> Outcome {
    let message = case.bytes("message")?;
    let found: Result<Vec<u8>, ProtocolError> = SealedSenderMultiRecipientMessage::parse(&message)
        .and_then(|parsed| parsed.message_for_single_recipient());
    let result = case.field("result")?;
    match same_result(result, found)? {
        Some((found, _)) => same_bytes("cut message", &found, &result.bytes("ok")?),
        None => Ok(()),
    }
}
