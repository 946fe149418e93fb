//! Writing protobuf without building messages first.
//!
//! A record says once what its fields are; the same words count its bytes and write them. So a
//! state goes straight into the buffer of the record that encloses it.

use prost::encoding::{encode_varint, encoded_len_varint};

/// A message that can be written.
pub(super) trait Record {
    /// Gives `sink` every field, in ascending order of their numbers.
    fn emit(&self, sink: &mut impl Sink);

    /// Bytes of the encoded message.
    fn encoded_len(&self) -> usize {
        let mut counter = Counter(0);
        self.emit(&mut counter);
        counter.0
    }
}

/// Where fields go.
pub(super) trait Sink {
    /// A bare varint.
    fn varint(&mut self, value: u64);

    /// The `length` bytes that `write` appends.
    fn raw(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>));

    /// A field of `length` bytes that `write` appends; also when there are none.
    fn field(&mut self, number: u32, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.varint(tag(number, 2));
        self.varint(length as u64);
        self.raw(length, write);
    }

    /// Bytes, unless they are empty.
    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.field(number, bytes.len(), |out| out.extend_from_slice(bytes));
        }
    }

    /// A number, unless it is zero.
    fn uint(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.varint(tag(number, 0));
            self.varint(value);
        }
    }

    /// A submessage; also when it is empty.
    fn message(&mut self, number: u32, record: &impl Record) {
        self.field(number, record.encoded_len(), |out| record.emit(out));
    }

    /// `count` fields of `length` bytes each, which `write` appends for the positions from 0 on;
    /// also when they are empty.
    fn repeated(
        &mut self,
        number: u32,
        count: usize,
        length: usize,
        mut write: impl FnMut(usize, &mut Vec<u8>),
    ) {
        let whole = encoded_len_varint(tag(number, 2)) + encoded_len_varint(length as u64) + length;
        self.raw(count * whole, |out| {
            for position in 0..count {
                out.field(number, length, |out| write(position, out));
            }
        });
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn varint(&mut self, value: u64) {
        match value {
            0..0x80 => self.push(value as u8),
            _ => encode_varint(value, self),
        }
    }

    fn raw(&mut self, _length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        write(self);
    }
}

/// Counts instead of writing.
struct Counter(usize);

impl Sink for Counter {
    fn varint(&mut self, value: u64) {
        self.0 += encoded_len_varint(value);
    }

    fn raw(&mut self, length: usize, _write: impl FnOnce(&mut Vec<u8>)) {
        self.0 += length;
    }
}

const fn tag(number: u32, wire_type: u32) -> u64 {
    (number << 3 | wire_type) as u64
}
