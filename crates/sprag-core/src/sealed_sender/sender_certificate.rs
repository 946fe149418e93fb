//! The certificate of a sender: who it is, and until when, signed by a server. Source: sheet 07 section 2.

use std::fmt;

use bytes::Bytes;
use prost::{Message, Oneof};
use rand_core::CryptoRng;
use uuid::Uuid;

use super::{ServerCertificate, invalid};
use crate::{
    address::{DeviceId, ProtocolAddress},
    curve::{PrivateKey, PublicKey},
    error::ProtocolError,
    identity::IdentityKey,
    service_id::{ServiceId, ServiceIdKind},
    time::Timestamp,
};

/// What a server says of a sender in a [`SenderCertificate`].
#[derive(Clone, Copy)]
pub struct SenderDetails<'a> {
    /// The sender's name: the text of its service id. Any text is taken.
    pub uuid: &'a str,
    /// The sender's phone number, if recipients are to know it.
    pub e164: Option<&'a str>,
    /// The sender's device.
    pub device_id: DeviceId,
    /// The sender's identity.
    pub identity_key: IdentityKey,
    /// The last moment at which the certificate is valid.
    pub expiration: Timestamp,
}

/// Who a sender is, signed by a server whose key is certified in turn.
///
/// It keeps the bytes that it was parsed from: those are what is signed. Parsing checks no signature;
/// [`validate`](Self::validate) does.
#[derive(Clone)]
pub struct SenderCertificate {
    sender_uuid: String,
    sender_e164: Option<String>,
    sender_device_id: DeviceId,
    expiration: Timestamp,
    key: IdentityKey,
    signer: Signer,
    certificate: Bytes,
    signature: Bytes,
    serialized: Bytes,
}

/// The server certificate, or the number of a known one.
#[derive(Clone)]
enum Signer {
    Embedded(ServerCertificate),
    Known(u32),
}

impl SenderCertificate {
    /// Issues a certificate for `sender`; `server_key` is the private key that belongs to `server`, which is not
    /// checked. Draws 64 bytes.
    pub fn issue<R: CryptoRng + ?Sized>(
        sender: SenderDetails<'_>,
        server: &ServerCertificate,
        server_key: &PrivateKey,
        rng: &mut R,
    ) -> Self {
        let inner = Inner {
            sender_e164: sender.e164.map(Into::into),
            sender_device: Some(sender.device_id.into()),
            expires: Some(sender.expiration.as_millis()),
            identity_key: Some(Bytes::copy_from_slice(&sender.identity_key.serialize())),
            signer: Some(WireSigner::Certificate(server.shared())),
            uuid: Some(WireUuid::Text(sender.uuid.into())),
        };
        let certificate = Bytes::from(inner.encode_to_vec());
        let signature = Bytes::copy_from_slice(&server_key.sign(&certificate, rng));
        let wire = Wire {
            certificate: Some(certificate.clone()),
            signature: Some(signature.clone()),
        };
        Self {
            sender_uuid: sender.uuid.into(),
            sender_e164: sender.e164.map(Into::into),
            sender_device_id: sender.device_id,
            expiration: sender.expiration,
            key: sender.identity_key,
            signer: Signer::Embedded(server.clone()),
            certificate,
            signature,
            serialized: wire.encode_to_vec().into(),
        }
    }

    /// Parses a certificate. No signature is checked, and a number of an unknown server certificate is taken.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtobufEncoding`], or the error of parsing a key.
    pub fn deserialize(bytes: &[u8]) -> Result<Self, ProtocolError> {
        Self::from_bytes(Bytes::copy_from_slice(bytes))
    }

    pub(super) fn from_bytes(serialized: Bytes) -> Result<Self, ProtocolError> {
        let wire = Wire::decode(serialized.clone())?;
        let (Some(certificate), Some(signature)) = (wire.certificate, wire.signature) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        let inner = Inner::decode(certificate.clone())?;
        let (Some(device_id), Some(expires), Some(key), Some(signer), Some(uuid)) = (
            inner.sender_device.and_then(DeviceId::new),
            inner.expires,
            inner.identity_key,
            inner.signer,
            inner.uuid,
        ) else {
            return Err(ProtocolError::InvalidProtobufEncoding);
        };
        Ok(Self {
            sender_uuid: uuid.into_text()?,
            sender_e164: inner.sender_e164,
            sender_device_id: device_id,
            expiration: Timestamp::from_millis(expires),
            key: IdentityKey::deserialize(&key)?,
            signer: match signer {
                WireSigner::Certificate(bytes) => {
                    Signer::Embedded(ServerCertificate::from_bytes(bytes)?)
                }
                WireSigner::Id(id) => Signer::Known(id),
            },
            certificate,
            signature,
            serialized,
        })
    }

    /// Whether the certificate is to be believed at `now`: one of `trust_roots` has signed the server's key, which is not
    /// revoked and has signed the certificate, and it has not expired. At the very moment of expiry it is
    /// still valid.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidSealedSenderMessage`] if not, whatever the reason;
    /// [`ProtocolError::UnknownServerCertificateId`] if it names a server certificate that is not known.
    pub fn validate(&self, trust_roots: &[PublicKey], now: Timestamp) -> Result<(), ProtocolError> {
        let server = self.server_certificate()?;
        let valid = server.is_signed_by_any(trust_roots)
            && server.key().verify(&self.certificate, &self.signature)
            && now <= self.expiration;
        if valid {
            Ok(())
        } else {
            Err(invalid("the sender's certificate is not valid"))
        }
    }

    /// Where the sender's sessions are.
    pub fn sender(&self) -> ProtocolAddress {
        ProtocolAddress::of(&self.sender_uuid, self.sender_device_id)
    }

    /// The sender's name.
    pub fn sender_uuid(&self) -> &str {
        &self.sender_uuid
    }

    /// The sender's name as an account identifier, if it is one.
    pub fn sender_aci(&self) -> Option<ServiceId> {
        ServiceId::parse_string(&self.sender_uuid).filter(|id| id.kind() == ServiceIdKind::Aci)
    }

    /// The sender's phone number, if it tells.
    pub fn sender_e164(&self) -> Option<&str> {
        self.sender_e164.as_deref()
    }

    /// The sender's device.
    pub fn sender_device_id(&self) -> DeviceId {
        self.sender_device_id
    }

    /// The last moment at which it is valid.
    pub fn expiration(&self) -> Timestamp {
        self.expiration
    }

    /// The sender's identity.
    pub fn key(&self) -> &IdentityKey {
        &self.key
    }

    /// The certificate of the server's key that signed it.
    ///
    /// # Errors
    /// [`ProtocolError::UnknownServerCertificateId`] if it gives only the number of one, and that is not known.
    pub fn server_certificate(&self) -> Result<ServerCertificate, ProtocolError> {
        match &self.signer {
            Signer::Embedded(certificate) => Ok(certificate.clone()),
            Signer::Known(id) => {
                ServerCertificate::known(*id).ok_or(ProtocolError::UnknownServerCertificateId(*id))
            }
        }
    }

    /// The bytes that are signed.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The server's signature over [`certificate`](Self::certificate). 64 bytes, if it is one.
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

/// Does not print who the sender is: logs are read by others.
impl fmt::Debug for SenderCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderCertificate")
            .field("sender_device_id", &self.sender_device_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
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
    #[prost(string, optional, tag = "1")]
    sender_e164: Option<String>,
    #[prost(uint32, optional, tag = "2")]
    sender_device: Option<u32>,
    #[prost(fixed64, optional, tag = "3")]
    expires: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    identity_key: Option<Bytes>,
    #[prost(oneof = "WireSigner", tags = "5, 8")]
    signer: Option<WireSigner>,
    #[prost(oneof = "WireUuid", tags = "6, 7")]
    uuid: Option<WireUuid>,
}

#[derive(Clone, Oneof)]
enum WireSigner {
    #[prost(bytes = "bytes", tag = "5")]
    Certificate(Bytes),
    #[prost(uint32, tag = "8")]
    Id(u32),
}

#[derive(Clone, Oneof)]
enum WireUuid {
    #[prost(string, tag = "6")]
    Text(String),
    #[prost(bytes = "bytes", tag = "7")]
    Bytes(Bytes),
}

impl WireUuid {
    fn into_text(self) -> Result<String, ProtocolError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bytes(bytes) => match Uuid::from_slice(&bytes) {
                Ok(uuid) => Ok(uuid.hyphenated().to_string()),
                Err(_) => Err(ProtocolError::InvalidProtobufEncoding),
            },
        }
    }
}
