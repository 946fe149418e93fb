//! Helpers for applications: key derivation and encryption beside the protocol, in the forms that libsignal
//! offers. Source: sheet 08 sections 6 and 7.
//!
//! Sealing to a public key is found at the keys: [`PublicKey::seal`](crate::curve::PublicKey::seal),
//! [`PrivateKey::open`](crate::curve::PrivateKey::open).

use std::fmt;

use aes_gcm_siv::{
    AeadInOut, KeyInit,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use crate::error::CryptoError;

/// HKDF-SHA-256, extract and expand: `length` bytes from `input`, bound to `info`. No salt, like an empty one, is 32 zero
/// bytes.
///
/// ```
/// let key = sprag_core::crypto::hkdf(32, b"shared secret", b"MyApp attachment", None)?;
/// assert_eq!(key.len(), 32);
/// # Ok::<(), sprag_core::crypto::CryptoError>(())
/// ```
///
/// # Errors
/// [`CryptoError::OutputTooLong`] for more than 8160 bytes.
pub fn hkdf(
    length: usize,
    input: &[u8],
    info: &[u8],
    salt: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if length > MAX_HKDF_LENGTH {
        return Err(CryptoError::OutputTooLong(length));
    }
    let mut output = Zeroizing::new(vec![0; length]);
    Hkdf::<Sha256>::new(salt, input)
        .expand(info, &mut output)
        .map_err(|_| CryptoError::OutputTooLong(length))?;
    Ok(output)
}

const MAX_HKDF_LENGTH: usize = 255 * 32;

/// AES-256-GCM-SIV (RFC 8452) under one key.
///
/// It is deterministic: the same input gives the same output. A nonce used twice tells whether two inputs were equal, and
/// nothing more.
///
/// ```
/// use sprag_core::crypto::Aes256GcmSiv;
///
/// let cipher = Aes256GcmSiv::new(&[7; 32])?;
/// let sealed = cipher.encrypt(b"text", &[1; 12], b"about")?;
/// assert_eq!(sealed.len(), 4 + 16);
/// assert_eq!(*cipher.decrypt(&sealed, &[1; 12], b"about")?, b"text");
/// assert!(cipher.decrypt(&sealed, &[1; 12], b"about something else").is_err());
/// # Ok::<(), sprag_core::crypto::CryptoError>(())
/// ```
pub struct Aes256GcmSiv(aes_gcm_siv::Aes256GcmSiv);

impl Aes256GcmSiv {
    /// Length of a key in bytes.
    pub const KEY_LENGTH: usize = 32;
    /// Length of a nonce in bytes.
    pub const NONCE_LENGTH: usize = 12;
    /// How many bytes longer a ciphertext is.
    pub const TAG_LENGTH: usize = 16;

    /// The cipher under `key`.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKeySize`] unless it has 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, CryptoError> {
        let cipher = aes_gcm_siv::Aes256GcmSiv::new_from_slice(key);
        cipher
            .map(Self)
            .map_err(|_| CryptoError::InvalidKeySize(key.len()))
    }

    /// The ciphertext, as long as `plaintext`, and a tag of 16 bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNonceSize`] unless the nonce has 12 bytes;
    /// [`CryptoError::InvalidInputSize`] for more than 64 GiB.
    pub fn encrypt(
        &self,
        plaintext: &[u8],
        nonce: &[u8],
        associated_data: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let payload = Payload {
            msg: plaintext,
            aad: associated_data,
        };
        self.0
            .encrypt(&checked(nonce)?.into(), payload)
            .map_err(|_| CryptoError::InvalidInputSize(plaintext.len()))
    }

    /// What [`encrypt`](Self::encrypt) was given.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNonceSize`], looked at first; [`CryptoError::InvalidAuthenticationTag`] if
    /// anything was altered or cut off.
    pub fn decrypt(
        &self,
        ciphertext: &[u8],
        nonce: &[u8],
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        self.0
            .decrypt_in_place(&checked(nonce)?.into(), associated_data, &mut *buffer)
            .map_err(|_| CryptoError::InvalidAuthenticationTag)?;
        Ok(buffer)
    }
}

impl fmt::Debug for Aes256GcmSiv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes256GcmSiv(..)")
    }
}

fn checked(nonce: &[u8]) -> Result<[u8; Aes256GcmSiv::NONCE_LENGTH], CryptoError> {
    nonce
        .try_into()
        .map_err(|_| CryptoError::InvalidNonceSize(nonce.len()))
}
