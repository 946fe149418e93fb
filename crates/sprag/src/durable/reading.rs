//! Reading from the backend: single records, all of a kind, and all there are, each with the header that opens them.
//!
//! Another process may have begun a new epoch meanwhile. Whoever meets a record that is sealed under a later root than he knows
//! reads the header anew, and then the records.

use std::sync::Arc;

use bytes::Bytes;

use super::{DurableStore, frame, header::Header};
use crate::{
    Error,
    backend::{AccountId, Backend, BackendError, Kind, Record, RecordKey},
};

impl<B: Backend> DurableStore<B> {
    /// Reads records, and the header that opens them.
    pub(super) async fn read(
        &self,
        keys: &[RecordKey],
    ) -> Result<(Arc<Header>, Vec<Option<Record>>), Error> {
        loop {
            let header = self.header();
            let records = self.backend().read(keys).await?;
            if !self.is_behind(&header, records.iter().flatten()).await? {
                return Ok((header, records));
            }
        }
    }

    /// Shows name and payload of all records of a kind, page by page. `each` answers `None` for a
    /// damaged one; how many are damaged.
    pub(crate) async fn scan(
        &self,
        account: &AccountId,
        kind: Kind,
        mut each: impl FnMut(&[u8], Bytes) -> Option<()>,
    ) -> Result<usize, Error> {
        let mut damaged = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (header, page) = self.page(account, kind, after.as_deref()).await?;
            let Some((last, _)) = page.last() else {
                return Ok(damaged);
            };
            after = Some(last.clone());
            for (key, record) in page {
                let key = RecordKey::new(*account, kind, &key)?;
                let opened = frame::split(&header.seals, &key, &record);
                if opened
                    .and_then(|(name, payload)| each(&name, payload))
                    .is_none()
                {
                    self.tell_of_damage(account, kind);
                    damaged += 1;
                }
            }
        }
    }

    /// The next page of a scan, as long as the backend likes, and the header that opens it. In a damaged file the search
    /// may lead back to where it was, again and again; so it is made sure that it goes on.
    pub(super) async fn page(
        &self,
        account: &AccountId,
        kind: Kind,
        after: Option<&[u8]>,
    ) -> Result<(Arc<Header>, Vec<(Vec<u8>, Record)>), Error> {
        let limit = self.backend().limits().max_scan_page;
        loop {
            let header = self.header();
            let page = self.backend().scan(account, kind, after, limit).await?;
            let keys = page.iter().map(|(key, _)| key.as_slice());
            if !after
                .into_iter()
                .chain(keys)
                .is_sorted_by(|one, next| one < next)
            {
                let detail = format!("the records of kind {} are not in order", kind.name());
                return Err(BackendError::Corrupt { detail }.into());
            }
            let records = page.iter().map(|(_, record)| record);
            if !self.is_behind(&header, records).await? {
                return Ok((header, page));
            }
        }
    }

    /// The next page of a walk through all records, and the header that opens it.
    pub(super) async fn walk(
        &self,
        after: Option<&RecordKey>,
    ) -> Result<(Arc<Header>, Vec<(RecordKey, Record)>), Error> {
        let limit = self.backend().limits().max_scan_page;
        loop {
            let header = self.header();
            let page = self.backend().scan_all(after, limit).await?;
            let records = page.iter().map(|(_, record)| record);
            if !self.is_behind(&header, records).await? {
                return Ok((header, page));
            }
        }
    }

    /// Whether one of `records` is sealed in a later epoch than `header` knows; then the header was read anew.
    async fn is_behind(
        &self,
        header: &Header,
        mut records: impl Iterator<Item = &Record>,
    ) -> Result<bool, Error> {
        let known = header.seals.writing().map_or(u32::MAX, |seal| seal.epoch);
        if !records.any(|record| frame::epoch(record).is_some_and(|epoch| epoch > known)) {
            return Ok(false);
        }
        self.refresh_header().await?;
        // If there is no later epoch, the record is damaged.
        Ok(self.header().version != header.version)
    }
}
