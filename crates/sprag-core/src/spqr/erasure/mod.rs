//! The erasure code (sheet 05, section 8) that cuts KEM data into chunks which fit into messages.
//!
//! A message of N times 32 bytes becomes up to 65536 chunks of 32 bytes; any N of them give it
//! back. Chunk k < N is the k-th slice of the message, the others are parity. The N of V1 are 3
//! (header), 36 (encapsulation vector), 30 (ct1) and 5 (ct2); here it is a constant of the types,
//! so that a coder of one length cannot be taken for another's.

mod basis;
mod decoder;
mod encoder;

pub(super) use decoder::Decoder;
pub(super) use encoder::{Encoder, Form};

use super::field::{LANES, Row};

/// Bytes of one chunk.
pub(super) const CHUNK: usize = 32;

/// One chunk and its index, which is the point at which the lanes' polynomials were evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) index: u16,
    pub(super) data: [u8; CHUNK],
}

/// The elements of a chunk, one per lane.
fn row_of(data: &[u8; CHUNK]) -> Row {
    let (elements, _) = data.as_chunks::<2>();
    let mut row = [0; LANES];
    for (element, bytes) in row.iter_mut().zip(elements) {
        *element = u16::from_be_bytes(*bytes);
    }
    row
}

/// The inverse of [`row_of`].
fn data_of(row: &Row) -> [u8; CHUNK] {
    let mut data = [0; CHUNK];
    let (elements, _) = data.as_chunks_mut::<2>();
    for (bytes, element) in elements.iter_mut().zip(row) {
        *bytes = element.to_be_bytes();
    }
    data
}
