//! The certificate of a server's key, signed by a trust root. Source: sheet 07 section 2.

use bytes::Bytes;
use prost::Message;
use rand_core::CryptoRng;

use super::known;
use crate::{
    curve::{PrivateKey, PublicKey},
    error::ProtocolError,
};

/// Ids of server certificates that are never valid: the one for tests.
const REVOKED: &[u32] = &[0xDEAD_C357];

/// A server's key for signing sender certificates, signed by a trust root.
///
/// It keeps the bytes that it was parsed from: those are what is signed.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    id: u32,
    key: PublicKey,
    certificate: Bytes,
    signature: Bytes,
    serialized: Bytes,
}

impl ServerCertificate {
    /// Issues a certificate for `key` under the number `id`. Draws 64 bytes.
    pub fn issue<R: CryptoRng + ?Sized>(
        id: u32,
        key: PublicKey,
        trust_root: &PrivateKey,
        rng: &mut R,
    ) -> Self {
        let inner = Inner {
            id: Some(id),
            key: Some(Bytes::copy_from_slice(&key.serialize())),
        };
        let certificate = Bytes::from(inner.encode_to_vec());
        let signature = Bytes::copy_from_slice(&trust_root.sign(&certificate, rng));
        let wire = Wire {
            certificate: Some(certificate.clone()),
            signature: Some(signature.clone()),
        };
        Self {
            id,
            key,
            certificate,
            signature,
            serialized: wire.encode_to_vec().into(),
        }
    }

    /// Parses a certificate. Its signature is not checked.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`], or the error of parsing the key.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Self::from_bytes(Bytes::copy_from_slice(bytes))
    }

    /// The certificate that applications know by its number, if there is one: sender certificates may name it
    /// instead of holding it.
    pub fn known(id: u32) -> Option<Self> {
        let bytes = known::certificate(id)?;
        Self::from_bytes(Bytes::from_static(bytes)).ok()
    }

    pub(super) fn from_bytes(serialized: Bytes) -> Result<Self, ProtocolError> {
        let wire = Wire::decode(serialized.clone())?;
        let (Some(certificate), Some(signature)) = (wire.certificate, wire.signature) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        let inner = Inner::decode(certificate.clone())?;
        let (Some(id), Some(key)) = (inner.id, inner.key) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        Ok(Self {
            id,
            key: PublicKey::deserialize(&key)?,
            certificate,
            signature,
            serialized,
        })
    }

    /// Whether it is not revoked and one of `trust_roots` has signed it. Every root is tried, so that the time it takes
    /// does not tell which.
    pub(super) fn is_signed_by_any(&self, trust_roots: &[PublicKey]) -> bool {
        let signed = trust_roots.iter().fold(false, |signed, root| {
            root.verify(&self.certificate, &self.signature) | signed
        });
        signed && !REVOKED.contains(&self.id)
    }

    /// Its number.
    pub fn key_id(&self) -> u32 {
        self.id
    }

    /// The server's key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The bytes that are signed.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The trust root's signature over [`certificate`](Self::certificate). 64 bytes, if it is one.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The whole, as it was parsed.
    pub fn serialized(&self) -> &[u8] {
        &self.serialized
    }

    pub(super) fn shared(&self) -> Bytes {
        self.serialized.clone()
    }
}

#[derive(Clone, Message)]
struct Wire {
    #[prost(bytes = "bytes", optional, tag = "1")]
    certificate: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    signature: Option<Bytes>,
}

#[derive(Clone, Message)]
struct Inner {
    #[prost(uint32, optional, tag = "1")]
    id: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    key: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_known_certificates_are_signed_by_their_roots() {
        for (id, root) in known::TRUST_ROOTS {
            let certificate = ServerCertificate::known(*id).unwrap();
            assert_eq!(certificate.key_id(), *id);
            let root = PublicKey::deserialize(root).unwrap();
            assert!(certificate.is_signed_by_any(&[root]));
        }
        assert!(ServerCertificate::known(0).is_none());
    }
}
