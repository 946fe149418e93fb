//! The head of a vault file: what a passphrase is turned into a key with, and the master key under that key.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SPRAGVLT` |
//! | 4 | format, 1 |
//! | 4, 4, 4 | Argon2id: memory in KiB, passes, lanes |
//! | 16 | salt |
//! | 60 | master key, sealed under the derived key and bound to all before it: nonce, 32 bytes, tag |
//! | 32 | SHA-256 of all before it |
//!
//! The checksum tells a damaged file from a wrong passphrase before anything is derived. It proves nothing
//! against somebody who alters the file on purpose: the seals do.

use sha2::{Digest, Sha256};
use sprag::vault::VaultError;
use zeroize::Zeroizing;

use super::{
    Cost, Passphrase,
    sealing::{Key, OVERHEAD, random},
};

const MAGIC: [u8; 8] = *b"SPRAGVLT";
const FORMAT: u32 = 1;
const SALT: usize = 16;
const WRAPPED: usize = 32 + OVERHEAD;
const CHECKSUM: usize = 32;

const AT_FORMAT: usize = MAGIC.len();
const AT_COST: usize = AT_FORMAT + 4;
const AT_SALT: usize = AT_COST + Cost::LENGTH;
const AT_WRAPPED: usize = AT_SALT + SALT;
const AT_CHECKSUM: usize = AT_WRAPPED + WRAPPED;

/// The head of a file, sound by its checksum.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Header {
    bytes: [u8; Self::LENGTH],
    cost: Cost,
}

impl Header {
    pub(super) const LENGTH: usize = AT_CHECKSUM + CHECKSUM;

    /// Wraps a master key under a passphrase and a fresh salt. It takes as long as the cost says.
    pub(super) fn wrap(
        master: &Key,
        passphrase: &Passphrase,
        cost: Cost,
    ) -> Result<Self, VaultError> {
        passphrase.check()?;
        let salt = random()?;
        let mut head = [&MAGIC[..], &FORMAT.to_be_bytes(), &cost.to_bytes(), &salt].concat();
        let key = Key::from_bytes(passphrase.derive(&salt, cost)?);
        let wrapped = key.seal(master.as_bytes(), &head)?;
        head.extend(wrapped);
        head.extend(Sha256::digest(&head));
        let mut bytes = [0; Self::LENGTH];
        bytes.copy_from_slice(&head);
        Ok(Self { bytes, cost })
    }

    /// Splits a file into its head and the rest.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] for what is none, [`VaultError::TooNew`] for that of a later release.
    pub(super) fn parse(file: &[u8]) -> Result<(Self, &[u8]), VaultError> {
        let format = file.strip_prefix(&MAGIC).and_then(<[u8]>::first_chunk);
        let Some(format) = format.copied().map(u32::from_be_bytes) else {
            return Err(tampered("it does not begin as a vault does"));
        };
        if format > FORMAT {
            return Err(VaultError::TooNew {
                found: format,
                supported: FORMAT,
            });
        }
        let Some((bytes, rest)) = file.split_first_chunk() else {
            return Err(tampered("it is cut short"));
        };
        let (head, checksum) = bytes.split_at(AT_CHECKSUM);
        if format != FORMAT || Sha256::digest(head)[..] != *checksum {
            return Err(tampered("its head does not add up"));
        }
        let cost = Cost::from_bytes(part(bytes, AT_COST))?;
        let bytes = *bytes;
        Ok((Self { bytes, cost }, rest))
    }

    /// The master key. It takes as long as the cost says.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`], also if somebody altered the head and made it add up again.
    pub(super) fn unwrap(&self, passphrase: &Passphrase) -> Result<Key, VaultError> {
        passphrase.check()?;
        let key = Key::from_bytes(passphrase.derive(part(&self.bytes, AT_SALT), self.cost)?);
        let (head, wrapped) = self.bytes[..AT_CHECKSUM].split_at(AT_WRAPPED);
        let opened = key.open(wrapped, head).ok_or(VaultError::WrongPassphrase)?;
        let mut master = Zeroizing::new([0; 32]);
        master.copy_from_slice(&opened);
        Ok(Key::from_bytes(master))
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// The bytes, to which the content is bound.
    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.bytes
    }
}

/// A part of the head at a place that is within it.
fn part<const N: usize>(bytes: &[u8; Header::LENGTH], at: usize) -> &[u8; N] {
    bytes[at..]
        .first_chunk()
        .expect("every part lies within the head")
}

pub(super) fn tampered(what: &str) -> VaultError {
    VaultError::Tampered {
        detail: what.to_owned(),
    }
}
