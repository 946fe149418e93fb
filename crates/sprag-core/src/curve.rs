//! Curve25519 keys: agreement (X25519) and signatures (XEdDSA as deployed). Source: sheet 01
//! sections 3 and 4.

mod hpke;
mod x25519;
mod xeddsa;

use std::{cmp::Ordering, fmt, hash};

use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub(crate) use xeddsa::{SigningPoint, Verifier};

use crate::error::KeyError;

/// Type byte of a serialised Curve25519 public key.
const KEY_TYPE: u8 = 0x05;

/// Length of a signature in bytes.
pub const SIGNATURE_LENGTH: usize = 64;

/// The result of an agreement, 32 bytes; forgotten on drop.
pub type SharedSecret = Zeroizing<[u8; 32]>;

/// A public key: the u-coordinate, 32 bytes. Serialised with its type byte: 33 bytes.
///
/// Parsing checks nothing about the point: keys of small order, on the twist or not reduced all
/// parse, and two encodings of one point are different keys.
#[derive(Clone, Copy, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Length of the serialised form in bytes.
    pub const LENGTH: usize = 33;

    /// Parses the serialised form: 05 and 32 bytes. Bytes after those are ignored.
    ///
    /// # Errors
    /// [`KeyError::NoKeyTypeIdentifier`], [`KeyError::BadKeyType`] or [`KeyError::BadKeyLength`]
    /// (fewer than 33 bytes).
    pub fn deserialize(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.split_first() {
            None => Err(KeyError::NoKeyTypeIdentifier),
            Some((&KEY_TYPE, key)) => match key.first_chunk() {
                Some(key) => Ok(Self(*key)),
                None => Err(KeyError::BadKeyLength(bytes.len())),
            },
            Some((&other, _)) => Err(KeyError::BadKeyType(other)),
        }
    }

    /// A key from its 32 raw bytes, without type byte.
    ///
    /// # Errors
    /// [`KeyError::BadKeyLength`] for any other number of bytes.
    pub fn from_raw_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = bytes
            .try_into()
            .map_err(|_| KeyError::BadKeyLength(bytes.len()))?;
        Ok(Self(key))
    }

    /// The serialised form, 33 bytes.
    pub fn serialize(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [KEY_TYPE; Self::LENGTH];
        bytes[1..].copy_from_slice(&self.0);
        bytes
    }

    /// The 32 raw bytes, without type byte.
    pub fn raw_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` was made over `message` by the holder of the private key.
    ///
    /// Keys of small order are not refused, as deployed: a signature proves nothing about a key that
    /// is not trusted for other reasons.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verify_parts(&[message], signature)
    }

    /// The same for a message given in parts, which count as if they were joined.
    pub fn verify_parts(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        self.verifier()
            .is_some_and(|verifier| verifier.verify(message, signature))
    }

    /// The key made ready for verifying several signatures; `None` if it is no point of the curve, and then none is valid.
    pub(crate) fn verifier(&self) -> Option<Verifier> {
        Verifier::new(&self.0)
    }

    /// Whether this is the one canonical encoding of a point of the prime-order subgroup.
    pub(crate) fn is_canonical(&self) -> bool {
        // p = 2^255 - 19, little-endian.
        let below_p = self.0[31] < 0x7f
            || (self.0[31] == 0x7f
                && (self.0[1..31].iter().any(|&byte| byte != 0xff) || self.0[0] < 0xed));
        below_p
            && MontgomeryPoint(self.0)
                .to_edwards(0)
                .is_some_and(|point| point.is_torsion_free())
    }
}

/// In constant time, over the encodings.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(05")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A private key: 32 clamped bytes, erased on drop.
///
/// `Clone`, because stores hand out copies of records that hold it. In a place of its own, so that moving it leaves
/// no copy behind.
#[derive(Clone)]
pub struct PrivateKey(Box<[u8; 32]>);

impl PrivateKey {
    /// Length of the serialised form in bytes.
    pub const LENGTH: usize = 32;

    /// A new key. Draws 32 bytes.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self::clamped(&bytes)
    }

    /// Parses 32 bytes, clamping them.
    ///
    /// # Errors
    /// [`KeyError::BadKeyLength`] for any other number of bytes.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes
            .try_into()
            .map_err(|_| KeyError::BadKeyLength(bytes.len()))?;
        Ok(Self::clamped(bytes))
    }

    /// The 32 clamped bytes.
    pub fn serialize(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.0)
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(x25519::public_key(&self.0))
    }

    /// The secret shared with the holder of `peer`'s private key (X25519).
    ///
    /// # Errors
    /// [`KeyError::InvalidKeyAgreement`] when the result is all zero, as with keys of small order.
    pub fn agree(&self, peer: &PublicKey) -> Result<SharedSecret, KeyError> {
        x25519::agree(&self.0, &peer.0).ok_or(KeyError::InvalidKeyAgreement)
    }

    /// Signs `message` (XEdDSA as deployed, 64 bytes). Draws 64 bytes.
    pub fn sign<R: CryptoRng + ?Sized>(
        &self,
        message: &[u8],
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        self.sign_parts(&[message], rng)
    }

    /// The same for a message given in parts, which count as if they were joined.
    pub fn sign_parts<R: CryptoRng + ?Sized>(
        &self,
        message: &[&[u8]],
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        self.sign_at(&self.signing_point(), message, rng)
    }

    /// The point under which it signs. Finding it is half the work of a signature.
    pub(crate) fn signing_point(&self) -> SigningPoint {
        SigningPoint::of(&self.0)
    }

    /// Signs like [`sign_parts`](Self::sign_parts), for a signing point that was kept.
    pub(crate) fn sign_at<R: CryptoRng + ?Sized>(
        &self,
        point: &SigningPoint,
        message: &[&[u8]],
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        let mut random = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *random);
        xeddsa::sign(&self.0, point, message, &random)
    }

    fn clamped(bytes: &[u8; 32]) -> Self {
        let mut key = Self(Box::new(*bytes));
        key.0[0] &= 0xf8;
        key.0[31] &= 0x7f;
        key.0[31] |= 0x40;
        key
    }
}

impl Zeroize for PrivateKey {
    fn zeroize(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A private key and the public key that is used with it.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The public key.
    pub public_key: PublicKey,
    /// The private key.
    pub private_key: PrivateKey,
}

impl KeyPair {
    /// A new pair. Draws 32 bytes.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        PrivateKey::generate(rng).into()
    }

    /// A pair from its two serialised halves. That they belong together is not checked.
    ///
    /// # Errors
    /// Those of parsing either half.
    pub fn from_halves(public_key: &[u8], private_key: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            public_key: PublicKey::deserialize(public_key)?,
            private_key: PrivateKey::deserialize(private_key)?,
        })
    }
}

impl From<PrivateKey> for KeyPair {
    fn from(private_key: PrivateKey) -> Self {
        Self {
            public_key: private_key.public_key(),
            private_key,
        }
    }
}
