//! Identity keys: the long-term key pair of an account. Source: sheet 01 section 5, sheet 02
//! section 1.1.

use std::{fmt, sync::OnceLock};

use prost::Message;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    address::ProtocolAddress,
    curve::{KeyPair, PrivateKey, PublicKey, SIGNATURE_LENGTH, SigningPoint},
    error::{KeyError, ProtocolError},
    record::secret_bytes,
};

/// What goes before the other identity in the message that an alternate-identity signature signs.
const ALTERNATE_IDENTITY_LABEL: &[u8] = b"Signal_PNI_Signature";

/// An identity key: the Curve25519 public key by which people recognise an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey(PublicKey);

impl IdentityKey {
    /// The identity with this public key.
    pub fn new(public_key: PublicKey) -> Self {
        Self(public_key)
    }

    /// Parses the 33 bytes of a serialised public key.
    ///
    /// # Errors
    /// Those of [`PublicKey::deserialize`].
    pub fn deserialize(bytes: &[u8]) -> Result<Self, KeyError> {
        PublicKey::deserialize(bytes).map(Self)
    }

    /// The serialised public key, 33 bytes.
    pub fn serialize(&self) -> [u8; PublicKey::LENGTH] {
        self.0.serialize()
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0
    }

    /// Whether `signature` says that `other` belongs to the same person as this identity.
    ///
    /// See [`IdentityKeyPair::sign_alternate_identity`].
    pub fn verify_alternate_identity(&self, other: &IdentityKey, signature: &[u8]) -> bool {
        self.0
            .verify_parts(&alternate_identity_message(&other.serialize()), signature)
    }
}

fn alternate_identity_message(other: &[u8; PublicKey::LENGTH]) -> [&[u8]; 3] {
    [&[0xff; 32], ALTERNATE_IDENTITY_LABEL, other]
}

/// An identity key and its private key.
///
/// `Clone`, because identity stores hand it out.
#[derive(Clone, Debug)]
pub struct IdentityKeyPair {
    identity_key: IdentityKey,
    private_key: PrivateKey,
    /// Found by the first signature, for those that follow.
    signing_point: OnceLock<SigningPoint>,
}

impl IdentityKeyPair {
    /// A new identity. Draws 32 bytes.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        PrivateKey::generate(rng).into()
    }

    /// An identity from its two halves. That they belong together is not checked.
    pub fn new(identity_key: IdentityKey, private_key: PrivateKey) -> Self {
        Self {
            identity_key,
            private_key,
            signing_point: OnceLock::new(),
        }
    }

    /// Parses the stored form, a protobuf with both halves.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`], or the error of parsing either key.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut stored = Stored::decode(secret_bytes(bytes.to_vec()))?;
        let identity_key = IdentityKey::deserialize(&stored.public_key)?;
        let private_key = PrivateKey::deserialize(&stored.private_key);
        stored.private_key.zeroize();
        Ok(Self::new(identity_key, private_key?))
    }

    /// The stored form, 69 bytes.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        let mut stored = Stored {
            public_key: self.identity_key.serialize().to_vec(),
            private_key: self.private_key.serialize().to_vec(),
        };
        let bytes = Zeroizing::new(stored.encode_to_vec());
        stored.private_key.zeroize();
        bytes
    }

    /// The public half.
    pub fn identity_key(&self) -> &IdentityKey {
        &self.identity_key
    }

    /// The private half.
    pub fn private_key(&self) -> &PrivateKey {
        &self.private_key
    }

    /// Signs `message` like [`PrivateKey::sign`]; faster from the second signature on. Draws 64 bytes.
    pub fn sign<R: CryptoRng + ?Sized>(
        &self,
        message: &[u8],
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        self.sign_parts(&[message], rng)
    }

    /// Signs the claim that `other` belongs to the same person as this identity (64 bytes). Draws 64
    /// bytes.
    pub fn sign_alternate_identity<R: CryptoRng + ?Sized>(
        &self,
        other: &IdentityKey,
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        self.sign_parts(&alternate_identity_message(&other.serialize()), rng)
    }

    fn sign_parts<R: CryptoRng + ?Sized>(
        &self,
        message: &[&[u8]],
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        let point = self
            .signing_point
            .get_or_init(|| self.private_key.signing_point());
        self.private_key.sign_at(point, message, rng)
    }
}

impl From<PrivateKey> for IdentityKeyPair {
    fn from(private_key: PrivateKey) -> Self {
        let KeyPair {
            public_key,
            private_key,
        } = private_key.into();
        Self::new(IdentityKey(public_key), private_key)
    }
}

/// Whether two parties are devices of one account: equal identities, and names that are the same
/// service id. Names that are no service ids never are.
pub(crate) fn is_same_account(
    identity: &IdentityKey,
    address: &ProtocolAddress,
    other_identity: &IdentityKey,
    other_address: &ProtocolAddress,
) -> bool {
    identity == other_identity
        && address
            .service_id()
            .is_some_and(|id| other_address.service_id() == Some(id))
}

#[derive(Message)]
#[prost(skip_debug)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    private_key: Vec<u8>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKeyPair(..)")
    }
}
