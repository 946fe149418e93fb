//! XEdDSA as deployed: Ed25519 arithmetic under Curve25519 keys. Source: sheet 01 section 4.
//!
//! It differs from the published XEdDSA: the signer's scalar is never negated; the sign of its
//! Edwards point travels in the top bit of the signature instead.

use curve25519_dalek::{edwards::EdwardsPoint, montgomery::MontgomeryPoint, scalar::Scalar};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The published "hash1" prefix, which keeps the nonce's hash apart from the challenge's.
const NONCE_PREFIX: [u8; 32] = {
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    prefix
};

/// The Edwards point of a private key, in its encoding: what its signatures are made under.
#[derive(Clone, Debug)]
pub(crate) struct SigningPoint([u8; 32]);

impl SigningPoint {
    pub(super) fn of(private: &[u8; 32]) -> Self {
        let a = Zeroizing::new(Scalar::from_bytes_mod_order(*private));
        Self(EdwardsPoint::mul_base(&a).compress().to_bytes())
    }
}

/// Signs the joined parts of `message` with 64 fresh random bytes; `public` is the point of `private`.
pub(super) fn sign(
    private: &[u8; 32],
    SigningPoint(public): &SigningPoint,
    message: &[&[u8]],
    random: &[u8; 64],
) -> [u8; 64] {
    let a = Zeroizing::new(Scalar::from_bytes_mod_order(*private));
    let nonce_parts = [&NONCE_PREFIX[..], private].into_iter();
    let nonce_parts = nonce_parts
        .chain(message.iter().copied())
        .chain([&random[..]]);
    let r = Zeroizing::new(hash_to_scalar(nonce_parts));
    let commitment = EdwardsPoint::mul_base(&r).compress().to_bytes();

    let h = challenge(&commitment, public, message);
    let s = Zeroizing::new(h * *a + *r);

    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice(s.as_bytes());
    signature[63] = signature[63] & 0x7f | public[31] & 0x80;
    signature
}

/// A public key made ready for verifying: the Edwards point of sign 0, and its encoding.
#[derive(Clone)]
pub(crate) struct Verifier {
    point: EdwardsPoint,
    encoding: [u8; 32],
}

impl Verifier {
    /// `None` if `public` is no point of the curve.
    pub(super) fn new(public: &[u8; 32]) -> Option<Self> {
        let point = MontgomeryPoint(*public).to_edwards(0)?;
        let encoding = point.compress().to_bytes();
        Some(Self { point, encoding })
    }

    /// Whether `signature` is one of the joined parts of `message`.
    pub(crate) fn verify(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        let Some((commitment, s)) = split(signature) else {
            return false;
        };
        let (point, encoding) = self.of_sign(s[31] & 0x80);

        let mut s = *s;
        s[31] &= 0x7f;
        if s[31] & 0xe0 != 0 {
            return false;
        }
        // A value s + L is accepted, as deployed; reducing it does not change the product.
        let s = Scalar::from_bytes_mod_order(s);
        let h = challenge(commitment, &encoding, message);
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-point, &s);
        expected.compress().as_bytes().ct_eq(commitment).into()
    }

    /// The point whose encoding has this top bit. A point that is its own negative has the same
    /// encoding either way.
    fn of_sign(&self, sign: u8) -> (EdwardsPoint, [u8; 32]) {
        let negative = -self.point;
        if sign == 0 || negative == self.point {
            return (self.point, self.encoding);
        }
        let mut encoding = self.encoding;
        encoding[31] |= sign;
        (negative, encoding)
    }
}

fn split(signature: &[u8]) -> Option<(&[u8; 32], &[u8; 32])> {
    let signature: &[u8; 64] = signature.try_into().ok()?;
    Some((signature.first_chunk()?, signature.last_chunk()?))
}

fn challenge(commitment: &[u8; 32], public: &[u8; 32], message: &[&[u8]]) -> Scalar {
    hash_to_scalar(
        [&commitment[..], public]
            .into_iter()
            .chain(message.iter().copied()),
    )
}

fn hash_to_scalar<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Scalar {
    let mut hash = Sha512::new();
    parts.for_each(|part| hash.update(part));
    let digest: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    Scalar::from_bytes_mod_order_wide(&digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_like_the_conversion(public: &[u8; 32]) {
        for sign in 0..=1 {
            let converted = MontgomeryPoint(*public).to_edwards(sign);
            let kept = Verifier::new(public).map(|verifier| verifier.of_sign(sign << 7));
            let encoding = |point: EdwardsPoint| point.compress().to_bytes();
            assert_eq!(
                kept.map(|(point, _)| encoding(point)),
                converted.map(encoding)
            );
            assert_eq!(kept.map(|(_, kept)| kept), converted.map(encoding));
        }
    }

    #[test]
    fn a_verifier_has_the_points_of_small_order() {
        for low in 0..=u8::MAX {
            let mut public = [0; 32];
            public[0] = low;
            assert_like_the_conversion(&public);
        }
    }

    proptest! {
        #[test]
        fn a_verifier_has_the_points_of_both_signs(public: [u8; 32]) {
            assert_like_the_conversion(&public);
        }
    }
}
