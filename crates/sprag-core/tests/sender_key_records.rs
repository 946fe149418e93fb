//! Stored sender keys are read and written as plain protobuf would be: whatever was stored stays as it
//! was.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use prost::Message;
use rand::{SeedableRng, rngs::StdRng};
use sprag_core::{
    ProtocolError,
    message::{SenderKeyDistributionMessage, SenderKeyMessage},
    sender_key::SenderKeyRecord,
};
use uuid::Uuid;

const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);

/// The record as sheet 06 section 5 has it.
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(message, repeated, tag = "1")]
    states: Vec<State>,
}

#[derive(Clone, PartialEq, Message)]
struct State {
    #[prost(uint32, tag = "1")]
    chain_id: u32,
    #[prost(message, optional, tag = "2")]
    chain_key: Option<Numbered>,
    #[prost(message, optional, tag = "3")]
    signing_key: Option<SigningKey>,
    #[prost(message, repeated, tag = "4")]
    message_keys: Vec<Numbered>,
    #[prost(uint32, tag = "5")]
    message_version: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Numbered {
    #[prost(uint32, tag = "1")]
    iteration: u32,
    #[prost(bytes = "vec", tag = "2")]
    seed: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SigningKey {
    #[prost(bytes = "vec", tag = "1")]
    public: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    private: Vec<u8>,
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..5_u32, Just(u32::MAX), any::<u32>()]
}

fn bytes(right: usize) -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::collection::vec(any::<u8>(), right);
    prop_oneof![3 => whole, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

fn numbered() -> impl Strategy<Value = Numbered> {
    (number(), bytes(32)).prop_map(|(iteration, seed)| Numbered { iteration, seed })
}

fn signing_key() -> impl Strategy<Value = SigningKey> {
    let public = bytes(33).prop_map(|mut public| {
        public.iter_mut().take(1).for_each(|kind| *kind = 5);
        public
    });
    let private = prop_oneof![Just(Vec::new()), bytes(32)];
    (public, private).prop_map(|(public, private)| SigningKey { public, private })
}

fn state() -> impl Strategy<Value = State> {
    let version = prop_oneof![Just(0), Just(3), number()];
    let message_keys = prop::collection::vec(numbered(), 0..80);
    let chain_key = prop::option::weighted(0.9, numbered());
    let signing_key = prop::option::weighted(0.9, signing_key());
    (number(), chain_key, signing_key, message_keys, version).prop_map(
        |(chain_id, chain_key, signing_key, message_keys, message_version)| State {
            chain_id,
            chain_key,
            signing_key,
            message_keys,
            message_version,
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    prop::collection::vec(state(), 0..8).prop_map(|states| Record { states })
}

proptest! {
    #[test]
    fn a_record_comes_back(record in record()) {
        let bytes = record.encode_to_vec();
        let read = SenderKeyRecord::deserialize(&bytes).unwrap();
        prop_assert_eq!(&read.serialize()[..], &bytes);
        prop_assert_eq!(&read.clone().serialize()[..], &bytes);
    }

    #[test]
    fn damaged_records_are_read_exactly_when_prost_reads_them(
        record in record(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: prop::sample::Index,
    ) {
        let mut bytes = record.encode_to_vec();
        for (place, byte) in changes {
            if !bytes.is_empty() {
                *place.get_mut(&mut bytes) = byte;
            }
        }
        bytes.truncate(cut.index(bytes.len() + 1).max(bytes.len().saturating_sub(3)));
        let plain = Record::decode(&bytes[..]).map(|record| record.encode_to_vec());
        let read = SenderKeyRecord::deserialize(&bytes);
        let read = read.map(|record| record.serialize().to_vec());
        prop_assert_eq!(read, plain.map_err(|_| ProtocolError::InvalidProtobufEncoding));
    }

    #[test]
    fn a_step_that_fails_changes_nothing(record in record(), text: Vec<u8>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let read = SenderKeyRecord::deserialize(&record.encode_to_vec()).unwrap();
        let before = read.serialize();
        let mut sending = read.clone();
        match sending.encrypt(GROUP, &text, &mut rng) {
            Err(_) => prop_assert_eq!(&sending.serialize(), &before),
            Ok(message) => {
                // The public key is not looked at when sending, so it may be another one.
                let first = &record.states[0];
                prop_assert_eq!(message.chain_id(), first.chain_id);
                prop_assert_eq!(Some(message.iteration()), first.chain_key.as_ref().map(|key| key.iteration));
                let mut receiving = read.clone();
                if receiving.decrypt(&message).is_err() {
                    prop_assert_eq!(&receiving.serialize(), &before);
                }
            }
        }
        prop_assert_eq!(&read.serialize(), &before, "a copy changed its original");
    }

    #[test]
    fn messages_keep_what_they_were_made_of(text: Vec<u8>, before in 0..4_usize, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut record = SenderKeyRecord::generate(&mut rng);
        for _ in 0..before {
            record.encrypt(GROUP, b"", &mut rng).unwrap();
        }
        let key = record.create_distribution_message(GROUP).unwrap();
        let parsed = SenderKeyDistributionMessage::deserialize(key.serialized()).unwrap();
        prop_assert_eq!(parsed.serialized(), key.serialized());
        prop_assert_eq!(parsed.distribution_id(), GROUP);
        prop_assert_eq!(parsed.chain_id(), key.chain_id());
        prop_assert!(parsed.chain_id() < 1 << 31);
        prop_assert_eq!(parsed.iteration() as usize, before);
        prop_assert_eq!(parsed.chain_key(), key.chain_key());
        prop_assert_eq!(parsed.signing_key(), key.signing_key());
        prop_assert_eq!(parsed.version(), 3);

        let message = record.encrypt(GROUP, &text, &mut rng).unwrap();
        let again = SenderKeyMessage::deserialize(message.serialized()).unwrap();
        prop_assert_eq!(again.serialized(), message.serialized());
        prop_assert_eq!(again.distribution_id(), GROUP);
        prop_assert_eq!(again.chain_id(), key.chain_id());
        prop_assert_eq!(again.iteration() as usize, before);
        prop_assert_eq!(again.ciphertext(), message.ciphertext());
        prop_assert_eq!(again.ciphertext().len(), (text.len() / 16 + 1) * 16);
        prop_assert_eq!(again.version(), 3);
        prop_assert!(again.verify_signature(key.signing_key()));
        for place in [0, 5, message.serialized().len() - 70, message.serialized().len() - 1] {
            let mut altered = message.serialized().to_vec();
            altered[place] ^= 4;
            let altered = SenderKeyMessage::deserialize(&altered);
            prop_assert!(!altered.is_ok_and(|altered| altered.verify_signature(key.signing_key())));
        }
    }
}

#[test]
fn fresh_records_are_as_long_as_deployed_ones() {
    let mut rng = StdRng::seed_from_u64(1);
    let (record, key) = loop {
        let record = SenderKeyRecord::generate(&mut rng);
        let key = record.create_distribution_message(GROUP).unwrap();
        // Of five varint bytes.
        if key.chain_id() >= 1 << 28 {
            break (record, key);
        }
    };
    assert_eq!(record.serialize().len(), 117);
    let mut receiving = SenderKeyRecord::new_fresh();
    receiving.process_distribution_message(&key);
    assert_eq!(receiving.serialize().len(), 83);
}

/// Of several seeds of one message, the oldest is taken first.
#[test]
fn seeds_that_are_stored_twice_are_taken_from_the_front() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut sender = SenderKeyRecord::generate(&mut rng);
    let mut receiver = SenderKeyRecord::new_fresh();
    let key = sender.create_distribution_message(GROUP).unwrap();
    receiver.process_distribution_message(&key);
    let first = sender.encrypt(GROUP, b"first", &mut rng).unwrap();
    let second = sender.encrypt(GROUP, b"second", &mut rng).unwrap();
    receiver.decrypt(&second).unwrap();

    let mut stored = Record::decode(&receiver.serialize()[..]).unwrap();
    let keys = &mut stored.states[0].message_keys;
    let wrong = Numbered {
        iteration: 0,
        seed: vec![1; 32],
    };
    keys.push(wrong.clone());
    keys.push(wrong);
    let mut receiver = SenderKeyRecord::deserialize(&stored.encode_to_vec()).unwrap();
    assert_eq!(receiver.decrypt(&first).unwrap(), b"first");
    stored.states[0].message_keys.remove(0);
    assert_eq!(receiver.serialize()[..], stored.encode_to_vec());
}
