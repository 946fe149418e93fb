//! Epochs: the whole store is sealed anew under another root, and the root before it is destroyed.
//!
//! What was deleted or superseded in an epoch may lie on in the storage's log, in free pages, on a worn-out sector
//! or in copies of the files. Once the epoch's root is destroyed nobody can open it, not even with the vault. The order:
//!
//! 1. the vault makes a root for the next epoch;
//! 2. the header says that the next epoch is written under: every commit expects the header, so nobody seals
//!    under the old root any more;
//! 3. what is sealed under older roots is sealed anew, in batches, while the store stays in use;
//! 4. the header says that there is nothing older;
//! 5. the storage empties its log;
//! 6. the vault destroys the older roots, and the header forgets them.
//!
//! After a crash anywhere the next call goes on where it was. A root of step 1 that no header came to name stays in the
//! vault; nothing was ever sealed under it.

use sprag_core::time::Timestamp;
use tracing::debug;

use super::{
    DurableStore, frame,
    header::{self, Epochs, Header},
    retry::Attempts,
};
use crate::{
    Error,
    backend::{Backend, Batch, Checkpoint, Limits, OperationId, Record, RecordKey},
    environment::generator,
};

/// How many records are sealed anew in one commit, and how many bytes they may have: an expectation and a put for each.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// How often a log in use is tried to be emptied before this is left for later.
const CHECKPOINTS: usize = 4;

/// What a change of epochs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EpochChange {
    /// The epoch that records are sealed under now. The first is 1.
    pub epoch: u64,
    /// How many records were sealed anew.
    pub records: u64,
    /// How many records are damaged and stay as they are; nobody can read them.
    pub damaged: u64,
    /// Whether the roots before are destroyed. They are not if somebody kept the storage's log in use: the next
    /// [`upkeep`](DurableStore::upkeep) tries again.
    pub forgotten: bool,
}

/// What a store is sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealStatus {
    /// The sort of vault that has the roots.
    pub vault: String,
    /// The epoch that records are sealed under. The first is 1.
    pub epoch: u64,
    /// When it began.
    pub since: Timestamp,
    /// When [`upkeep`](DurableStore::upkeep) begins the next one.
    pub due: Timestamp,
    /// Whether the roots before are destroyed. They are not while a change of epochs is unfinished.
    pub forgotten: bool,
}

impl<B: Backend> DurableStore<B> {
    /// What the store is sealed with, as far as this handle knows. `None` for one in clear text.
    pub fn seal_status(&self) -> Option<SealStatus> {
        let header = self.header();
        let epochs = header.epochs.as_ref()?;
        Some(SealStatus {
            vault: epochs.vault.clone(),
            epoch: epochs.current().into(),
            since: epochs.since,
            due: epochs.since.saturating_add(self.inner.epoch_length),
            forgotten: epochs.is_settled(),
        })
    }

    /// Seals all records under a new root and destroys the one before, so that what was deleted up to now can be
    /// read by nobody any more: not from the files, not from old copies of them, not with the vault. The store stays in
    /// use meanwhile. An earlier change that was interrupted is finished first.
    ///
    /// If the future is dropped, or fails, the next call goes on.
    ///
    /// # Errors
    /// [`Error::StoreNotSealed`]; otherwise what vault and storage report.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn new_epoch(&self) -> Result<EpochChange, Error> {
        self.finish_epoch().await?;
        self.begin_epoch().await?;
        self.finish_epoch().await
    }

    /// Does what is due: finishes a change of epochs that was interrupted, and begins a
    /// [new epoch](Self::new_epoch) if the current one is [old enough](crate::StoreOptions::epoch_length), or if the clock
    /// went back since it began. Call it every hour or so; there is no task of the library's own that would. `None` if nothing
    /// was due.
    ///
    /// # Errors
    /// As for [`new_epoch`](Self::new_epoch). In a store in clear text nothing is ever due.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn upkeep(&self) -> Result<Option<EpochChange>, Error> {
        if self.header().epochs.is_none() {
            return Ok(None);
        }
        // Somebody else may have done it, and whoever only reads would not know.
        self.refresh_header().await?;
        let header = self.header();
        let epochs = header.epochs.as_ref().ok_or(Error::StoreNotSealed)?;
        if is_due(
            epochs.since,
            self.environment().now(),
            self.inner.epoch_length,
        ) {
            return self.new_epoch().await.map(Some);
        }
        if epochs.is_settled() {
            return Ok(None);
        }
        self.finish_epoch().await.map(Some)
    }

    /// Steps 1 and 2.
    async fn begin_epoch(&self) -> Result<(), Error> {
        let vault = self.vault().ok_or(Error::StoreNotSealed)?;
        let mut attempts = Attempts::new();
        loop {
            let header = self.header();
            let mut epochs = header.epochs.clone().ok_or(Error::StoreNotSealed)?;
            let mut rng = generator(self.environment())?;
            let epoch = epochs.current().saturating_add(1);
            let (root, seal) =
                header::create_root(vault, &header.store_id, epoch, &mut rng).await?;
            epochs.roots.push(root);
            epochs.since = self.environment().now();
            let next = header.with_epochs(epochs, Some(seal), &mut rng);
            match self.replace_header(&header, next).await {
                Ok(()) => return Ok(()),
                // Perhaps the header names the root.
                Err(error @ Error::OutcomeUnknown(_)) => return Err(error),
                Err(error) => {
                    vault.destroy(&root.name(&header.store_id)).await?;
                    attempts.after(error, self.environment()).await?;
                }
            }
        }
    }

    /// Steps 3 to 6, those that are left.
    async fn finish_epoch(&self) -> Result<EpochChange, Error> {
        let mut change = EpochChange::default();
        let mut attempts = Attempts::new();
        loop {
            let header = self.header();
            let epochs = header.epochs.as_ref().ok_or(Error::StoreNotSealed)?;
            change.epoch = epochs.current().into();
            change.forgotten = epochs.is_settled();
            let step = if epochs.min < epochs.current() {
                self.seal_anew(&header, &mut change).await
            } else if change.forgotten {
                return Ok(change);
            } else if self.empty_log().await? {
                self.destroy_roots(&header).await
            } else {
                debug!("the log is in use, so the roots before are not destroyed yet");
                return Ok(change);
            };
            match step {
                // Somebody else does the same.
                Err(Error::Conflict) => attempts.again(self.environment()).await?,
                end => end?,
            }
        }
    }

    /// Steps 3 and 4.
    async fn seal_anew(&self, header: &Header, change: &mut EpochChange) -> Result<(), Error> {
        change.damaged = 0;
        let mut after = None;
        loop {
            let page = self.backend().scan_all(after.as_ref(), self.batch_length());
            let page = page.await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            self.seal_page_anew(header, page, change).await?;
        }
        let mut epochs = header.epochs.clone().ok_or(Error::StoreNotSealed)?;
        epochs.min = epochs.current();
        let next = header.with_epochs(epochs, None, &mut generator(self.environment())?);
        self.replace_header(header, next).await
    }

    /// Seals records anew, in as many commits as it takes.
    async fn seal_page_anew(
        &self,
        header: &Header,
        page: Vec<(RecordKey, Record)>,
        change: &mut EpochChange,
    ) -> Result<(), Error> {
        let mut attempts = Attempts::new();
        let mut left = page;
        loop {
            left.retain(|(key, record)| is_older(header, key, record));
            let Some(batch) = self.renewed(header, &mut left, &mut change.damaged)? else {
                return Ok(());
            };
            let keys: Vec<_> = batch.puts.iter().map(|put| put.key).collect();
            match self.settle(batch).await {
                Ok(()) => change.records += keys.len() as u64,
                Err(Error::Conflict) if self.header().version == header.version => {
                    // A record was rewritten, under the new root, or is gone.
                    attempts.again(self.environment()).await?;
                    let found = self.backend().read(&keys).await?;
                    let found = keys.into_iter().zip(found);
                    left.extend(found.filter_map(|(key, record)| Some((key, record?))));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes off some records, and makes the commit that seals them anew under their versions: what they say does
    /// not change, so nobody who read them need read them again. `None` if none is left.
    fn renewed(
        &self,
        header: &Header,
        left: &mut Vec<(RecordKey, Record)>,
        damaged: &mut u64,
    ) -> Result<Option<Batch>, Error> {
        let mut rng = generator(self.environment())?;
        let mut batch =
            Batch::new(OperationId::random(&mut rng)).expect(header::key(), Some(header.version));
        let mut bytes = 0;
        while let Some((key, record)) = left.pop() {
            let Some(renewed) = frame::renew(&header.seals, &key, &record) else {
                self.tell_of_damage(key.account(), key.kind());
                *damaged += 1;
                continue;
            };
            bytes += renewed.len();
            if bytes > BATCH_BYTES && !batch.puts.is_empty() {
                left.push((key, record));
                break;
            }
            batch = batch
                .expect(key, Some(record.version))
                .put(key, record.version, renewed);
        }
        Ok((!batch.puts.is_empty()).then_some(batch))
    }

    /// Step 5; whether the log is empty.
    async fn empty_log(&self) -> Result<bool, Error> {
        for _ in 0..CHECKPOINTS {
            if self.backend().checkpoint().await? == Checkpoint::Complete {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Step 6.
    async fn destroy_roots(&self, header: &Header) -> Result<(), Error> {
        let vault = self.vault().ok_or(Error::StoreNotSealed)?;
        let mut epochs = header.epochs.clone().ok_or(Error::StoreNotSealed)?;
        for root in epochs.outlived() {
            vault.destroy(&root.name(&header.store_id)).await?;
        }
        epochs.roots.retain(|root| root.epoch >= epochs.min);
        let next = header.with_epochs(epochs, None, &mut generator(self.environment())?);
        self.replace_header(header, next).await
    }

    /// Puts a header in the place of another one.
    async fn replace_header(&self, header: &Header, next: Header) -> Result<(), Error> {
        let operation = OperationId::random(&mut generator(self.environment())?);
        let batch = Batch::new(operation)
            .expect(header::key(), Some(header.version))
            .put(header::key(), next.version, next.encode());
        self.settle(batch).await?;
        self.adopt_header(next);
        Ok(())
    }

    fn batch_length(&self) -> usize {
        let limits: Limits = self.backend().limits();
        let entries = (limits.max_batch_entries - 1) / 2;
        BATCH.min(entries).min(limits.max_read_keys)
    }
}

impl Epochs {
    /// Whether nothing is left of the epochs before.
    fn is_settled(&self) -> bool {
        self.outlived().next().is_none() && self.min == self.current()
    }
}

/// Whether a record has to be sealed anew.
fn is_older(header: &Header, key: &RecordKey, record: &Record) -> bool {
    let current = header.seals.writing().map(|seal| seal.epoch);
    *key != header::key() && frame::epoch(record) != current
}

fn is_due(since: Timestamp, now: Timestamp, length: std::time::Duration) -> bool {
    now < since || now >= since.saturating_add(length)
}
