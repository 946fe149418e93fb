//! The erasure code (sheet 05, section 8) that cuts KEM data into chunks which fit into messages.
//!
//! A message of N times 32 bytes becomes up to 65536 chunks of 32 bytes; any N of them give it
//! back. Chunk k < N is the k-th slice of the message, the others are parity. The N of V1 are 3
//! (header), 36 (encapsulation vector), 30 (ct1) and 5 (ct2); here it is a constant of the types,
//! so that a coder of one length cannot be taken for another's.

mod basis;
mod decoder;
mod encoder;

#[cfg(feature = "hazmat")]
pub(super) use basis::lagrange_basis;
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

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    fn chunks<const N: usize>(message: &[[u8; CHUNK]; N], count: usize) -> Vec<Chunk> {
        let mut encoder = Encoder::new(message);
        (0..count).map(|_| encoder.next_chunk()).collect()
    }

    fn decoded<const N: usize>(chunks: &[Chunk]) -> Option<[[u8; CHUNK]; N]> {
        let mut decoder = Decoder::new();
        for chunk in chunks {
            decoder.add(chunk);
        }
        decoder.message()
    }

    /// Any `N` of the first 200 chunks, in any order, give the message back; fewer do not.
    fn any_subset_decodes<const N: usize>() {
        let message = proptest::array::uniform32(any::<u8>());
        let subset = subsequence((0..200usize).collect::<Vec<_>>(), N).prop_shuffle();
        proptest!(ProptestConfig::with_cases(16), |(seed in message, subset in subset)| {
            let message: [_; N] = core::array::from_fn(|i| seed.map(|byte| byte.wrapping_mul(2 * i as u8 + 1)));
            let all = chunks(&message, 200);
            let chosen: Vec<_> = subset.into_iter().map(|index| all[index]).collect();
            prop_assert_eq!(decoded(&chosen), Some(message));
            prop_assert_eq!(decoded::<N>(&chosen[1..]), None);
        });
    }

    #[test]
    fn any_subset_of_the_chunks_is_enough() {
        any_subset_decodes::<3>();
        any_subset_decodes::<5>();
        any_subset_decodes::<30>();
        any_subset_decodes::<36>();
    }

    #[test]
    fn chunks_repeat_after_the_last_index() {
        let message = [[1; CHUNK], [2; CHUNK], [3; CHUNK]];
        let chunks = chunks(&message, 65_538);
        assert_eq!(chunks[65_535].index, u16::MAX);
        assert_eq!(chunks[65_536..], chunks[..2]);
    }

    #[test]
    fn a_newer_chunk_replaces_an_older_one_of_its_index() {
        let mut decoder = Decoder::<3>::new();
        for (index, data) in [(1, 7), (0, 8), (1, 9)] {
            let data = [data; CHUNK];
            decoder.add(&Chunk { index, data });
        }
        let held: Vec<_> = decoder
            .chunks()
            .iter()
            .map(|chunk| (chunk.index, chunk.data[0]))
            .collect();
        assert_eq!(held, [(0, 8), (1, 9)]);
    }

    #[test]
    fn parity_is_taken_only_while_it_is_needed() {
        let mut decoder = Decoder::<3>::new();
        let mut add = |index: u16| {
            let data = [index as u8; CHUNK];
            decoder.add(&Chunk { index, data });
            decoder
                .chunks()
                .iter()
                .map(|chunk| chunk.index)
                .collect::<Vec<_>>()
        };
        add(9);
        add(5);
        assert_eq!(add(7), [5, 7, 9]);
        assert_eq!(add(6), [5, 7, 9]);
        assert_eq!(add(1), [1, 5, 7, 9]);
    }
}
