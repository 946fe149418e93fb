//! One commit as a value: what must still hold, and what is to change.

use std::fmt;

use bytes::Bytes;

use super::{BackendError, OperationId, RecordKey, Version};

/// All that one operation read and wants to write, to be applied whole or not at all.
///
/// `expect` holds the version of *every* record that the operation read, those included that it
/// does not write and those that it found absent. A batch without puts and deletes only validates.
///
/// A put or delete of a key without an expectation is blind: it replaces or removes whatever is
/// there. That is right for acknowledging an entry of the inbox or outbox, and wrong for anything
/// that was computed from a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The name of this commit, by which it can be found again.
    pub operation: OperationId,
    /// What must hold for the batch to be applied.
    pub expect: Vec<Expectation>,
    /// The records to write. No key appears twice, nor in `deletes`.
    pub puts: Vec<Put>,
    /// The records to remove. Removing an absent record changes nothing. No key appears twice.
    pub deletes: Vec<RecordKey>,
}

/// A condition on one record: it has this version, or it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// The place of the record.
    pub key: RecordKey,
    /// The version that it must have; `None` if there must be no record.
    pub version: Option<Version>,
}

/// A record to write, over whatever is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Put {
    /// The place of the record.
    pub key: RecordKey,
    /// The version of its content: one that this key has never had, or that which it has if the same
    /// content was sealed anew.
    pub version: Version,
    /// Its new bytes.
    pub bytes: Bytes,
}

/// Prints key and version, and the length of the bytes.
impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .finish()
    }
}

impl Batch {
    /// A batch that expects and changes nothing yet.
    #[must_use]
    pub const fn new(operation: OperationId) -> Self {
        Self {
            operation,
            expect: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
        }
    }

    /// Adds a condition: the record at `key` has this version, or with `None` is absent.
    #[must_use]
    pub fn expect(mut self, key: RecordKey, version: Option<Version>) -> Self {
        self.expect.push(Expectation { key, version });
        self
    }

    /// Adds a record to write.
    #[must_use]
    pub fn put(mut self, key: RecordKey, version: Version, bytes: impl Into<Bytes>) -> Self {
        self.puts.push(Put {
            key,
            version,
            bytes: bytes.into(),
        });
        self
    }

    /// Adds a record to remove.
    #[must_use]
    pub fn delete(mut self, key: RecordKey) -> Self {
        self.deletes.push(key);
        self
    }

    /// Refuses a batch that does more than delete, for [`Backend::delete_soon`](super::Backend::delete_soon).
    ///
    /// # Errors
    /// [`BackendError::InvalidBatch`].
    pub fn require_deletes_only(&self) -> Result<(), BackendError> {
        if self.expect.is_empty() && self.puts.is_empty() {
            return Ok(());
        }
        Err(BackendError::InvalidBatch {
            reason: "only deletions can wait",
        })
    }

    /// Whether the batch changes nothing, and so only validates its expectations.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// How many expectations, puts and deletes there are together.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.expect.len() + self.puts.len() + self.deletes.len()
    }

    /// The length in bytes of all records to write together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.puts.iter().map(|put| put.bytes.len()).sum()
    }

    /// Refuses a batch whose meaning would depend on the order of its parts.
    ///
    /// # Errors
    /// [`BackendError::InvalidBatch`] if a key is written or deleted twice, or is expected in two
    /// versions.
    pub fn validate(&self) -> Result<(), BackendError> {
        // Batches are small: to sort them takes less than to hash their keys.
        let written = self.puts.iter().map(|put| &put.key);
        let mut changed: Vec<_> = written.chain(&self.deletes).collect();
        changed.sort_unstable();
        if changed.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(BackendError::InvalidBatch {
                reason: "a record is put or deleted twice",
            });
        }
        let mut expected: Vec<_> = self.expect.iter().collect();
        expected.sort_unstable_by_key(|expected| expected.key);
        let contradict = |pair: &[&Expectation]| {
            pair[0].key == pair[1].key && pair[0].version != pair[1].version
        };
        if expected.windows(2).any(contradict) {
            return Err(BackendError::InvalidBatch {
                reason: "a record is expected in two versions",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::backend::{AccountId, Kind};

    fn key(name: u8) -> RecordKey {
        RecordKey::fixed(AccountId::STORE, Kind::Session, [name])
    }

    fn version(number: u64) -> Version {
        Version::new(number).unwrap()
    }

    fn batch() -> Batch {
        Batch::new(OperationId::from_bytes([9; 16]))
    }

    #[test]
    fn a_sound_batch_passes() {
        let sound = batch()
            .expect(key(1), None)
            .expect(key(1), None)
            .expect(key(2), Some(version(1)))
            .put(key(1), version(2), vec![1, 2])
            .delete(key(2));
        sound.validate().unwrap();
        assert_eq!(
            (sound.entries(), sound.bytes(), sound.is_read_only()),
            (5, 2, false)
        );
        assert!(batch().expect(key(1), None).is_read_only());
    }

    #[test]
    fn ambiguous_batches_are_refused() {
        for ambiguous in [
            batch()
                .put(key(1), version(1), vec![])
                .put(key(1), version(2), vec![]),
            batch().put(key(1), version(1), vec![]).delete(key(1)),
            batch().delete(key(1)).delete(key(1)),
            batch()
                .expect(key(1), None)
                .expect(key(1), Some(version(1))),
        ] {
            assert!(matches!(
                ambiguous.validate(),
                Err(BackendError::InvalidBatch { .. })
            ));
        }
    }

    #[test]
    fn debug_does_not_print_the_bytes() {
        let printed = format!("{:?}", batch().put(key(1), version(1), &b"secret"[..]));
        assert!(
            printed.contains("6 bytes") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
