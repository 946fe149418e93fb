//! What waits in inbox and outbox.

use serde::Serialize;
use sprag::{Delivery, InboxId, OutboxId};

use super::place::Place;
use crate::{arguments::Format, error::CliError, formats::Base64, output};

/// One line of `sprag inbox list --json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InboxEntry {
    id: String,
    sender: String,
    /// Of a group message.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Milliseconds since 1970.
    received: u64,
    body: Base64,
}

/// One line of `sprag outbox list --json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutboxEntry {
    id: String,
    recipient: String,
    /// Milliseconds since 1970.
    created: u64,
    #[serde(rename = "type")]
    message_type: u8,
    body: Base64,
}

pub(crate) async fn list_inbox(place: &Place, format: Format) -> Result<(), CliError> {
    let pending = place.account().await?.inbox_pending().await?;
    if !format.json {
        let row = |entry: &Delivery| {
            let length = entry.plaintext.len();
            let group = entry.group.map(|group| format!(" in {group}"));
            output::line(&format!(
                "{} from {}{}, {length} bytes",
                entry.id,
                entry.sender,
                group.unwrap_or_default()
            ))
        };
        return pending.iter().try_for_each(row);
    }
    let entries = pending.into_iter().map(|entry| InboxEntry {
        id: entry.id.to_string(),
        sender: entry.sender.to_string(),
        group: entry.group.map(|group| group.to_string()),
        received: entry.received.as_millis(),
        body: Base64(entry.plaintext.to_vec()),
    });
    output::json(&entries.collect::<Vec<_>>())
}

pub(crate) async fn list_outbox(place: &Place, format: Format) -> Result<(), CliError> {
    let pending = place.account().await?.outbox_pending().await?;
    if !format.json {
        return pending.iter().try_for_each(|entry| {
            let length = entry.bytes.len();
            output::line(&format!(
                "{} to {}, {length} bytes",
                entry.id, entry.recipient
            ))
        });
    }
    let entries = pending.into_iter().map(|entry| OutboxEntry {
        id: entry.id.to_string(),
        recipient: entry.recipient.to_string(),
        created: entry.created.as_millis(),
        message_type: entry.message_type as u8,
        body: Base64(entry.bytes.to_vec()),
    });
    output::json(&entries.collect::<Vec<_>>())
}

pub(crate) async fn done(place: &Place, id: InboxId) -> Result<(), CliError> {
    let account = place.account().await?;
    if account.done(id).await? {
        Ok(())
    } else {
        Err(CliError::NoEntry(id.to_string()))
    }
}

pub(crate) async fn sent(place: &Place, id: OutboxId) -> Result<(), CliError> {
    let account = place.account().await?;
    if account.sent(id).await? {
        Ok(())
    } else {
        Err(CliError::NoEntry(id.to_string()))
    }
}
