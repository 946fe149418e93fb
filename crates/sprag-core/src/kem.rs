//! KEM keys: Kyber-1024 in its round-3 form. Source: sheet 01 section 7.
//!
//! Keys and ciphertexts are serialised with a type byte. Only type 08, round-3 Kyber-1024, is
//! accepted and made today; ML-KEM-1024 (0a) is a known number that nobody uses yet.

use std::{fmt, hash};

use libcrux_ml_kem::kyber1024;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{error::KeyError, stack};

/// The secret that encapsulation and decapsulation share, 32 bytes; forgotten on drop.
pub type SharedSecret = Zeroizing<[u8; 32]>;

/// Which KEM a key or ciphertext belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// Kyber-1024 as submitted to round 3: not ML-KEM, although all lengths agree.
    Kyber1024 = 0x08,
}

impl KeyType {
    const PUBLIC_KEY_LENGTH: usize = 1568;
    const SECRET_KEY_LENGTH: usize = 3168;
    const CIPHERTEXT_LENGTH: usize = 1568;

    fn from_byte(byte: u8) -> Result<Self, KeyError> {
        match byte {
            0x08 => Ok(Self::Kyber1024),
            other => Err(KeyError::BadKemKeyType(other)),
        }
    }
}

/// Splits type byte and raw bytes, whose number must be exactly right.
fn parse<const LENGTH: usize>(
    bytes: &[u8],
    bad_length: impl FnOnce(u8, usize) -> KeyError,
) -> Result<(KeyType, Box<[u8; LENGTH]>), KeyError> {
    let (&byte, raw) = bytes.split_first().ok_or(KeyError::NoKeyTypeIdentifier)?;
    let key_type = KeyType::from_byte(byte)?;
    let raw: &[u8; LENGTH] = raw.try_into().map_err(|_| bad_length(byte, bytes.len()))?;
    Ok((key_type, Box::new(*raw)))
}

fn serialize(key_type: KeyType, raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + raw.len());
    bytes.push(key_type as u8);
    bytes.extend_from_slice(raw);
    bytes
}

fn bad_key_length(key_type: u8, length: usize) -> KeyError {
    KeyError::BadKemKeyLength { key_type, length }
}

/// A public key: 1568 raw bytes, 1569 serialised.
#[derive(Clone, Eq)]
pub struct PublicKey {
    key_type: KeyType,
    raw: Box<[u8; KeyType::PUBLIC_KEY_LENGTH]>,
}

impl PublicKey {
    /// Parses type byte and key. Whether the coefficients are reduced is not checked.
    ///
    /// # Errors
    /// [`KeyError::NoKeyTypeIdentifier`], [`KeyError::BadKemKeyType`] or
    /// [`KeyError::BadKemKeyLength`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, KeyError> {
        let (key_type, raw) = parse(bytes, bad_key_length)?;
        Ok(Self { key_type, raw })
    }

    /// Type byte and key, 1569 bytes.
    pub fn serialize(&self) -> Vec<u8> {
        serialize(self.key_type, &self.raw[..])
    }

    /// Which KEM the key is for.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Makes a secret that only the holder of the secret key can recover from the ciphertext. Draws
    /// 32 bytes.
    pub fn encapsulate<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> (SharedSecret, Ciphertext) {
        let mut random = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *random);
        stack::erasing_deeply(|| {
            let (ciphertext, secret) = kyber1024::encapsulate(&(&*self.raw).into(), *random);
            let ciphertext = Ciphertext {
                key_type: self.key_type,
                raw: Box::new(*ciphertext.as_slice()),
            };
            (Zeroizing::new(secret), ciphertext)
        })
    }
}

/// In constant time, over the encodings.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key_type == other.key_type && self.raw[..].ct_eq(&other.raw[..]).into()
    }
}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.key_type.hash(state);
        self.raw.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kem::PublicKey({:?})", self.key_type)
    }
}

/// A secret key: 3168 raw bytes, 3169 serialised; erased on drop.
///
/// `Clone`, because stores hand out copies of records that hold it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey {
    #[zeroize(skip)]
    key_type: KeyType,
    raw: Box<[u8; KeyType::SECRET_KEY_LENGTH]>,
}

impl SecretKey {
    /// Parses type byte and key.
    ///
    /// # Errors
    /// [`KeyError::NoKeyTypeIdentifier`], [`KeyError::BadKemKeyType`] or
    /// [`KeyError::BadKemKeyLength`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, KeyError> {
        let (key_type, raw) = parse(bytes, bad_key_length)?;
        Ok(Self { key_type, raw })
    }

    /// Type byte and key, 3169 bytes.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serialize(self.key_type, &self.raw[..]))
    }

    /// Which KEM the key is for.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Recovers the secret from a ciphertext. A ciphertext that was not made for this key gives a
    /// secret that nobody else has, not an error (implicit rejection).
    ///
    /// # Errors
    /// [`KeyError::WrongKemKeyType`] if the ciphertext is of another KEM.
    pub fn decapsulate(&self, ciphertext: &Ciphertext) -> Result<SharedSecret, KeyError> {
        if ciphertext.key_type != self.key_type {
            return Err(KeyError::WrongKemKeyType {
                found: ciphertext.key_type as u8,
                expected: self.key_type as u8,
            });
        }
        stack::erasing_deeply(|| {
            let key = (&*self.raw).into();
            let secret = kyber1024::decapsulate(&key, &(&*ciphertext.raw).into());
            Ok(Zeroizing::new(secret))
        })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kem::SecretKey({:?}, ..)", self.key_type)
    }
}

/// An encapsulated secret: 1568 raw bytes, 1569 serialised.
#[derive(Clone)]
pub struct Ciphertext {
    key_type: KeyType,
    raw: Box<[u8; KeyType::CIPHERTEXT_LENGTH]>,
}

impl Ciphertext {
    /// Parses type byte and ciphertext.
    ///
    /// # Errors
    /// [`KeyError::NoKeyTypeIdentifier`], [`KeyError::BadKemKeyType`] or
    /// [`KeyError::BadKemCiphertextLength`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, KeyError> {
        let (key_type, raw) = parse(bytes, |key_type, length| KeyError::BadKemCiphertextLength {
            key_type,
            length,
        })?;
        Ok(Self { key_type, raw })
    }

    /// Type byte and ciphertext, 1569 bytes.
    pub fn serialize(&self) -> Vec<u8> {
        serialize(self.key_type, &self.raw[..])
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kem::Ciphertext({:?})", self.key_type)
    }
}

/// A secret key and the public key that is used with it.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The public key.
    pub public_key: PublicKey,
    /// The secret key.
    pub secret_key: SecretKey,
}

impl KeyPair {
    /// A new Kyber-1024 pair. Draws 64 bytes.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut random = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *random);
        let key_type = KeyType::Kyber1024;
        stack::erasing_deeply(|| {
            let pair = kyber1024::generate_key_pair(*random);
            Self {
                public_key: PublicKey {
                    key_type,
                    raw: Box::new(*pair.pk()),
                },
                secret_key: SecretKey {
                    key_type,
                    raw: Box::new(*pair.sk()),
                },
            }
        })
    }

    /// A pair from its two serialised halves. That they belong together is not checked.
    ///
    /// # Errors
    /// Those of parsing either half; [`KeyError::WrongKemKeyType`] if their types differ.
    pub fn from_halves(public_key: &[u8], secret_key: &[u8]) -> Result<Self, KeyError> {
        let public_key = PublicKey::deserialize(public_key)?;
        let secret_key = SecretKey::deserialize(secret_key)?;
        if public_key.key_type != secret_key.key_type {
            return Err(KeyError::WrongKemKeyType {
                found: secret_key.key_type as u8,
                expected: public_key.key_type as u8,
            });
        }
        Ok(Self {
            public_key,
            secret_key,
        })
    }
}
