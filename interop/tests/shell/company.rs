//! A group of two: somebody whose commands are killed, and the official client.

use std::collections::HashSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sprag::{Uuid, protocol::message::SenderKeyMessage};
use sprag_interop::{Address, Blob, Envelope, FailureKind, Member, Official};

use super::killer::Killer;

const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);

/// The type number of messages to groups.
const TO_GROUP: u8 = 7;

pub(crate) struct Company {
    official: Box<dyn Member>,
    /// The message keys that the killed one has used: chain and iteration.
    keys: HashSet<(u32, u32)>,
}

impl Company {
    /// The two give each other their sender keys.
    pub(crate) fn of(killer: &mut Killer, address: &Address) -> Self {
        let mut official = Official::start().unwrap().member(address).unwrap();
        let key = official.distribute(GROUP).unwrap();
        let key = json!({ "distribution": BASE64_STANDARD.encode(key) });
        let arguments = ["group", "join", &address.to_string()];
        killer.until_done(&arguments, key.to_string().as_bytes(), "");
        let keys = HashSet::new();
        let mut company = Self { official, keys };
        company.hand_out("distribute", killer);
        company
    }

    /// Another sender key takes the place of the one before.
    pub(crate) fn renew(&mut self, killer: &mut Killer) {
        self.hand_out("renew", killer);
    }

    fn hand_out(&mut self, command: &str, killer: &mut Killer) {
        let printed = killer.until_done(&["group", command, &GROUP.to_string()], b"", "");
        let printed: Value = serde_json::from_slice(&printed).unwrap();
        let key = BASE64_STANDARD.decode(printed["distribution"].as_str().unwrap());
        let from = &killer.person().address;
        self.official.join(from, &key.unwrap()).unwrap();
    }

    /// A message each way.
    pub(crate) fn talk(&mut self, killer: &mut Killer, text: &str) {
        let command = ["group", "encrypt", &GROUP.to_string()];
        let id = format!("{text} to the group");
        let envelopes = killer.encrypt_under_id(&command, &id, text.as_bytes());
        let from = &killer.person().address;
        let message = SenderKeyMessage::deserialize(&envelopes[0].body).unwrap();
        let key = (message.chain_id(), message.iteration());
        assert!(self.keys.insert(key), "a message key was used twice");
        let read = self.official.decrypt(from, &envelopes[0].body).unwrap();
        assert_eq!(read, text.as_bytes());
        for again in &envelopes[1..] {
            let refused = self.official.decrypt(from, &again.body).unwrap_err();
            assert_eq!(refused.kind, FailureKind::DuplicatedMessage);
        }

        let body = self.official.encrypt(GROUP, text.as_bytes()).unwrap();
        let envelope = Envelope {
            kind: TO_GROUP,
            body: Blob(body),
        };
        let command = ["group", "decrypt", &self.official.address().to_string()];
        assert_eq!(killer.decrypt(&command, &envelope), text.as_bytes());
    }
}
