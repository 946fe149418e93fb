//! Lagrange bases: how N values at 0, 1, ... N - 1 become the N coefficients of a polynomial.

use super::super::field::{invert, multiply};

/// `basis()[i][j]` is the coefficient of x^j in the polynomial of degree below N that is 1 at i
/// and 0 at every other point below N. Evaluated by the compiler.
pub(crate) const fn lagrange_basis<const N: usize>() -> [[u16; N]; N] {
    let product = vanishing::<N>();
    let mut basis = [[0; N]; N];
    let mut i = 0;
    while i < N {
        let point = i as u16;
        // Divide the product by (x - i), highest coefficient first ...
        let mut quotient = [0; N];
        let mut carry = 1;
        let mut j = N;
        while j > 0 {
            j -= 1;
            quotient[j] = carry;
            carry = product[j] ^ multiply(carry, point);
        }
        // ... and by what the quotient is at i.
        let mut value = 0;
        let mut j = N;
        while j > 0 {
            j -= 1;
            value = multiply(value, point) ^ quotient[j];
        }
        let scale = invert(value);
        let mut j = 0;
        while j < N {
            basis[i][j] = multiply(quotient[j], scale);
            j += 1;
        }
        i += 1;
    }
    basis
}

/// Coefficients of the product of all (x - i) for i below N, without the leading 1.
const fn vanishing<const N: usize>() -> [u16; N] {
    let mut product = [0; N];
    let mut degree = 0;
    while degree < N {
        // Multiply by (x - root): shift up by one and add root times the old coefficients. The
        // new leading 1 is left out, the old one written down.
        let root = degree as u16;
        product[degree] = 1;
        let mut j = degree + 1;
        while j > 0 {
            j -= 1;
            let below = if j > 0 { product[j - 1] } else { 0 };
            product[j] = below ^ multiply(product[j], root);
        }
        degree += 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_polynomial_is_one_at_its_own_point_and_zero_at_the_others() {
        for (i, polynomial) in lagrange_basis::<36>().iter().enumerate() {
            for x in 0..36 {
                let value = polynomial
                    .iter()
                    .rev()
                    .fold(0, |value, coefficient| multiply(value, x) ^ coefficient);
                assert_eq!(value, u16::from(usize::from(x) == i));
            }
        }
    }
}
