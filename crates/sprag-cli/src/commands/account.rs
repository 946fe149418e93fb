//! The account itself.

use std::time::SystemTime;

use serde::Serialize;
use sprag::{
    Account, ProtocolAddress, SealStatus, Status, Timestamp,
    upkeep::{Inventory, KeySort, Policy},
};

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
    last_resort_pre_keys: usize,
    keys: KeysJson,
    inbox: usize,
    outbox: usize,
    /// Records that are counted nowhere else; `sprag doctor` says more.
    damaged: usize,
    store: StoreJson,
}

/// The store as a whole.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreJson {
    /// Bytes of its files.
    size: u64,
    vault: String,
    epoch: u64,
    /// When the epoch began, and the next one is due, in milliseconds since 1970.
    epoch_since: u64,
    epoch_due: u64,
    /// Whether nothing of earlier epochs can be opened.
    earlier_forgotten: bool,
}

impl StoreJson {
    fn new(size: u64, sealed: SealStatus) -> Self {
        Self {
            size,
            vault: sealed.vault,
            epoch: sealed.epoch,
            epoch_since: sealed.since.as_millis(),
            epoch_due: sealed.due.as_millis(),
            earlier_forgotten: sealed.forgotten,
        }
    }
}

/// Times are milliseconds since 1970.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeysJson {
    signed_pre_key: Option<CurrentJson>,
    last_resort_pre_key: Option<CurrentJson>,
    /// When upkeep last had nothing more to do, and is due again.
    checked: Option<u64>,
    check_due: Option<u64>,
}

/// A key that everybody is given: when it was made, and is to be replaced.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CurrentJson {
    created: u64,
    published: bool,
    due: u64,
}

impl From<&Inventory> for KeysJson {
    fn from(keys: &Inventory) -> Self {
        let policy = Policy::default();
        let current = |sort| {
            let batch = keys.newest(sort)?;
            Some(CurrentJson {
                created: batch.created.as_millis(),
                published: batch.published,
                due: batch
                    .created
                    .saturating_add(policy.rotate_after)
                    .as_millis(),
            })
        };
        let due = |checked: Timestamp| checked.saturating_add(policy.check_every);
        Self {
            signed_pre_key: current(KeySort::SignedPreKey),
            last_resort_pre_key: current(KeySort::LastResort),
            checked: keys.checked.map(Timestamp::as_millis),
            check_due: keys.checked.map(|checked| due(checked).as_millis()),
        }
    }
}

pub(crate) async fn status(place: &Place, format: Format) -> Result<(), CliError> {
    let account = place.account().await?;
    let status = account.status().await?;
    let sealed = account.store().seal_status();
    let sealed = sealed.ok_or(sprag::Error::StoreNotSealed)?;
    let store = StoreJson::new(place.size(), sealed);
    if format.json {
        output::json(&StatusJson::new(&status, store))
    } else {
        print(&status, &store)
    }
}

impl StatusJson {
    fn new(status: &Status, store: StoreJson) -> Self {
        Self {
            address: status.address.to_string(),
            registration_id: status.registration_id,
            identity_key: Base64(status.identity_key.serialize().to_vec()),
            sessions: status.sessions,
            pre_keys: status.pre_keys,
            signed_pre_keys: status.signed_pre_keys,
            kyber_pre_keys: status.kyber_pre_keys,
            last_resort_pre_keys: status.last_resort_pre_keys,
            keys: (&status.keys).into(),
            inbox: status.inbox,
            outbox: status.outbox,
            damaged: status.damaged,
            store,
        }
    }
}

fn print(status: &Status, store: &StoreJson) -> Result<(), CliError> {
    let identity = Base64(status.identity_key.serialize().to_vec());
    let now = SystemTime::now().into();
    let age = |sort| age(&status.keys, sort, now);
    let rows = [
        ("address", status.address.to_string()),
        ("registration id", status.registration_id.to_string()),
        ("identity key", identity.to_string()),
        ("sessions", status.sessions.to_string()),
        ("one-time pre-keys", status.pre_keys.to_string()),
        ("Kyber pre-keys", status.kyber_pre_keys.to_string()),
        (
            "signed pre-keys",
            status.signed_pre_keys.to_string() + &age(KeySort::SignedPreKey),
        ),
        (
            "last-resort keys",
            status.last_resort_pre_keys.to_string() + &age(KeySort::LastResort),
        ),
        ("key upkeep", due(&status.keys, now)),
        ("inbox", status.inbox.to_string()),
        ("outbox", status.outbox.to_string()),
        ("damaged records", status.damaged.to_string()),
        ("store", format!("{} KiB", store.size.div_ceil(1024))),
        ("vault", store.vault.clone()),
        ("epoch", epoch(store, now)),
    ];
    rows.iter()
        .try_for_each(|(name, value)| output::line(&format!("{name:<18} {value}")))
}

/// How old the newest key of a sort is, and when it is to be replaced.
fn age(keys: &Inventory, sort: KeySort, now: Timestamp) -> String {
    let Some(batch) = keys.newest(sort) else {
        return String::new();
    };
    let policy = Policy::default();
    let due = if keys.rotation_is_due(sort, now, &policy) {
        "now".to_owned()
    } else {
        let due = batch.created.saturating_add(policy.rotate_after);
        format!("in {}", length(now, due))
    };
    let age = length(batch.created, now);
    format!(" (the newest is {age} old, to be replaced {due})")
}

/// When to look after the keys again.
fn due(keys: &Inventory, now: Timestamp) -> String {
    let policy = Policy::default();
    match keys.checked {
        Some(checked) if !keys.check_is_due(now, &policy) => {
            let due = checked.saturating_add(policy.check_every);
            format!("due in {}", length(now, due))
        }
        Some(_) => "due now".to_owned(),
        None => "never done".to_owned(),
    }
}

/// The epoch, and when the next one begins.
fn epoch(store: &StoreJson, now: Timestamp) -> String {
    let due = Timestamp::from_millis(store.epoch_due);
    let next = if due <= now {
        "now".to_owned()
    } else {
        format!("in {}", length(now, due))
    };
    format!("{} (the next is due {next})", store.epoch)
}

/// How long it is from one time to another, roughly.
fn length(from: Timestamp, to: Timestamp) -> String {
    let minutes = to.as_secs().saturating_sub(from.as_secs()) / 60;
    match minutes {
        0..60 => format!("{minutes} min"),
        60..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}
