//! Internal derivations, for those who check them against recordings. Nothing here is needed to use
//! the protocol, and using it for anything else is dangerous.

pub mod message;

use zeroize::Zeroizing;

use crate::{kdf, pqxdh, ratchet};

/// Internals of the post-quantum ratchet, for checking them against recordings of single steps;
/// dangerous otherwise: they give out the keys that a [`State`](crate::spqr::State) guards, and
/// nothing here keeps one from using a key twice. Source: sheet 05.
pub mod spqr {
    pub use crate::spqr::hazmat::*;
}

/// 32 secret bytes.
pub type Secret = Zeroizing<[u8; 32]>;

/// HKDF-SHA-256; no salt means 32 zero bytes. It gives at most 8160 bytes, which the compiler
/// checks. Source: sheet 01 section 8.
pub fn hkdf<const LENGTH: usize>(
    salt: Option<&[u8]>,
    input: &[u8],
    info: &[u8],
) -> Zeroizing<[u8; LENGTH]> {
    const { assert!(LENGTH <= 255 * 32, "HKDF gives no more") }
    kdf::hkdf(salt, input, info)
}

/// Root key, chain key and post-quantum key from the joined secrets of the agreement. Source: sheet
/// 03 section 2.
pub fn pqxdh_secrets(input: &[u8]) -> [Secret; 3] {
    let secrets = pqxdh::SessionSecrets::from_input(input);
    [secrets.root_key, secrets.chain_key, secrets.pq_key]
}

/// Root key and chain key after a step. Source: sheet 04 section 1, as for all below.
pub fn root_step(root_key: &[u8; 32], agreement: &[u8; 32]) -> [Secret; 2] {
    let (root_key, chain_key) = ratchet::root_step(root_key, &Zeroizing::new(*agreement));
    [root_key, chain_key]
}

/// The seed of a chain key's message keys.
pub fn message_key_seed(chain_key: &[u8; 32]) -> Secret {
    ratchet::chain_step(chain_key).0
}

/// Cipher key, MAC key and IV, 80 bytes.
pub fn message_keys(seed: &[u8; 32], pq_key: Option<&[u8; 32]>) -> Zeroizing<[u8; 80]> {
    ratchet::MessageKeys::derive(seed, pq_key).to_bytes()
}

/// Encrypts with the keys that [`message_keys`] gives.
pub fn encrypt(seed: &[u8; 32], pq_key: Option<&[u8; 32]>, plaintext: &[u8]) -> Vec<u8> {
    ratchet::MessageKeys::derive(seed, pq_key).encrypt(plaintext)
}
