//! Whatever the network does, a member of a group reads every message that arrives from the time on at
//! which it got the sender's key, once; and a step that fails changes nothing.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use sprag_core::{
    ProtocolError,
    message::{SenderKeyDistributionMessage, SenderKeyMessage},
    sender_key::SenderKeyRecord,
};
use uuid::Uuid;

const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);

/// How many chains a record keeps.
const MAX_CHAINS: usize = 5;

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// The sender sends some messages to all.
    Send(usize),
    /// The sender starts a new key.
    Renew,
    /// A member gets the key as it is now, or one that was handed out before.
    HandOut {
        to: usize,
        again: Option<prop::sample::Index>,
    },
    /// A message arrives at a member, for the first time or not. One that never does is lost.
    Deliver {
        to: usize,
        which: prop::sample::Index,
    },
    /// A message arrives altered.
    Alter {
        to: usize,
        which: prop::sample::Index,
        byte: prop::sample::Index,
        bits: u8,
    },
    /// A record is stored and loaded: the sender's, or a member's.
    Reload(Option<usize>),
}

const MEMBERS: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        4 => (1..6_usize).prop_map(Event::Send),
        1 => Just(Event::Renew),
        2 => (0..MEMBERS, prop::option::weighted(0.3, index()))
            .prop_map(|(to, again)| Event::HandOut { to, again }),
        12 => (0..MEMBERS, index()).prop_map(|(to, which)| Event::Deliver { to, which }),
        1 => (0..MEMBERS, index(), index(), 1..=255_u8)
            .prop_map(|(to, which, byte, bits)| Event::Alter { to, which, byte, bits }),
        1 => prop::option::of(0..MEMBERS).prop_map(Event::Reload),
    ]
}

/// A member, and what it should know.
#[derive(Default)]
struct Member {
    record: SenderKeyRecord,
    /// Newest first.
    chains: Vec<Chain>,
}

struct Chain {
    id: u32,
    /// The first message that can be read.
    from: u32,
    read: BTreeSet<u32>,
}

impl Member {
    fn take(&mut self, key: &SenderKeyDistributionMessage) {
        self.record.process_distribution_message(key);
        let known = self
            .chains
            .iter()
            .position(|chain| chain.id == key.chain_id());
        let chain = match known {
            Some(position) => self.chains.remove(position),
            None => Chain {
                id: key.chain_id(),
                from: key.iteration(),
                read: BTreeSet::new(),
            },
        };
        self.chains.insert(0, chain);
        self.chains.truncate(MAX_CHAINS);
    }

    fn expected(
        &mut self,
        message: &SenderKeyMessage,
        text: &[u8],
    ) -> Result<Vec<u8>, ProtocolError> {
        let chain = self.chains.iter_mut();
        let Some(chain) = chain
            .into_iter()
            .find(|chain| chain.id == message.chain_id())
        else {
            return Err(ProtocolError::NoSenderKey(GROUP));
        };
        let counter = message.iteration();
        let next = chain.read.last().map_or(chain.from, |last| last + 1);
        if counter < chain.from || !chain.read.insert(counter) {
            return Err(ProtocolError::DuplicatedMessage {
                chain_index: next,
                counter,
            });
        }
        Ok(text.to_vec())
    }

    fn deliver(&mut self, message: &SenderKeyMessage, text: &[u8]) -> Result<(), TestCaseError> {
        let before = self.record.serialize();
        let read = self.record.decrypt(message);
        if read.is_err() {
            prop_assert_eq!(
                self.record.serialize(),
                before,
                "a failed step changed the record"
            );
        }
        prop_assert_eq!(read, self.expected(message, text));
        Ok(())
    }
}

fn reload(record: &mut SenderKeyRecord) {
    let bytes = record.serialize();
    *record = SenderKeyRecord::deserialize(&bytes).unwrap();
    assert_eq!(record.serialize(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_message_is_read_once(seed: u64, events in prop::collection::vec(event(), 1..150)) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sender = SenderKeyRecord::generate(&mut rng);
        let mut members: [Member; MEMBERS] = Default::default();
        let mut sent: Vec<(SenderKeyMessage, Vec<u8>)> = Vec::new();
        let mut handed_out: Vec<SenderKeyDistributionMessage> = Vec::new();
        for event in events {
            match event {
                Event::Send(count) => for _ in 0..count {
                    let text = format!("message {}", sent.len()).into_bytes();
                    sent.push((sender.encrypt(GROUP, &text, &mut rng).unwrap(), text));
                },
                Event::Renew => sender = SenderKeyRecord::generate(&mut rng),
                Event::HandOut { to, again } => {
                    match again {
                        Some(which) if !handed_out.is_empty() => members[to].take(which.get(&handed_out)),
                        _ => {
                            let key = sender.create_distribution_message(GROUP).unwrap();
                            members[to].take(&key);
                            handed_out.push(key);
                        }
                    }
                }
                Event::Deliver { to, which } if !sent.is_empty() => {
                    let (message, text) = which.get(&sent);
                    members[to].deliver(message, text)?;
                }
                Event::Alter { to, which, byte, bits } if !sent.is_empty() => {
                    let mut bytes = which.get(&sent).0.serialized().to_vec();
                    *byte.get_mut(&mut bytes) ^= bits;
                    let record = &mut members[to].record;
                    let before = record.serialize();
                    let read = SenderKeyMessage::deserialize(&bytes);
                    let read = read.and_then(|message| record.decrypt(&message));
                    prop_assert!(read.is_err(), "an altered message was read");
                    prop_assert_eq!(record.serialize(), before);
                }
                Event::Reload(None) => reload(&mut sender),
                Event::Reload(Some(member)) => reload(&mut members[member].record),
                _ => {}
            }
        }
    }
}
