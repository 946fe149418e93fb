//! A store that was put back to an earlier state, or is damaged.

use serde::Serialize;
use sprag::{Damage, ProtocolAddress};

use super::place::Place;
use crate::{arguments::Format, error::CliError, output};

/// `sprag doctor --json`.
#[derive(Serialize)]
struct ExaminationJson {
    records: u64,
    damaged: Vec<DamageJson>,
}

#[derive(Serialize)]
struct DamageJson {
    kind: &'static str,
    account: Option<String>,
    peer: Option<String>,
    remedy: &'static str,
    discarded: bool,
}

pub(crate) async fn recover(place: &Place) -> Result<(), CliError> {
    let recovery = place.recover().await?;
    output::line(&format!("{} is the current store now", place.url()))?;
    for (count, what) in [
        (recovery.sessions, "sessions put aside: start new ones"),
        (
            recovery.pre_keys,
            "one-time pre-keys dropped: publish new ones",
        ),
        (
            recovery.sender_keys,
            "own sender keys dropped: distribute new ones",
        ),
        (recovery.damaged, "damaged records: see sprag doctor"),
    ] {
        output::line(&format!("{count:>6} {what}"))?;
    }
    Ok(())
}

/// Fails if there is damage left, after it has named all of it.
pub(crate) async fn doctor(place: &Place, discard: bool, format: Format) -> Result<(), CliError> {
    let store = place.existing_store().await?;
    let examination = store.examine().await?;
    let mut damaged = Vec::new();
    for damage in &examination.damaged {
        let discarded = discard && damage.can_be_discarded() && store.discard(damage).await?;
        damaged.push(DamageJson {
            kind: damage.kind.name(),
            account: damage.account.as_ref().map(ProtocolAddress::to_string),
            peer: damage.peer.as_ref().map(ProtocolAddress::to_string),
            remedy: damage.remedy(),
            discarded,
        });
    }
    let left = damaged.iter().filter(|damage| !damage.discarded).count();
    if format.json {
        let records = examination.records;
        output::json(&ExaminationJson { records, damaged })?;
    } else {
        print(examination.records, &examination.damaged, &damaged)?;
    }
    match left {
        0 => Ok(()),
        left => Err(CliError::Damaged(left)),
    }
}

fn print(records: u64, found: &[Damage], shown: &[DamageJson]) -> Result<(), CliError> {
    output::line(&format!("{records} records, {} damaged", found.len()))?;
    for damage in shown {
        let account = damage.account.as_deref().unwrap_or("the store");
        let mut line = format!("{} of {account}", damage.kind);
        if let Some(peer) = &damage.peer {
            line += &format!(", about {peer}");
        }
        let then = if damage.discarded { "discarded; " } else { "" };
        output::line(&format!("{line}: {then}{}", damage.remedy))?;
    }
    Ok(())
}
