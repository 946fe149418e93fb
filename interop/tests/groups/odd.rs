//! Records that no implementation writes.

use prost::Message;
use sprag_core::curve::KeyPair;

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

fn sound() -> State {
    let pair = KeyPair::generate(&mut rand::rng());
    State {
        chain_id: 5,
        chain_key: Some(key(1, 32)),
        signing_key: Some(SigningKey {
            public: pair.public_key.serialize().to_vec(),
            private: pair.private_key.serialize().to_vec(),
        }),
        message_keys: vec![key(0, 32)],
        message_version: 3,
    }
}

fn key(iteration: u32, length: usize) -> Numbered {
    let seed = vec![7; length];
    Numbered { iteration, seed }
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    let changes: &[fn(&mut State)] = &[
        |_| {},
        |state| state.chain_id = 0,
        |state| state.chain_id = u32::MAX,
        |state| state.chain_key = None,
        |state| state.chain_key = Some(key(0, 0)),
        |state| state.chain_key = Some(key(1, 1)),
        |state| state.chain_key = Some(key(1, 31)),
        |state| state.chain_key = Some(key(1, 40)),
        |state| state.chain_key = Some(key(1, 100)),
        |state| state.chain_key = Some(key(u32::MAX, 32)),
        |state| state.chain_key = Some(key(u32::MAX - 1, 32)),
        |state| state.signing_key = None,
        |state| signing(state).public.clear(),
        |state| signing(state).public.push(9),
        |state| signing(state).public.truncate(32),
        |state| signing(state).public[0] = 6,
        |state| signing(state).private.clear(),
        |state| signing(state).private.push(9),
        |state| signing(state).private[0] |= 7,
        |state| state.message_keys = vec![key(0, 0), key(0, 5), key(9, 33)],
        |state| state.message_version = 0,
        |state| state.message_version = 4,
        |state| state.message_version = 16,
        |state| state.message_version = 255,
        |state| state.message_version = 256,
    ];
    let mut records = vec![Record::default()];
    for change in changes {
        let mut state = sound();
        change(&mut state);
        // Another state behind it is not looked at when sending.
        let states = vec![state, sound()];
        records.push(Record { states });
    }
    let seven = (0..7).map(|chain_id| State {
        chain_id,
        ..sound()
    });
    records.push(Record {
        states: seven.collect(),
    });
    records.iter().map(Message::encode_to_vec).collect()
}

fn signing(state: &mut State) -> &mut SigningKey {
    state.signing_key.get_or_insert_default()
}
