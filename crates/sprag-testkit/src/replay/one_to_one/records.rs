//! Stored records: reading gives the recorded fields, writing the recorded bytes.

use serde_json::Value;
use sprag_core::{
    address::DeviceId,
    bundle::{KyberPreKey, PreKey, PreKeyBundle, SignedPreKey},
    curve::{KeyPair, PublicKey},
    identity::{IdentityKey, IdentityKeyPair},
    kem,
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    session::SessionRecord,
};

use super::super::{
    Report,
    case::{Fields, Outcome, same, same_bytes},
};

pub(super) fn replay(records: &Value, report: &mut Report) {
    report.each(records, "pre_key", |case| {
        let record =
            PreKeyRecord::deserialize(&case.bytes("bytes")?).map_err(|error| error.to_string())?;
        same_bytes("bytes", &record.serialize(), &case.bytes("bytes")?)?;
        let fields = case.field("fields")?;
        same("id", record.id().into(), number_or_zero(fields, "id")?)?;
        same_pair(
            record.key_pair().map_err(|error| error.to_string())?,
            fields,
        )
    });
    report.each(records, "signed_pre_key", |case| {
        let record = SignedPreKeyRecord::deserialize(&case.bytes("bytes")?)
            .map_err(|error| error.to_string())?;
        same_bytes("bytes", &record.serialize(), &case.bytes("bytes")?)?;
        let fields = case.field("fields")?;
        same("id", record.id().into(), number_or_zero(fields, "id")?)?;
        let timestamp = fields.number("timestamp").unwrap_or_default();
        same("timestamp", record.timestamp().as_millis(), timestamp)?;
        same_bytes("signature", record.signature(), &fields.bytes("signature")?)?;
        same_pair(
            record.key_pair().map_err(|error| error.to_string())?,
            fields,
        )
    });
    report.each(records, "kyber_pre_key", |case| {
        let record = KyberPreKeyRecord::deserialize(&case.bytes("bytes")?)
            .map_err(|error| error.to_string())?;
        same_bytes("bytes", &record.serialize(), &case.bytes("bytes")?)?;
        let fields = case.field("fields")?;
        same("id", record.id().into(), number_or_zero(fields, "id")?)?;
        let timestamp = fields.number("timestamp").unwrap_or_default();
        same("timestamp", record.timestamp().as_millis(), timestamp)?;
        same_bytes("signature", record.signature(), &fields.bytes("signature")?)?;
        let pair = record.key_pair().map_err(|error| error.to_string())?;
        same_bytes(
            "public",
            &pair.public_key.serialize(),
            &fields.bytes("public_key")?,
        )?;
        same_bytes(
            "secret",
            &pair.secret_key.serialize(),
            &fields.bytes("private_key")?,
        )
    });
    report.each(records, "identity_key_pair", |case| {
        let pair = IdentityKeyPair::deserialize(&case.bytes("bytes")?)
            .map_err(|error| error.to_string())?;
        same_bytes("bytes", &pair.serialize(), &case.bytes("bytes")?)?;
        let fields = case.field("fields")?;
        same_bytes(
            "public",
            &pair.identity_key().serialize(),
            &fields.bytes("public_key")?,
        )?;
        let private = pair.private_key().serialize();
        same_bytes("private", &private[..], &fields.bytes("private_key")?)
    });
    report.each(records, "pre_key_bundle", |case| {
        let bundle = bundle(case.field("bundle")?)?;
        bundle
            .verify()
            .map_err(|error| error.to_string())
            .map(|_| ())
    });
    report.each(records, "session", |case| {
        let bytes = case.bytes("bytes")?;
        let record = SessionRecord::deserialize(&bytes).map_err(|error| error.to_string())?;
        same_bytes("bytes", &record.serialize(), &bytes)?;
        let fields = case.field("fields")?;
        let archived = fields.list("previous_sessions").map_or(0, Vec::len);
        same("archived sessions", record.archived_count(), archived)?;
        let Some(current) = fields.optional("current_session") else {
            return same("current session", record.has_current_state(), false);
        };
        let version = record
            .session_version()
            .map_err(|error| error.to_string())?;
        same("version", version, current.number32("session_version")?)?;
        let remote = record
            .remote_identity()
            .map_err(|error| error.to_string())?;
        same_bytes(
            "remote",
            &remote.serialize(),
            &current.bytes("remote_identity_public")?,
        )?;
        let base_key = record.alice_base_key().map_err(|error| error.to_string())?;
        same_bytes("base key", base_key, &current.bytes("alice_base_key")?)?;
        let remote_id = record
            .remote_registration_id()
            .map_err(|error| error.to_string())?;
        same(
            "registration id",
            remote_id,
            number_or_zero(current, "remote_registration_id")?,
        )
    });
}

/// A bundle as recordings write it.
pub(super) fn bundle(fields: &Value) -> Result<PreKeyBundle, String> {
    let key = |name: &str| -> Result<PublicKey, String> {
        PublicKey::deserialize(&fields.bytes(name)?).map_err(|error| format!("{name}: {error}"))
    };
    let pre_key = match fields.optional("pre_key_id") {
        None => None,
        Some(_) => Some(PreKey {
            id: fields.number32("pre_key_id")?.into(),
            public_key: key("pre_key_public")?,
        }),
    };
    Ok(PreKeyBundle {
        registration_id: fields.number32("registration_id")?,
        device_id: DeviceId::new(fields.number32("device_id")?).ok_or("bad device id")?,
        pre_key,
        signed_pre_key: SignedPreKey {
            id: fields.number32("signed_pre_key_id")?.into(),
            public_key: key("signed_pre_key_public")?,
            signature: fields.bytes("signed_pre_key_signature")?,
        },
        kyber_pre_key: KyberPreKey {
            id: fields.number32("kyber_pre_key_id")?.into(),
            public_key: kem::PublicKey::deserialize(&fields.bytes("kyber_pre_key_public")?)
                .map_err(|error| error.to_string())?,
            signature: fields.bytes("kyber_pre_key_signature")?,
        },
        identity_key: IdentityKey::new(key("identity_key")?),
    })
}

fn same_pair(pair: KeyPair, fields: &Value) -> Outcome {
    same_bytes(
        "public key",
        &pair.public_key.serialize(),
        &fields.bytes("public_key")?,
    )?;
    same_bytes(
        "private key",
        &pair.private_key.serialize()[..],
        &fields.bytes("private_key")?,
    )
}

/// Absent fields have their default values.
fn number_or_zero(fields: &Value, name: &str) -> Result<u32, String> {
    fields
        .optional(name)
        .map_or(Ok(0), |_| fields.number32(name))
}
