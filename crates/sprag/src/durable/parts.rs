//! A stored session, cut into records: one that every message rewrites, and parts that few messages touch.
//!
//! The record of kind [`Session`](Kind::Session) holds what changes, and says which parts belong to it:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | number of parts, big-endian like all numbers here |
//! | 18 for each part | number of its record (2), version of its record (8), where it begins in the serialised session (4), length (4) |
//! | | the serialised session without the parts |
//!
//! A part is a record of kind [`SessionPart`](Kind::SessionPart): a stretch of the serialised session as it stands. Where
//! the cuts are is for `SessionRecord::seams` to say; put together again, the pieces are libsignal's bytes.
//!
//! Parts are written and deleted only by a commit that rewrites the session's record, too. So its version
//! stands for all of them, and commits expect no others.

use std::ops::Range;

use bytes::Bytes;
use rand_core::CryptoRng;
use sprag_core::session::SessionRecord;
use zeroize::Zeroizing;

use super::secret::SecretBytes;
use crate::backend::Version;

/// How many parts are read together with their session, in the hope that there are so many: what the
/// post-quantum ratchet most often has.
pub(super) const EXPECTED: u16 = 2;

/// The parts of a session as they are stored, in the order of their places.
#[derive(Clone, Default)]
pub(super) struct Parts(Vec<Part>);

#[derive(Clone)]
pub(super) struct Part {
    pub(super) number: u16,
    pub(super) version: Version,
    place: Range<usize>,
    /// Empty until it was read.
    pub(super) bytes: Bytes,
}

/// What a commit is to write for a session.
pub(super) struct Cut {
    /// Of the session's own record.
    pub(super) payload: SecretBytes,
    pub(super) parts: Parts,
    /// Of the records of parts that there were, those that are not needed any more.
    pub(super) surplus: Vec<u16>,
}

impl Parts {
    /// Cuts a serialised session of which these parts are stored.
    pub(super) fn cut(&self, serialized: &[u8], rng: &mut impl CryptoRng) -> Cut {
        let places = SessionRecord::seams(serialized);
        let mut old: Vec<_> = self.0.iter().map(Some).collect();
        let kept: Vec<_> = places
            .iter()
            .map(|place| {
                let same = |part: &Option<&Part>| {
                    part.is_some_and(|part| part.bytes == serialized[place.clone()])
                };
                old.iter_mut()
                    .find(|part| same(part))
                    .and_then(Option::take)
            })
            .collect();
        let mut free = self.free(&kept);
        let parts = places
            .into_iter()
            .zip(kept)
            .map(|(place, kept)| match kept {
                Some(part) => Part {
                    place,
                    ..part.clone()
                },
                None => Part {
                    number: free.next().unwrap_or_default(),
                    version: Version::random(rng),
                    bytes: Bytes::from_owner(SecretBytes::from(serialized[place.clone()].to_vec())),
                    place,
                },
            });
        let parts = Self(parts.collect());
        let surplus = self.0.iter().map(|part| part.number);
        let surplus = surplus.filter(|number| parts.0.iter().all(|part| part.number != *number));
        Cut {
            payload: parts.payload(serialized),
            surplus: surplus.collect(),
            parts,
        }
    }

    /// The numbers that no kept part has, ascending.
    fn free(&self, kept: &[Option<&Part>]) -> impl Iterator<Item = u16> + use<> {
        let taken: Vec<_> = kept.iter().flatten().map(|part| part.number).collect();
        (0..=u16::MAX).filter(move |number| !taken.contains(number))
    }

    fn payload(&self, serialized: &[u8]) -> SecretBytes {
        let mut payload =
            Zeroizing::new(Vec::with_capacity(2 + 18 * self.0.len() + serialized.len()));
        payload.extend_from_slice(&(self.0.len() as u16).to_be_bytes());
        for part in &self.0 {
            payload.extend_from_slice(&part.number.to_be_bytes());
            payload.extend_from_slice(&part.version.number().to_be_bytes());
            payload.extend_from_slice(&(part.place.start as u32).to_be_bytes());
            payload.extend_from_slice(&(part.place.len() as u32).to_be_bytes());
        }
        let mut from = 0;
        for part in &self.0 {
            payload.extend_from_slice(&serialized[from..part.place.start]);
            from = part.place.end;
        }
        payload.extend_from_slice(&serialized[from..]);
        payload.into()
    }

    /// Reads which parts there are, and the rest of the session. `None` if it is damaged.
    pub(super) fn read(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = payload.split_first_chunk::<2>()?;
        let mut parts = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (number, version, start, length);
            (number, rest) = rest.split_first_chunk::<2>()?;
            (version, rest) = rest.split_first_chunk::<8>()?;
            (start, rest) = rest.split_first_chunk::<4>()?;
            (length, rest) = rest.split_first_chunk::<4>()?;
            let start = u32::from_be_bytes(*start) as usize;
            let length = u32::from_be_bytes(*length) as usize;
            parts.push(Part {
                number: u16::from_be_bytes(*number),
                version: Version::new(u64::from_be_bytes(*version))?,
                place: start..start.checked_add(length)?,
                bytes: Bytes::new(),
            });
        }
        Some((Self(parts), rest))
    }

    /// Whether the part is stored as it is.
    pub(super) fn has(&self, part: &Part) -> bool {
        let same = |stored: &Part| (stored.number, stored.version) == (part.number, part.version);
        self.0.iter().any(same)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Part> {
        self.0.iter()
    }

    /// Gives every part its bytes, which `find` looks up.
    pub(super) fn fill(&mut self, find: impl Fn(&Part) -> Option<Bytes>) -> Option<()> {
        for part in &mut self.0 {
            part.bytes = find(part)?;
        }
        Some(())
    }

    /// The serialised session. `None` if the pieces do not fit together.
    pub(super) fn join(&self, mut rest: &[u8]) -> Option<SecretBytes> {
        let length = rest.len() + self.bytes();
        let mut serialized = Zeroizing::new(Vec::with_capacity(length));
        for part in &self.0 {
            let before = part.place.start.checked_sub(serialized.len())?;
            let (piece, left) = rest.split_at_checked(before)?;
            serialized.extend_from_slice(piece);
            serialized.extend_from_slice(&part.bytes);
            (serialized.len() == part.place.end).then_some(())?;
            rest = left;
        }
        serialized.extend_from_slice(rest);
        Some(serialized.into())
    }

    /// How long all parts are together.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|part| part.bytes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// An archived session, which is a part by itself: field 2 of a record.
    fn archived(content: u8, length: usize) -> Vec<u8> {
        let mut field = vec![0x12, 0x80 | (length % 128) as u8, (length / 128) as u8];
        field.extend(vec![content; length]);
        field
    }

    fn numbers(parts: &Parts) -> Vec<u16> {
        parts.iter().map(|part| part.number).collect()
    }

    fn read_back(cut: &Cut) -> Vec<u8> {
        let (mut parts, rest) = Parts::read(&cut.payload).unwrap();
        let stored = |part: &Part| {
            let mut stored = cut.parts.iter();
            let found = stored
                .find(|stored| (stored.number, stored.version) == (part.number, part.version));
            Some(found?.bytes.clone())
        };
        parts.fill(stored).unwrap();
        parts.join(rest).unwrap().to_vec()
    }

    #[test]
    fn what_did_not_change_keeps_its_record() {
        let mut rng = rand::rng();
        let [a, b, c, d] = [1, 2, 3, 4].map(|content| archived(content, 600));
        let first = [&a[..], &b, &c].concat();
        let one = Parts::default().cut(&first, &mut rng);
        assert_eq!(
            (numbers(&one.parts), read_back(&one)),
            (vec![0, 1, 2], first)
        );
        assert!(one.payload.len() < 100 && one.surplus.is_empty());

        // A newer one comes first, the oldest goes; the others keep number and version.
        let second = [&d[..], &a, &b].concat();
        let two = one.parts.cut(&second, &mut rng);
        assert_eq!(
            (numbers(&two.parts), read_back(&two)),
            (vec![2, 0, 1], second)
        );
        let version = |cut: &Cut, number| {
            cut.parts
                .iter()
                .find(|part| part.number == number)
                .unwrap()
                .version
        };
        assert_eq!(version(&one, 0), version(&two, 0));
        assert_ne!(version(&one, 2), version(&two, 2));

        let three = two.parts.cut(&b, &mut rng);
        assert_eq!(
            (numbers(&three.parts), three.surplus),
            (vec![1], vec![2, 0])
        );
    }

    #[test]
    fn damaged_records_are_told() {
        let mut rng = rand::rng();
        let cut = Parts::default().cut(&archived(1, 600), &mut rng);
        for length in 0..20 {
            assert!(Parts::read(&cut.payload[..length]).is_none(), "{length}");
        }
        let (mut parts, rest) = Parts::read(&cut.payload).unwrap();
        assert!(parts.join(rest).is_none(), "without its bytes");
        assert!(
            parts
                .fill(|_| Some(Bytes::from_static(&[1; 599])))
                .is_some()
        );
        assert!(parts.join(rest).is_none(), "of another length");
        assert!(
            parts
                .fill(|_| Some(Bytes::from_static(&[1; 600])))
                .is_some()
        );
        assert!(parts.join(&rest[..2]).is_none(), "too little before it");
    }
}
