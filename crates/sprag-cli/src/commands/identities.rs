//! Whom the account knows, and how far it trusts them.

use serde::Serialize;
use sprag::{Delivery, KnownIdentity, ProtocolAddress, protocol::identity::IdentityKey};

use super::place::Place;
use crate::{arguments::Format, error::CliError, formats::Base64, output};

/// One of `sprag identity list --json`. Times are milliseconds since 1970.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityJson {
    name: String,
    /// Missing if the identity is that of all devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<u32>,
    identity_key: Base64,
    trust: &'static str,
    first_seen: u64,
    /// Missing if it never has.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<u64>,
}

pub(crate) async fn list(place: &Place, format: Format) -> Result<(), CliError> {
    let identities = place.account().await?.identities().await?;
    if format.json {
        let identities: Vec<_> = identities.iter().map(IdentityJson::from).collect();
        return output::json(&identities);
    }
    identities.iter().try_for_each(print)
}

impl From<&KnownIdentity> for IdentityJson {
    fn from(known: &KnownIdentity) -> Self {
        Self {
            name: known.name.clone(),
            device_id: known.device_id.map(u32::from),
            identity_key: base64(&known.key),
            trust: known.trust.code(),
            first_seen: known.first_seen.as_millis(),
            changed: known.changed.map(|changed| changed.as_millis()),
        }
    }
}

fn print(known: &KnownIdentity) -> Result<(), CliError> {
    let peer = match known.device_id {
        Some(device) => format!("{}.{device}", known.name),
        None => known.name.clone(),
    };
    let (key, trust) = (base64(&known.key), known.trust.code());
    output::line(&format!("{peer}  {key}  {trust}"))
}

pub(crate) async fn approve(
    place: &Place,
    peer: &ProtocolAddress,
    key: &IdentityKey,
) -> Result<(), CliError> {
    let account = place.account().await?;
    account.approve_identity(peer, key).await?;
    output::line(&format!("the identity of {peer} is approved"))
}

pub(crate) async fn verify(
    place: &Place,
    peer: &ProtocolAddress,
    key: &IdentityKey,
) -> Result<(), CliError> {
    place.account().await?.verify(peer, key).await?;
    output::line(&format!("the identity of {peer} is verified"))
}

/// Says so if a message has come under another identity than was known.
pub(super) fn warn_of_change(delivery: &Delivery) {
    let Some(key) = &delivery.changed_identity else {
        return;
    };
    let (peer, key) = (&delivery.sender, base64(key));
    let text = format!(
        "the identity of {peer} has changed; if you know why, allow sending again with: \
         sprag identity approve {peer} {key}"
    );
    output::warn("identity-changed", &text);
}

fn base64(key: &IdentityKey) -> Base64 {
    Base64(key.serialize().to_vec())
}
