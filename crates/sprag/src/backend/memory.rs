//! A backend in memory, **for tests**: it forgets everything with the process.
//!
//! It makes every promise of the waist but durability, so that whatever runs above a backend can be
//! tested without files. It is also the shortest complete implementation, to be read before writing
//! another one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    AccountId, Backend, BackendError, Batch, Checkpoint, CommitOutcome, Kind, Limits, OperationId,
    Record, RecordKey,
};

/// A [`Backend`] in memory, for tests only.
///
/// A clone is another handle on the same records, like a second connection to one database, and
/// open even if this one was closed: that is how a test "opens the store again". The records go
/// with the last handle.
#[derive(Default)]
pub struct MemoryBackend {
    state: Arc<Mutex<State>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    records: BTreeMap<RecordKey, Record>,
    /// The ids of the latest commits, oldest first.
    operations: VecDeque<OperationId>,
}

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records the store holds, of all accounts and kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether the store holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state, unless this handle was closed.
    fn open(&self) -> Result<MutexGuard<'_, State>, BackendError> {
        let state = self.lock();
        if self.closed.load(Ordering::SeqCst) {
            Err(BackendError::Closed)
        } else {
            Ok(state)
        }
    }

    /// The state behind its lock, which nobody holds across an await. A panic cannot leave a batch
    /// half applied: it is validated before its first change, and the changes themselves do not
    /// fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryBackend {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            closed: AtomicBool::new(false),
        }
    }
}

impl State {
    fn holds(&self, batch: &Batch) -> bool {
        batch.expect.iter().all(|expected| {
            let version = self.records.get(&expected.key).map(|record| record.version);
            version == expected.version
        })
    }

    fn apply(&mut self, batch: Batch) {
        for put in batch.puts {
            self.records.insert(
                put.key,
                Record {
                    version: put.version,
                    bytes: put.bytes,
                },
            );
        }
        for key in &batch.deletes {
            self.records.remove(key);
        }
        self.operations.push_back(batch.operation);
        if self.operations.len() as u64 > Limits::default().remembered_operations + 1 {
            self.operations.pop_front();
        }
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.limits().check_read(keys)?;
        let state = self.open()?;
        Ok(keys
            .iter()
            .map(|key| state.records.get(key).cloned())
            .collect())
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        self.limits().check_batch(&batch)?;
        let mut state = self.open()?;
        if !state.holds(&batch) {
            return Ok(CommitOutcome::Conflict);
        }
        if !batch.is_read_only() {
            state.apply(batch);
        }
        Ok(CommitOutcome::Committed)
    }

    async fn committed(&self, operation: OperationId) -> Result<bool, BackendError> {
        Ok(self.open()?.operations.contains(&operation))
    }

    async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, BackendError> {
        let page = self.limits().page(limit)?;
        let start = match after {
            Some(key) => Bound::Excluded(RecordKey::new(*account, kind, key)?),
            None => Bound::Included(RecordKey::fixed(*account, kind, [])),
        };
        let state = self.open()?;
        Ok(state
            .records
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| key.account() == account && key.kind() == kind)
            .take(page)
            .map(|(key, record)| (key.key().to_vec(), record.clone()))
            .collect())
    }

    async fn scan_all(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Record)>, BackendError> {
        let page = self.limits().page(limit)?;
        let start = after.map_or(Bound::Unbounded, |key| Bound::Excluded(*key));
        let state = self.open()?;
        let found = state.records.range((start, Bound::Unbounded)).take(page);
        Ok(found.map(|(key, record)| (*key, record.clone())).collect())
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    async fn checkpoint(&self) -> Result<Checkpoint, BackendError> {
        self.open().map(|_| Checkpoint::Complete)
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }
}
