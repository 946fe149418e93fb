//! The hand-made reader and writer against prost's, on recorded states and on damaged ones.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, missing_docs)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{prelude::*, sample::Index};
use prost::Message as _;

use super::*;

/// The stored state as prost sees it, field by field from sheet 05, section 9.
mod oracle {
    use prost::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub struct State {
        #[prost(message, optional, tag = "1")]
        pub negotiation: Option<Negotiation>,
        #[prost(message, optional, tag = "2")]
        pub chain: Option<Chain>,
        #[prost(message, optional, tag = "3")]
        pub braid: Option<Braid>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Negotiation {
        #[prost(bytes, tag = "1")]
        pub auth_key: Vec<u8>,
        #[prost(int32, tag = "2")]
        pub direction: i32,
        #[prost(int32, tag = "3")]
        pub min_version: i32,
        #[prost(message, optional, tag = "4")]
        pub params: Option<Params>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Params {
        #[prost(uint32, tag = "1")]
        pub max_jump: u32,
        #[prost(uint32, tag = "2")]
        pub max_ooo_keys: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Chain {
        #[prost(int32, tag = "1")]
        pub direction: i32,
        #[prost(uint64, tag = "2")]
        pub current_epoch: u64,
        #[prost(message, repeated, tag = "3")]
        pub links: Vec<Link>,
        #[prost(bytes, tag = "4")]
        pub next_root: Vec<u8>,
        #[prost(uint64, tag = "5")]
        pub send_epoch: u64,
        #[prost(message, optional, tag = "6")]
        pub params: Option<Params>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Link {
        #[prost(message, optional, tag = "1")]
        pub send: Option<Ratchet>,
        #[prost(message, optional, tag = "2")]
        pub recv: Option<Ratchet>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Ratchet {
        #[prost(uint32, tag = "1")]
        pub ctr: u32,
        #[prost(bytes, tag = "2")]
        pub next: Vec<u8>,
        #[prost(bytes, tag = "3")]
        pub prev: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Authenticator {
        #[prost(bytes, tag = "1")]
        pub root_key: Vec<u8>,
        #[prost(bytes, tag = "2")]
        pub mac_key: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Encoder {
        #[prost(uint32, tag = "1")]
        pub idx: u32,
        #[prost(bytes, repeated, tag = "2")]
        pub points: Vec<Vec<u8>>,
        #[prost(bytes, repeated, tag = "3")]
        pub coefficients: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Decoder {
        #[prost(uint32, tag = "1")]
        pub elements: u32,
        #[prost(uint32, tag = "2")]
        pub lanes: u32,
        #[prost(bytes, repeated, tag = "3")]
        pub points: Vec<Vec<u8>>,
        #[prost(bool, tag = "4")]
        pub complete: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Braid {
        #[prost(oneof = "Inner", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
        pub inner: Option<Inner>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Inner {
        #[prost(message, tag = "1")]
        K1(Bare),
        #[prost(message, tag = "2")]
        K2(EncoderSecond2),
        #[prost(message, tag = "3")]
        K3(Both1),
        #[prost(message, tag = "4")]
        K4(EncoderSecond2),
        #[prost(message, tag = "5")]
        K5(DecoderThird2),
        #[prost(message, tag = "6")]
        C1(DecoderSecond0),
        #[prost(message, tag = "7")]
        C2(DecoderSecond1),
        #[prost(message, tag = "8")]
        C3(Both3),
        #[prost(message, tag = "9")]
        C4(EncoderSecond3),
        #[prost(message, tag = "10")]
        C5(DecoderSecond3),
        #[prost(message, tag = "11")]
        C6(EncoderSecond0),
    }

    macro_rules! core {
        ($name:ident $(, $part:ident = $tag:literal)*) => {
            #[derive(Clone, PartialEq, Message)]
            pub struct $name {
                #[prost(uint64, tag = "1")]
                pub epoch: u64,
                #[prost(message, optional, tag = "2")]
                pub authenticator: Option<Authenticator>,
                $(#[prost(bytes, tag = $tag)]
                pub $part: Vec<u8>,)*
            }
        };
    }

    core!(Core0);
    core!(Core1, first = "3");
    core!(Core2, first = "3", second = "4");
    core!(Core3, first = "3", second = "4", third = "5");

    macro_rules! alternative {
        ($name:ident, $core:ident $(, $coder:ident: $kind:ident = $tag:literal)*) => {
            #[derive(Clone, PartialEq, Message)]
            pub struct $name {
                #[prost(message, optional, tag = "1")]
                pub core: Option<$core>,
                $(#[prost(message, optional, tag = $tag)]
                pub $coder: Option<$kind>,)*
            }
        };
    }

    alternative!(Bare, Core0);
    alternative!(EncoderSecond0, Core0, encoder: Encoder = "2");
    alternative!(EncoderSecond2, Core2, encoder: Encoder = "2");
    alternative!(EncoderSecond3, Core3, encoder: Encoder = "2");
    alternative!(DecoderSecond0, Core0, decoder: Decoder = "2");
    alternative!(DecoderSecond1, Core1, decoder: Decoder = "2");
    alternative!(DecoderSecond3, Core3, decoder: Decoder = "2");
    alternative!(DecoderThird2, Core2, decoder: Decoder = "3");
    alternative!(Both1, Core1, encoder: Encoder = "2", decoder: Decoder = "3");
    alternative!(Both3, Core3, encoder: Encoder = "2", decoder: Decoder = "3");
}

/// Recorded states, a few of every alternative.
fn recorded() -> Vec<Vec<u8>> {
    let mut found: [usize; 12] = [0; 12];
    let mut states = Vec::new();
    for name in ["smalllimits", "directed", "reordered"] {
        let file = format!(
            "{}/tests/vectors/spqr_transcript_{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let transcript: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for step in transcript["steps"].as_array().unwrap() {
            let Some(stored) = step["state_b64"].as_str() else {
                continue;
            };
            let kind = &mut found[step["v1_state_field"].as_u64().unwrap() as usize];
            *kind += 1;
            if *kind % 4 == 1 {
                states.push(STANDARD.decode(stored).unwrap());
            }
        }
    }
    assert!(found[1..].iter().all(|count| *count > 0), "{found:?}");
    states
}

fn reads(bytes: &[u8]) -> bool {
    StateFields::default().merge(bytes).is_ok()
}

fn reencoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let state = decode(bytes).ok()??;
    let mut out = Vec::new();
    encode(&state, &mut out);
    assert_eq!(out.len(), encoded_len(&state));
    Some(out)
}

#[test]
fn recorded_states_come_back_and_mean_the_same_to_prost() {
    for stored in recorded() {
        assert!(reencoded(&stored).unwrap() == stored);
        let state = oracle::State::decode(&*stored).unwrap();
        assert!(state.encode_to_vec() == stored);
        assert!(state.braid.unwrap().inner.is_some());
    }
}

#[test]
fn unknown_fields_padding_and_order_do_not_matter() {
    // A varint, a fixed64, bytes, a group with a field, a fixed32; all under unknown numbers.
    let unknown = [
        &[0xa0, 0x06, 0x85, 0x00][..],
        &[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xa2, 0x06, 2, 9, 9],
        &[0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06],
        &[0xa5, 0x06, 1, 2, 3, 4],
    ]
    .concat();
    for stored in recorded() {
        let fields = oracle::State::decode(&*stored).unwrap();
        let alone = |negotiation, chain, braid| oracle::State {
            negotiation,
            chain,
            braid,
        };
        let mut moved = unknown.clone();
        moved.extend(alone(None, None, fields.braid).encode_to_vec());
        moved.extend(&unknown);
        moved.extend(alone(None, fields.chain, None).encode_to_vec());
        moved.extend(alone(fields.negotiation, None, None).encode_to_vec());
        assert!(reencoded(&moved).unwrap() == stored);
    }
}

#[test]
fn a_message_given_twice_is_merged_and_of_a_plain_field_the_last_counts() {
    let stored = recorded()
        .into_iter()
        .find(|stored| decode(stored).unwrap().unwrap().chain.is_some())
        .unwrap();
    let mut state = oracle::State::decode(&*stored).unwrap();
    let chain = state.chain.as_mut().unwrap();
    let root = oracle::Chain {
        next_root: chain.next_root.clone(),
        ..oracle::Chain::default()
    };
    chain.next_root[0] ^= 1;
    let mut merged = state.encode_to_vec();
    merged.extend(
        oracle::State {
            chain: Some(root),
            ..oracle::State::default()
        }
        .encode_to_vec(),
    );
    assert!(reencoded(&merged).unwrap() == stored);
    assert!(oracle::State::decode(&*merged).unwrap().encode_to_vec() == stored);
}

#[test]
fn one_alternative_given_in_parts_is_merged() {
    let stored = recorded()
        .into_iter()
        .find(|stored| number_of(&decode(stored).unwrap().unwrap()) == 3)
        .unwrap();
    let whole = oracle::State::decode(&*stored).unwrap();
    let Some(oracle::Braid {
        inner: Some(oracle::Inner::K3(alternative)),
    }) = whole.braid.clone()
    else {
        panic!("the alternative of the field number");
    };
    let with = |core, encoder, decoder| {
        let inner = oracle::Inner::K3(oracle::Both1 {
            core,
            encoder,
            decoder,
        });
        oracle::State {
            braid: Some(oracle::Braid { inner: Some(inner) }),
            ..oracle::State::default()
        }
        .encode_to_vec()
    };
    let mut parts = oracle::State {
        braid: None,
        ..whole
    }
    .encode_to_vec();
    parts.extend(with(None, None, alternative.decoder));
    parts.extend(with(alternative.core, None, None));
    parts.extend(with(None, alternative.encoder, None));
    assert!(reencoded(&parts).unwrap() == stored);
    assert!(oracle::State::decode(&*parts).unwrap().encode_to_vec() == stored);
}

#[test]
fn of_two_alternatives_the_last_counts() {
    let states = recorded();
    let braid = |stored: &[u8]| {
        let braid = oracle::State::decode(stored).unwrap().braid;
        oracle::State {
            braid,
            ..oracle::State::default()
        }
        .encode_to_vec()
    };
    let (first, last) = (braid(&states[0]), braid(states.last().unwrap()));
    let both = [&*first, &*last].concat();
    assert!(oracle::State::decode(&*both).unwrap().encode_to_vec() == last);
    assert!(reencoded(&both).unwrap() == last);
}

#[test]
fn what_is_missing_or_of_the_wrong_length_is_refused() {
    type Damage = fn(&mut oracle::State);
    let damages: [Damage; 13] = [
        |state| state.negotiation.as_mut().unwrap().params = None,
        |state| state.negotiation.as_mut().unwrap().min_version = 2,
        |state| state.negotiation.as_mut().unwrap().direction = -1,
        |state| state.negotiation.as_mut().unwrap().auth_key.truncate(31),
        |state| state.chain.as_mut().unwrap().params = None,
        |state| state.chain.as_mut().unwrap().direction = 2,
        |state| state.chain.as_mut().unwrap().next_root.clear(),
        |state| state.chain.as_mut().unwrap().links[0].send = None,
        |state| state.chain.as_mut().unwrap().links[0].recv = None,
        |state| {
            let recv = &mut state.chain.as_mut().unwrap().links[0].recv;
            recv.as_mut().unwrap().next.push(0);
        },
        |state| {
            let recv = &mut state.chain.as_mut().unwrap().links[0].recv;
            recv.as_mut().unwrap().prev.push(0);
        },
        |state| state.braid.as_mut().unwrap().inner = None,
        |state| {
            if let Some(oracle::Inner::K2(alternative)) = &mut state.braid.as_mut().unwrap().inner {
                alternative.core.as_mut().unwrap().first[5] ^= 1;
            }
        },
    ];
    let stored = recorded()
        .into_iter()
        .find(|stored| {
            let state = decode(stored).unwrap().unwrap();
            state.negotiation.is_some() && state.chain.is_some() && number_of(&state) == 2
        })
        .unwrap();
    for (position, damage) in damages.into_iter().enumerate() {
        let mut state = oracle::State::decode(&*stored).unwrap();
        damage(&mut state);
        let decoded = decode(&state.encode_to_vec());
        assert!(matches!(decoded, Err(Error::StateDecode(_))), "{position}");
    }
}

fn number_of(state: &Active) -> u32 {
    phase_number(&state.braid.phase)
}

/// A way to damage bytes.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<Vec<u8>>()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => any::<Index>().prop_map(Damage::Remove),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let place = |at: &Index| at.index(bytes.len());
    match damage {
        Damage::Set(at, byte) => {
            let at = place(at);
            bytes[at] = *byte;
        }
        Damage::Cut(at) => bytes.truncate(place(at)),
        Damage::Insert(at, new) => {
            let at = place(at);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Remove(at) => {
            bytes.remove(place(at));
        }
    }
}

#[test]
fn damaged_states_are_read_exactly_when_prost_reads_them() {
    let states = recorded();
    let damages = proptest::collection::vec(damage(), 1..4);
    proptest!(ProptestConfig::with_cases(512), |(which: Index, damages in damages)| {
        let mut stored = which.get(&states).clone();
        for damage in &damages {
            apply(&mut stored, damage);
        }
        prop_assert_eq!(reads(&stored), oracle::State::decode(&*stored).is_ok());
        if let Some(canonical) = reencoded(&stored) {
            prop_assert_eq!(reencoded(&canonical), Some(canonical));
        }
    });
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_exactly_when_prost_reads_them(bytes: Vec<u8>) {
        prop_assert_eq!(reads(&bytes), oracle::State::decode(&*bytes).is_ok());
        decode(&bytes).ok();
    }
}
