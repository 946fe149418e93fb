//! ML-KEM-768 in two halves (sheet 05, section 6).
//!
//! Standard FIPS 203 ML-KEM-768 whose encapsulation key and ciphertext are each cut in two, so
//! that the first half of the ciphertext can be made, and sent, while the larger part of the key
//! is still arriving.

use std::sync::Arc;

use libcrux_ml_kem::mlkem768::incremental;
use rand_core::CryptoRng;

use super::{Error, secret::Secret};
use crate::stack;

/// First part of an encapsulation key: matrix seed (32 bytes) and hash of the whole key (32).
pub(super) type Header = [u8; 64];

/// Second part of an encapsulation key: the encoded vector.
pub(super) type Vector = [u8; 1152];

/// First part of a ciphertext.
pub(super) type Ct1 = [u8; 960];

/// Second part of a ciphertext.
pub(super) type Ct2 = [u8; 128];

/// What the encapsulator remembers between its two steps: 3 + 1 polynomials of 256 16-bit
/// numbers, and the 32 bytes it drew.
pub(super) type EncapsulationState = Arc<Secret<2080>>;

/// Bytes of each of the two vectors at the start of a decapsulation key.
const VECTOR: usize = 1152;

/// Bytes of the polynomials at the start of an encapsulation state, and where the last begins.
const POLYNOMIALS: usize = 2048;
const ERROR_POLYNOMIAL: usize = 1536;

/// The field's modulus.
const Q: i16 = 3329;

/// A key pair: the decapsulation key of FIPS 203, which contains the encapsulation key.
#[derive(Clone)]
pub(super) struct DecapsulationKey(Arc<Secret<2400>>);

impl DecapsulationKey {
    /// Draws 64 bytes (d, then z) and makes a key pair of them.
    pub(super) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Secret::<64>::zero();
        rng.fill_bytes(seed.as_mut_bytes());
        let mut key = Arc::new(Secret::zero());
        let place = Arc::make_mut(&mut key).as_mut_bytes();
        stack::erasing_deeply(|| {
            incremental::generate_key_pair_compressed(*seed.as_bytes(), place);
        });
        Self(key)
    }

    /// From its 2400 bytes; None if there are more or fewer.
    pub(super) fn restore(bytes: &[u8]) -> Option<Self> {
        Secret::shared(bytes).map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 2400] {
        self.0.as_bytes()
    }

    /// First part of the encapsulation key.
    pub(super) fn header(&self) -> &Header {
        part(self.as_bytes(), 2 * VECTOR)
    }

    /// Second part of the encapsulation key.
    pub(super) fn vector(&self) -> &Vector {
        part(self.as_bytes(), VECTOR)
    }

    /// The shared secret of a ciphertext. A ciphertext that does not belong to this key gives
    /// some other secret (implicit rejection), never an error.
    pub(super) fn decapsulate(&self, ct1: &Ct1, ct2: &Ct2) -> Secret<32> {
        let ct1 = incremental::Ciphertext1 { value: *ct1 };
        let ct2 = incremental::Ciphertext2 { value: *ct2 };
        stack::erasing_deeply(|| {
            incremental::decapsulate_compressed_key(self.as_bytes(), &ct1, &ct2).into()
        })
    }
}

/// What the first step of an encapsulation gives.
pub(super) struct Encapsulation {
    pub(super) shared_secret: Secret<32>,
    pub(super) ct1: Ct1,
    pub(super) state: EncapsulationState,
}

/// First step: draws 32 bytes and makes the shared secret and the first part of the ciphertext,
/// knowing only the header of the key.
pub(super) fn encapsulate<R: CryptoRng + ?Sized>(header: &Header, rng: &mut R) -> Encapsulation {
    let mut randomness = Secret::<32>::zero();
    rng.fill_bytes(randomness.as_mut_bytes());
    let mut shared_secret = Secret::zero();
    let mut state = Arc::new(Secret::<2080>::zero());
    let place = Arc::make_mut(&mut state).as_mut_bytes();
    let ct1 = stack::erasing_deeply(|| {
        incremental::encapsulate1(
            header,
            *randomness.as_bytes(),
            place,
            shared_secret.as_mut_bytes(),
        )
    })
    .expect("every argument has the length that its type gives it")
    .value;
    Encapsulation {
        shared_secret,
        ct1,
        state,
    }
}

/// Checks that the vector is the one whose hash the header holds, and is reduced.
pub(super) fn validate(header: &Header, vector: &Vector) -> Result<(), Error> {
    incremental::validate_pk_bytes(header, vector).map_err(|_| Error::ErroneousDataReceived)
}

/// Second step: the second part of the ciphertext, for a vector that has been validated.
pub(super) fn complete(state: &Secret<2080>, vector: &Vector) -> Ct2 {
    stack::erasing_deeply(|| incremental::encapsulate2(canonical(state).as_bytes(), vector).value)
}

/// The state as the second step expects it: little-endian and centred around zero.
///
/// Some older builds stored the polynomials big-endian. And a stored state may hold any
/// representative of a number modulo [`Q`], while the arithmetic that follows counts on small
/// ones. The states of today come through unchanged.
fn canonical(state: &Secret<2080>) -> Secret<2080> {
    let mut state = state.clone();
    let swapped = is_byte_swapped(state.as_bytes());
    let (numbers, _) = state.as_mut_bytes()[..POLYNOMIALS].as_chunks_mut::<2>();
    for bytes in numbers {
        if swapped {
            bytes.swap(0, 1);
        }
        let residue = i16::from_le_bytes(*bytes).rem_euclid(Q);
        let centred = residue - Q * i16::from(residue > Q / 2);
        *bytes = centred.to_le_bytes();
    }
    state
}

/// Whether the state was written big-endian, judged by the first number in the error polynomial
/// that tells: these are between -2 and 2.
fn is_byte_swapped(state: &[u8; 2080]) -> bool {
    let (numbers, _) = state[ERROR_POLYNOMIAL..POLYNOMIALS].as_chunks::<2>();
    numbers
        .iter()
        .map(|bytes| u16::from_le_bytes(*bytes))
        .find(|number| !matches!(number, 0x0000 | 0xffff))
        .is_some_and(|number| matches!(number, 0x0100 | 0x0200 | 0xfeff))
}

/// The `N` bytes of `key` from `start` on.
fn part<const N: usize>(key: &[u8; 2400], start: usize) -> &[u8; N] {
    key[start..]
        .first_chunk()
        .expect("both parts end before the key does")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn pair() -> (DecapsulationKey, Encapsulation) {
        let mut rng = StdRng::seed_from_u64(1);
        let key = DecapsulationKey::generate(&mut rng);
        let encapsulation = encapsulate(key.header(), &mut rng);
        (key, encapsulation)
    }

    #[test]
    fn both_sides_have_the_same_secret() {
        let (key, encapsulation) = pair();
        validate(key.header(), key.vector()).unwrap();
        let ct2 = complete(&encapsulation.state, key.vector());
        let secret = key.decapsulate(&encapsulation.ct1, &ct2);
        assert_eq!(secret.as_bytes(), encapsulation.shared_secret.as_bytes());
    }

    #[test]
    fn any_representative_gives_the_same_ciphertext() {
        let (key, encapsulation) = pair();
        let mut moved = Secret::clone(&encapsulation.state);
        let (numbers, _) = moved.as_mut_bytes()[..ERROR_POLYNOMIAL].as_chunks_mut::<2>();
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = (i16::from_le_bytes(*number) + Q * ((i % 7) as i16 - 3)).to_le_bytes();
        }
        let expected = complete(&encapsulation.state, key.vector());
        assert_eq!(complete(&moved, key.vector()), expected);
    }

    #[test]
    fn the_second_step_works_on_centred_residues() {
        let mut stored = [0; 2080];
        for (i, number) in stored[..POLYNOMIALS].chunks_exact_mut(2).enumerate() {
            number.copy_from_slice(&(i as i16).wrapping_mul(321).to_le_bytes());
        }
        stored[POLYNOMIALS..].fill(0xee);
        let canonical = canonical(&Secret::from(stored));
        assert_eq!(canonical.as_bytes()[POLYNOMIALS..], stored[POLYNOMIALS..]);
        let pairs = stored[..POLYNOMIALS].chunks_exact(2);
        for (before, after) in pairs.zip(canonical.as_bytes().chunks_exact(2)) {
            let before = i16::from_le_bytes([before[0], before[1]]);
            let after = i16::from_le_bytes([after[0], after[1]]);
            assert!((-1664..=1664).contains(&after), "{before} became {after}");
            assert_eq!((i32::from(before) - i32::from(after)) % i32::from(Q), 0);
        }
    }

    #[test]
    fn an_altered_vector_is_refused() {
        let (key, _) = pair();
        let mut vector = *key.vector();
        vector[100] ^= 1;
        assert_eq!(
            validate(key.header(), &vector),
            Err(Error::ErroneousDataReceived)
        );
    }

    #[test]
    fn no_stored_state_makes_the_second_step_panic() {
        let (key, _) = pair();
        for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            complete(&Secret::from([byte; 2080]), key.vector());
        }
    }
}
