//! The account itself.

use serde::Serialize;
use sprag::{Account, ProtocolAddress, Status};

use super::place::Place;
use crate::{
    arguments::Format,
    error::CliError,
    formats::{Base64, Bundle},
    output,
};

pub(crate) async fn init(place: &Place, address: ProtocolAddress) -> Result<(), CliError> {
    let store = place.store().await?;
    if let Some(existing) = store.accounts().await?.first() {
        return Err(CliError::AlreadyInitialised {
            store: place.url().to_owned(),
            address: existing.to_string(),
        });
    }
    let account = Account::create(store, address).await?;
    output::line(&format!(
        "{} is ready in {}",
        account.address(),
        place.url()
    ))
}

pub(crate) async fn bundle(place: &Place) -> Result<(), CliError> {
    let bundle = place.account().await?.bundle().await?;
    output::json(&Bundle::from(&bundle))
}

/// `sprag status --json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson {
    address: String,
    registration_id: u32,
    identity_key: Base64,
    sessions: usize,
    pre_keys: usize,
    signed_pre_keys: usize,
    kyber_pre_keys: usize,
    inbox: usize,
    outbox: usize,
}

pub(crate) async fn status(place: &Place, format: Format) -> Result<(), CliError> {
    let status = place.account().await?.status().await?;
    if format.json {
        output::json(&StatusJson::from(&status))
    } else {
        print(&status)
    }
}

impl From<&Status> for StatusJson {
    fn from(status: &Status) -> Self {
        Self {
            address: status.address.to_string(),
            registration_id: status.registration_id,
            identity_key: Base64(status.identity_key.serialize().to_vec()),
            sessions: status.sessions,
            pre_keys: status.pre_keys,
            signed_pre_keys: status.signed_pre_keys,
            kyber_pre_keys: status.kyber_pre_keys,
            inbox: status.inbox,
            outbox: status.outbox,
        }
    }
}

fn print(status: &Status) -> Result<(), CliError> {
    let identity = Base64(status.identity_key.serialize().to_vec());
    let rows = [
        ("address", status.address.to_string()),
        ("registration id", status.registration_id.to_string()),
        ("identity key", identity.to_string()),
        ("sessions", status.sessions.to_string()),
        ("one-time pre-keys", status.pre_keys.to_string()),
        ("signed pre-keys", status.signed_pre_keys.to_string()),
        ("Kyber pre-keys", status.kyber_pre_keys.to_string()),
        ("inbox", status.inbox.to_string()),
        ("outbox", status.outbox.to_string()),
    ];
    rows.iter()
        .try_for_each(|(name, value)| output::line(&format!("{name:<18} {value}")))
}
