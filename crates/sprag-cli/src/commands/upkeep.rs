//! The upkeep of pre-keys, with a file in the server's place.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;
use sprag::upkeep::{Action, KeySort};

use super::{key_file::KeyFile, place::Place};
use crate::{arguments::Format, error::CliError, output};

/// `sprag upkeep --json`: what was done, or is to be done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpkeepJson {
    dry_run: bool,
    steps: Vec<StepJson>,
    /// The epoch that the store was sealed anew under, if that was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_epoch: Option<u64>,
}

#[derive(Serialize)]
struct StepJson {
    step: &'static str,
    keys: &'static str,
    count: u32,
}

pub(crate) struct How {
    pub(crate) dry_run: bool,
    pub(crate) new_epoch: bool,
}

pub(crate) async fn upkeep(
    place: &Place,
    server: PathBuf,
    How { dry_run, new_epoch }: How,
    format: Format,
) -> Result<(), CliError> {
    let (account, server) = (place.account().await?, KeyFile::new(server));
    let planned = account.upkeep_plan(&server).await?;
    if !format.json {
        print(&planned)?;
    }
    let mut steps = planned;
    let mut epoch = None;
    if !dry_run {
        // It shows itself only where somebody looks.
        let bar = ProgressBar::new(steps.len() as u64);
        let mut done = Vec::new();
        let each = |action: &Action| {
            bar.inc(1);
            done.push(action.clone());
        };
        let outcome = account.upkeep_observed(&server, each).await;
        bar.finish_and_clear();
        outcome?;
        epoch = if new_epoch {
            Some(account.store().new_epoch().await?)
        } else {
            account.store().upkeep().await?
        };
        steps = done;
    }
    if format.json {
        let steps = steps.iter().flat_map(Action::rows);
        let step = |(step, sort, count)| StepJson {
            step,
            keys: name(sort),
            count,
        };
        output::json(&UpkeepJson {
            dry_run,
            steps: steps.map(step).collect(),
            new_epoch: epoch.map(|change| change.epoch),
        })?;
    } else if let Some(change) = epoch {
        let (records, epoch) = (change.records, change.epoch);
        output::line(&format!(
            "{:<12} {records:>5} records, epoch {epoch}",
            "seal anew"
        ))?;
    }
    Ok(())
}

/// Hands out a bundle in the server's place.
pub(crate) fn hand_out(file: &Path) -> Result<(), CliError> {
    output::json(&KeyFile::new(file.to_owned()).hand_out()?)
}

fn print(actions: &[Action]) -> Result<(), CliError> {
    if actions.is_empty() {
        return output::line("nothing is to be done");
    }
    let rows = actions.iter().flat_map(Action::rows);
    rows.map(|(step, sort, count)| format!("{step:<12} {count:>5} {sort}"))
        .try_for_each(|row| output::line(&row))
}

/// As the key file names them.
fn name(sort: KeySort) -> &'static str {
    match sort {
        KeySort::PreKey => "preKeys",
        KeySort::KyberPreKey => "pqPreKeys",
        KeySort::SignedPreKey => "signedPreKey",
        KeySort::LastResort => "pqLastResortPreKey",
    }
}
