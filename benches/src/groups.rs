//! Groups, by Sprag over its in-memory stores. Messages go as bytes.

use std::hint::black_box;

use rand::rngs::StdRng;
use sprag::{
    GroupCipher, InMemorySenderKeyStore, ProtocolAddress, Uuid, protocol::message::SenderKeyMessage,
};

use crate::{
    contest::{Runner, in_batches, timed},
    conversation::{PLAINTEXT, ready},
};

const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);

/// Messages that are made before they are decrypted.
const STREAM: u64 = 100;

/// Encrypt one message after the other for a group.
pub fn encrypt() -> Runner {
    let mut group = Group::new();
    Box::new(move |times| {
        timed(|| {
            for _ in 0..times {
                black_box(group.send());
            }
        })
    })
}

/// Decrypt one message after the other.
pub fn decrypt() -> Runner {
    let mut group = Group::new();
    Box::new(move |times| {
        in_batches(times, STREAM, |count| {
            let messages: Vec<_> = (0..count).map(|_| group.send()).collect();
            timed(|| {
                for message in &messages {
                    black_box(group.receive(message));
                }
            })
        })
    })
}

/// Alice, whose sender key Bob has.
struct Group {
    alice: ProtocolAddress,
    bob: ProtocolAddress,
    alice_keys: InMemorySenderKeyStore,
    bob_keys: InMemorySenderKeyStore,
    rng: StdRng,
}

impl Group {
    fn new() -> Self {
        let mut group = Self {
            alice: ProtocolAddress::new("alice", 1).unwrap(),
            bob: ProtocolAddress::new("bob", 1).unwrap(),
            alice_keys: InMemorySenderKeyStore::new(),
            bob_keys: InMemorySenderKeyStore::new(),
            rng: rand::make_rng(),
        };
        let sender = GroupCipher::new(&group.alice_keys, &group.alice);
        let key = ready(sender.create_distribution_message(GROUP, &mut group.rng));
        let receiver = GroupCipher::new(&group.bob_keys, &group.bob);
        ready(receiver.process_distribution_message(&group.alice, &key));
        group
    }

    fn send(&mut self) -> Vec<u8> {
        let cipher = GroupCipher::new(&self.alice_keys, &self.alice);
        let message = ready(cipher.encrypt(GROUP, &PLAINTEXT, &mut self.rng));
        message.serialized().to_vec()
    }

    fn receive(&self, message: &[u8]) -> Vec<u8> {
        let message = SenderKeyMessage::deserialize(message).unwrap();
        let cipher = GroupCipher::new(&self.bob_keys, &self.bob);
        ready(cipher.decrypt(&self.alice, &message))
    }
}
