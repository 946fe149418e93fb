//! Reading cases, and saying what was different.

use std::fmt::Debug;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sprag_core::{KeyError, ProtocolError, error::FingerprintError};

/// `Err` says what was different.
pub(super) type Outcome = Result<(), String>;

/// Typed access to a case's fields; every failure names the field.
pub(super) trait Fields {
    fn field(&self, name: &str) -> Result<&Value, String>;

    fn text(&self, name: &str) -> Result<&str, String> {
        self.field(name)?
            .as_str()
            .ok_or_else(|| format!("{name} is no text"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.field(name)?
            .as_u64()
            .ok_or_else(|| format!("{name} is no number"))
    }

    fn number32(&self, name: &str) -> Result<u32, String> {
        u32::try_from(self.number(name)?).map_err(|_| format!("{name} is too large"))
    }

    fn flag(&self, name: &str) -> bool {
        self.field(name)
            .is_ok_and(|value| value == &Value::Bool(true))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        hex::decode(self.text(name)?).map_err(|error| format!("{name}: {error}"))
    }

    fn optional(&self, name: &str) -> Option<&Value> {
        self.field(name).ok().filter(|value| !value.is_null())
    }

    fn list(&self, name: &str) -> Result<&Vec<Value>, String> {
        self.field(name)?
            .as_array()
            .ok_or_else(|| format!("{name} is no list"))
    }
}

impl Fields for Value {
    fn field(&self, name: &str) -> Result<&Value, String> {
        self.get(name)
            .ok_or_else(|| format!("the recording has no field {name}"))
    }
}

/// Two values must be equal.
pub(super) fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

/// Two byte strings must be equal.
pub(super) fn same_bytes(what: &str, found: &[u8], expected: &[u8]) -> Outcome {
    if found == expected {
        return Ok(());
    }
    let first = found
        .iter()
        .zip(expected)
        .take_while(|(a, b)| a == b)
        .count();
    Err(format!(
        "{what}: differs at byte {first} (found {} bytes, expected {})",
        found.len(),
        expected.len()
    ))
}

/// Bytes must have the recorded hash.
pub(super) fn same_hash(bytes: &[u8], expected: &str) -> Outcome {
    let found = hex::encode(Sha256::digest(bytes));
    same(
        "SHA-256",
        found.as_str(),
        expected.trim_start_matches("sha256:"),
    )
}

/// Bytes must be those that a field holds, or have the hash that it holds.
pub(super) fn same_value(fields: &Value, name: &str, found: &[u8]) -> Outcome {
    let expected = fields.text(name)?;
    if expected.starts_with("sha256:") {
        return same_hash(found, expected).map_err(|reason| format!("{name}: {reason}"));
    }
    same_bytes(name, found, &fields.bytes(name)?)
}

/// The bytes of a field that has `N` of them.
pub(super) fn array<const N: usize>(fields: &Value, name: &str) -> Result<[u8; N], String> {
    fields
        .bytes(name)?
        .try_into()
        .map_err(|_| format!("{name} has not {N} bytes"))
}

/// The error must be the recorded one, or there must be none as recorded.
pub(super) fn same_outcome<T>(
    case: &Value,
    found: Result<T, ProtocolError>,
) -> Result<Option<T>, String> {
    let expected = case
        .optional("error")
        .map(|error| error.text("kind"))
        .transpose()?;
    match (found, expected) {
        (Ok(value), None) => Ok(Some(value)),
        (Err(error), Some(expected)) if sheet_name(&error) == expected => Ok(None),
        // Where a store is silent about a key, or recognises a base key, the error is ours.
        (Err(error), Some("StoreError")) if is_store_refusal(&error) => Ok(None),
        (Err(error), expected) => Err(format!(
            "failed with {} ({error}), expected {}",
            sheet_name(&error),
            expected.unwrap_or("success")
        )),
        (Ok(_), Some(expected)) => Err(format!("succeeded, expected {expected}")),
    }
}

fn is_store_refusal(error: &ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::InvalidPreKeyId
            | ProtocolError::InvalidSignedPreKeyId
            | ProtocolError::InvalidKyberPreKeyId
            | ProtocolError::InvalidMessage {
                reason: "reused base key",
                ..
            }
    )
}

/// The name that recordings give an error.
pub(super) fn sheet_name(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::Key(error) => match error {
            KeyError::NoKeyTypeIdentifier => "NoKeyTypeIdentifier",
            KeyError::BadKeyType(_) => "BadKeyType",
            KeyError::BadKeyLength(_) => "BadKeyLength",
            KeyError::BadKemKeyType(_) => "BadKEMKeyType",
            KeyError::BadKemKeyLength { .. } => "BadKEMKeyLength",
            KeyError::BadKemCiphertextLength { .. } => "BadKEMCiphertextLength",
            KeyError::WrongKemKeyType { .. } => "WrongKEMKeyType",
            KeyError::InvalidKeyAgreement => "InvalidKeyAgreement",
            _ => "?",
        },
        ProtocolError::InvalidProtocolAddress { .. } => "InvalidProtocolAddress",
        ProtocolError::SessionNotFound(_) => "SessionNotFound",
        ProtocolError::UntrustedIdentity(_) => "UntrustedIdentity",
        ProtocolError::SignatureValidationFailed => "SignatureValidationFailed",
        ProtocolError::InvalidMessage { .. } => "InvalidMessage",
        ProtocolError::DuplicatedMessage { .. } => "DuplicatedMessage",
        ProtocolError::CiphertextMessageTooShort(_) => "CiphertextMessageTooShort",
        ProtocolError::LegacyCiphertextVersion(_) => "LegacyCiphertextVersion",
        ProtocolError::UnrecognizedCiphertextVersion(_) => "UnrecognizedCiphertextVersion",
        ProtocolError::InvalidProtobufEncoding => "InvalidProtobufEncoding",
        ProtocolError::InvalidSessionStructure(_) => "InvalidSessionStructure",
        ProtocolError::InvalidState => "InvalidState",
        ProtocolError::InvalidPreKeyId => "InvalidPreKeyId",
        ProtocolError::InvalidSignedPreKeyId => "InvalidSignedPreKeyId",
        ProtocolError::InvalidKyberPreKeyId => "InvalidKyberPreKeyId",
        ProtocolError::NoSenderKey(_) => "NoSenderKeyState",
        ProtocolError::InvalidSenderKeySession(_) => "InvalidSenderKeySession",
        ProtocolError::SenderKeyUsedUp(_) => "SenderKeyUsedUp",
        ProtocolError::UnrecognizedMessageVersion(_) => "UnrecognizedMessageVersion",
        ProtocolError::InvalidSealedSenderMessage(_) => "InvalidSealedSenderMessage",
        ProtocolError::UnknownSealedSenderVersion(_) => "UnknownSealedSenderVersion",
        ProtocolError::SealedSenderSelfSend => "SealedSenderSelfSend",
        ProtocolError::UnknownServerCertificateId(_) => "UnknownServerCertificateId",
        ProtocolError::InvalidRegistrationId { .. } => "InvalidRegistrationId",
        ProtocolError::Fingerprint(error) => match error {
            FingerprintError::InvalidIterations(_) => "FingerprintInvalidIterations",
            FingerprintError::VersionMismatch { .. } => "FingerprintVersionMismatch",
            FingerprintError::Parsing(_) => "FingerprintParsing",
            _ => "?",
        },
        ProtocolError::InvalidArgument(_) => "InvalidArgument",
        _ => "?",
    }
}
