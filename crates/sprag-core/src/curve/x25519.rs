//! X25519 behind two functions, so that what computes it can be exchanged.
//!
//! Where the processor allows it graviola's verified assembly does the work, elsewhere
//! curve25519-dalek. Private keys arrive clamped. Both mask bit 255 of the peer's key and take the
//! rest modulo p.

use curve25519_dalek::{edwards::EdwardsPoint, montgomery::MontgomeryPoint};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SharedSecret;

/// The public key of `private`.
pub(super) fn public_key(private: &[u8; 32]) -> [u8; 32] {
    fast::public_key(private).unwrap_or_else(|| portable::public_key(private))
}

/// The shared secret, or `None` if it is all zero.
pub(super) fn agree(private: &[u8; 32], public: &[u8; 32]) -> Option<SharedSecret> {
    match fast::agree(private, public) {
        Some(result) => result,
        None => portable::agree(private, public),
    }
}

mod portable {
    use super::*;

    pub(super) fn public_key(private: &[u8; 32]) -> [u8; 32] {
        EdwardsPoint::mul_base_clamped(*private)
            .to_montgomery()
            .to_bytes()
    }

    pub(super) fn agree(private: &[u8; 32], public: &[u8; 32]) -> Option<SharedSecret> {
        let secret = MontgomeryPoint(*public).mul_clamped(*private).to_bytes();
        let zero = secret.ct_eq(&[0; 32]);
        let secret = Zeroizing::new(secret);
        (!bool::from(zero)).then_some(secret)
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod fast {
    //! Each function answers `None` where the processor lacks what the assembly needs.

    use std::sync::LazyLock;

    use graviola::key_agreement::x25519::{PublicKey, StaticPrivateKey};

    use super::*;

    static SUPPORTED: LazyLock<bool> = LazyLock::new(graviola::util::is_cpu_supported);

    pub(super) fn public_key(private: &[u8; 32]) -> Option<[u8; 32]> {
        SUPPORTED.then(|| {
            StaticPrivateKey::from_array(private)
                .public_key()
                .as_bytes()
        })
    }

    pub(super) fn agree(private: &[u8; 32], public: &[u8; 32]) -> Option<Option<SharedSecret>> {
        SUPPORTED.then(|| {
            StaticPrivateKey::from_array(private)
                .diffie_hellman(&PublicKey::from_array(public))
                .ok()
                .map(|secret| Zeroizing::new(secret.as_bytes()))
        })
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod fast {
    use super::*;

    pub(super) fn public_key(_: &[u8; 32]) -> Option<[u8; 32]> {
        None
    }

    pub(super) fn agree(_: &[u8; 32], _: &[u8; 32]) -> Option<Option<SharedSecret>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clamp(mut key: [u8; 32]) -> [u8; 32] {
        key[0] &= 0xf8;
        key[31] = key[31] & 0x7f | 0x40;
        key
    }

    proptest! {
        #[test]
        fn both_implementations_agree(private: [u8; 32], public: [u8; 32]) {
            let private = clamp(private);
            if let Some(fast) = fast::public_key(&private) {
                prop_assert_eq!(fast, portable::public_key(&private));
            }
            if let Some(fast) = fast::agree(&private, &public) {
                let portable = portable::agree(&private, &public);
                prop_assert_eq!(fast.as_deref(), portable.as_deref());
            }
        }

        #[test]
        fn both_implementations_agree_near_the_modulus(private: [u8; 32], low: u8, high: bool) {
            let private = clamp(private);
            let mut public = [0xff; 32];
            public[0] = low;
            public[31] = if high { 0xff } else { 0x7f };
            for public in [public, { let mut u = [0; 32]; u[0] = low; u }] {
                if let Some(fast) = fast::agree(&private, &public) {
                    let portable = portable::agree(&private, &public);
                    prop_assert_eq!(fast.as_deref(), portable.as_deref());
                }
            }
        }
    }
}
