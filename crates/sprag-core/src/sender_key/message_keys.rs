//! The keys of one message. Source: sheet 06 section 3.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{cipher, kdf::hkdf};

/// IV and cipher key of one message; used once, erased on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MessageKeys {
    iv: [u8; 16],
    cipher_key: [u8; 32],
}

impl MessageKeys {
    pub(super) fn derive(seed: &[u8]) -> Self {
        let derived = hkdf::<48>(None, seed, b"WhisperGroup");
        let mut keys = Self {
            iv: [0; 16],
            cipher_key: [0; 32],
        };
        keys.iv.copy_from_slice(&derived[..16]);
        keys.cipher_key.copy_from_slice(&derived[16..]);
        keys
    }

    pub(super) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        cipher::encrypt(&self.cipher_key, &self.iv, plaintext)
    }

    /// The reverse; `None` for a wrong length or bad padding.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        cipher::decrypt(&self.cipher_key, &self.iv, ciphertext)
    }
}
