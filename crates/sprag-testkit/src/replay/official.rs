//! Results as the official client gave them: `{"ok": value}` or `{"error": {"code", "operation",
//! "message"}}`.
//!
//! The client gives most errors one code, so that only their words tell them apart.

use std::fmt::Debug;

use serde_json::Value;
use sprag_core::{ProtocolError, crypto::CryptoError};

use super::case::{Fields, sheet_name};

/// The value of `result`, with what we found in its place; `None` if both failed alike.
///
/// An error must be of the recorded kind, not have the recorded words.
pub(super) fn same_result<T: Debug>(
    result: &Value,
    found: Result<T, ProtocolError>,
) -> Result<Option<(T, &Value)>, String> {
    let name = found.as_ref().err().map(sheet_name);
    same_kind(result, name, found.map_err(|error| error.to_string()))
}

/// The same for one of the helpers.
pub(super) fn same_help<T: Debug>(
    result: &Value,
    found: Result<T, CryptoError>,
) -> Result<Option<(T, &Value)>, String> {
    let name = found.as_ref().err().map(helper_name);
    same_kind(result, name, found.map_err(|error| error.to_string()))
}

fn same_kind<'a, T: Debug>(
    result: &'a Value,
    name: Option<&str>,
    found: Result<T, String>,
) -> Result<Option<(T, &'a Value)>, String> {
    match (found, result.optional("error")) {
        (Ok(found), None) => Ok(Some((found, result.field("ok")?))),
        (Ok(found), Some(error)) => Err(format!("gave {found:?}, expected {}", kind(error)?)),
        (Err(error), expected) => {
            let expected = expected.map_or(Ok("success"), kind)?;
            let name = name.unwrap_or_default();
            if name == expected {
                Ok(None)
            } else {
                Err(format!("failed with {name} ({error}), expected {expected}"))
            }
        }
    }
}

/// The sheets' name of an error of a helper.
fn helper_name(error: &CryptoError) -> &'static str {
    match error {
        CryptoError::InvalidKeySize(_) => "InvalidKeySize",
        CryptoError::InvalidNonceSize(_) => "InvalidNonceSize",
        CryptoError::InvalidInputSize(_) => "InvalidInputSize",
        CryptoError::InvalidAuthenticationTag => "InvalidAuthenticationTag",
        CryptoError::UnknownAlgorithm(_) => "UnknownAlgorithm",
        CryptoError::OutputTooLong(_) => "InvalidArgument",
        _ => "?",
    }
}

/// The sheets' name of a recorded error.
pub(super) fn kind(error: &Value) -> Result<&'static str, String> {
    let (code, message) = (error.text("code")?, error.text("message")?);
    let by_code = BY_CODE.iter().find(|(known, _)| *known == code);
    let by_words = || {
        BY_WORDS
            .iter()
            .find(|(words, _)| message.starts_with(words))
    };
    by_code
        .or_else(by_words)
        .map(|(_, kind)| *kind)
        .ok_or_else(|| format!("an error of unknown kind: {code}: {message}"))
}

const BY_CODE: &[(&str, &str)] = &[
    ("DuplicatedMessage", "DuplicatedMessage"),
    ("InvalidSenderKeySession", "InvalidSenderKeySession"),
    ("SealedSenderSelfSend", "SealedSenderSelfSend"),
    ("InvalidRegistrationId", "InvalidRegistrationId"),
    ("UntrustedIdentity", "UntrustedIdentity"),
];

const BY_WORDS: &[(&str, &str)] = &[
    ("missing sender key state", "NoSenderKeyState"),
    // The end of a chain is an error of its own here, and an archived session one like any other.
    (
        "invalid state for call to sender_chain_key_next",
        "SenderKeyUsedUp",
    ),
    (
        "invalid state for call to sealed_sender_multi_recipient_encrypt",
        "SessionNotFound",
    ),
    ("invalid SenderKey message", "InvalidMessage"),
    ("invalid PreKey message", "InvalidMessage"),
    ("invalid Whisper message", "InvalidMessage"),
    ("invalid Plaintext message", "InvalidMessage"),
    ("invalid signature detected", "SignatureValidationFailed"),
    (
        "ciphertext serialized bytes were too short",
        "CiphertextMessageTooShort",
    ),
    ("ciphertext version was too old", "LegacyCiphertextVersion"),
    (
        "ciphertext version was unrecognized",
        "UnrecognizedCiphertextVersion",
    ),
    ("unrecognized message version", "UnrecognizedMessageVersion"),
    ("protobuf encoding was invalid", "InvalidProtobufEncoding"),
    ("bad key type", "BadKeyType"),
    ("bad key length", "BadKeyLength"),
    ("no key type identifier", "NoKeyTypeIdentifier"),
    ("invalid key agreement", "InvalidKeyAgreement"),
    ("invalid argument", "InvalidArgument"),
    ("session with", "SessionNotFound"),
    (
        "invalid sealed sender message",
        "InvalidSealedSenderMessage",
    ),
    (
        "unknown sealed sender message version",
        "UnknownSealedSenderVersion",
    ),
    (
        "unknown server certificate ID",
        "UnknownServerCertificateId",
    ),
    (
        "Invalid fingerprint iterations",
        "FingerprintInvalidIterations",
    ),
    (
        "fingerprint version number mismatch",
        "FingerprintVersionMismatch",
    ),
    ("fingerprint parsing error", "FingerprintParsing"),
    ("invalid key size", "InvalidKeySize"),
    ("invalid nonce size", "InvalidNonceSize"),
    ("invalid input size", "InvalidInputSize"),
    ("invalid authentication tag", "InvalidAuthenticationTag"),
    ("\"unknown HPKE algorithm", "UnknownAlgorithm"),
];
