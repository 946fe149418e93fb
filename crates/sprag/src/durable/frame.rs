//! How a record's bytes lie in the backend.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format of the frame: 1, or 0 in a store that is not sealed |
//! | 4 | format 1 only: the epoch under whose root the rest is sealed, big-endian like all numbers here |
//! | 2 | length of the name |
//! | | the name, from which the record's key was hashed |
//! | | the payload |
//! | 16 | format 1 only: the tag |
//!
//! This module alone knows the frame. A sealed record opens only where it was put: see
//! [`seal`](super::seal) for what it is bound to.

use bytes::Bytes;

use super::{
    seal::{self, Seal, Seals, TAG},
    secret::SecretBytes,
};
use crate::backend::{Record, RecordKey, Version};

/// Name and payload are in the clear.
const CLEAR: u8 = 0;
/// They are sealed.
const SEALED: u8 = 1;
/// What comes before the sealed text.
const HEAD: usize = 5;

/// Puts a record into its frame. Names are far shorter than 64 KiB: see [`fits`].
pub(crate) fn close(
    seals: &Seals,
    key: &RecordKey,
    version: Version,
    name: &[u8],
    payload: &[u8],
) -> Bytes {
    let writing = seals.writing();
    let mut bytes = Vec::with_capacity(HEAD + 2 + name.len() + payload.len() + TAG);
    match writing {
        None => bytes.push(CLEAR),
        Some(seal) => {
            bytes.push(SEALED);
            bytes.extend_from_slice(&seal.epoch.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(payload);
    if let Some(seal) = writing {
        close_sealed(seal, key, version, &mut bytes);
    }
    bytes.into()
}

/// Whether a name is short enough for a frame.
pub(crate) fn fits(name: &[u8]) -> bool {
    name.len() <= usize::from(u16::MAX)
}

/// The payload of the record that must have this name. `None` if it is damaged, or another record.
pub(crate) fn open(seals: &Seals, key: &RecordKey, record: &Record, name: &[u8]) -> Option<Bytes> {
    let (found, payload) = split(seals, key, record)?;
    (found == name).then_some(payload)
}

/// Name and payload of a record met in a scan.
pub(crate) fn split(seals: &Seals, key: &RecordKey, record: &Record) -> Option<(Bytes, Bytes)> {
    let text = match (seals, record.bytes.first()?) {
        (Seals::Clear, &CLEAR) => record.bytes.slice(1..),
        (Seals::Sealed(_), &SEALED) => Bytes::from_owner(open_sealed(seals, key, record)?),
        _ => return None,
    };
    let [high, low, ..] = text[..] else {
        return None;
    };
    let start = 2 + usize::from(u16::from_be_bytes([high, low]));
    (start <= text.len()).then(|| (text.slice(2..start), text.slice(start..)))
}

/// The epoch that the record says it is sealed under, if it is.
pub(crate) fn epoch(record: &Record) -> Option<u32> {
    let [SEALED, epoch @ ..] = record.bytes.get(..HEAD)? else {
        return None;
    };
    Some(u32::from_be_bytes(epoch.try_into().ok()?))
}

/// The record sealed under the epoch that is written under now, with the same version. `None` if it is damaged.
pub(crate) fn renew(seals: &Seals, key: &RecordKey, record: &Record) -> Option<Bytes> {
    let text = open_sealed(seals, key, record)?;
    let seal = seals.writing()?;
    let mut bytes = Vec::with_capacity(HEAD + text.len() + TAG);
    bytes.push(SEALED);
    bytes.extend_from_slice(&seal.epoch.to_be_bytes());
    bytes.extend_from_slice(&text);
    close_sealed(seal, key, record.version, &mut bytes);
    Some(bytes.into())
}

fn close_sealed(seal: &Seal, key: &RecordKey, version: Version, bytes: &mut Vec<u8>) {
    let (head, text) = bytes.split_at_mut(HEAD);
    let tag = seal.seal(version, &seal::about(head, key, version), text);
    bytes.extend_from_slice(&tag);
}

fn open_sealed(seals: &Seals, key: &RecordKey, record: &Record) -> Option<SecretBytes> {
    let seal = seals.of(epoch(record)?)?;
    let (head, rest) = record.bytes.split_at_checked(HEAD)?;
    let (text, tag) = rest.split_last_chunk::<TAG>()?;
    let mut text = SecretBytes::from(text.to_vec());
    let about = seal::about(head, key, record.version);
    seal.open(record.version, &about, &mut text, *tag)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        backend::{AccountId, Kind},
        vault::Secret,
    };

    fn sealed(epochs: &[u32]) -> Seals {
        let seal =
            |epoch: &u32| Seal::new(*epoch, &Secret::from_bytes(&[*epoch as u8; 32]), &[7; 16]);
        Seals::Sealed(epochs.iter().map(|epoch| seal(epoch).into()).collect())
    }

    fn key(name: u8) -> RecordKey {
        RecordKey::fixed(AccountId::from_bytes([1; 16]), Kind::Session, [name])
    }

    fn record(seals: &Seals, name: &[u8], payload: &[u8]) -> Record {
        let version = Version::new(5).unwrap();
        let bytes = close(seals, &key(1), version, name, payload);
        Record { version, bytes }
    }

    #[test]
    fn a_frame_opens_under_its_name_only() {
        for seals in [Seals::Clear, sealed(&[3])] {
            let found = record(&seals, b"name", b"payload");
            let open = |name: &[u8]| open(&seals, &key(1), &found, name);
            assert_eq!(open(b"name").as_deref(), Some(&b"payload"[..]));
            assert_eq!(open(b"nam"), None);
            assert_eq!(open(b"other"), None);
            let empty = record(&seals, b"", b"");
            assert_eq!(split(&seals, &key(1), &empty), Some(Default::default()));
        }
    }

    #[test]
    fn damaged_frames_do_not_open() {
        for seals in [Seals::Clear, sealed(&[3])] {
            let whole = record(&seals, b"name", b"");
            for length in 0..whole.bytes.len() {
                let bytes = whole.bytes.slice(..length);
                let cut = Record { bytes, ..whole };
                assert_eq!(split(&seals, &key(1), &cut), None, "{length} bytes");
            }
            let mut unknown = whole.bytes.to_vec();
            unknown[0] = 2;
            let bytes = unknown.into();
            assert_eq!(split(&seals, &key(1), &Record { bytes, ..whole }), None);
        }
    }

    #[test]
    fn a_sealed_record_opens_where_it_was_put_and_nowhere_else() {
        let seals = sealed(&[3]);
        let found = record(&seals, b"name", b"payload");
        assert!(!found.bytes.windows(4).any(|window| window == b"name"));
        for index in 0..found.bytes.len() {
            let mut bytes = found.bytes.to_vec();
            bytes[index] ^= 1;
            let bytes = bytes.into();
            let altered = Record { bytes, ..found };
            assert_eq!(split(&seals, &key(1), &altered), None, "byte {index}");
        }
        let version = Version::new(6).unwrap();
        let bytes = found.bytes.clone();
        let elsewhere = [
            key(2),
            RecordKey::fixed(AccountId::from_bytes([2; 16]), Kind::Session, [1]),
            RecordKey::fixed(AccountId::from_bytes([1; 16]), Kind::Inbox, [1]),
        ];
        for place in elsewhere {
            assert_eq!(split(&seals, &place, &found), None, "{place:?}");
        }
        assert_eq!(split(&seals, &key(1), &Record { version, bytes }), None);
        assert_eq!(split(&sealed(&[4]), &key(1), &found), None, "another epoch");
        assert_eq!(split(&Seals::Clear, &key(1), &found), None);
        assert_eq!(
            split(&seals, &key(1), &record(&Seals::Clear, b"name", b"payload")),
            None
        );
    }

    #[test]
    fn a_renewed_record_is_the_same_under_the_next_epoch() {
        let found = record(&sealed(&[3]), b"name", b"payload");
        let bytes = renew(&sealed(&[3, 4]), &key(1), &found).unwrap();
        let renewed = Record { bytes, ..found };
        assert_eq!((epoch(&found), epoch(&renewed)), (Some(3), Some(4)));
        let opened = open(&sealed(&[4]), &key(1), &renewed, b"name");
        assert_eq!(opened.as_deref(), Some(&b"payload"[..]));
    }
}
