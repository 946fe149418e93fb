//! What must hold of the post-quantum ratchet whatever happens to messages and stored states.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*, sample::Index};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use sprag_core::spqr::{ChainParams, Direction, Error, State, Version};

/// A message and the key it was sent with.
type Letter = (Vec<u8>, Option<[u8; 32]>);

/// Two parties and what is under way between them.
struct Pair {
    states: [State; 2],
    /// To each of them, oldest first.
    under_way: [VecDeque<Letter>; 2],
    rng: StdRng,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// Party sends.
    Send(usize),
    /// One of the messages to the party arrives, and a copy of it once more.
    Arrive(usize, Index),
    /// The oldest message to the party arrives.
    ArriveOldest(usize),
    /// One of the messages to the party is lost.
    Lose(usize, Index),
    /// Something arrives that nobody sent.
    Forge(usize, Vec<u8>),
    /// The state of the party is stored and read again.
    Store(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let party = || 0..2usize;
    prop_oneof![
        16 => party().prop_map(Event::Send),
        12 => party().prop_map(Event::ArriveOldest),
        2 => (party(), any::<Index>()).prop_map(|(party, index)| Event::Arrive(party, index)),
        2 => (party(), any::<Index>()).prop_map(|(party, index)| Event::Lose(party, index)),
        1 => (party(), message()).prop_map(|(party, message)| Event::Forge(party, message)),
        1 => party().prop_map(Event::Store),
    ]
}

/// Messages that are at least nearly well-formed.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let near = (0..3u8, 0..8u8, 0..60u8, 0..8u8, vec(any::<u8>(), 0..40)).prop_map(
        |(version, epoch, index, kind, mut rest)| {
            let mut message = vec![version, epoch, index, kind];
            message.append(&mut rest);
            message
        },
    );
    prop_oneof![near, any::<Vec<u8>>()]
}

impl Pair {
    fn new(params: ChainParams) -> Self {
        let start =
            |direction| State::initial(direction, Version::V1, Version::V1, &[9; 32], params);
        Self {
            states: [start(Direction::AliceToBob), start(Direction::BobToAlice)],
            under_way: Default::default(),
            rng: StdRng::seed_from_u64(3),
        }
    }

    fn send(&mut self, party: usize) {
        let sent = self.states[party].send(&mut self.rng).unwrap();
        let key = sent.key.map(|key| *key.as_bytes());
        self.under_way[1 - party].push_back((sent.message, key));
    }

    /// Receives, and checks that the key is the sender's and given once. Keys of messages that
    /// came too late for their epoch may be gone.
    fn arrive(&mut self, party: usize, at: usize) -> bool {
        let (message, key) = self.under_way[party].remove(at).unwrap();
        let before = self.states[party].encode();
        match self.states[party].recv(&message) {
            Ok(received) => {
                assert_eq!(received.map(|key| *key.as_bytes()), key);
                let after = self.states[party].encode();
                let again = self.states[party].recv(&message).unwrap_err();
                assert!(matches!(
                    again,
                    Error::KeyAlreadyRequested(_) | Error::KeyTrimmed(_)
                ));
                assert!(self.states[party].encode() == after);
                true
            }
            Err(error) => {
                assert!(
                    matches!(error, Error::EpochOutOfRange(_) | Error::KeyTrimmed(_)),
                    "{error}"
                );
                assert!(self.states[party].encode() == before);
                false
            }
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Send(party) => self.send(*party),
            Event::ArriveOldest(party) => {
                if !self.under_way[*party].is_empty() {
                    self.arrive(*party, 0);
                }
            }
            Event::Arrive(party, index) => {
                if !self.under_way[*party].is_empty() {
                    let at = index.index(self.under_way[*party].len());
                    self.arrive(*party, at);
                }
            }
            Event::Lose(party, index) => {
                if !self.under_way[*party].is_empty() {
                    let at = index.index(self.under_way[*party].len());
                    self.under_way[*party].remove(at);
                }
            }
            Event::Forge(party, message) => {
                // The session would authenticate the message and drop the copy.
                let mut copy = self.states[*party].clone();
                let before = self.states[*party].encode();
                if copy.recv(message).is_err() {
                    assert!(copy.encode() == before);
                }
                assert!(self.states[*party].encode() == before);
            }
            Event::Store(party) => {
                let stored = self.states[*party].encode();
                assert_eq!(stored.len(), self.states[*party].encoded_len());
                self.states[*party] = State::decode(&stored).unwrap();
                assert!(self.states[*party].encode() == stored);
            }
        }
    }
}

/// Recorded states of all kinds.
fn recorded() -> Vec<Vec<u8>> {
    let mut states = Vec::new();
    for name in ["directed", "smalllimits"] {
        let path = format!(
            "{}/tests/vectors/spqr_transcript_{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let transcript: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let steps = transcript["steps"].as_array().unwrap();
        let stored = steps.iter().filter_map(|step| step["state_b64"].as_str());
        states.extend(stored.map(|stored| STANDARD.decode(stored).unwrap()));
    }
    states
}

/// Whatever happens, both sides have the same keys, no key is given twice, and a step that fails
/// changes nothing. Whatever happened, alternation leads on through the epochs.
#[test]
fn any_schedule_gives_both_sides_the_same_keys() {
    let events = vec(event(), 0..400);
    let params = prop_oneof![
        Just(ChainParams::default()),
        Just(ChainParams::new(1_000, 5))
    ];
    proptest!(ProptestConfig::with_cases(48), |(events in events, params in params)| {
        let mut pair = Pair::new(params);
        for event in &events {
            pair.happen(event);
        }
        // What is still under way is lost. The braid starts each part over as often as needed.
        let mut epochs = 0;
        for _ in 0..120 {
            for party in 0..2 {
                pair.under_way = Default::default();
                let before = pair.states[1 - party].phase();
                pair.send(party);
                prop_assert!(pair.arrive(1 - party, 0));
                if before == Some(11) && pair.states[1 - party].phase() == Some(1) {
                    epochs += 1;
                }
            }
        }
        prop_assert!(epochs >= 1, "the agreement is stuck");
    });
}

#[test]
fn alternation_needs_43_rounds_for_an_epoch() {
    let mut pair = Pair::new(ChainParams::default());
    let mut epochs = Vec::new();
    for round in 1..=43 * 4 + 1 {
        for party in 0..2 {
            let before = pair.states[1 - party].phase();
            pair.send(party);
            assert!(pair.arrive(1 - party, 0));
            if before == Some(11) && pair.states[1 - party].phase() == Some(1) {
                epochs.push(round);
            }
        }
    }
    // The message after round 43 tells the encapsulator. Whoever sends first in a round gets the
    // next one under way a message earlier or later.
    assert_eq!(epochs, [44, 87, 131]);
}

/// Index 0 says that a message has no key only in epoch 1.
#[test]
fn index_zero_is_no_key_of_a_later_epoch() {
    let mut pair = Pair::new(ChainParams::default());
    let no_key = |epoch| [1, epoch, 0, 0];
    for _ in 0..44 {
        for party in 0..2 {
            pair.send(party);
            pair.arrive(1 - party, 0);
        }
    }
    for state in &mut pair.states {
        assert!(state.recv(&no_key(1)).unwrap().is_none());
        let refused = state.recv(&no_key(2)).map(drop);
        assert_eq!(refused, Err(Error::KeyAlreadyRequested(0)));
    }
}

#[test]
fn a_copy_goes_on_by_itself() {
    let mut pair = Pair::new(ChainParams::default());
    for _ in 0..60 {
        for party in 0..2 {
            pair.send(party);
            let copies = pair.states.clone();
            let stored = copies.each_ref().map(State::encode);
            assert!(pair.arrive(1 - party, 0));
            assert!(copies.each_ref().map(State::encode) == stored);
            assert!(pair.states[1 - party].encode() != stored[1 - party]);
        }
    }
}

/// A damaged state is refused, or goes on to fail or work, but never panics and never changes in a
/// step that fails.
#[test]
fn damaged_states_do_no_harm() {
    let states = recorded();
    let damages = vec((any::<Index>(), any::<u8>()), 0..4);
    let messages = vec(message(), 1..4);
    proptest!(ProptestConfig::with_cases(256), |(
        which: Index, damages in damages, messages in messages
    )| {
        let mut stored = which.get(&states).clone();
        for (at, byte) in &damages {
            let at = at.index(stored.len());
            stored[at] = *byte;
        }
        let Ok(mut state) = State::decode(&stored) else {
            return Ok(());
        };
        let mut rng = StdRng::seed_from_u64(5);
        for message in &messages {
            let before = state.encode();
            if state.recv(message).is_err() {
                prop_assert!(state.encode() == before);
            }
            let before = state.encode();
            if state.send(&mut rng).is_err() {
                prop_assert!(state.encode() == before);
            }
        }
    });
}

proptest! {
    #[test]
    fn arbitrary_states_do_no_harm(stored: Vec<u8>) {
        if let Ok(state) = State::decode(&stored) {
            let again = State::decode(&state.encode()).unwrap();
            prop_assert_eq!(again.encode(), state.encode());
        }
    }
}

#[test]
fn debug_output_holds_no_secrets() {
    let mut pair = Pair::new(ChainParams::default());
    let sent = pair.states[0].send(&mut pair.rng).unwrap();
    assert_eq!(
        format!("{:?}", pair.states[0]),
        "State { epoch: 1, phase: 2, .. }"
    );
    assert_eq!(format!("{:?}", sent.key), "Some(MessageKey(..))");
}
