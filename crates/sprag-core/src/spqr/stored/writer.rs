//! Writing protobuf without building messages first.
//!
//! A record says once what its fields are; the same words count its bytes and write them. So a
//! state goes straight into the buffer of the record that encloses it.

use prost::{
    bytes::BufMut,
    encoding::{encode_varint, encoded_len_varint},
};

/// A message that can be written.
pub(super) trait Record {
    /// Gives `sink` every field, in ascending order of their numbers.
    fn emit<S: Sink>(&self, sink: &mut S);

    /// Bytes of the encoded message.
    fn encoded_len(&self) -> usize {
        let mut counter = Counter(0);
        self.emit(&mut counter);
        counter.0
    }
}

/// Where fields go.
pub(super) trait Sink: Sized {
    /// A bare varint.
    fn varint(&mut self, value: u64);

    /// Bare bytes.
    fn put(&mut self, bytes: &[u8]);

    /// The `length` bytes that `write` puts.
    fn raw(&mut self, length: usize, write: impl FnOnce(&mut Self));

    /// A field of `length` bytes that `write` puts; also when there are none.
    fn field(&mut self, number: u32, length: usize, write: impl FnOnce(&mut Self)) {
        self.varint(tag(number, 2));
        self.varint(length as u64);
        self.raw(length, write);
    }

    /// Bytes, unless they are empty.
    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.field(number, bytes.len(), |out| out.put(bytes));
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

    /// `count` fields of `length` bytes each, which `write` puts for the positions from 0 on; also
    /// when they are empty.
    fn repeated(
        &mut self,
        number: u32,
        count: usize,
        length: usize,
        mut write: impl FnMut(usize, &mut Self),
    ) {
        // All tags and lengths are the same.
        let mut header = [0; 20];
        let mut rest = &mut header[..];
        encode_varint(tag(number, 2), &mut rest);
        encode_varint(length as u64, &mut rest);
        let used = 20 - rest.len();
        self.raw(count * (used + length), |out| {
            for position in 0..count {
                out.put(&header[..used]);
                write(position, out);
            }
        });
    }
}

/// Writes.
pub(super) struct Writer<'a, B>(pub(super) &'a mut B);

impl<B: BufMut> Sink for Writer<'_, B> {
    #[inline]
    fn varint(&mut self, value: u64) {
        match value {
            0..0x80 => self.0.put_u8(value as u8),
            _ => encode_varint(value, self.0),
        }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    #[inline]
    fn raw(&mut self, _length: usize, write: impl FnOnce(&mut Self)) {
        write(self);
    }
}

/// Counts instead of writing.
struct Counter(usize);

impl Sink for Counter {
    fn varint(&mut self, value: u64) {
        self.0 += encoded_len_varint(value);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn raw(&mut self, length: usize, _write: impl FnOnce(&mut Self)) {
        self.0 += length;
    }
}

const fn tag(number: u32, wire_type: u32) -> u64 {
    (number << 3 | wire_type) as u64
}
