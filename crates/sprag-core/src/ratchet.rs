//! Root, chain and message keys of the Double Ratchet. Source: sheet 04 section 1.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    cipher,
    curve::SharedSecret,
    kdf::{finish, hkdf, keyed, part},
};

/// One root-key step: the next root key and the key of a new chain.
pub(crate) fn root_step(
    root_key: &[u8],
    agreement: &SharedSecret,
) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let derived = hkdf::<64>(Some(root_key), &agreement[..], b"WhisperRatchet");
    (part::<0, 64>(&derived), part::<32, 64>(&derived))
}

/// One step of a chain: the seed of the chain key's message keys, and the next chain key.
pub(crate) fn chain_step(chain_key: &[u8]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let keyed = keyed(chain_key);
    (finish(keyed.clone(), &[1]), finish(keyed, &[2]))
}

/// Only the chain key after `chain_key`.
pub(crate) fn next_chain_key(chain_key: &[u8]) -> Zeroizing<[u8; 32]> {
    finish(keyed(chain_key), &[2])
}

/// The keys of one message; used once, erased on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct MessageKeys {
    cipher_key: [u8; 32],
    mac_key: [u8; 32],
    iv: [u8; 16],
}

impl MessageKeys {
    /// Derives the keys from a seed and the post-quantum ratchet's key for the same message, if it
    /// gave one.
    pub(crate) fn derive(seed: &[u8], pq_key: Option<&[u8; 32]>) -> Self {
        let derived = hkdf::<80>(pq_key.map(|key| &key[..]), seed, b"WhisperMessageKeys");
        let mut keys = Self {
            cipher_key: [0; 32],
            mac_key: [0; 32],
            iv: [0; 16],
        };
        keys.cipher_key.copy_from_slice(&derived[..32]);
        keys.mac_key.copy_from_slice(&derived[32..64]);
        keys.iv.copy_from_slice(&derived[64..]);
        keys
    }

    #[cfg(feature = "hazmat")]
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 80]> {
        let mut bytes = Zeroizing::new([0; 80]);
        bytes[..32].copy_from_slice(&self.cipher_key);
        bytes[32..64].copy_from_slice(&self.mac_key);
        bytes[64..].copy_from_slice(&self.iv);
        bytes
    }

    /// Final keys as old records hold them; `None` for wrong lengths.
    pub(crate) fn from_stored(cipher_key: &[u8], mac_key: &[u8], iv: &[u8]) -> Option<Self> {
        Some(Self {
            cipher_key: cipher_key.try_into().ok()?,
            mac_key: mac_key.try_into().ok()?,
            iv: iv.try_into().ok()?,
        })
    }

    pub(crate) fn mac_key(&self) -> &[u8; 32] {
        &self.mac_key
    }

    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        cipher::encrypt(&self.cipher_key, &self.iv, plaintext)
    }

    /// The reverse; `None` for a wrong length or bad padding.
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        cipher::decrypt(&self.cipher_key, &self.iv, ciphertext)
    }
}
