//! Keys, agreements, signatures, KEM keys and addresses.

use serde_json::Value;
use sprag_core::{
    address::ProtocolAddress,
    curve::{PrivateKey, PublicKey},
    hazmat,
    identity::{IdentityKey, IdentityKeyPair},
    kem,
    service_id::{ServiceId, ServiceIdKind},
};

use super::super::{
    Report, ScriptedRng,
    case::{Fields, Outcome, same, same_bytes, same_outcome},
};

pub(super) fn replay(keys: &Value, report: &mut Report) {
    let pair = |number: u64| -> Result<(PrivateKey, PublicKey), String> {
        let number = usize::try_from(number).map_err(|error| error.to_string())?;
        let pair = keys.list("pairs")?.get(number).ok_or("no such pair")?;
        let private = PrivateKey::deserialize(&pair.bytes("private")?);
        let public = PublicKey::deserialize(&pair.bytes("public")?);
        Ok((
            private.map_err(|e| e.to_string())?,
            public.map_err(|e| e.to_string())?,
        ))
    };
    report.each(keys, "pairs", |case| {
        let private = private_key(&case.bytes("private")?)?;
        same_bytes(
            "private key",
            &private.serialize()[..],
            &case.bytes("private")?,
        )?;
        same_bytes(
            "public key",
            &private.public_key().serialize(),
            &case.bytes("public")?,
        )
    });
    report.each(keys, "agreements", |case| {
        let (private, _) = pair(case.number("private_of_pair")?)?;
        let (_, public) = pair(case.number("public_of_pair")?)?;
        let shared = private.agree(&public).map_err(|error| error.to_string())?;
        same_bytes("shared secret", &shared[..], &case.bytes("shared")?)
    });
    report.each(keys, "agreement_edge_cases", |case| {
        let (private, _) = pair(case.number("private_of_pair")?)?;
        let public = PublicKey::deserialize(&case.bytes("public")?).map_err(|e| e.to_string())?;
        match same_outcome(case, private.agree(&public).map_err(Into::into))? {
            Some(shared) => same_bytes("shared secret", &shared[..], &case.bytes("shared")?),
            None => Ok(()),
        }
    });
    report.each(keys, "private_key_clamping", |case| {
        let private = private_key(&case.bytes("input")?)?;
        same_bytes("stored", &private.serialize()[..], &case.bytes("stored")?)?;
        same_bytes(
            "public key",
            &private.public_key().serialize(),
            &case.bytes("public")?,
        )
    });
    report.each(keys, "public_key_parsing", |case| {
        let parsed = PublicKey::deserialize(&case.bytes("input")?);
        match same_outcome(case, parsed.map_err(Into::into))? {
            Some(key) => same_bytes("key", &key.serialize(), &case.bytes("reserialized")?),
            None => Ok(()),
        }
    });
    for section in ["signatures", "invalid_signatures"] {
        report.each(keys, section, |case| {
            let (_, public) = pair(case.number("pair")?)?;
            let valid = public.verify(&case.bytes("message")?, &case.bytes("signature")?);
            same("valid", valid, case.flag("valid"))
        });
    }
    report.each(keys, "signatures_with_known_randomness", |case| {
        let (private, public) = pair(case.number("pair")?)?;
        let message = case.bytes("message")?;
        let mut rng = ScriptedRng::repeating(case.bytes("random")?);
        let signature = private.sign(&message, &mut rng);
        same_bytes("signature", &signature, &case.bytes("signature")?)?;
        same("valid", public.verify(&message, &signature), true)
    });
    report.each(keys, "alternate_identity", |case| {
        let signer = IdentityKeyPair::deserialize(&case.bytes("signer_key_pair")?)
            .map_err(|error| error.to_string())?;
        let other = IdentityKey::deserialize(&case.bytes("other_public")?)
            .map_err(|error| error.to_string())?;
        let signature = case.bytes("signature")?;
        let valid = signer
            .identity_key()
            .verify_alternate_identity(&other, &signature);
        same("valid", valid, case.flag("valid"))?;
        let reverse = other.verify_alternate_identity(signer.identity_key(), &signature);
        same("valid in reverse", reverse, case.flag("valid_in_reverse"))
    });
    report.each(keys, "kem", |case| {
        let pair = kem::KeyPair::from_halves(&case.bytes("public")?, &case.bytes("secret")?)
            .map_err(|error| error.to_string())?;
        same_bytes(
            "public key",
            &pair.public_key.serialize(),
            &case.bytes("public")?,
        )?;
        same_bytes(
            "secret key",
            &pair.secret_key.serialize(),
            &case.bytes("secret")?,
        )?;
        let mut rng = ScriptedRng::repeating([7; 32]);
        let (sent, ciphertext) = pair.public_key.encapsulate(&mut rng);
        let received = pair
            .secret_key
            .decapsulate(&ciphertext)
            .map_err(|e| e.to_string())?;
        same_bytes("shared secret", &received[..], &sent[..])
    });
    if let Some(original) = keys.optional("kem").and_then(|kem| kem.get(0)) {
        report.each(keys, "kem_parsing", |case| kem_parsing(case, original));
    }
    report.each(keys, "hkdf", |case| match case.number("length")? {
        64 => hkdf::<64>(case),
        80 => hkdf::<80>(case),
        96 => hkdf::<96>(case),
        length => Err(format!("the protocol derives no {length} bytes")),
    });
}

fn hkdf<const LENGTH: usize>(case: &Value) -> Outcome {
    let salt = case.optional("salt").map(|_| case.bytes("salt"));
    let (salt, info) = (salt.transpose()?, case.text("info")?);
    let output = hazmat::hkdf::<LENGTH>(salt.as_deref(), &case.bytes("ikm")?, info.as_bytes());
    same_bytes("output", &output[..], &case.bytes("output")?)
}

/// The recording describes the altered key by its type byte and length.
fn kem_parsing(case: &Value, original: &Value) -> Outcome {
    let what = case.text("what")?;
    let (kind, change) = what.split_once(", ").ok_or("no description")?;
    let mut bytes = original.bytes(kind)?;
    let length = usize::try_from(case.number("length")?).map_err(|error| error.to_string())?;
    bytes.resize(length, 0);
    if let Some(key_type) = change.strip_prefix("type 0x") {
        bytes[0] = u8::from_str_radix(key_type, 16).map_err(|error| error.to_string())?;
    }
    if change.starts_with("coefficients") {
        bytes[1..].fill(0xff);
    }
    let parsed = match kind {
        "public" => kem::PublicKey::deserialize(&bytes).map(|_| ()),
        _ => kem::SecretKey::deserialize(&bytes).map(|_| ()),
    };
    same_outcome(case, parsed.map_err(Into::into)).map(|_| ())
}

fn private_key(bytes: &[u8]) -> Result<PrivateKey, String> {
    PrivateKey::deserialize(bytes).map_err(|error| error.to_string())
}

pub(super) fn replay_addresses(addresses: &Value, report: &mut Report) {
    report.each(addresses, "service_id_strings", |case| {
        let parsed = ServiceId::parse_string(case.text("input")?);
        let Some(id) = parsed.filter(|_| !case.flag("invalid")) else {
            return same("parsed", parsed.is_some(), !case.flag("invalid"));
        };
        let kind = if id.kind() == ServiceIdKind::Aci {
            "ACI"
        } else {
            "PNI"
        };
        same("kind", kind, case.text("kind")?)?;
        same("text", id.to_string().as_str(), case.text("string")?)?;
        same_bytes("binary", &id.to_binary(), &case.bytes("binary")?)?;
        let fixed_width = id.to_fixed_width_binary();
        same_bytes("fixed width", &fixed_width, &case.bytes("fixed_width")?)?;
        same(
            "binary parses",
            ServiceId::parse_binary(&id.to_binary()),
            Some(id),
        )?;
        same(
            "fixed width parses",
            ServiceId::parse_fixed_width_binary(&fixed_width),
            Some(id),
        )
    });
    report.each(addresses, "service_id_binaries", |case| {
        let parsed = ServiceId::parse_binary(&case.bytes("input")?).map(|id| id.to_string());
        let expected = case
            .optional("string")
            .and_then(Value::as_str)
            .map(str::to_owned);
        same("parsed", parsed, expected)
    });
    report.each(addresses, "protocol_addresses", |case| {
        let address = ProtocolAddress::new(case.text("name")?, case.number32("device_id")?);
        match same_outcome(case, address)? {
            Some(address) => same("text", address.to_string().as_str(), case.text("text")?),
            None => Ok(()),
        }
    });
}
