//! Sealing to a public key: RFC 9180, single-shot, base mode, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! AES-256-GCM. Source: sheet 08 section 8.

use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, aead::AesGcm256,
    kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{PrivateKey, PublicKey};
use crate::error::{CryptoError, KeyError};

/// The first byte: which algorithms.
const X25519_SHA256_AES_GCM_256: u8 = 1;
/// Length of the encapsulated key.
const ENCAPSULATED_LENGTH: usize = 32;
/// Length of the tag.
const TAG_LENGTH: usize = 16;

impl PublicKey {
    /// Encrypts `plaintext` so that only the holder of the private key can [open](PrivateKey::open) it, who must know
    /// `info` and `associated_data`. The result is 49 bytes longer. Draws 32 bytes.
    ///
    /// It does not tell who sealed it.
    ///
    /// # Errors
    /// [`CryptoError::Key`]: this key is of small order. [`CryptoError::InvalidInputSize`] for more than
    /// 64 GiB.
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        plaintext: &[u8],
        info: &[u8],
        associated_data: &[u8],
        mut rng: &mut R,
    ) -> Result<Vec<u8>, CryptoError> {
        let mut seal = || {
            hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &<X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&self.0)?,
                info,
                plaintext,
                associated_data,
                &mut rng,
            )
        };
        let (encapsulated, ciphertext) = seal().map_err(|error| match error {
            HpkeError::EncapError => KeyError::InvalidKeyAgreement.into(),
            _ => CryptoError::InvalidInputSize(plaintext.len()),
        })?;
        let mut sealed = vec![X25519_SHA256_AES_GCM_256];
        sealed.extend_from_slice(&encapsulated.to_bytes());
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }
}

impl PrivateKey {
    /// Decrypts what was [sealed](PublicKey::seal) to our public key, for the same `info` and `associated_data`.
    ///
    /// # Errors
    /// [`CryptoError::InvalidInputSize`] for fewer bytes than any sealed text has;
    /// [`CryptoError::UnknownAlgorithm`], looked at before that unless there is nothing at all;
    /// [`CryptoError::InvalidAuthenticationTag`] for everything else.
    pub fn open(
        &self,
        sealed: &[u8],
        info: &[u8],
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let size = || CryptoError::InvalidInputSize(sealed.len());
        let (&algorithm, rest) = sealed.split_first().ok_or_else(size)?;
        if algorithm != X25519_SHA256_AES_GCM_256 {
            return Err(CryptoError::UnknownAlgorithm(algorithm));
        }
        if rest.len() < ENCAPSULATED_LENGTH + TAG_LENGTH {
            return Err(size());
        }
        let (encapsulated, ciphertext) = rest.split_at(ENCAPSULATED_LENGTH);
        let open = || {
            hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                &<X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*self.0)?,
                &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)?,
                info,
                ciphertext,
                associated_data,
            )
        };
        open()
            .map(Zeroizing::new)
            .map_err(|_| CryptoError::InvalidAuthenticationTag)
    }
}
