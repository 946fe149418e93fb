//! The field GF(2^16) of the erasure code (sheet 05, section 8).
//!
//! Elements are polynomials over GF(2) modulo x^16 + x^12 + x^3 + x + 1, held as plain 16-bit
//! patterns; addition is XOR. Only public data is coded, so nothing here has to run in constant
//! time. There are no logarithm tables: a chunk is sixteen elements that are all multiplied by the
//! same number, which shifting and adding whole rows does faster than table look-ups, out of a
//! colder cache, could.

/// What x^16 is, reduced.
const REDUCTION: u16 = 0x100b;

/// Number of lanes of the erasure code: a chunk has one element of each.
pub(super) const LANES: usize = 16;

/// One element of every lane.
pub(super) type Row = [u16; LANES];

/// The product of two elements.
pub(super) const fn multiply(a: u16, b: u16) -> u16 {
    // The product of the polynomials, of degree 30 at most ...
    let a = a as u32;
    let b = b as u32;
    let mut product = 0;
    let mut bit = 0;
    while bit < 16 {
        product ^= (a << bit) & ((b >> bit) & 1).wrapping_neg();
        bit += 1;
    }
    // ... and what is above x^15 folded down. Each round takes off at least four degrees.
    let mut round = 0;
    while round < 4 {
        let high = product >> 16;
        product = (product & 0xffff) ^ high ^ (high << 1) ^ (high << 3) ^ (high << 12);
        round += 1;
    }
    product as u16
}

/// The multiplicative inverse; zero, which has none, gives zero.
pub(super) const fn invert(a: u16) -> u16 {
    // a^(2^16 - 2) is the product of a^(2^k) for k from 1 to 15.
    let mut power = multiply(a, a);
    let mut inverse = power;
    let mut k = 1;
    while k < 15 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
        k += 1;
    }
    inverse
}

/// Adds `addend` to `sum`, element by element.
pub(super) fn add_row(sum: &mut Row, addend: &Row) {
    for (sum, addend) in sum.iter_mut().zip(addend) {
        *sum ^= addend;
    }
}

/// Multiplies every element of `row` by `factor`. Takes time by the position of the factor's
/// highest bit, so small factors are cheap. Inlined so that the rows stay in registers: calls make
/// a parity chunk cost twice as much.
#[inline(always)]
pub(super) fn scale_row(row: &Row, factor: u16) -> Row {
    let mut product = [0; LANES];
    for bit in (0..u16::BITS - factor.leading_zeros()).rev() {
        double_row(&mut product);
        if (factor >> bit) & 1 == 1 {
            add_row(&mut product, row);
        }
    }
    product
}

/// All multiples of a row by a 4-bit number in each of the four digits of a factor. Worth making
/// for a row that is to be multiplied by many factors.
pub(super) struct Multiples([[Row; 16]; 4]);

impl Multiples {
    pub(super) fn of(row: &Row) -> Self {
        let mut digits = [[[0; LANES]; 16]; 4];
        let mut power = *row;
        for digit in &mut digits {
            for bit in 0..4 {
                let (known, new) = digit.split_at_mut(1 << bit);
                for (new, known) in new.iter_mut().zip(known) {
                    *new = power;
                    add_row(new, known);
                }
                double_row(&mut power);
            }
        }
        Self(digits)
    }

    /// Adds the row times `factor` to `sum`.
    pub(super) fn add_to(&self, sum: &mut Row, factor: u16) {
        for (digit, multiples) in self.0.iter().enumerate() {
            add_row(sum, &multiples[usize::from((factor >> (4 * digit)) & 0xf)]);
        }
    }
}

/// Multiplies every element of `row` by x.
fn double_row(row: &mut Row) {
    for element in row {
        *element = (*element << 1) ^ (REDUCTION & (*element >> 15).wrapping_neg());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        for a in 1..=u16::MAX {
            assert_eq!(multiply(a, invert(a)), 1, "{a:#06x}");
        }
        assert_eq!(invert(0), 0);
    }

    proptest! {
        #[test]
        fn multiplication_is_that_of_a_field(a: u16, b: u16, c: u16) {
            prop_assert_eq!(multiply(a, b), multiply(b, a));
            prop_assert_eq!(multiply(a, 1), a);
            prop_assert_eq!(multiply(a, 0), 0);
            prop_assert_eq!(multiply(multiply(a, b), c), multiply(a, multiply(b, c)));
            prop_assert_eq!(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c));
        }

        #[test]
        fn rows_multiply_like_elements(row: Row, factor: u16, sum: Row) {
            let product = row.map(|element| multiply(element, factor));
            prop_assert_eq!(scale_row(&row, factor), product);

            let mut expected = sum;
            add_row(&mut expected, &product);
            let mut actual = sum;
            Multiples::of(&row).add_to(&mut actual, factor);
            prop_assert_eq!(actual, expected);
        }
    }
}
