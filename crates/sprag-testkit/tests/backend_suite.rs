//! The suite of contracts can fail: each of these backends has one flaw, and the contracts that are
//! there to find it do find it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sprag::backend::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits,
    MemoryBackend, OperationId, Record, RecordKey,
};
use sprag_testkit::backend::{Fixture, contracts, durable, run, shared};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    ExpectationsAreIgnored,
    OnlyWrittenRecordsAreChecked,
    OnlyPresenceIsChecked,
    EmptyBatchesAlwaysPass,
    ConflictsAreAppliedAllTheSame,
    WritesComeInTwoCommits,
    CommitsComeLater,
    DroppedCommitsComeLater,
    ReadsComeInTwoSnapshots,
    DeletesAreForgotten,
    OperationsAreForgotten,
    OperationsAreAlwaysFound,
    KindsAreMixed,
    KeysAreText,
    ScansBeginAtTheLastKey,
    ScansSkipARecord,
    ScansOfAllStayInOneAccount,
    ScansOfAllNeedTheLastKey,
    ScansOfAllGoByVersion,
    SameVersionsAreSkipped,
    LimitsAreSmall,
    LimitsAreNotChecked,
    BytesAreCut,
    ClosingAgainDoesNotWait,
    ClosingDoesNothing,
    ClosingLosesRecords,
    ClosingOneClosesAll,
}

struct Flawed {
    inner: MemoryBackend,
    flaw: Flaw,
    closing: AtomicBool,
}

impl Flawed {
    fn new(inner: &MemoryBackend, flaw: Flaw) -> Arc<Self> {
        Arc::new(Self {
            inner: inner.clone(),
            flaw,
            closing: AtomicBool::new(false),
        })
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn place(&self, key: &RecordKey) -> RecordKey {
        let kind = if self.has(Flaw::KindsAreMixed) {
            Kind::Session
        } else {
            key.kind()
        };
        let text = String::from_utf8_lossy(key.key()).to_lowercase();
        let name = if self.has(Flaw::KeysAreText) && key.key().len() < 8 {
            text.as_bytes()
        } else {
            key.key()
        };
        RecordKey::new(*key.account(), kind, name).unwrap()
    }

    fn weaken(&self, batch: &mut Batch) {
        let written: Vec<_> = batch
            .puts
            .iter()
            .map(|put| put.key)
            .chain(batch.deletes.clone())
            .collect();
        match self.flaw {
            Flaw::ExpectationsAreIgnored => batch.expect.clear(),
            Flaw::OnlyWrittenRecordsAreChecked => batch
                .expect
                .retain(|expected| written.contains(&expected.key)),
            Flaw::OnlyPresenceIsChecked => {
                batch.expect.retain(|expected| expected.version.is_none())
            }
            Flaw::EmptyBatchesAlwaysPass if batch.is_read_only() => batch.expect.clear(),
            Flaw::DeletesAreForgotten => batch.deletes.clear(),
            Flaw::BytesAreCut => batch
                .puts
                .iter_mut()
                .for_each(|put| put.bytes.truncate(100_000)),
            _ => {}
        }
        for expected in &mut batch.expect {
            expected.key = self.place(&expected.key);
        }
        for put in &mut batch.puts {
            put.key = self.place(&put.key);
        }
        for key in &mut batch.deletes {
            *key = self.place(key);
        }
    }
}

#[async_trait]
impl Backend for Flawed {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        let keys: Vec<_> = keys.iter().map(|key| self.place(key)).collect();
        if !self.has(Flaw::ReadsComeInTwoSnapshots) {
            return self.inner.read(&keys).await;
        }
        let mut records = Vec::new();
        for key in keys {
            records.extend(self.inner.read(&[key]).await?);
            tokio::task::yield_now().await;
        }
        Ok(records)
    }

    async fn commit(&self, mut batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.weaken(&mut batch);
        if self.has(Flaw::SameVersionsAreSkipped) && batch.validate().is_ok() {
            let keys: Vec<_> = batch.puts.iter().map(|put| put.key).collect();
            let mut there = self.inner.read(&keys).await?.into_iter();
            batch.puts.retain(|put| {
                let there = there.next().flatten();
                there.is_none_or(|record| record.version != put.version)
            });
        }
        if self.has(Flaw::LimitsAreNotChecked) && self.inner.limits().check_batch(&batch).is_err() {
            return Ok(CommitOutcome::Committed);
        }
        if self.has(Flaw::WritesComeInTwoCommits) && batch.puts.len() > 1 {
            let mut rest = Batch {
                expect: Vec::new(),
                ..batch.clone()
            };
            batch.puts.truncate(1);
            rest.puts.remove(0);
            let outcome = self.inner.commit(batch).await?;
            tokio::task::yield_now().await;
            return match outcome {
                CommitOutcome::Committed => self.inner.commit(rest).await,
                other => Ok(other),
            };
        }
        if self.has(Flaw::CommitsComeLater) {
            let inner = self.inner.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                inner.commit(batch).await
            });
            return Ok(CommitOutcome::Committed);
        }
        let commits_take_time = [Flaw::DroppedCommitsComeLater, Flaw::ClosingAgainDoesNotWait];
        if commits_take_time.contains(&self.flaw) {
            let inner = self.inner.clone();
            let task = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                inner.commit(batch).await
            });
            return task.await.unwrap();
        }
        let all_the_same = Batch {
            expect: Vec::new(),
            ..batch.clone()
        };
        let outcome = self.inner.commit(batch).await?;
        if self.has(Flaw::ConflictsAreAppliedAllTheSame) && outcome == CommitOutcome::Conflict {
            let _ = self.inner.commit(all_the_same).await?;
        }
        Ok(outcome)
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        match self.flaw {
            Flaw::OperationsAreForgotten => Ok(false),
            Flaw::OperationsAreAlwaysFound => Ok(true),
            _ => self.inner.committed(operation).await,
        }
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        let kind = if self.has(Flaw::KindsAreMixed) {
            Kind::Session
        } else {
            kind
        };
        let mut page = self.inner.scan(account, kind, after, limit).await?;
        if self.has(Flaw::ScansSkipARecord) && after.is_some() && page.len() > 1 {
            page.remove(0);
        }
        if let (true, Some(last)) = (self.has(Flaw::ScansBeginAtTheLastKey), after) {
            let key = RecordKey::new(*account, kind, last)?;
            let record = self.inner.read(&[key]).await?.remove(0);
            page.splice(0..0, record.map(|record| (last.to_vec(), record)));
            page.truncate(limit);
        }
        Ok(page)
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        match (self.flaw, after) {
            (Flaw::ScansOfAllStayInOneAccount, Some(last)) => {
                let mut page = self.inner.scan_all(after, limit).await?;
                page.retain(|(key, _)| key.account() == last.account());
                Ok(page)
            }
            (Flaw::ScansOfAllNeedTheLastKey, Some(last))
                if self.inner.read(&[*last]).await? == [None] =>
            {
                self.inner.scan_all(None, limit).await
            }
            (Flaw::ScansOfAllGoByVersion, _) => {
                let mut all = self.inner.scan_all(None, 1000).await?;
                all.sort_by_key(|(_, record)| record.version);
                let place = |last| all.iter().position(|(key, _)| key == last);
                let start = after.and_then(place).map_or(0, |place| place + 1);
                Ok(all.into_iter().skip(start).take(limit).collect())
            }
            _ => self.inner.scan_all(after, limit).await,
        }
    }

    fn limits(&self) -> Limits {
        let mut limits = self.inner.limits();
        if self.has(Flaw::LimitsAreSmall) {
            limits.max_record = 100_000;
        }
        limits
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.inner.checkpoint().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        if self.has(Flaw::ClosingLosesRecords) {
            for account in [[0xa1; 16], [0xb0; 16]].map(AccountId::from_bytes) {
                for (key, _) in self.inner.scan(&account, Kind::Session, None, 1).await? {
                    let key = RecordKey::new(account, Kind::Session, &key)?;
                    let batch = Batch::new(OperationId::random(&mut rand::rng())).delete(key);
                    let _ = self.inner.commit(batch).await?;
                }
            }
        }
        if self.has(Flaw::ClosingAgainDoesNotWait) && !self.closing.swap(true, Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if self.has(Flaw::ClosingDoesNothing) {
            Ok(())
        } else {
            self.inner.close().await
        }
    }
}

/// Whether a contract passes on a backend with this flaw.
fn passes<C, Fut>(flaw: Flaw, contract: C) -> bool
where
    C: FnOnce(Fixture) -> Fut,
    Fut: Future<Output = ()>,
{
    let fixture = move || async move {
        let memory = MemoryBackend::new();
        let one = Flawed::new(&memory, flaw);
        Fixture::reopening(move || {
            let another = Flawed::new(&memory, flaw);
            let handle = if flaw == Flaw::ClosingOneClosesAll {
                one.clone()
            } else {
                another
            };
            std::future::ready(handle)
        })
        .await
    };
    catch_unwind(AssertUnwindSafe(|| run(fixture, contract))).is_ok()
}

macro_rules! finds {
    ($($test:ident: $flaw:ident by $($module:ident::$contract:ident),+;)*) => {
        $(
            #[test]
            fn $test() {
                $(
                    assert!(passes(Flaw::None, $module::$contract), "sound: {}", stringify!($contract));
                    assert!(!passes(Flaw::$flaw, $module::$contract), "not found: {}", stringify!($contract));
                )+
            }
        )*
    };
}

finds! {
    ignored_expectations: ExpectationsAreIgnored by
        contracts::conflict_if_the_record_changed,
        contracts::conflict_if_the_record_appeared,
        contracts::conflict_if_the_record_vanished,
        contracts::conflict_if_a_record_that_was_only_read_changed,
        contracts::concurrent_increments_lose_nothing,
        contracts::write_skew_is_impossible,
        contracts::operations_that_wrote_nothing_are_not_in_the_store,
        shared::conflicts_are_found_across_handles,
        shared::increments_through_two_handles_lose_nothing,
        shared::write_skew_is_impossible_across_handles;
    unchecked_reads: OnlyWrittenRecordsAreChecked by
        contracts::conflict_if_a_record_that_was_only_read_changed,
        contracts::an_empty_batch_validates,
        contracts::write_skew_is_impossible;
    presence_alone: OnlyPresenceIsChecked by
        contracts::conflict_if_the_record_changed,
        contracts::a_recreated_record_is_not_the_old_one;
    empty_batches: EmptyBatchesAlwaysPass by
        contracts::an_empty_batch_validates,
        contracts::validations_are_snapshots;
    conflicts_applied: ConflictsAreAppliedAllTheSame by
        contracts::a_conflict_applies_nothing,
        contracts::conflict_if_the_record_changed;
    two_commits: WritesComeInTwoCommits by
        contracts::reads_are_snapshots,
        contracts::cancelled_commits_are_whole;
    two_snapshots: ReadsComeInTwoSnapshots by contracts::reads_are_snapshots;
    no_deletes: DeletesAreForgotten by
        contracts::a_delete_removes,
        contracts::deletions_that_wait_are_seen_at_once,
        durable::deletions_that_wait_are_done_by_closing,
        contracts::conflict_if_the_record_vanished,
        contracts::blind_writes_need_no_expectation,
        contracts::scans_continue_after_a_deleted_key;
    no_operations: OperationsAreForgotten by
        contracts::operations_are_remembered,
        contracts::cancelled_commits_are_whole,
        durable::operations_survive,
        shared::operations_are_known_to_the_other_handle;
    all_operations: OperationsAreAlwaysFound by
        contracts::operations_that_wrote_nothing_are_not_in_the_store,
        durable::operations_survive;
    mixed_kinds: KindsAreMixed by
        contracts::scans_stay_within_account_and_kind;
    text_keys: KeysAreText by contracts::keys_are_opaque_bytes;
    scans_repeat: ScansBeginAtTheLastKey by
        contracts::scans_go_page_by_page,
        contracts::scans_continue_after_a_deleted_key;
    scans_skip: ScansSkipARecord by contracts::scans_go_page_by_page;
    one_account: ScansOfAllStayInOneAccount by
        contracts::scans_of_all_see_every_record_once,
        contracts::scans_of_all_see_what_stays_once_while_others_write;
    last_key: ScansOfAllNeedTheLastKey by contracts::scans_of_all_continue_after_a_deleted_key;
    by_version: ScansOfAllGoByVersion by
        contracts::scans_of_all_see_what_stays_once_while_others_write;
    same_versions: SameVersionsAreSkipped by
        contracts::a_put_under_the_same_version_replaces_bytes;
    small_limits: LimitsAreSmall by contracts::limits_reach_the_minimum;
    unchecked_limits: LimitsAreNotChecked by
        contracts::limits_are_refused_clearly,
        contracts::ambiguous_batches_are_refused;
    cut_bytes: BytesAreCut by contracts::records_may_be_empty_or_big;
    closed_twice: ClosingAgainDoesNotWait by durable::closing_again_waits_for_the_end;
    never_closed: ClosingDoesNothing by contracts::a_closed_backend_refuses_everything;
    lost_on_closing: ClosingLosesRecords by durable::records_survive_closing;
    late_commits: CommitsComeLater by
        contracts::reads_its_own_commit,
        durable::closing_finishes_what_was_accepted,
        durable::records_survive_without_closing,
        shared::commits_are_seen_through_the_other_handle;
    late_when_dropped: DroppedCommitsComeLater by
        contracts::dropped_commits_do_not_come_after_a_look;
    closed_together: ClosingOneClosesAll by shared::closing_one_handle_leaves_the_other;
}
