//! The JSON that goes over standard input and output: bundles as Signal's servers hand them out, and
//! envelopes.

use std::{collections::VecDeque, fmt, str::FromStr};

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sprag::{
    DeviceId, EnvelopeType, PreKeyBundle,
    protocol::{
        bundle::{KyberPreKey, PreKey, SignedPreKey},
        curve,
        identity::IdentityKey,
        kem,
    },
    upkeep::KeyUpload,
};

use crate::error::CliError;

/// Standard base64: padding is written, and may be missing when read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes, in base64.
#[derive(Clone, Debug)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl FromStr for Base64 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = BASE64.decode(text).map(Self);
        bytes.map_err(|error| format!("base64: {error}"))
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Parses JSON from standard input; `what` it should be is named if it is not.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(what: &str, json: &[u8]) -> Result<T, CliError> {
    serde_json::from_slice(json)
        .map_err(|error| CliError::Input(format!("the input is no {what}: {error}")))
}

/// An encrypted message and its type: 2 or 3 in a session, 7 to a group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    #[serde(rename = "type")]
    message_type: u8,
    pub(crate) body: Base64,
}

impl Envelope {
    pub(crate) fn new(message_type: EnvelopeType, body: Vec<u8>) -> Self {
        Self {
            message_type: message_type as u8,
            body: Base64(body),
        }
    }

    pub(crate) fn message_type(&self) -> Result<EnvelopeType, CliError> {
        let known = EnvelopeType::from_number(self.message_type)
            .filter(|known| matches!(known, EnvelopeType::Whisper | EnvelopeType::PreKey));
        known.ok_or_else(|| {
            CliError::Input(format!(
                "an envelope's type is 2 or 3, not {}",
                self.message_type
            ))
        })
    }

    /// The body, which must be a message to a group.
    pub(crate) fn to_group(&self) -> Result<&[u8], CliError> {
        if self.message_type == EnvelopeType::SenderKey as u8 {
            return Ok(&self.body.0);
        }
        Err(CliError::Input(format!(
            "a group envelope's type is 7, not {}",
            self.message_type
        )))
    }
}

/// A sender key for a member of a group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Distribution {
    pub(crate) distribution: Base64,
}

/// Pre-key bundles of an account's devices.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bundle {
    identity_key: Base64,
    devices: Vec<Device>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    device_id: u32,
    registration_id: u32,
    signed_pre_key: Signed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pre_key: Option<Unsigned>,
    pq_pre_key: Signed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signed {
    pub(crate) key_id: u32,
    public_key: Base64,
    signature: Base64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unsigned {
    pub(crate) key_id: u32,
    public_key: Base64,
}

impl From<&PreKey> for Unsigned {
    fn from(key: &PreKey) -> Self {
        Self {
            key_id: key.id.into(),
            public_key: Base64(key.public_key.serialize().to_vec()),
        }
    }
}

impl From<&SignedPreKey> for Signed {
    fn from(key: &SignedPreKey) -> Self {
        Self {
            key_id: key.id.into(),
            public_key: Base64(key.public_key.serialize().to_vec()),
            signature: Base64(key.signature.clone()),
        }
    }
}

impl From<&KyberPreKey> for Signed {
    fn from(key: &KyberPreKey) -> Self {
        Self {
            key_id: key.id.into(),
            public_key: Base64(key.public_key.serialize()),
            signature: Base64(key.signature.clone()),
        }
    }
}

impl From<&PreKeyBundle> for Bundle {
    fn from(bundle: &PreKeyBundle) -> Self {
        let device = Device {
            device_id: bundle.device_id.into(),
            registration_id: bundle.registration_id,
            signed_pre_key: (&bundle.signed_pre_key).into(),
            pre_key: bundle.pre_key.as_ref().map(Unsigned::from),
            pq_pre_key: (&bundle.kyber_pre_key).into(),
        };
        let identity_key = Base64(bundle.identity_key.serialize().to_vec());
        Self {
            identity_key,
            devices: vec![device],
        }
    }
}

/// The public keys of a device, as Signal's servers take them, and who it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishedKeys {
    identity_key: Base64,
    device_id: u32,
    registration_id: u32,
    pub(crate) signed_pre_key: Signed,
    pub(crate) pq_last_resort_pre_key: Signed,
    pub(crate) pre_keys: VecDeque<Unsigned>,
    pub(crate) pq_pre_keys: VecDeque<Signed>,
}

impl From<&KeyUpload> for PublishedKeys {
    fn from(upload: &KeyUpload) -> Self {
        Self {
            identity_key: Base64(upload.identity_key.serialize().to_vec()),
            device_id: upload.device_id.into(),
            registration_id: upload.registration_id,
            signed_pre_key: (&upload.signed_pre_key).into(),
            pq_last_resort_pre_key: (&upload.last_resort).into(),
            pre_keys: upload.pre_keys.iter().map(Unsigned::from).collect(),
            pq_pre_keys: upload.kyber_pre_keys.iter().map(Signed::from).collect(),
        }
    }
}

impl PublishedKeys {
    /// Takes out what belongs to a bundle: one-time keys while there are some.
    pub(crate) fn hand_out(&mut self) -> Bundle {
        let pq_pre_key = self.pq_pre_keys.pop_front();
        let device = Device {
            device_id: self.device_id,
            registration_id: self.registration_id,
            signed_pre_key: self.signed_pre_key.clone(),
            pre_key: self.pre_keys.pop_front(),
            pq_pre_key: pq_pre_key.unwrap_or_else(|| self.pq_last_resort_pre_key.clone()),
        };
        Bundle {
            identity_key: self.identity_key.clone(),
            devices: vec![device],
        }
    }
}

impl Bundle {
    /// The bundle of one device.
    pub(crate) fn for_device(&self, wanted: DeviceId) -> Result<PreKeyBundle, CliError> {
        let device = self
            .devices
            .iter()
            .find(|device| device.device_id == u32::from(wanted))
            .ok_or_else(|| CliError::Input(format!("the bundle has no device {wanted}")))?;
        let signed = &device.signed_pre_key;
        let kyber = &device.pq_pre_key;
        let pre_key = match &device.pre_key {
            None => None,
            Some(pre_key) => Some(PreKey {
                id: pre_key.key_id.into(),
                public_key: curve::PublicKey::deserialize(&pre_key.public_key.0)?,
            }),
        };
        Ok(PreKeyBundle {
            registration_id: device.registration_id,
            device_id: wanted,
            pre_key,
            signed_pre_key: SignedPreKey {
                id: signed.key_id.into(),
                public_key: curve::PublicKey::deserialize(&signed.public_key.0)?,
                signature: signed.signature.0.clone(),
            },
            kyber_pre_key: KyberPreKey {
                id: kyber.key_id.into(),
                public_key: kem::PublicKey::deserialize(&kyber.public_key.0)?,
                signature: kyber.signature.0.clone(),
            },
            identity_key: IdentityKey::deserialize(&self.identity_key.0)?,
        })
    }
}
