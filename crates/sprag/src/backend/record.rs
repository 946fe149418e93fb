//! What lies at a place: bytes under a version. And the id by which an operation is found again.

use std::fmt;
use std::num::NonZeroU64;

use bytes::Bytes;
use rand_core::CryptoRng;

/// The version of a record: a random 64-bit number other than zero, chosen by whoever writes.
///
/// A version never recurs for a key with another content, not even after the record was deleted and
/// made anew: this is what keeps a stale operation from mistaking a later record for the one that it
/// read. The same content sealed anew keeps its version, as whoever read it read nothing that is
/// out of date. A version is also sealed with the bytes as associated data. So draw one with
/// [`random`](Self::random) for each new content; never count up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroU64);

impl Version {
    /// A fresh version.
    #[must_use]
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            if let Some(version) = Self::new(rng.next_u64()) {
                return version;
            }
        }
    }

    /// The version with this number, as it was stored; `None` for zero.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

/// A record as it was read: its version and its (sealed) bytes.
///
/// Cheap to clone: the bytes are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The version under which the bytes were put.
    pub version: Version,
    /// The bytes that were put, unchanged.
    pub bytes: Bytes,
}

/// Prints the version and the length of the bytes.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .finish()
    }
}

/// The name of one commit: 16 random bytes, used for one batch only.
///
/// The store remembers it with the batch, so that an unknown outcome can be resolved by
/// [`Backend::committed`](super::Backend::committed).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationId([u8; 16]);

impl OperationId {
    /// A fresh id.
    #[must_use]
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Prints the bytes in hexadecimal: the id is random and says nothing.
impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({:032x})", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn zero_is_no_version() {
        assert_eq!(Version::new(0), None);
        assert_eq!(Version::new(u64::MAX).unwrap().number(), u64::MAX);
    }

    #[test]
    fn random_versions_and_ids_differ() {
        let mut rng = rand::rng();
        assert_ne!(Version::random(&mut rng), Version::random(&mut rng));
        assert_ne!(OperationId::random(&mut rng), OperationId::random(&mut rng));
    }

    #[test]
    fn debug_does_not_print_the_bytes() {
        let record = Record {
            version: Version::new(5).unwrap(),
            bytes: Bytes::from_static(b"secret"),
        };
        let printed = format!("{record:?}");
        assert!(printed.contains("6 bytes"), "{printed}");
        assert!(
            !printed.contains("secret") && !printed.contains("115"),
            "{printed}"
        );
    }
}
