//! Who is a member, and a member that is a person at a shell.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sprag::Uuid;
use sprag_interop::{
    Address, Failure, FailureKind, Member, Official, Sprag, SpragAccount, SpragCiphers,
};

use crate::person::{Person, code};

/// Makes a member with this address.
pub(crate) type Maker = fn(&Address) -> Box<dyn Member>;

/// The official client.
pub(crate) fn official(address: &Address) -> Box<dyn Member> {
    Official::start().unwrap().member(address).unwrap()
}

/// Our own protocol core.
pub(crate) fn core(address: &Address) -> Box<dyn Member> {
    Sprag.member(address).unwrap()
}

/// Our cipher over a store in memory.
pub(crate) fn cipher(address: &Address) -> Box<dyn Member> {
    SpragCiphers.member(address).unwrap()
}

/// Our account over SQLite.
pub(crate) fn account(address: &Address) -> Box<dyn Member> {
    SpragAccount.member(address).unwrap()
}

/// The `sprag` command.
pub(crate) fn shell(address: &Address) -> Box<dyn Member> {
    Box::new(AtShell(Person::new(address)))
}

struct AtShell(Person);

impl AtShell {
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Failure> {
        let output = self.0.run(&[&["group"], arguments].concat(), input);
        if output.status.success() {
            return Ok(output.stdout);
        }
        let code = code(&output).unwrap();
        let kind = match code.as_str() {
            "duplicate-message" => FailureKind::DuplicatedMessage,
            "no-sender-key" => FailureKind::NoSenderKey,
            "invalid-sender-key" => FailureKind::InvalidSenderKey,
            "invalid-signature" => FailureKind::InvalidSignature,
            "invalid-message" => FailureKind::InvalidMessage,
            _ => FailureKind::Other,
        };
        Err(Failure::new(kind, code))
    }

    fn key(&self, command: &str, group: Uuid) -> Result<Vec<u8>, Failure> {
        let printed = self.run(&[command, &group.to_string()], b"")?;
        Ok(field(&printed, "distribution"))
    }
}

fn field(json: &[u8], name: &str) -> Vec<u8> {
    let json: Value = serde_json::from_slice(json).unwrap();
    BASE64_STANDARD
        .decode(json[name].as_str().unwrap())
        .unwrap()
}

impl Member for AtShell {
    fn address(&self) -> &Address {
        &self.0.address
    }

    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        self.key("distribute", group)
    }

    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        self.key("renew", group)
    }

    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure> {
        let key = json!({ "distribution": BASE64_STANDARD.encode(key) });
        self.run(&["join", &sender.to_string()], key.to_string().as_bytes())?;
        Ok(())
    }

    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let printed = self.run(&["encrypt", &group.to_string()], plaintext)?;
        Ok(field(&printed, "body"))
    }

    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let envelope = json!({ "type": 7, "body": BASE64_STANDARD.encode(message) });
        let envelope = envelope.to_string();
        self.run(&["decrypt", &sender.to_string()], envelope.as_bytes())
    }

    fn sender_key(&mut self, _: &Address, _: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        unreachable!("the command gives no records out")
    }

    fn set_sender_key(&mut self, _: &Address, _: Uuid, _: &[u8]) -> Result<(), Failure> {
        unreachable!("the command takes no records")
    }
}
