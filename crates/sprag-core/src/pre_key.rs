//! Pre-key records: the key pairs whose public halves a recipient publishes. Source: sheet 02
//! sections 1.2 and 1.3.
//!
//! Reading a record checks its encoding only; damaged keys show when they are asked for. A one-time
//! and a last-resort Kyber pre-key look the same: the store knows which is which.

use std::fmt;

use prost::Message;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    bundle::{KyberPreKey, SignedPreKey},
    curve::{self, KeyPair},
    error::{KeyError, ProtocolError},
    identity::IdentityKeyPair,
    kem,
    record::secret_bytes,
    time::Timestamp,
};

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("Id of a ", $what, ": any 32-bit number, by convention below 2^24.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl From<u32> for $name {
            fn from(id: u32) -> Self {
                Self(id)
            }
        }

        impl From<$name> for u32 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(PreKeyId, "one-time EC pre-key");
id!(SignedPreKeyId, "signed EC pre-key");
id!(KyberPreKeyId, "Kyber pre-key");

/// A one-time EC pre-key.
///
/// `Clone`, because stores hand out copies.
#[derive(Clone)]
pub struct PreKeyRecord(StoredPreKey);

impl PreKeyRecord {
    /// A record of `pair` under `id`.
    pub fn new(id: PreKeyId, pair: &KeyPair) -> Self {
        Self(StoredPreKey {
            id: id.into(),
            public_key: pair.public_key.serialize().to_vec(),
            private_key: pair.private_key.serialize().to_vec(),
        })
    }

    /// A record of a new pair. Draws 32 bytes.
    pub fn generate<R: CryptoRng + ?Sized>(id: PreKeyId, rng: &mut R) -> Self {
        Self::new(id, &KeyPair::generate(rng))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`]. Empty input is a record with id 0 and no keys.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self(StoredPreKey::decode(secret_bytes(bytes.to_vec()))?))
    }

    /// The stored form.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.encode_to_vec())
    }

    /// The id.
    pub fn id(&self) -> PreKeyId {
        self.0.id.into()
    }

    /// The public key.
    ///
    /// # Errors
    /// Those of parsing the key.
    pub fn public_key(&self) -> Result<curve::PublicKey, KeyError> {
        curve::PublicKey::deserialize(&self.0.public_key)
    }

    /// Both keys.
    ///
    /// # Errors
    /// Those of parsing either key.
    pub fn key_pair(&self) -> Result<KeyPair, KeyError> {
        KeyPair::from_halves(&self.0.public_key, &self.0.private_key)
    }
}

/// A signed EC pre-key.
///
/// `Clone`, because stores hand out copies.
#[derive(Clone)]
pub struct SignedPreKeyRecord(StoredSignedKey);

impl SignedPreKeyRecord {
    /// A record of `pair` under `id`, with the identity's signature of its serialised public key.
    pub fn new(id: SignedPreKeyId, timestamp: Timestamp, pair: &KeyPair, signature: &[u8]) -> Self {
        Self(StoredSignedKey {
            id: id.into(),
            public_key: pair.public_key.serialize().to_vec(),
            private_key: pair.private_key.serialize().to_vec(),
            signature: signature.to_vec(),
            timestamp: timestamp.as_millis(),
        })
    }

    /// A record of a new pair, signed by `identity`. Draws 32 bytes, then 64.
    pub fn generate<R: CryptoRng + ?Sized>(
        id: SignedPreKeyId,
        timestamp: Timestamp,
        identity: &IdentityKeyPair,
        rng: &mut R,
    ) -> Self {
        let pair = KeyPair::generate(rng);
        let signature = identity.sign(&pair.public_key.serialize(), rng);
        Self::new(id, timestamp, &pair, &signature)
    }

    /// Reads the stored form. The signature is kept as it is and not verified.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`]. Empty input is a record with id 0 and no keys.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self(StoredSignedKey::decode(secret_bytes(bytes.to_vec()))?))
    }

    /// The stored form.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.encode_to_vec())
    }

    /// The id.
    pub fn id(&self) -> SignedPreKeyId {
        self.0.id.into()
    }

    /// When it was made.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.0.timestamp)
    }

    /// The identity's signature of the serialised public key.
    pub fn signature(&self) -> &[u8] {
        &self.0.signature
    }

    /// The public key.
    ///
    /// # Errors
    /// Those of parsing the key.
    pub fn public_key(&self) -> Result<curve::PublicKey, KeyError> {
        curve::PublicKey::deserialize(&self.0.public_key)
    }

    /// Both keys.
    ///
    /// # Errors
    /// Those of parsing either key.
    pub fn key_pair(&self) -> Result<KeyPair, KeyError> {
        KeyPair::from_halves(&self.0.public_key, &self.0.private_key)
    }

    /// What is published of it.
    ///
    /// # Errors
    /// Those of parsing the public key.
    pub fn public_view(&self) -> Result<SignedPreKey, KeyError> {
        Ok(SignedPreKey {
            id: self.id(),
            public_key: self.public_key()?,
            signature: self.signature().to_vec(),
        })
    }
}

/// A Kyber pre-key, one-time or last-resort.
///
/// `Clone`, because stores hand out copies.
#[derive(Clone)]
pub struct KyberPreKeyRecord(StoredSignedKey);

impl KyberPreKeyRecord {
    /// A record of `pair` under `id`, with the identity's signature of its serialised public key.
    pub fn new(
        id: KyberPreKeyId,
        timestamp: Timestamp,
        pair: &kem::KeyPair,
        signature: &[u8],
    ) -> Self {
        Self(StoredSignedKey {
            id: id.into(),
            public_key: pair.public_key.serialize(),
            private_key: pair.secret_key.serialize().to_vec(),
            signature: signature.to_vec(),
            timestamp: timestamp.as_millis(),
        })
    }

    /// A record of a new pair, signed by `identity`. Draws 64 bytes twice.
    pub fn generate<R: CryptoRng + ?Sized>(
        id: KyberPreKeyId,
        timestamp: Timestamp,
        identity: &IdentityKeyPair,
        rng: &mut R,
    ) -> Self {
        let pair = kem::KeyPair::generate(rng);
        let signature = identity.sign(&pair.public_key.serialize(), rng);
        Self::new(id, timestamp, &pair, &signature)
    }

    /// Reads the stored form. The signature is kept as it is and not verified.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`]. Empty input is a record with id 0 and no keys.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self(StoredSignedKey::decode(secret_bytes(bytes.to_vec()))?))
    }

    /// The stored form.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.encode_to_vec())
    }

    /// The id.
    pub fn id(&self) -> KyberPreKeyId {
        self.0.id.into()
    }

    /// When it was made.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.0.timestamp)
    }

    /// The identity's signature of the serialised public key.
    pub fn signature(&self) -> &[u8] {
        &self.0.signature
    }

    /// The public key.
    ///
    /// # Errors
    /// Those of parsing the key.
    pub fn public_key(&self) -> Result<kem::PublicKey, KeyError> {
        kem::PublicKey::deserialize(&self.0.public_key)
    }

    /// The secret key.
    ///
    /// # Errors
    /// Those of parsing the key.
    pub fn secret_key(&self) -> Result<kem::SecretKey, KeyError> {
        kem::SecretKey::deserialize(&self.0.private_key)
    }

    /// Both keys.
    ///
    /// # Errors
    /// Those of parsing either key, and [`KeyError::WrongKemKeyType`].
    pub fn key_pair(&self) -> Result<kem::KeyPair, KeyError> {
        kem::KeyPair::from_halves(&self.0.public_key, &self.0.private_key)
    }

    /// What is published of it.
    ///
    /// # Errors
    /// Those of parsing the public key.
    pub fn public_view(&self) -> Result<KyberPreKey, KeyError> {
        Ok(KyberPreKey {
            id: self.id(),
            public_key: self.public_key()?,
            signature: self.signature().to_vec(),
        })
    }
}

/// Prints ids only.
macro_rules! debug_id {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}, ..)"), self.0.id)
            }
        }
    )*};
}

debug_id!(PreKeyRecord SignedPreKeyRecord KyberPreKeyRecord);

#[derive(Clone, Message)]
#[prost(skip_debug)]
struct StoredPreKey {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    private_key: Vec<u8>,
}

#[derive(Clone, Message)]
#[prost(skip_debug)]
struct StoredSignedKey {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    private_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    signature: Vec<u8>,
    #[prost(fixed64, tag = "5")]
    timestamp: u64,
}

impl Drop for StoredPreKey {
    fn drop(&mut self) {
        self.private_key.zeroize();
    }
}

impl Drop for StoredSignedKey {
    fn drop(&mut self) {
        self.private_key.zeroize();
    }
}
