//! The sending half of the erasure code.

use std::sync::Arc;

use super::{
    super::field::{LANES, Multiples, Row, add_row, scale_row},
    CHUNK, Chunk,
    basis::lagrange_basis,
    data_of, row_of,
};

/// Gives out the chunks of one message of N times 32 bytes, one after the other, for ever.
///
/// It holds each lane's polynomial as its values at 0 ... N - 1, which are the message itself,
/// until the first parity chunk is asked for; from then on as coefficients. The stored form shows
/// which of the two it is, so the moment of the change is part of the format.
#[derive(Clone)]
pub(crate) struct Encoder<const N: usize> {
    next: u32,
    form: Form,
    table: Arc<Table<N>>,
}

/// How an encoder holds its polynomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By their values at 0, 1, ... N - 1.
    Points,
    /// By their coefficients, constant term first.
    Coefficients,
}

/// N numbers per lane, both ways round: by row for computing, by lane as they are stored.
struct Table<const N: usize> {
    rows: [Row; N],
    lanes: [[[u8; 2]; N]; LANES],
}

impl<const N: usize> Encoder<N> {
    const BASIS: [[u16; N]; N] = lagrange_basis();

    pub(crate) fn new(message: &[[u8; CHUNK]; N]) -> Self {
        Self {
            next: 0,
            form: Form::Points,
            table: Arc::new(Table::from_rows(message.each_ref().map(row_of))),
        }
    }

    /// From its stored form: the counter, and of each lane N big-endian numbers. None if a lane has
    /// another length.
    pub(crate) fn restore(next: u32, form: Form, lanes: &[&[u8]; LANES]) -> Option<Self> {
        let mut table = Table {
            rows: [[0; LANES]; N],
            lanes: [[[0; 2]; N]; LANES],
        };
        for (lane, (kept, stored)) in table.lanes.iter_mut().zip(lanes).enumerate() {
            if stored.len() != 2 * N {
                return None;
            }
            kept.as_flattened_mut().copy_from_slice(stored);
            for (row, number) in table.rows.iter_mut().zip(kept) {
                row[lane] = u16::from_be_bytes(*number);
            }
        }
        let table = Arc::new(table);
        Some(Self { next, form, table })
    }

    /// The next chunk. After 65536 of them the first comes again.
    pub(crate) fn next_chunk(&mut self) -> Chunk {
        let index = self.next as u16;
        self.next = self.next.wrapping_add(1);
        if self.form == Form::Points && usize::from(index) >= N {
            self.form = Form::Coefficients;
            self.table = Arc::new(self.table.interpolated(&Self::BASIS));
        }
        let row = match self.form {
            Form::Points => self.table.rows[usize::from(index)],
            Form::Coefficients => self.table.evaluated(index),
        };
        Chunk {
            index,
            data: data_of(&row),
        }
    }

    /// Number of chunks given out so far, modulo 2^32.
    pub(crate) const fn next_index(&self) -> u32 {
        self.next
    }

    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    /// The stored lanes, one after the other, each of 2 N bytes.
    pub(crate) fn lanes(&self) -> &[u8] {
        self.table.lanes.as_flattened().as_flattened()
    }
}

impl<const N: usize> Table<N> {
    fn from_rows(rows: [Row; N]) -> Self {
        let mut lanes = [[[0; 2]; N]; LANES];
        for (lane, numbers) in lanes.iter_mut().enumerate() {
            for (number, row) in numbers.iter_mut().zip(&rows) {
                *number = row[lane].to_be_bytes();
            }
        }
        Self { rows, lanes }
    }

    /// The coefficients of the polynomials whose values these are.
    fn interpolated(&self, basis: &[[u16; N]; N]) -> Self {
        let mut coefficients = [[0; LANES]; N];
        for (values, polynomial) in self.rows.iter().zip(basis) {
            let multiples = Multiples::of(values);
            for (sum, factor) in coefficients.iter_mut().zip(polynomial) {
                multiples.add_to(sum, *factor);
            }
        }
        Self::from_rows(coefficients)
    }

    /// The values at `x` of the polynomials whose coefficients these are.
    fn evaluated(&self, x: u16) -> Row {
        let mut value = [0; LANES];
        for coefficients in self.rows.iter().rev() {
            value = scale_row(&value, x);
            add_row(&mut value, coefficients);
        }
        value
    }
}
