//! The receiving half of the erasure code.

use core::iter;
use std::sync::Arc;

use super::{
    super::field::{LANES, Multiples, invert, multiply},
    CHUNK, Chunk, data_of, row_of,
};

/// Collects chunks of one message of N times 32 bytes until they determine it.
///
/// The chunks are kept in the order of their indices, each index once. In V1 all lanes of a
/// decoder always hold the same points, so whole chunks are what is kept. Sharing them makes a
/// copy of the decoder cheap; the one that is given a chunk builds its own list.
#[derive(Clone)]
pub(crate) struct Decoder<const N: usize> {
    chunks: Arc<[Chunk]>,
}

impl<const N: usize> Decoder<N> {
    /// The most chunks there can be: N parity chunks, after which the N slices of the message are
    /// still accepted.
    pub(crate) const CAPACITY: usize = 2 * N;

    pub(crate) fn new() -> Self {
        Self {
            chunks: Arc::default(),
        }
    }

    /// With a first chunk, which for the N of V1 is never the last.
    pub(crate) fn of(chunk: &Chunk) -> Self {
        Self {
            chunks: Arc::new([*chunk]),
        }
    }

    /// From chunks in strictly ascending order of their indices. None if they are not, or if
    /// there are more than a decoder can ever hold.
    pub(crate) fn restore(chunks: Arc<[Chunk]>) -> Option<Self> {
        let ascending = chunks.is_sorted_by(|a, b| a.index < b.index);
        (ascending && chunks.len() <= Self::CAPACITY).then_some(Self { chunks })
    }

    /// Takes a chunk in: a slice of the message always, a parity chunk only while there are fewer
    /// than N chunks. A newer chunk replaces an older one of the same index.
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        if usize::from(chunk.index) >= N && self.chunks.len() >= N {
            return;
        }
        match self.position(chunk.index) {
            Ok(known) => Arc::make_mut(&mut self.chunks)[known] = *chunk,
            Err(place) => {
                let (before, after) = self.chunks.split_at(place);
                self.chunks = before
                    .iter()
                    .chain(iter::once(chunk))
                    .chain(after)
                    .copied()
                    .collect();
            }
        }
    }

    /// The message, once N chunks are there.
    pub(crate) fn message(&self) -> Option<[[u8; CHUNK]; N]> {
        let points = self.chunks.first_chunk::<N>()?;
        let mut message = [[0; CHUNK]; N];
        let mut missing = Vec::new();
        for (index, slice) in (0..).zip(&mut message) {
            match self.position(index) {
                Ok(known) => *slice = self.chunks[known].data,
                Err(_) => missing.push(index),
            }
        }
        if !missing.is_empty() {
            interpolate(points, &missing, &mut message);
        }
        Some(message)
    }

    /// The chunks held, in ascending order of their indices.
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    fn position(&self, index: u16) -> Result<usize, usize> {
        self.chunks
            .binary_search_by_key(&index, |chunk| chunk.index)
    }
}

/// Fills in the slices of `message` that are `missing` with the values there of the polynomials
/// through `points`.
fn interpolate<const N: usize>(
    points: &[Chunk; N],
    missing: &[u16],
    message: &mut [[u8; CHUNK]; N],
) {
    let indices = points.each_ref().map(|point| point.index);
    let weights: Vec<_> = missing.iter().map(|x| distances(&indices, *x)).collect();
    let mut rows = vec![[0; LANES]; missing.len()];
    for (i, point) in points.iter().enumerate() {
        let multiples = Multiples::of(&row_of(&point.data));
        let scale = invert(distance(&indices, point.index));
        for (row, weights) in rows.iter_mut().zip(&weights) {
            multiples.add_to(row, multiply(scale, weights[i]));
        }
    }
    for (row, x) in rows.iter().zip(missing) {
        message[usize::from(*x)] = data_of(row);
    }
}

/// For every index the product of the differences between `x` and all the others.
fn distances<const N: usize>(indices: &[u16; N], x: u16) -> [u16; N] {
    let mut products = [1; N];
    let mut below = 1;
    for (product, index) in products.iter_mut().zip(indices) {
        *product = below;
        below = multiply(below, x ^ index);
    }
    let mut above = 1;
    for (product, index) in products.iter_mut().zip(indices).rev() {
        *product = multiply(*product, above);
        above = multiply(above, x ^ index);
    }
    products
}

/// The product of the differences between `x`, which is one of `indices`, and all the others.
fn distance(indices: &[u16], x: u16) -> u16 {
    indices
        .iter()
        .filter(|index| **index != x)
        .fold(1, |product, index| multiply(product, x ^ index))
}
