//! AES-256-GCM-SIV (RFC 8452) under a fresh nonce, which is written in front.

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use rand::rngs::SysRng;
use rand_core::TryRng;
use sprag::vault::VaultError;
use zeroize::Zeroizing;

const NONCE: usize = 12;

/// How much longer what is sealed is.
pub(super) const OVERHEAD: usize = NONCE + 16;

/// A key that seals.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(super) fn random() -> Result<Self, VaultError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    pub(super) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `text` and binds it to `about`.
    pub(super) fn seal(&self, text: &[u8], about: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload {
            msg: text,
            aad: about,
        };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| VaultError::Io {
            detail: "too much to seal".to_owned(),
        })?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What was sealed, if it was so under this key and bound to `about`.
    pub(super) fn open(&self, sealed: &[u8], about: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload {
            msg: sealed,
            aad: about,
        };
        let text = self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(text))
    }

    fn cipher(&self) -> Aes256GcmSiv {
        Aes256GcmSiv::new((&*self.0).into())
    }
}

/// Bytes from the system's generator.
pub(super) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| VaultError::Io {
            detail: "the system gave no random bytes".to_owned(),
        })?;
    Ok(bytes)
}
