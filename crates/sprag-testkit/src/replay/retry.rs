//! Recordings of retry messages, and of the helpers.

use serde_json::Value;
use sprag_core::{
    ProtocolError,
    crypto::{Aes256GcmSiv, CryptoError, hkdf},
    curve::{PrivateKey, PublicKey},
    message::{CiphertextMessage, DecryptionErrorMessage, PlaintextContent},
    session::SessionRecord,
    time::Timestamp,
};

use super::{
    Report, ScriptedRng,
    case::{Fields, Outcome, same, same_bytes},
    official::{same_help, same_result},
};

pub(super) fn replay(file: &Value, report: &mut Report) {
    if let Some(messages) = file.optional("decryption_error") {
        replay_messages(messages, report);
    }
    if let Some(helpers) = file.optional("helpers") {
        replay_helpers(helpers, report);
    }
}

fn replay_messages(messages: &Value, report: &mut Report) {
    report.each(messages, "for_original", |case| {
        let message_type = u8::try_from(case.number("type")?).map_err(|error| error.to_string())?;
        let found = DecryptionErrorMessage::for_original(
            &case.bytes("original")?,
            message_type,
            Timestamp::from_millis(case.number("timestamp")?),
            case.number32("device_id")?,
        );
        error_message(case, found)
    });
    report.each(messages, "parse", |case| {
        let bytes = case.bytes("bytes")?;
        error_message(case, DecryptionErrorMessage::deserialize(&bytes))
    });
    report.each(messages, "extract", |case| {
        let body = case.bytes("bytes")?;
        error_message(case, DecryptionErrorMessage::extract_from_body(&body))
    });
    report.each(messages, "plaintext_content", plaintext_content);
    report.each(messages, "parse_plaintext_content", |case| {
        let found = PlaintextContent::deserialize(&case.bytes("bytes")?);
        match same_result(case.field("result")?, found)? {
            Some((found, expected)) => same_content(&found, expected),
            None => Ok(()),
        }
    });
    report.each(messages, "current_ratchet_key_matches", |case| {
        let said = |error: ProtocolError| error.to_string();
        let record = SessionRecord::deserialize(&case.bytes("session")?).map_err(said)?;
        let key = PublicKey::deserialize(&case.bytes("key")?).map_err(|e| e.to_string())?;
        let matches = record.current_ratchet_key_matches(&key).map_err(said)?;
        same("matches", matches, case.flag("result"))
    });
}

fn error_message(case: &Value, found: Result<DecryptionErrorMessage, ProtocolError>) -> Outcome {
    let Some((found, expected)) = same_result(case.field("result")?, found)? else {
        return Ok(());
    };
    same_bytes(
        "serialized",
        found.serialized(),
        &expected.bytes("serialized")?,
    )?;
    let timestamp = expected.number("timestamp")?;
    same("timestamp", found.timestamp().as_millis(), timestamp)?;
    same("device", found.device_id(), expected.number32("device_id")?)?;
    let key = expected.optional("ratchet_key");
    let key = key.map(|_| expected.bytes("ratchet_key")).transpose()?;
    let found = found.ratchet_key().map(|key| key.serialize().to_vec());
    same("ratchet key", found, key)
}

fn plaintext_content(case: &Value) -> Outcome {
    let message = DecryptionErrorMessage::deserialize(&case.bytes("decryption_error_message")?)
        .map_err(|error| error.to_string())?;
    let content = PlaintextContent::from(&message);
    same_content(&content, case)?;
    let sent = CiphertextMessage::from(content);
    let message_type = case.number("ciphertext_message_type")?;
    same("type", u64::from(sent.message_type() as u8), message_type)?;
    let expected = case.bytes("ciphertext_message")?;
    same_bytes("sent", sent.serialized(), &expected)
}

fn same_content(found: &PlaintextContent, expected: &Value) -> Outcome {
    same_bytes(
        "serialized",
        found.serialized(),
        &expected.bytes("serialized")?,
    )?;
    same_bytes("body", found.body(), &expected.bytes("body")?)
}

fn replay_helpers(helpers: &Value, report: &mut Report) {
    report.each(helpers, "hkdf", |case| {
        let length = usize::try_from(case.number("length")?).map_err(|error| error.to_string())?;
        let salt = case.optional("salt").map(|_| case.bytes("salt"));
        let salt = salt.transpose()?;
        let found = hkdf(
            length,
            &case.bytes("ikm")?,
            &case.bytes("info")?,
            salt.as_deref(),
        );
        helped(case, found.map(|output| output.to_vec()))
    });
    report.each(helpers, "aes_256_gcm_siv", |case| {
        let sealed = gcm_siv(case, "plaintext", Aes256GcmSiv::encrypt)?;
        let sealed = sealed.map_err(|error| error.to_string())?;
        same_bytes("ciphertext", &sealed, &case.bytes("ciphertext")?)
    });
    let ciphers = helpers.get("aes_256_gcm_siv").and_then(Value::as_array);
    for cipher in ciphers.into_iter().flatten() {
        report.each(cipher, "decrypt", |case| {
            let open = |cipher: &Aes256GcmSiv, text: &[u8], nonce: &[u8], about: &[u8]| {
                cipher.decrypt(text, nonce, about).map(|text| text.to_vec())
            };
            helped(case, gcm_siv(case, "ciphertext", open)?)
        });
    }
    report.each(helpers, "aes_256_gcm_siv_encrypt_errors", |case| {
        let cipher = Aes256GcmSiv::new(&case.bytes("key")?);
        let nonce = case.bytes("nonce")?;
        helped(
            case,
            cipher.and_then(|cipher| cipher.encrypt(b"", &nonce, b"")),
        )
    });
    report.each(helpers, "hpke", hpke);
}

fn gcm_siv(
    case: &Value,
    input: &str,
    run: impl Fn(&Aes256GcmSiv, &[u8], &[u8], &[u8]) -> Result<Vec<u8>, CryptoError>,
) -> Result<Result<Vec<u8>, CryptoError>, String> {
    let (input, nonce) = (case.bytes(input)?, case.bytes("nonce")?);
    let about = case.bytes("associated_data")?;
    let cipher = Aes256GcmSiv::new(&case.bytes("key")?);
    Ok(cipher.and_then(|cipher| run(&cipher, &input, &nonce, &about)))
}

/// Opens what was sealed; what could be opened is sealed and opened once more by us.
fn hpke(case: &Value) -> Outcome {
    let key = PrivateKey::deserialize(&case.bytes("private")?).map_err(|e| e.to_string())?;
    let (info, about) = (case.bytes("info")?, case.bytes("associated_data")?);
    let opened = key.open(&case.bytes("sealed")?, &info, &about);
    helped(case, opened.clone().map(|text| text.to_vec()))?;
    let Ok(text) = opened else {
        return Ok(());
    };
    let mut rng = ScriptedRng::repeating([5; 32]);
    let sealed = key.public_key().seal(&text, &info, &about, &mut rng);
    let again = sealed.and_then(|sealed| key.open(&sealed, &info, &about));
    same_bytes("sealed by us", &again.map_err(|e| e.to_string())?, &text)
}

fn helped(case: &Value, found: Result<Vec<u8>, CryptoError>) -> Outcome {
    match same_help(case.field("result")?, found)? {
        Some((found, expected)) => same("output", &hex::encode(found).into(), expected),
        None => Ok(()),
    }
}
