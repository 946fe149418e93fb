//! The contracts on vaults can fail: each of these vaults has one flaw, of the kind that people make, and the
//! contracts that are there to find it do find it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use sprag::vault::{MemoryVault, Secret, Vault, VaultError, check_name};
use sprag_testkit::vault::{Fixture, anchors, durable, run, secrets};
use tokio::task::yield_now;

mod memory {
    use super::{Fixture, MemoryVault};

    async fn fixture() -> Fixture {
        let vault = MemoryVault::new();
        Fixture::reopening(move || {
            let vault = vault.clone();
            async move { vault }
        })
        .await
    }

    sprag_testkit::vault_suite!(fixture);
    sprag_testkit::durable_vault_suite!(fixture);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    TheKindIsEmpty,
    TheKindChanges,
    UnknownSecretsAreZero,
    SecretsEndAtZero,
    SecretsAreReplaced,
    TheSameSecretIsTaken,
    SecretsAreFoundByPrefix,
    LongNamesAreCut,
    NamesAreNotChecked,
    DestroyingIsForgotten,
    DestroyingIsByPrefix,
    DestroyingNothingFails,
    DestroyingTakesTheAnchor,
    LookingAndCreatingAreTwoSteps,
    WritingLosesWhatOthersWrote,
    DroppedCallsWriteHalf,
    AnchorsAreLowered,
    AnchorsAreSigned,
    AnchorsAreFloating,
    AnchorsAreShared,
    AnchorsAreSecrets,
    RaisingToNoMoreFails,
    RaisingIsTwoSteps,
    SecretsAreCached,
    SecretsAreInMemory,
    AnchorsAreInMemory,
    DestroyedSecretsComeBack,
    HandlesLoseWhatOthersWrote,
}

/// What outlives one opening.
#[derive(Clone, Default)]
struct Disk {
    secrets: BTreeMap<String, Secret>,
    anchors: BTreeMap<String, u64>,
    openings: usize,
}

struct Flawed {
    flaw: Flaw,
    kind: String,
    disk: Arc<Mutex<Disk>>,
    /// What this handle alone knows.
    own: Mutex<Disk>,
    destroyed: Mutex<BTreeSet<String>>,
}

impl Flawed {
    fn over(disk: Arc<Mutex<Disk>>, flaw: Flaw) -> Self {
        disk.lock().unwrap().openings += 1;
        let own = disk.lock().unwrap().clone();
        let kind = match flaw {
            Flaw::TheKindIsEmpty => String::new(),
            Flaw::TheKindChanges => format!("flawed {}", own.openings),
            _ => "flawed".to_owned(),
        };
        let own = Mutex::new(own);
        Self {
            flaw,
            kind,
            disk,
            own,
            destroyed: Mutex::default(),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Where this vault looks for its secrets.
    fn secrets(&self) -> MutexGuard<'_, Disk> {
        if self.has(Flaw::SecretsAreInMemory) || self.has(Flaw::HandlesLoseWhatOthersWrote) {
            self.own.lock().unwrap()
        } else {
            self.disk.lock().unwrap()
        }
    }

    fn anchors(&self) -> MutexGuard<'_, Disk> {
        if self.has(Flaw::AnchorsAreInMemory) {
            self.own.lock().unwrap()
        } else {
            self.disk.lock().unwrap()
        }
    }

    /// What this vault calls a secret.
    fn place(&self, name: &str) -> String {
        let length = if self.has(Flaw::LongNamesAreCut) {
            64
        } else {
            96
        };
        name.chars().take(length).collect()
    }

    fn check(&self, name: &str) -> Result<(), VaultError> {
        if self.has(Flaw::NamesAreNotChecked) {
            return Ok(());
        }
        check_name(name)
    }

    /// After a handle wrote: everything that it knows, in place of what is there.
    fn write_over(&self) {
        if self.has(Flaw::HandlesLoseWhatOthersWrote) {
            self.disk.lock().unwrap().secrets = self.own.lock().unwrap().secrets.clone();
        }
    }
}

#[async_trait]
impl Vault for Flawed {
    fn kind(&self) -> &str {
        &self.kind
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        self.check(name)?;
        let place = self.place(name);
        let known = self.secrets().secrets.get(&place).cloned();
        match self.flaw {
            Flaw::SecretsAreReplaced => {}
            Flaw::TheSameSecretIsTaken
                if known.as_ref().map(Secret::as_bytes) == Some(secret.as_bytes()) => {}
            _ if known.is_some() => return Err(VaultError::Exists),
            _ => {}
        }
        match self.flaw {
            Flaw::LookingAndCreatingAreTwoSteps => tokio::time::sleep(PAUSE).await,
            Flaw::WritingLosesWhatOthersWrote => {
                let mut all = self.secrets().secrets.clone();
                tokio::time::sleep(PAUSE).await;
                all.insert(place, secret.clone());
                self.secrets().secrets = all;
                return Ok(());
            }
            Flaw::DroppedCallsWriteHalf => {
                let half = Secret::from_bytes(&[0; 32]);
                self.secrets().secrets.insert(place.clone(), half);
                for _ in 0..4 {
                    yield_now().await;
                }
            }
            _ => {}
        }
        let mut bytes = *secret.as_bytes();
        if self.has(Flaw::SecretsEndAtZero)
            && let Some(end) = bytes.iter().position(|byte| *byte == 0)
        {
            bytes[end..].fill(0);
        }
        self.secrets()
            .secrets
            .insert(place, Secret::from_bytes(&bytes));
        self.write_over();
        Ok(())
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.check(name)?;
        let place = self.place(name);
        if self.destroyed.lock().unwrap().contains(&place) {
            return Ok(None);
        }
        if self.has(Flaw::SecretsAreCached)
            && let Some(secret) = self.own.lock().unwrap().secrets.get(&place)
        {
            return Ok(Some(secret.clone()));
        }
        let state = self.secrets();
        let mut found = state.secrets.get(&place).cloned();
        if self.has(Flaw::SecretsAreFoundByPrefix) {
            let mut all = state.secrets.iter();
            let same = all.find(|(name, _)| name.starts_with(&place));
            found = same.map(|(_, secret)| secret.clone());
        }
        if self.has(Flaw::AnchorsAreSecrets) && state.anchors.contains_key(&place) {
            found = found.or(Some(Secret::from_bytes(&[0; 32])));
        }
        drop(state);
        if let Some(secret) = &found {
            let mut own = self.own.lock().unwrap();
            own.secrets.insert(place, secret.clone());
        }
        if self.has(Flaw::UnknownSecretsAreZero) {
            return Ok(found.or(Some(Secret::from_bytes(&[0; 32]))));
        }
        Ok(found)
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        self.check(name)?;
        let place = self.place(name);
        match self.flaw {
            Flaw::DestroyingIsForgotten => return Ok(()),
            Flaw::DestroyingIsByPrefix => {
                let secrets = &mut self.secrets().secrets;
                secrets.retain(|name, _| !name.starts_with(&place));
            }
            Flaw::DestroyingNothingFails if !self.secrets().secrets.contains_key(&place) => {
                let detail = "no such entry".to_owned();
                return Err(VaultError::Io { detail });
            }
            Flaw::DestroyingTakesTheAnchor => {
                self.anchors().anchors.remove(&place);
            }
            Flaw::DestroyedSecretsComeBack => {
                self.destroyed.lock().unwrap().insert(place.clone());
            }
            _ => {}
        }
        if !self.has(Flaw::DestroyedSecretsComeBack) {
            self.secrets().secrets.remove(&place);
            self.own.lock().unwrap().secrets.remove(&place);
        }
        self.write_over();
        Ok(())
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        self.check(name)?;
        let place = if self.has(Flaw::AnchorsAreShared) {
            ""
        } else {
            name
        };
        Ok(self.anchors().anchors.get(place).copied().unwrap_or(0))
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        self.check(name)?;
        let place = if self.has(Flaw::AnchorsAreShared) {
            ""
        } else {
            name
        };
        let found = self.anchors().anchors.get(place).copied().unwrap_or(0);
        let mut raised = value.max(found);
        match self.flaw {
            Flaw::AnchorsAreLowered => raised = value,
            Flaw::AnchorsAreSigned => raised = raised.min(i64::MAX as u64),
            Flaw::AnchorsAreFloating => raised = raised as f64 as u64,
            Flaw::RaisingToNoMoreFails if value <= found => return Err(VaultError::Exists),
            Flaw::RaisingIsTwoSteps => tokio::time::sleep(PAUSE).await,
            _ => {}
        }
        self.anchors().anchors.insert(place.to_owned(), raised);
        Ok(())
    }
}

/// Long enough for the other tasks to come in between.
const PAUSE: Duration = Duration::from_millis(5);

async fn fixture(flaw: Flaw) -> Fixture {
    let disk = Arc::new(Mutex::new(Disk::default()));
    Fixture::reopening(move || {
        let disk = Arc::clone(&disk);
        async move { Flawed::over(disk, flaw) }
    })
    .await
}

/// The contracts that a vault with this flaw breaks.
fn broken(flaw: Flaw) -> Vec<&'static str> {
    let mut broken = Vec::new();
    macro_rules! check {
        ($module:ident: $($contract:ident)*) => {$(
            let contract = || run(|| fixture(flaw), $module::$contract);
            if catch_unwind(AssertUnwindSafe(contract)).is_err() {
                broken.push(stringify!($contract));
            }
        )*};
    }
    check! { secrets:
        the_kind_is_short an_unknown_secret_is_none a_secret_comes_back secrets_of_all_bytes_come_back
        secrets_of_names_are_apart names_of_every_form_are_taken what_is_no_name_is_refused
        a_secret_is_never_replaced a_destroyed_secret_is_gone destroying_nothing_is_fine
        secrets_created_at_once_are_all_kept one_of_many_creates_of_a_name_wins
        a_call_that_is_dropped_is_done_or_not
    }
    check! { anchors:
        an_anchor_begins_at_zero an_anchor_rises an_anchor_is_never_lowered an_anchor_takes_every_number
        anchors_of_names_are_apart anchors_and_secrets_are_apart
        an_anchor_raised_at_once_ends_at_the_highest
    }
    check! { durable:
        secrets_survive a_destroyed_secret_stays_gone anchors_survive the_kind_stays
        what_one_handle_does_the_other_sees a_secret_is_not_replaced_through_another_handle
        secrets_created_through_two_handles_are_all_kept
        an_anchor_raised_through_many_handles_is_never_lowered dropping_a_handle_leaves_the_others
    }
    broken
}

#[test]
fn a_sound_vault_breaks_nothing() {
    assert_eq!(broken(Flaw::None), [""; 0]);
}

#[test]
fn every_flaw_is_found() {
    for (flaw, contract) in [
        (Flaw::TheKindIsEmpty, "the_kind_is_short"),
        (Flaw::TheKindChanges, "the_kind_stays"),
        (Flaw::UnknownSecretsAreZero, "an_unknown_secret_is_none"),
        (Flaw::SecretsEndAtZero, "secrets_of_all_bytes_come_back"),
        (Flaw::SecretsAreReplaced, "a_secret_is_never_replaced"),
        (Flaw::TheSameSecretIsTaken, "a_secret_is_never_replaced"),
        (Flaw::SecretsAreFoundByPrefix, "secrets_of_names_are_apart"),
        (Flaw::LongNamesAreCut, "names_of_every_form_are_taken"),
        (Flaw::NamesAreNotChecked, "what_is_no_name_is_refused"),
        (Flaw::DestroyingIsForgotten, "a_destroyed_secret_is_gone"),
        (Flaw::DestroyingIsByPrefix, "secrets_of_names_are_apart"),
        (Flaw::DestroyingNothingFails, "destroying_nothing_is_fine"),
        (
            Flaw::DestroyingTakesTheAnchor,
            "anchors_and_secrets_are_apart",
        ),
        (
            Flaw::LookingAndCreatingAreTwoSteps,
            "one_of_many_creates_of_a_name_wins",
        ),
        (
            Flaw::WritingLosesWhatOthersWrote,
            "secrets_created_at_once_are_all_kept",
        ),
        (
            Flaw::DroppedCallsWriteHalf,
            "a_call_that_is_dropped_is_done_or_not",
        ),
        (Flaw::AnchorsAreLowered, "an_anchor_is_never_lowered"),
        (Flaw::AnchorsAreSigned, "an_anchor_takes_every_number"),
        (Flaw::AnchorsAreFloating, "an_anchor_takes_every_number"),
        (Flaw::AnchorsAreShared, "anchors_of_names_are_apart"),
        (Flaw::AnchorsAreSecrets, "anchors_and_secrets_are_apart"),
        (Flaw::RaisingToNoMoreFails, "an_anchor_is_never_lowered"),
        (
            Flaw::RaisingIsTwoSteps,
            "an_anchor_raised_at_once_ends_at_the_highest",
        ),
        (
            Flaw::RaisingIsTwoSteps,
            "an_anchor_raised_through_many_handles_is_never_lowered",
        ),
        (
            Flaw::SecretsAreCached,
            "what_one_handle_does_the_other_sees",
        ),
        (Flaw::SecretsAreInMemory, "secrets_survive"),
        (Flaw::AnchorsAreInMemory, "anchors_survive"),
        (
            Flaw::DestroyedSecretsComeBack,
            "a_destroyed_secret_stays_gone",
        ),
        (
            Flaw::HandlesLoseWhatOthersWrote,
            "secrets_created_through_two_handles_are_all_kept",
        ),
    ] {
        let broken = broken(flaw);
        assert!(
            broken.contains(&contract),
            "{flaw:?} breaks {broken:?}, not {contract}"
        );
    }
}
