//! Where a stored session can be cut: the long stretches of it that most messages leave as they are.
//!
//! A store that keeps them apart from the rest writes a third for a message of what the whole record has. This
//! module only points at stretches of bytes: whatever it finds, the pieces put together again are the record, and
//! where the bytes are no record it finds nothing. Source: sheet 02 section 2, sheet 05 section 9.

use std::ops::Range;

use prost::encoding::{WireType, decode_varint};

use super::SessionRecord;

/// What is shorter is not worth a place of its own.
const SHORTEST: usize = 512;

/// Keys whose counters agree but for these low bits lie together, so that using one up leaves the other
/// stretches as they are.
const BLOCK_BITS: u32 = 6;

impl SessionRecord {
    /// The stretches of a [serialized](Self::serialize) record that change rarely: long parts of the
    /// post-quantum ratchet, blocks of skipped keys, each archived session. In ascending order, apart from
    /// each other, each of at least 512 bytes.
    pub fn seams(serialized: &[u8]) -> Vec<Range<usize>> {
        let mut seams = Seams::default();
        for field in fields(serialized, 0..serialized.len()) {
            match field.number {
                1 => seams.session(serialized, field.value),
                2 => seams.add(field.value),
                _ => {}
            }
        }
        seams.0
    }
}

#[derive(Default)]
struct Seams(Vec<Range<usize>>);

impl Seams {
    fn add(&mut self, stretch: Range<usize>) {
        if stretch.len() >= SHORTEST {
            self.0.push(stretch);
        }
    }

    fn session(&mut self, bytes: &[u8], session: Range<usize>) {
        for field in long(bytes, session) {
            match field.number {
                6 | 7 => self.skipped_keys(bytes, field.value),
                // The Kyber ciphertext that goes with every message until the peer answers.
                14 => self.long_fields(bytes, field.value),
                15 => self.post_quantum_ratchet(bytes, field.value),
                _ => {}
            }
        }
    }

    /// Fields 4 of a chain, a block at a time.
    fn skipped_keys(&mut self, bytes: &[u8], chain: Range<usize>) {
        let mut block = None;
        for field in long(bytes, chain).filter(|field| field.number == 4) {
            let index = fields(bytes, field.value.clone())
                .find(|field| field.number == 1)
                .map_or(0, |field| field.varint);
            let number = index >> BLOCK_BITS;
            block = match block {
                Some((same, stretch)) if same == number => {
                    let Range { start, .. } = stretch;
                    Some((same, start..field.value.end))
                }
                other => {
                    self.add(other.map_or(0..0, |(_, stretch)| stretch));
                    Some((number, field.start..field.value.end))
                }
            };
        }
        self.add(block.map_or(0..0, |(_, stretch)| stretch));
    }

    /// Its chains' skipped keys, and of the braid what an epoch is made with.
    fn post_quantum_ratchet(&mut self, bytes: &[u8], state: Range<usize>) {
        for field in long(bytes, state) {
            match field.number {
                2 => {
                    for link in long(bytes, field.value).filter(|field| field.number == 3) {
                        for ratchet in long(bytes, link.value) {
                            self.long_fields(bytes, ratchet.value);
                        }
                    }
                }
                3 => {
                    for phase in long(bytes, field.value) {
                        self.phase(bytes, phase.value);
                    }
                }
                _ => {}
            }
        }
    }

    /// The byte strings of the core, and the lanes of the encoder. A decoder, which grows with every
    /// message, is told by its field 2, a number.
    fn phase(&mut self, bytes: &[u8], phase: Range<usize>) {
        for part in long(bytes, phase) {
            let mut run: Option<Range<usize>> = None;
            for field in long(bytes, part.value.clone()) {
                let counts = match part.number {
                    1 => field.number >= 3,
                    _ => field.number >= 2,
                };
                if field.wire_type != WireType::LengthDelimited && field.number == 2 {
                    run = None;
                    break;
                }
                if counts && field.wire_type == WireType::LengthDelimited {
                    let start = run.map_or(field.start, |run| run.start);
                    run = Some(start..field.value.end);
                }
            }
            self.add(run.unwrap_or(0..0));
        }
    }

    fn long_fields(&mut self, bytes: &[u8], message: Range<usize>) {
        for field in long(bytes, message) {
            self.add(field.value);
        }
    }
}

/// A field of a protobuf message.
struct Field {
    number: u32,
    wire_type: WireType,
    /// Where its tag begins.
    start: usize,
    /// Where the content of bytes, a string or a message lies; empty at the end of a number.
    value: Range<usize>,
    /// The number; 0 for anything else.
    varint: u64,
}

/// The fields of a message, none if it is too short for a stretch to lie in it.
fn long(bytes: &[u8], message: Range<usize>) -> impl Iterator<Item = Field> {
    let message = if message.len() < SHORTEST {
        0..0
    } else {
        message
    };
    fields(bytes, message)
}

/// The fields of the message that lies at `message`, as far as they are readable.
fn fields(bytes: &[u8], message: Range<usize>) -> impl Iterator<Item = Field> {
    let mut start = message.start;
    std::iter::from_fn(move || {
        let mut rest = bytes
            .get(start..message.end)
            .filter(|rest| !rest.is_empty())?;
        let tag = u32::try_from(varint(&mut rest)?).ok()?;
        let (number, wire_type) = (tag >> 3, WireType::try_from(u64::from(tag & 7)).ok()?);
        let (length, varint) = match wire_type {
            WireType::Varint => (0, varint(&mut rest)?),
            WireType::LengthDelimited => (usize::try_from(varint(&mut rest)?).ok()?, 0),
            WireType::SixtyFourBit => (8, 0),
            WireType::ThirtyTwoBit => (4, 0),
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        let begin = message.end - rest.len();
        let end = begin
            .checked_add(length)
            .filter(|end| *end <= message.end)?;
        let value = match wire_type {
            WireType::LengthDelimited => begin..end,
            _ => end..end,
        };
        let field = Field {
            number,
            wire_type,
            start,
            value,
            varint,
        };
        start = end;
        Some(field)
    })
}

/// Most have one byte, and each message looks at dozens.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    match *rest {
        [byte @ 0..0x80, after @ ..] => {
            *rest = after;
            Some(u64::from(*byte))
        }
        _ => decode_varint(rest).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_sound(bytes: &[u8]) {
        let mut end = 0;
        for seam in SessionRecord::seams(bytes) {
            assert!(seam.start >= end && seam.end <= bytes.len() && seam.len() >= SHORTEST);
            end = seam.end;
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_give_sound_seams(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            is_sound(&bytes);
            // Within a session, too.
            let mut record = vec![10];
            prost::encoding::encode_varint(bytes.len() as u64, &mut record);
            record.extend(bytes);
            is_sound(&record);
        }
    }
}
