//! Single decryptions: at the limits, of malformed messages, and of one message of which every
//! intermediate value is known.

use serde_json::Value;
use sprag_core::{
    address::ProtocolAddress,
    hazmat,
    identity::IdentityKey,
    message::SignalMessage,
    session::{Parties, SessionRecord},
};

use super::super::{
    Report, ScriptedRng,
    case::{Fields, Outcome, same, same_bytes, same_hash, same_outcome},
    party::{Party, address},
};

/// Decryptions of messages far ahead of their chain.
pub(super) fn replay_limits(file: &Value, report: &mut Report) {
    let Some(limits) = file.optional("limits").and_then(Value::as_array) else {
        return;
    };
    let mut after = SessionRecord::new_fresh();
    let mut reached = Vec::new();
    for case in limits {
        report.case(
            format_args!("limits: {}", case.text("name").unwrap_or_default()),
            || match case.optional("session_before") {
                Some(_) => {
                    let (record, counter) = replay_jump(case)?;
                    after = record;
                    reached.push((counter, after.clone()));
                    Ok(())
                }
                None => replay_dropped(case, &reached),
            },
        );
    }
}

fn replay_jump(case: &Value) -> Result<(SessionRecord, u32), String> {
    let (local, remote) = (
        address(case.field("local_address")?)?,
        address(case.field("remote_address")?)?,
    );
    let parties = Parties {
        local: &local,
        remote: &remote,
    };
    let before = case.bytes("session_before")?;
    let mut record = SessionRecord::deserialize(&before).map_err(|error| error.to_string())?;
    let message =
        SignalMessage::deserialize(&case.bytes("message")?).map_err(|error| error.to_string())?;
    let mut rng = ScriptedRng::repeating([]);
    let found = same_outcome(case, record.decrypt(&message, parties, &mut rng))?;
    if let Some(plaintext) = found {
        same_bytes("plaintext", &plaintext, &case.bytes("plaintext")?)?;
    }
    let bytes = record.serialize();
    same(
        "record changed",
        bytes[..] != before,
        case.flag("session_changed"),
    )?;
    same(
        "record length",
        bytes.len() as u64,
        case.number("session_after_length")?,
    )?;
    same_hash(&bytes, case.text("session_after_sha256")?)?;
    Ok((record, message.counter()))
}

/// A message whose skipped key was dropped: it belongs to the record in which the newest skipped key
/// is the one that the case names.
fn replay_dropped(case: &Value, reached: &[(u32, SessionRecord)]) -> Outcome {
    let newest = case.number32("first_stored_index_in_list")?;
    let (_, record) = reached
        .iter()
        .rev()
        .find(|(counter, _)| *counter == newest + 1)
        .ok_or("no earlier case leaves such a record")?;
    let mut record = record.clone();
    let message =
        SignalMessage::deserialize(&case.bytes("message")?).map_err(|error| error.to_string())?;
    let nobody = ProtocolAddress::new("", 1).map_err(|error| error.to_string())?;
    let parties = Parties {
        local: &nobody,
        remote: &nobody,
    };
    let mut rng = ScriptedRng::repeating([]);
    same_outcome(case, record.decrypt(&message, parties, &mut rng)).map(|_| ())
}

/// Altered messages, each given to a party in the same initial state.
pub(super) fn replay_malformed(malformed: &Value, report: &mut Report) {
    let parts = || -> Result<(ProtocolAddress, &Value), String> {
        let sender = address(malformed.field("sender")?.field("address")?)?;
        Ok((sender, malformed.field("recipient")?))
    };
    report.each(malformed, "pre_key_messages", |case| {
        let (sender, recipient) = parts()?;
        let mut recipient = Party::new(recipient)?;
        let mut rng = ScriptedRng::repeating([1; 32]);
        let found = recipient.decrypt(&sender, 3, &case.bytes("message")?, None, &mut rng);
        if let Some(plaintext) = same_outcome(case, found)? {
            same_bytes("plaintext", &plaintext, &case.bytes("plaintext")?)?;
        }
        recipient.same_calls(case)
    });
    report.each(malformed, "plain_messages", |case| {
        let (sender, recipient) = parts()?;
        let mut recipient = Party::new(recipient)?;
        let session = malformed.bytes("recipient_session_for_plain")?;
        recipient.replace_session(&sender, Some(&session))?;
        let mut rng = ScriptedRng::repeating([1; 32]);
        let found = recipient.decrypt(&sender, 2, &case.bytes("message")?, None, &mut rng);
        if let Some(plaintext) = same_outcome(case, found)? {
            same_bytes("plaintext", &plaintext, &case.bytes("plaintext")?)?;
        }
        recipient.same_calls(case)
    });
}

/// Every intermediate value of one first message.
pub(in super::super) fn replay_walkthrough(file: &Value, report: &mut Report) {
    report.case(
        "walkthrough: the message is authenticated as recorded",
        || {
            let input = file.bytes("mac_input")?;
            let message = [&input[66..], &file.bytes("mac")?].concat();
            let message =
                SignalMessage::deserialize(&message).map_err(|error| error.to_string())?;
            same_bytes("ciphertext", message.body(), &file.bytes("ciphertext")?)?;
            same("counter", message.counter(), file.number32("counter")?)?;
            let identity =
                |bytes: &[u8]| IdentityKey::deserialize(bytes).map_err(|e| e.to_string());
            let key = file
                .bytes("mac_key")?
                .try_into()
                .map_err(|_| "bad MAC key")?;
            let valid =
                message.verify_mac(&identity(&input[..33])?, &identity(&input[33..66])?, &key);
            same("MAC", valid, true)
        },
    );
    derivations(file, report);
}

fn derivations(file: &Value, report: &mut Report) {
    let step = |name: &str, run: &dyn Fn() -> Outcome, report: &mut Report| {
        report.case(format_args!("walkthrough: {name}"), run);
    };
    let key = |name: &str| -> Result<[u8; 32], String> {
        file.bytes(name)?
            .try_into()
            .map_err(|_| format!("{name} has not 32 bytes"))
    };
    step(
        "PQXDH",
        &|| {
            let input = file.bytes("secret_input")?;
            let parts = [
                "dh1_signed_prekey_x_initiator_identity",
                "dh2_recipient_identity_x_base_key",
                "dh3_signed_prekey_x_base_key",
                "dh4_one_time_prekey_x_base_key",
                "kem_shared_secret",
            ];
            let parts = parts
                .iter()
                .map(|name| file.bytes(name))
                .collect::<Result<Vec<_>, _>>()?;
            same_bytes(
                "secret input",
                &[vec![0xff; 32], parts.concat()].concat(),
                &input,
            )?;
            let derived = hazmat::pqxdh_secrets(&input);
            same_bytes(
                "derived",
                &derived.each_ref().map(|part| **part).concat(),
                &file.bytes("kdf_output_96")?,
            )?;
            same_bytes("root key", &derived[0][..], &key("root_key_0")?)?;
            same_bytes(
                "chain key",
                &derived[1][..],
                &key("chain_key_0_of_signed_prekey")?,
            )?;
            same_bytes("post-quantum key", &derived[2][..], &key("pq_auth_key")?)
        },
        report,
    );
    step(
        "root step",
        &|| {
            let agreement = key("ratchet_dh_signed_prekey_x_message_ratchet_key")?;
            let [root, chain] = hazmat::root_step(&key("root_key_0")?, &agreement);
            same_bytes("root key", &root[..], &key("root_key_1")?)?;
            same_bytes("chain key", &chain[..], &key("chain_key_of_message")?)
        },
        report,
    );
    step(
        "message keys",
        &|| {
            let seed = hazmat::message_key_seed(&key("chain_key_of_message")?);
            same_bytes("seed", &seed[..], &key("message_key_seed")?)?;
            let pq_key = key("pq_message_key_used_as_salt")?;
            let keys = hazmat::message_keys(&seed, Some(&pq_key));
            same_bytes("keys", &keys[..], &file.bytes("message_keys_80")?)?;
            let ciphertext = hazmat::encrypt(&seed, Some(&pq_key), &file.bytes("plaintext")?);
            same_bytes("ciphertext", &ciphertext, &file.bytes("ciphertext")?)
        },
        report,
    );
}
