//! Recordings of group conversations.
//!
//! Every step is replayed alone, from the record that it found. What no randomness enters must come out
//! byte for byte: all that is decrypted and processed, and of what is encrypted all but the signature.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use prost::Message;
use rand_core::UnwrapErr;
use serde_json::Value;
use sprag::{GroupCipher, SenderKeyStore, StoreError};
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    curve::{PrivateKey, SIGNATURE_LENGTH},
    message::{SenderKeyDistributionMessage, SenderKeyMessage},
    sender_key::SenderKeyRecord,
};
use uuid::Uuid;

use super::{
    Report,
    case::{Fields, Outcome, same, same_bytes},
    official::same_result,
    party::{address, protocol, ready},
};

pub(super) fn replay(file: &Value, report: &mut Report) {
    let conversations = file.optional("conversations").and_then(Value::as_array);
    for conversation in conversations.into_iter().flatten() {
        let name = conversation.text("name").unwrap_or("?");
        let steps = conversation.optional("steps").and_then(Value::as_array);
        for (number, step) in steps.into_iter().flatten().enumerate() {
            let op = step.text("op").unwrap_or("?");
            report.case(format_args!("{name}[{number}] ({op})"), || {
                replay_step(conversation, step)
            });
        }
    }
}

fn replay_step(conversation: &Value, step: &Value) -> Outcome {
    match step.text("op")? {
        "create_skdm" => Scene::new(conversation, step)?.create(),
        "process_skdm" => Scene::new(conversation, step)?.process(),
        "encrypt" => Scene::new(conversation, step)?.encrypt(),
        "decrypt" => Scene::new(conversation, step)?.decrypt(),
        "parse_record" => parse_record(step),
        "preset_record" => record(&step.bytes("record")?).map(|_| ()),
        "delete_record" => Ok(()),
        op => Err(format!("unknown operation {op}")),
    }
}

fn parse_record(step: &Value) -> Outcome {
    let found = SenderKeyRecord::deserialize(&step.bytes("record")?);
    match same_result(step.field("result")?, found)? {
        Some((found, expected)) => same_bytes("record", &found.serialize(), &bytes_of(expected)?),
        None => Ok(()),
    }
}

/// A step, with the store of the member who takes it as it was.
struct Scene<'a> {
    step: &'a Value,
    sender: ProtocolAddress,
    distribution_id: Uuid,
    store: LoggingStore,
}

impl<'a> Scene<'a> {
    fn new(conversation: &Value, step: &'a Value) -> Result<Self, String> {
        let member = usize::try_from(step.number("sender")?).map_err(|error| error.to_string())?;
        let members = conversation.list("members")?;
        let sender = address(members.get(member).ok_or("no such member")?)?;
        let distribution_id = uuid(step, "distribution_id")?;
        let store = LoggingStore::default();
        if step.optional("record_before").is_some() {
            let record = record(&step.bytes("record_before")?)?;
            let key = (sender.clone(), distribution_id);
            store.data().records.insert(key, record);
        }
        Ok(Self {
            step,
            sender,
            distribution_id,
            store,
        })
    }

    fn cipher(&self) -> GroupCipher<'_> {
        GroupCipher::new(&self.store, &self.sender)
    }

    fn create(&self) -> Outcome {
        let mut rng = UnwrapErr(rand::rngs::SysRng);
        let cipher = self.cipher();
        let created = cipher.create_distribution_message(self.distribution_id, &mut rng);
        let found = protocol(ready(created));
        if let Some((found, expected)) = same_result(self.step.field("result")?, found)? {
            let recorded = expected.bytes("skdm")?;
            self.same_distribution(&recorded, expected.field("fields")?)?;
            if self.step.optional("record_before").is_some() {
                same_bytes("message", found.serialized(), &recorded)?;
                self.same_record()?;
            } else {
                same_fresh(&found, &recorded)?;
                // What was drawn is in the record that was left: from there on nothing is random.
                let after = record(&self.step.bytes("record_after")?)?;
                let repeated = after.create_distribution_message(self.distribution_id);
                let repeated = repeated.map_err(|error| error.to_string())?;
                same_bytes("message", repeated.serialized(), &recorded)?;
            }
        }
        self.same_calls()
    }

    fn same_distribution(&self, recorded: &[u8], fields: &Value) -> Outcome {
        if fields.is_null() {
            return Ok(());
        }
        let message = SenderKeyDistributionMessage::deserialize(recorded);
        let message = message.map_err(|error| error.to_string())?;
        same_bytes("bytes", message.serialized(), recorded)?;
        same(
            "distribution id",
            message.distribution_id(),
            uuid(fields, "distribution_id")?,
        )?;
        same("chain id", message.chain_id(), fields.number32("chain_id")?)?;
        same(
            "iteration",
            message.iteration(),
            fields.number32("iteration")?,
        )?;
        same_bytes(
            "chain key",
            message.chain_key(),
            &fields.bytes("chain_key")?,
        )
    }

    fn process(&self) -> Outcome {
        let skdm = self.step.bytes("skdm")?;
        let processed = SenderKeyDistributionMessage::deserialize(&skdm).and_then(|message| {
            let cipher = self.cipher();
            protocol(ready(
                cipher.process_distribution_message(&self.sender, &message),
            ))
        });
        same_result(self.step.field("result")?, processed)?;
        self.same_record()?;
        self.same_calls()
    }

    fn encrypt(&self) -> Outcome {
        let mut rng = UnwrapErr(rand::rngs::SysRng);
        let (cipher, plaintext) = (self.cipher(), self.step.bytes("plaintext")?);
        let encrypted = cipher.encrypt(self.distribution_id, &plaintext, &mut rng);
        let found = protocol(ready(encrypted));
        if let Some((found, expected)) = same_result(self.step.field("result")?, found)? {
            let recorded = expected.bytes("message")?;
            let unsigned = |bytes: &[u8]| bytes[..bytes.len() - SIGNATURE_LENGTH].to_vec();
            let content = unsigned(&recorded);
            same_bytes("message", &unsigned(found.serialized()), &content)?;
            let key = signing_key(&self.step.bytes("record_before")?)?.public_key();
            for (whose, message) in [("our", found.serialized()), ("the recorded", &recorded)] {
                let valid = key.verify(&content, &message[content.len()..]);
                same(&format!("{whose} signature is valid"), valid, true)?;
            }
            same_message(&recorded, expected.field("fields")?)?;
        }
        self.same_record()?;
        self.same_calls()
    }

    fn decrypt(&self) -> Outcome {
        let message = SenderKeyMessage::deserialize(&self.step.bytes("message")?);
        let found = message.and_then(|message| {
            let cipher = self.cipher();
            protocol(ready(cipher.decrypt(&self.sender, &message)))
        });
        if let Some((found, expected)) = same_result(self.step.field("result")?, found)? {
            same_bytes("plaintext", &found, &expected.bytes("plaintext")?)?;
        }
        self.same_record()?;
        self.same_calls()
    }

    fn same_record(&self) -> Outcome {
        let data = self.store.data();
        let found = data
            .records
            .get(&(self.sender.clone(), self.distribution_id));
        let found = found.map(|record| record.serialize().to_vec());
        let expected = match self.step.optional("record_after") {
            Some(Value::String(text)) if text == "unchanged" => "record_before",
            _ => "record_after",
        };
        match (found, self.step.optional(expected)) {
            (Some(found), Some(expected)) => same_bytes("record", &found, &bytes_of(expected)?),
            (found, expected) => same("there is a record", found.is_some(), expected.is_some()),
        }
    }

    fn same_calls(&self) -> Outcome {
        let Some(expected) = self.step.optional("store_calls").and_then(Value::as_array) else {
            return Ok(());
        };
        let describe = |call: &Value| {
            let (name, sender) = (call.text("call")?, call.text("sender")?);
            let found = call.optional("found").and_then(Value::as_bool);
            let id = call.text("distribution_id")?;
            Ok::<_, String>(describe_call(name, sender, id, found))
        };
        let expected = expected.iter().map(describe).collect::<Result<Vec<_>, _>>();
        same("store calls", self.store.data().calls.clone(), expected?)
    }
}

/// Of a new key only the form is known.
fn same_fresh(found: &SenderKeyDistributionMessage, recorded: &[u8]) -> Outcome {
    let recorded = SenderKeyDistributionMessage::deserialize(recorded);
    let recorded = recorded.map_err(|error| error.to_string())?;
    same("version", found.version(), recorded.version())?;
    same(
        "distribution id",
        found.distribution_id(),
        recorded.distribution_id(),
    )?;
    same("iteration", found.iteration(), recorded.iteration())?;
    same("chain id has 31 bits", found.chain_id() >> 31, 0)?;
    let parsed = SenderKeyDistributionMessage::deserialize(found.serialized());
    same(
        "it parses",
        parsed.map(|parsed| parsed.chain_id()),
        Ok(found.chain_id()),
    )
}

fn same_message(recorded: &[u8], fields: &Value) -> Outcome {
    if fields.is_null() {
        return Ok(());
    }
    let message = SenderKeyMessage::deserialize(recorded).map_err(|error| error.to_string())?;
    same_bytes("bytes", message.serialized(), recorded)?;
    same(
        "distribution id",
        message.distribution_id(),
        uuid(fields, "distribution_id")?,
    )?;
    same("chain id", message.chain_id(), fields.number32("chain_id")?)?;
    same(
        "iteration",
        message.iteration(),
        fields.number32("iteration")?,
    )?;
    same_bytes(
        "ciphertext",
        message.ciphertext(),
        &fields.bytes("ciphertext")?,
    )
}

/// The private key by which a record signs.
fn signing_key(record: &[u8]) -> Result<PrivateKey, String> {
    #[derive(Message)]
    struct Record {
        #[prost(message, repeated, tag = "1")]
        states: Vec<State>,
    }
    #[derive(Message)]
    struct State {
        #[prost(message, optional, tag = "3")]
        signing_key: Option<SigningKey>,
    }
    #[derive(Message)]
    struct SigningKey {
        #[prost(bytes = "vec", tag = "2")]
        private: Vec<u8>,
    }
    let record = Record::decode(record).map_err(|error| error.to_string())?;
    let key = record.states.into_iter().next().and_then(|s| s.signing_key);
    PrivateKey::deserialize(&key.unwrap_or_default().private).map_err(|error| error.to_string())
}

fn record(bytes: &[u8]) -> Result<SenderKeyRecord, String> {
    SenderKeyRecord::deserialize(bytes).map_err(|error: ProtocolError| error.to_string())
}

fn uuid(fields: &Value, name: &str) -> Result<Uuid, String> {
    Uuid::try_parse(fields.text(name)?).map_err(|error| error.to_string())
}

fn bytes_of(value: &Value) -> Result<Vec<u8>, String> {
    hex::decode(value.as_str().ok_or("no text")?).map_err(|error| error.to_string())
}

#[derive(Default)]
struct LoggingStore(Mutex<Data>);

#[derive(Default)]
struct Data {
    calls: Vec<String>,
    records: HashMap<(ProtocolAddress, Uuid), SenderKeyRecord>,
}

impl LoggingStore {
    fn data(&self) -> std::sync::MutexGuard<'_, Data> {
        self.0
            .lock()
            .expect("no step panics while it holds the lock")
    }
}

fn describe_call(call: &str, sender: &str, id: &str, found: Option<bool>) -> String {
    format!("{call} {sender} {id} {found:?}")
}

#[async_trait]
impl SenderKeyStore for LoggingStore {
    async fn load_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, StoreError> {
        let mut data = self.data();
        let record = data
            .records
            .get(&(sender.clone(), distribution_id))
            .cloned();
        let (sender, id) = (sender.to_string(), distribution_id.to_string());
        let found = Some(record.is_some());
        data.calls
            .push(describe_call("load_sender_key", &sender, &id, found));
        Ok(record)
    }

    async fn store_sender_key(
        &self,
        sender: &ProtocolAddress,
        distribution_id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), StoreError> {
        let (name, id) = (sender.to_string(), distribution_id.to_string());
        let mut data = self.data();
        data.calls
            .push(describe_call("store_sender_key", &name, &id, None));
        data.records
            .insert((sender.clone(), distribution_id), record);
        Ok(())
    }
}
