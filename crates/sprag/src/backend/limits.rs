//! How much a backend takes in one call, so that a caller can cut its work to size beforehand.

use super::{BackendError, Batch, RecordKey};

/// The limits of a backend. Keys are not among them: every backend takes [`RecordKey::MAX_LENGTH`]
/// bytes.
///
/// A backend starts from [`Limits::default`] and changes the fields that differ; it never goes
/// below [`Limits::MINIMUM`], on which callers may rely without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest record in bytes.
    pub max_record: usize,
    /// How many expectations, puts and deletes a batch may hold together.
    pub max_batch_entries: usize,
    /// How many bytes the records that a batch writes may have together.
    pub max_batch_bytes: usize,
    /// How many keys one read may name.
    pub max_read_keys: usize,
    /// How many records a page of a scan holds at most, whatever the caller asked for.
    pub max_scan_page: usize,
    /// How many later operations it takes at least before an operation id is forgotten.
    pub remembered_operations: u64,
}

impl Limits {
    /// What every backend takes.
    pub const MINIMUM: Self = Self {
        max_record: 1 << 20,
        max_batch_entries: 1024,
        max_batch_bytes: 4 << 20,
        max_read_keys: 1024,
        max_scan_page: 1,
        remembered_operations: 1024,
    };

    /// Refuses a batch that is too large, or [ambiguous](Batch::validate). Backends call this
    /// first.
    ///
    /// # Errors
    /// [`BackendError::LimitExceeded`] or [`BackendError::InvalidBatch`].
    pub fn check_batch(&self, batch: &Batch) -> Result<(), BackendError> {
        check("batch entries", batch.entries(), self.max_batch_entries)?;
        check("batch bytes", batch.bytes(), self.max_batch_bytes)?;
        for put in &batch.puts {
            check("record bytes", put.bytes.len(), self.max_record)?;
        }
        batch.validate()
    }

    /// Refuses a read of too many keys. Backends call this first.
    ///
    /// # Errors
    /// [`BackendError::LimitExceeded`].
    pub fn check_read(&self, keys: &[RecordKey]) -> Result<(), BackendError> {
        check("keys to read", keys.len(), self.max_read_keys)
    }

    /// The length of the page that a scan with this `limit` may return. Backends call this first.
    ///
    /// # Errors
    /// [`BackendError::LimitExceeded`] for 0.
    pub fn page(&self, limit: usize) -> Result<usize, BackendError> {
        match limit {
            0 => Err(BackendError::LimitExceeded {
                what: "scan limit",
                actual: 0,
                limit: self.max_scan_page,
            }),
            _ => Ok(limit.min(self.max_scan_page)),
        }
    }
}

/// Limits that an embedded store on today's machines bears easily.
impl Default for Limits {
    fn default() -> Self {
        Self {
            max_record: 16 << 20,
            max_batch_entries: 16_384,
            max_batch_bytes: 64 << 20,
            max_read_keys: 16_384,
            max_scan_page: 1024,
            remembered_operations: 4096,
        }
    }
}

fn check(what: &'static str, actual: usize, limit: usize) -> Result<(), BackendError> {
    if actual <= limit {
        Ok(())
    } else {
        Err(BackendError::LimitExceeded {
            what,
            actual,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::backend::{AccountId, Kind, OperationId, Version};

    const SMALL: Limits = Limits {
        max_record: 10,
        max_batch_entries: 3,
        max_batch_bytes: 15,
        max_read_keys: 2,
        max_scan_page: 5,
        remembered_operations: 1,
    };

    fn key(name: u8) -> RecordKey {
        RecordKey::fixed(AccountId::STORE, Kind::Session, [name])
    }

    fn batch(lengths: &[usize]) -> Batch {
        let version = Version::new(1).unwrap();
        let empty = Batch::new(OperationId::from_bytes([1; 16]));
        lengths
            .iter()
            .zip(0..)
            .fold(empty, |batch, (length, name)| {
                batch.put(key(name), version, vec![0; *length])
            })
    }

    #[test]
    fn what_fits_passes_and_one_more_does_not() {
        for (lengths, refused) in [
            (&[10, 5][..], None),
            (&[1, 1, 1][..], None),
            (&[11][..], Some("record bytes")),
            (&[10, 6][..], Some("batch bytes")),
            (&[1, 1, 1, 1][..], Some("batch entries")),
        ] {
            let what = match SMALL.check_batch(&batch(lengths)) {
                Ok(()) => None,
                Err(BackendError::LimitExceeded { what, .. }) => Some(what),
                Err(_) => Some("another error"),
            };
            assert_eq!(what, refused, "{lengths:?}");
        }
        SMALL.check_read(&[key(1), key(2)]).unwrap();
        assert!(SMALL.check_read(&[key(1), key(2), key(3)]).is_err());
    }

    #[test]
    fn pages_are_cut_to_size_but_never_empty() {
        assert_eq!(SMALL.page(3).unwrap(), 3);
        assert_eq!(SMALL.page(500).unwrap(), 5);
        assert!(SMALL.page(0).is_err());
    }
}
