//! Safety numbers: what two people compare to know that nobody stands between them. Source: sheet 08
//! sections 1 to 3.
//!
//! Each side's fingerprint depends on that side's identifier and key alone, so both people compute the
//! same two. They read the [displayed](DisplayableFingerprint) one to each other, or scan the
//! [scannable](ScannableFingerprint) one off each other's screen.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::{error::FingerprintError, identity::IdentityKey};

/// Length of one side's fingerprint in bytes.
const LENGTH: usize = 64;
/// How much of it a scannable code holds.
const SCANNED_LENGTH: usize = 32;
/// How many groups of five digits one side has in the displayed form.
const GROUPS: usize = 6;
/// How many bytes give one group.
const GROUP_LENGTH: usize = 5;
/// How many digits are displayed.
const DIGITS: usize = 2 * GROUPS * BLOCK_DIGITS;
const BLOCK_DIGITS: usize = 5;

/// The fingerprint of two people.
///
/// ```
/// use rand::rngs::SysRng;
/// use rand_core::UnwrapErr;
/// use sprag_core::{fingerprint::Fingerprint, identity::IdentityKeyPair};
///
/// let mut rng = UnwrapErr(SysRng);
/// let alice = *IdentityKeyPair::generate(&mut rng).identity_key();
/// let bob = *IdentityKeyPair::generate(&mut rng).identity_key();
///
/// // Each on their own phone.
/// let at_alice = Fingerprint::new(Fingerprint::ITERATIONS, 1, b"alice", &alice, b"bob", &bob)?;
/// let at_bob = Fingerprint::new(Fingerprint::ITERATIONS, 1, b"bob", &bob, b"alice", &alice)?;
///
/// // Read aloud: 60 digits.
/// assert_eq!(at_alice.displayable(), at_bob.displayable());
/// // Scanned.
/// assert!(at_alice.scannable().compare(at_bob.scannable().as_bytes())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    version: u32,
    local: [u8; LENGTH],
    remote: [u8; LENGTH],
}

impl Fingerprint {
    /// How many iterations applications use.
    pub const ITERATIONS: u32 = 5200;

    /// The fingerprint of us (`local`) and the other (`remote`), each an identifier of any bytes and an
    /// identity key.
    ///
    /// By convention identifiers are phone numbers as text in `version` 1, and the 16 bytes of the account's UUID
    /// in version 2. Both people must use the same, and the same number of `iterations`; the version itself is
    /// only written into the scannable code. Every iteration costs two hashes.
    ///
    /// # Errors
    /// [`FingerprintError::InvalidIterations`] outside 2 to 1 000 000.
    pub fn new(
        iterations: u32,
        version: u32,
        local_identifier: &[u8],
        local_key: &IdentityKey,
        remote_identifier: &[u8],
        remote_key: &IdentityKey,
    ) -> Result<Self, FingerprintError> {
        if !(2..=1_000_000).contains(&iterations) {
            return Err(FingerprintError::InvalidIterations(iterations));
        }
        Ok(Self {
            version,
            local: one_side(iterations, local_identifier, local_key),
            remote: one_side(iterations, remote_identifier, remote_key),
        })
    }

    /// The version that the scannable code names.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The form for people: the same for both.
    pub fn displayable(&self) -> DisplayableFingerprint {
        let (local, remote) = (digits(&self.local), digits(&self.remote));
        let (first, second) = if local <= remote {
            (local, remote)
        } else {
            (remote, local)
        };
        DisplayableFingerprint(first + &second)
    }

    /// The form for cameras: ours is the other's in reverse.
    pub fn scannable(&self) -> ScannableFingerprint {
        let half = |fingerprint: &[u8; LENGTH]| {
            let content = Bytes::copy_from_slice(&fingerprint[..SCANNED_LENGTH]);
            Some(LogicalFingerprint {
                content: Some(content),
            })
        };
        let code = CombinedFingerprints {
            version: Some(self.version),
            local: half(&self.local),
            remote: half(&self.remote),
        };
        ScannableFingerprint(code.encode_to_vec())
    }
}

fn one_side(iterations: u32, identifier: &[u8], key: &IdentityKey) -> [u8; LENGTH] {
    let key = key.serialize();
    // The version of the hash, which has always been 0.
    let mut hash = Sha512::new()
        .chain_update([0; 2])
        .chain_update(key)
        .chain_update(identifier)
        .chain_update(key)
        .finalize();
    for _ in 1..iterations {
        hash = Sha512::new()
            .chain_update(hash)
            .chain_update(key)
            .finalize();
    }
    hash.into()
}

fn digits(fingerprint: &[u8; LENGTH]) -> String {
    let groups = fingerprint.chunks_exact(GROUP_LENGTH).take(GROUPS);
    groups
        .map(|group| {
            let number = group
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        })
        .collect()
}

/// The form for people: 60 digits, the same for both.
///
/// `Display` writes them without spaces; show the [blocks](Self::blocks).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DisplayableFingerprint(String);

impl DisplayableFingerprint {
    /// The 60 digits, without spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 12 blocks of five digits, as they are usually shown: in three lines of four.
    pub fn blocks(&self) -> impl Iterator<Item = &str> {
        // Nothing but digits, so that every byte is a character.
        (0..DIGITS)
            .step_by(BLOCK_DIGITS)
            .map(|start| &self.0[start..start + BLOCK_DIGITS])
    }
}

impl fmt::Display for DisplayableFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads 60 digits; whitespace anywhere is passed over, so that blocks and lines may be pasted.
impl FromStr for DisplayableFingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.split_whitespace().collect();
        if digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit()) {
            Ok(Self(digits))
        } else {
            Err(FingerprintError::Parsing("a safety number has 60 digits"))
        }
    }
}

/// The form for cameras: the content of a QR code, in byte mode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScannableFingerprint(Vec<u8>);

impl ScannableFingerprint {
    /// A code that was made before. It is looked at when it is [compared](Self::compare).
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes to show.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the code `theirs`, scanned off the other's screen, is of the same two people and keys as this code
    /// of ours. In constant time.
    ///
    /// `false` is the answer to a warning for: one of the two holds a key that is not the other's.
    ///
    /// # Errors
    /// [`FingerprintError::Parsing`] if a code cannot be read, which says nothing about keys; and
    /// [`FingerprintError::VersionMismatch`], which comes before missing parts of the scanned code.
    pub fn compare(&self, theirs: &[u8]) -> Result<bool, FingerprintError> {
        use FingerprintError::Parsing;
        let ours = CombinedFingerprints::decode(&*self.0)
            .map_err(|_| Parsing("our own code is malformed"))?;
        let version = ours.version.ok_or(Parsing("our own code has no version"))?;
        let our_local = content(ours.local).ok_or(Parsing("our own code lacks our side"))?;
        let our_remote = content(ours.remote).ok_or(Parsing("our own code lacks their side"))?;

        let theirs = CombinedFingerprints::decode(theirs)
            .map_err(|_| Parsing("the scanned code is malformed"))?;
        let their_version = theirs.version.unwrap_or_default();
        if their_version != version {
            return Err(FingerprintError::VersionMismatch {
                theirs: their_version,
                ours: version,
            });
        }
        let their_local =
            content(theirs.local).ok_or(Parsing("the scanned code lacks their side"))?;
        let their_remote =
            content(theirs.remote).ok_or(Parsing("the scanned code lacks our side"))?;
        let same = their_local.ct_eq(&our_remote) & their_remote.ct_eq(&our_local);
        Ok(same.into())
    }
}

fn content(fingerprint: Option<LogicalFingerprint>) -> Option<Bytes> {
    fingerprint?.content
}

#[derive(Message)]
struct CombinedFingerprints {
    #[prost(uint32, optional, tag = "1")]
    version: Option<u32>,
    #[prost(message, optional, tag = "2")]
    local: Option<LogicalFingerprint>,
    #[prost(message, optional, tag = "3")]
    remote: Option<LogicalFingerprint>,
}

#[derive(Message)]
struct LogicalFingerprint {
    #[prost(bytes = "bytes", optional, tag = "1")]
    content: Option<Bytes>,
}
