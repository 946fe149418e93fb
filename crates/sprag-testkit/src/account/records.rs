//! The records of a whole store, to be compared.

use std::collections::BTreeMap;

use sprag::backend::{Backend, BackendError, Batch, Kind, Record, RecordKey};

use super::sample::AnyBackend;
use crate::backend::Passed;

/// What a store holds, sealed as it is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Records(BTreeMap<RecordKey, Record>);

impl Records {
    /// What the store holds now.
    pub(super) async fn of(backend: &AnyBackend) -> Self {
        Self::read(backend).await.expect("no fault")
    }

    /// How many records of a kind there are.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.0.keys().filter(|key| key.kind() == kind).count()
    }

    async fn read(backend: &AnyBackend) -> Result<Self, BackendError> {
        let limit = backend.limits().max_scan_page;
        let mut records = BTreeMap::new();
        let mut after = None;
        loop {
            let page = backend.scan_all(after.as_ref(), limit).await?;
            let Some((last, _)) = page.last() else {
                return Ok(Self(records));
            };
            after = Some(*last);
            records.extend(page);
        }
    }

    /// How many of the batches that were `passed` to the backend have made `after` of these records. One that changes
    /// nothing does not count: deleting again what is gone does no harm.
    ///
    /// # Panics
    /// If `after` is anything else than these records with all batches that were applied, and with or without the last one
    /// if nobody waited for the answer to that.
    pub(super) fn commits_to(mut self, after: &Self, mut passed: Vec<Passed>) -> usize {
        passed.retain(|passed| passed.applied != Some(false));
        let open = passed.pop_if(|passed| passed.applied.is_none());
        let mut commits = 0;
        for Passed { batch, applied } in &passed {
            assert_eq!(*applied, Some(true), "only the last answer may be missing");
            commits += usize::from(self.apply(batch));
        }
        if let Some(Passed { batch, .. }) = open
            && self != *after
        {
            commits += usize::from(self.apply(&batch));
        }
        assert!(
            self == *after,
            "the records are neither those before nor those after"
        );
        commits
    }

    /// Answers whether anything has changed.
    fn apply(&mut self, batch: &Batch) -> bool {
        for put in &batch.puts {
            let (version, bytes) = (put.version, put.bytes.clone());
            self.0.insert(put.key, Record { version, bytes });
        }
        let gone = batch
            .deletes
            .iter()
            .filter(|key| self.0.remove(key).is_some());
        gone.count() > 0 || !batch.puts.is_empty()
    }
}
