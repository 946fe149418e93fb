//! Recordings of 1:1 sessions.

mod conversation;
mod keys;
mod records;
mod single;

use serde_json::Value;

use super::{Report, case::Fields};

pub(super) use single::replay_walkthrough;

pub(super) fn replay(file: &Value, report: &mut Report) {
    if let Some(keys) = file.optional("keys") {
        keys::replay(keys, report);
    }
    if let Some(addresses) = file.optional("addresses") {
        keys::replay_addresses(addresses, report);
    }
    if let Some(records) = file.optional("records") {
        records::replay(records, report);
    }
    single::replay_limits(file, report);
    if let Some(malformed) = file.optional("malformed") {
        single::replay_malformed(malformed, report);
    }
    let conversations = file.optional("conversations").and_then(Value::as_array);
    for conversation in conversations
        .into_iter()
        .flatten()
        .chain(file.optional("legacy"))
    {
        conversation::replay(conversation, report);
    }
}
