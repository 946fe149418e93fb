//! Sending: version 2 messages byte for byte, and attempts that are refused.

use std::collections::BTreeSet;

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sprag::Sealing;
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    bundle::PreKeyBundle,
    curve::{PrivateKey, PublicKey},
    hazmat,
    identity::{IdentityKey, IdentityKeyPair},
    message::CiphertextMessageType,
    pre_key::{KyberPreKeyRecord, SignedPreKeyRecord},
    sealed_sender::{
        ContentHint, SealedSenderMultiRecipientMessage, SenderCertificate, SenderDetails,
        ServerCertificate, UnidentifiedSenderMessageContent,
    },
    service_id::ServiceId,
    session::{Parties, SessionRecord},
    time::Timestamp,
};

use super::{
    super::{
        Report, ScriptedRng,
        case::{Fields, Outcome, same, same_bytes},
        official::{kind, same_result},
        party::{Party, address, protocol, ready},
    },
    calls, party,
};

pub(super) fn replay(version: &Value, report: &mut Report) {
    report.each(version, "messages", replay_to_many);
    report.each(version, "encrypt_errors", |case| {
        match case.optional("recipients") {
            Some(_) => replay_to_many(case),
            None => replay_refused(case),
        }
    });
    if version.optional("encrypt_store_calls").is_some() {
        report.case("encrypt_store_calls", || replay_encryption(version));
    }
}

/// A message to many: with the recorded secret it must come out as recorded.
fn replay_to_many(case: &Value) -> Outcome {
    let recipients = case.list("recipients")?;
    let result = case.field("result")?;
    let sent = result.optional("ok").map(|_| result.bytes("ok"));
    let sent = sent.transpose()?.unwrap_or_default();
    let secret = match recipients.first() {
        Some(first) if !sent.is_empty() => recover_secret(&sent, first)?,
        _ => [0; 32],
    };

    let mut sender = party(&sender_state(case)?)?;
    let content = case.field("content")?.bytes("serialized")?;
    let content = UnidentifiedSenderMessageContent::deserialize(&content);
    let content = content.map_err(|error| error.to_string())?;
    let to: Vec<_> = recipients.iter().map(address).collect::<Result<_, _>>()?;
    let found = protocol(block_on(sender.sealed().seal_for_many(
        &content,
        &to,
        &excluded(case)?,
        &mut ScriptedRng::repeating(secret),
    )));
    if let Some((found, _)) = same_result(result, found)? {
        if recipients.is_empty() {
            // Nobody can recover the secret.
            same("length", found.len(), sent.len())?;
            let shared = shared_offset(&sent)?;
            same_bytes("entries", &found[..shared], &sent[..shared])?;
        } else {
            same_bytes("message", &found, &sent)?;
        }
    }
    let loads = to.iter().map(|address| format!("load_session {address}"));
    let expected: Vec<_> = loads.chain(calls(case.list("store_calls")?)?).collect();
    same("store calls", sender.calls(), expected)
}

/// M, which the first recipient's key uncovers.
fn recover_secret(sent: &[u8], recipient: &Value) -> Result<[u8; 32], String> {
    let text = |error: ProtocolError| error.to_string();
    let parsed = SealedSenderMultiRecipientMessage::parse(sent).map_err(text)?;
    let material = parsed.receivers().next().ok_or("no receiver")?;
    let sealed_secret = &sent[material.key_material()][..32];
    let ephemeral = &sent[parsed.shared_offset()..][..32];
    let ephemeral = PublicKey::from_raw_bytes(ephemeral).map_err(|error| error.to_string())?;
    let (private_key, public_key) = identity(recipient)?;
    let agreement = private_key.agree(&ephemeral);
    let agreement = agreement.map_err(|error| error.to_string())?;
    let input = [
        &agreement[..],
        &ephemeral.serialize(),
        &public_key.serialize(),
    ]
    .concat();
    let mut secret = [0; 32];
    let mask = hazmat::hkdf::<32>(None, &input, b"Sealed Sender v2: DH");
    for (byte, (a, b)) in secret.iter_mut().zip(sealed_secret.iter().zip(mask.iter())) {
        *byte = a ^ b;
    }
    Ok(secret)
}

fn shared_offset(sent: &[u8]) -> Result<usize, String> {
    let parsed = SealedSenderMultiRecipientMessage::parse(sent);
    parsed
        .map(|parsed| parsed.shared_offset())
        .map_err(|error| error.to_string())
}

fn excluded(case: &Value) -> Result<Vec<ServiceId>, String> {
    let excluded = case.list("excluded")?.iter();
    let excluded = excluded.map(|id| id.as_str().and_then(ServiceId::parse_string));
    excluded
        .collect::<Option<_>>()
        .ok_or_else(|| "an excluded one is no service id".into())
}

fn identity(fields: &Value) -> Result<(PrivateKey, PublicKey), String> {
    let private_key = PrivateKey::deserialize(&fields.bytes("identity_private")?);
    let private_key = private_key.map_err(|error| error.to_string())?;
    let public_key = private_key.public_key();
    Ok((private_key, public_key))
}

/// The sender, with a session with every recipient, and the identities that the recording says it found.
fn sender_state(case: &Value) -> Result<Value, String> {
    let mut state = case.field("sender")?.clone();
    let unknown = |call: &&Value| call.field("found") == Ok(&Value::Bool(false));
    let unknown: BTreeSet<_> = case
        .list("store_calls")?
        .iter()
        .filter(unknown)
        .filter_map(|call| call.optional("address").and_then(Value::as_str))
        .collect();
    let archived = case
        .text("name")
        .is_ok_and(|name| name.contains("archived"));
    let mut sessions = Sessions::new()?;
    for recipient in case.list("recipients")? {
        let address = address(recipient)?;
        let mut session = sessions.with(&address, recipient.number32("registration_id")?)?;
        if archived {
            session.archive_current_state();
        }
        let address = address.to_string();
        if !unknown.contains(address.as_str()) {
            let key = identity(recipient)?.1.serialize();
            state["known_identities"][&address] = json!(hex::encode(key));
        }
        state["sessions"][address] = json!(hex::encode(session.serialize()));
    }
    Ok(state)
}

/// Refused attempts of which only the result is recorded: the named operation tells what was tried.
fn replay_refused(case: &Value) -> Outcome {
    let error = case.field("result")?.field("error")?;
    let mut sessions = Sessions::new()?;
    let sender = sessions.party(None)?;
    let certificate = sessions.certificate(sender.address())?;
    let mut rng = ScriptedRng::repeating([1; 32]);
    let found = match error.text("operation")? {
        "SealedSender_Encrypt" => {
            let content = UnidentifiedSenderMessageContent::new(
                CiphertextMessageType::Plaintext,
                &[],
                certificate,
                ContentHint::DEFAULT,
                None,
            );
            let sealed = sender.sealed();
            protocol(ready(sealed.seal(&content, &sessions.remote, &mut rng)))
        }
        "SessionCipher_EncryptMessage" => {
            let sealing = Sealing::new(&certificate);
            let (sealed, now) = (sender.sealed(), Timestamp::from_millis(0));
            protocol(ready(sealed.encrypt(
                &sessions.remote,
                b"",
                sealing,
                now,
                &mut rng,
            )))
        }
        other => return Err(format!("{other} is not known")),
    };
    same_result(case.field("result")?, found)
        .map(|_| ())
        .map_err(|reason| format!("{reason} ({})", kind(error).unwrap_or_default()))
}

/// The calls of an encryption whose outcome is not recorded.
fn replay_encryption(version: &Value) -> Outcome {
    let expected = calls(version.list("encrypt_store_calls")?)?;
    let remote = expected.iter().find_map(|call| call.split(' ').nth(1));
    let remote = remote.and_then(|text| text.rsplit_once('.'));
    let (name, device) = remote.ok_or("no call names an address")?;
    let device = device.parse().map_err(|_| "no device id")?;
    let mut sessions = Sessions::new()?;
    sessions.remote = ProtocolAddress::new(name, device).map_err(|error| error.to_string())?;

    let remote = sessions.remote.clone();
    let session = sessions.with(&remote, 1)?;
    let mut sender = sessions.party(Some(session))?;
    let certificate = sessions.certificate(sender.address())?;
    let mut rng = ScriptedRng::repeating([1; 32]);
    let sealing = Sealing::new(&certificate);
    let now = Timestamp::from_millis(0);
    protocol(ready(
        sender
            .sealed()
            .encrypt(&remote, b"", sealing, now, &mut rng),
    ))
    .map_err(|error| error.to_string())?;
    same("store calls", sender.calls(), expected)
}

/// Sessions, where a recording says of them no more than that there are some.
struct Sessions {
    local: ProtocolAddress,
    remote: ProtocolAddress,
    identity: IdentityKeyPair,
    bundle: PreKeyBundle,
    rng: StdRng,
}

impl Sessions {
    fn new() -> Result<Self, String> {
        Self::build().map_err(|error| error.to_string())
    }

    fn build() -> Result<Self, ProtocolError> {
        let mut rng = StdRng::from_seed([1; 32]);
        let now = Timestamp::from_millis(0);
        let local = ProtocolAddress::new("a3d3a1f0-0000-4000-8000-000000000001", 1)?;
        let remote = ProtocolAddress::new("a3d3a1f0-0000-4000-8000-000000000002", 1)?;
        let peer = IdentityKeyPair::generate(&mut rng);
        let signed = SignedPreKeyRecord::generate(1.into(), now, &peer, &mut rng);
        let kyber = KyberPreKeyRecord::generate(1.into(), now, &peer, &mut rng);
        let bundle = PreKeyBundle {
            registration_id: 1,
            device_id: remote.device_id(),
            pre_key: None,
            signed_pre_key: signed.public_view()?,
            kyber_pre_key: kyber.public_view()?,
            identity_key: *peer.identity_key(),
        };
        let identity = IdentityKeyPair::generate(&mut rng);
        Ok(Self {
            local,
            remote,
            identity,
            bundle,
            rng,
        })
    }

    /// A session with somebody of this registration id.
    fn with(
        &mut self,
        remote: &ProtocolAddress,
        registration_id: u32,
    ) -> Result<SessionRecord, String> {
        self.bundle.registration_id = registration_id;
        let parties = Parties {
            local: &self.local,
            remote,
        };
        let mut session = SessionRecord::new_fresh();
        let now = Timestamp::from_millis(0);
        self.bundle
            .verify()
            .and_then(|bundle| {
                let (own, rng) = (&self.identity, &mut self.rng);
                session.process_bundle(&bundle, parties, own, 1, now, rng)
            })
            .map_err(|error| error.to_string())?;
        Ok(session)
    }

    /// The one who sends, knowing the other if there is a session.
    fn party(&self, session: Option<SessionRecord>) -> Result<Party, String> {
        let mut state = json!({
            "name": self.local.name(),
            "device_id": u32::from(self.local.device_id()),
            "identity_private": hex::encode(self.identity.private_key().serialize()),
        });
        if let Some(session) = session {
            let (remote, peer) = (self.remote.to_string(), self.bundle.identity_key);
            state["sessions"][&remote] = json!(hex::encode(session.serialize()));
            state["known_identities"][&remote] = json!(hex::encode(peer.serialize()));
        }
        party(&state)
    }

    fn certificate(&mut self, sender: &ProtocolAddress) -> Result<SenderCertificate, String> {
        let key = PrivateKey::generate(&mut self.rng);
        let server = ServerCertificate::issue(1, key.public_key(), &key, &mut self.rng);
        let details = SenderDetails {
            uuid: sender.name(),
            e164: None,
            device_id: sender.device_id(),
            identity_key: IdentityKey::new(*self.identity.identity_key().public_key()),
            expiration: Timestamp::from_millis(0),
        };
        Ok(SenderCertificate::issue(
            details,
            &server,
            &key,
            &mut self.rng,
        ))
    }
}

/// The result of a future that may wait for other threads.
fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    Some(runtime.block_on(future))
}
