//! The post-quantum part of a message on the wire (sheet 05, section 2).
//!
//! Hand-made, not protobuf: version byte, three varints at most, a type byte and at most one
//! chunk. Its varints are laxer than protobuf's: padded to up to ten bytes, and what overflows 64
//! bits falls away. What follows the last part is ignored.

use super::{
    Error,
    erasure::{CHUNK, Chunk},
};

/// The version byte of what this module writes.
pub(super) const VERSION: u8 = 1;

/// Longest message: version, epoch, index, type, chunk index, chunk.
const LONGEST: usize = 1 + 10 + 5 + 1 + 3 + CHUNK;

/// What every message begins with, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) version: u8,
    /// The sender's epoch, at least 1.
    pub(super) epoch: u64,
    /// Index of the message's key in its chain; 0 if it has none.
    pub(super) index: u32,
}

/// What the key agreement of the two parties has to say with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Type 0: the encapsulator has nothing to send.
    Nothing,
    /// Type 1: a chunk of the header and its MAC.
    Header(Chunk),
    /// Type 2: a chunk of the encapsulation vector.
    Vector(Chunk),
    /// Type 3: the same, and all of ct1 has arrived.
    VectorWithAck(Chunk),
    /// Type 4: all of ct1 has arrived.
    Ack,
    /// Type 5: a chunk of ct1.
    Ct1(Chunk),
    /// Type 6: a chunk of ct2 and the ciphertext's MAC.
    Ct2(Chunk),
}

impl Prefix {
    /// Reads the prefix of a message that is not empty, and returns what follows it.
    pub(super) fn parse(message: &[u8]) -> Result<(Self, &[u8]), Error> {
        let mut rest = message;
        let (version, after) = rest.split_first().ok_or(Error::MessageDecode)?;
        rest = after;
        let epoch = read_varint(&mut rest)?;
        let index = u32::try_from(read_varint(&mut rest)?).map_err(|_| Error::MessageDecode)?;
        if epoch == 0 {
            return Err(Error::MessageDecode);
        }
        let prefix = Self {
            version: *version,
            epoch,
            index,
        };
        Ok((prefix, rest))
    }
}

impl Payload {
    /// Reads what follows the prefix in a message of version 1.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (kind, rest) = bytes.split_first().ok_or(Error::MessageDecode)?;
        Ok(match kind {
            0 => Self::Nothing,
            1 => Self::Header(read_chunk(rest)?),
            2 => Self::Vector(read_chunk(rest)?),
            3 => Self::VectorWithAck(read_chunk(rest)?),
            4 => Self::Ack,
            5 => Self::Ct1(read_chunk(rest)?),
            6 => Self::Ct2(read_chunk(rest)?),
            _ => return Err(Error::MessageDecode),
        })
    }

    /// A message of version 1 that carries this payload.
    pub(super) fn encode(&self, epoch: u64, index: u32) -> Vec<u8> {
        let mut message = Vec::with_capacity(LONGEST);
        message.push(VERSION);
        write_varint(&mut message, epoch);
        write_varint(&mut message, index.into());
        let (kind, chunk) = self.parts();
        message.push(kind);
        if let Some(chunk) = chunk {
            write_varint(&mut message, chunk.index.into());
            message.extend_from_slice(&chunk.data);
        }
        message
    }

    /// The type byte, and the chunk if there is one.
    pub(super) const fn parts(&self) -> (u8, Option<&Chunk>) {
        match self {
            Self::Nothing => (0, None),
            Self::Header(chunk) => (1, Some(chunk)),
            Self::Vector(chunk) => (2, Some(chunk)),
            Self::VectorWithAck(chunk) => (3, Some(chunk)),
            Self::Ack => (4, None),
            Self::Ct1(chunk) => (5, Some(chunk)),
            Self::Ct2(chunk) => (6, Some(chunk)),
        }
    }
}

fn read_chunk(mut bytes: &[u8]) -> Result<Chunk, Error> {
    let index = read_varint(&mut bytes)?;
    let index = u16::try_from(index).map_err(|_| Error::MessageDecode)?;
    let data = *bytes.first_chunk().ok_or(Error::MessageDecode)?;
    Ok(Chunk { index, data })
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0;
    for (position, byte) in bytes.iter().enumerate().take(10) {
        // The tenth byte has one bit to give; the others fall off the end.
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            *bytes = &bytes[position + 1..];
            return Ok(value);
        }
    }
    Err(Error::MessageDecode)
}

fn write_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn parse(message: &[u8]) -> Result<(Prefix, Payload), Error> {
        let (prefix, rest) = Prefix::parse(message)?;
        Ok((prefix, Payload::parse(rest)?))
    }

    fn payload(kind: u8, chunk: Chunk) -> Payload {
        match kind {
            0 => Payload::Nothing,
            1 => Payload::Header(chunk),
            2 => Payload::Vector(chunk),
            3 => Payload::VectorWithAck(chunk),
            4 => Payload::Ack,
            5 => Payload::Ct1(chunk),
            _ => Payload::Ct2(chunk),
        }
    }

    #[test]
    fn trailing_bytes_are_ignored_and_missing_ones_are_not() {
        let chunk = Chunk {
            index: 200,
            data: [7; CHUNK],
        };
        let mut message = Payload::Ct1(chunk).encode(300, 70_000);
        for length in 0..message.len() {
            assert_eq!(
                parse(&message[..length]),
                Err(Error::MessageDecode),
                "{length}"
            );
        }
        message.extend_from_slice(&[1, 2, 3]);
        assert_eq!(parse(&message).unwrap().1, Payload::Ct1(chunk));
    }

    #[test]
    fn varints_may_be_padded_to_ten_bytes_and_overflow() {
        let overflowing = [0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e];
        assert_eq!(read_varint(&mut overflowing.as_slice()), Ok(3));
        let longer = [
            0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00,
        ];
        assert_eq!(
            read_varint(&mut longer.as_slice()),
            Err(Error::MessageDecode)
        );
    }

    proptest! {
        #[test]
        fn every_message_comes_back(
            epoch in 1..=u64::MAX, index: u32, kind in 0..7u8, at: u16, data: [u8; CHUNK]
        ) {
            let payload = payload(kind, Chunk { index: at, data });
            let message = payload.encode(epoch, index);
            prop_assert!(message.len() <= LONGEST);
            let prefix = Prefix { version: VERSION, epoch, index };
            prop_assert_eq!(parse(&message), Ok((prefix, payload)));
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>) {
            if let Ok((prefix, payload)) = parse(&bytes) {
                let again = parse(&payload.encode(prefix.epoch, prefix.index)).unwrap();
                prop_assert_eq!(again.1, payload);
            }
        }
    }
}
