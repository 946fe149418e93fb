//! Whatever the network does, every message that arrives is read once, and a step that fails changes
//! nothing.

#![allow(clippy::unwrap_used, clippy::panic)]

mod pair;

use pair::{Peer, pair};
use proptest::prelude::*;
use sprag_core::{ProtocolError, curve::PublicKey, message::CiphertextMessage};

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody sends some messages.
    Send { from_alice: bool, count: usize },
    /// One of the messages under way to somebody arrives.
    Deliver { to_alice: bool, which: usize },
    /// A message that arrived before arrives again.
    Repeat { to_alice: bool, which: usize },
    /// A message under way is lost.
    Drop { to_alice: bool, which: usize },
    /// Somebody alters a message under way; it does not arrive otherwise.
    Alter {
        to_alice: bool,
        which: usize,
        byte: usize,
        bits: u8,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (any::<bool>(), 1..4usize)
            .prop_map(|(from_alice, count)| Event::Send { from_alice, count }),
        6 => (any::<bool>(), any::<usize>())
            .prop_map(|(to_alice, which)| Event::Deliver { to_alice, which }),
        1 => (any::<bool>(), any::<usize>())
            .prop_map(|(to_alice, which)| Event::Repeat { to_alice, which }),
        1 => (any::<bool>(), any::<usize>())
            .prop_map(|(to_alice, which)| Event::Drop { to_alice, which }),
        1 => (any::<bool>(), any::<usize>(), any::<usize>(), 1..=255u8)
            .prop_map(|(to_alice, which, byte, bits)| Event::Alter { to_alice, which, byte, bits }),
    ]
}

/// Messages to one peer.
#[derive(Default)]
struct Mailbox {
    under_way: Vec<(Vec<u8>, CiphertextMessage)>,
    arrived: Vec<CiphertextMessage>,
    /// Ratchet keys in the order in which they arrived.
    chains: Vec<PublicKey>,
}

impl Mailbox {
    /// A session keeps the five newest chains; a message on an older one is lost.
    fn is_forgotten(&self, message: &CiphertextMessage) -> bool {
        let newer = self
            .chains
            .iter()
            .rev()
            .take_while(|key| *key != ratchet_key(message))
            .count();
        newer >= 5 && newer < self.chains.len()
    }

    fn note_arrival(&mut self, message: CiphertextMessage) {
        if !self.chains.contains(ratchet_key(&message)) {
            self.chains.push(*ratchet_key(&message));
        }
        self.arrived.push(message);
    }
}

fn ratchet_key(message: &CiphertextMessage) -> &PublicKey {
    match message {
        CiphertextMessage::Signal(message) => message.ratchet_key(),
        CiphertextMessage::PreKey(message) => message.message().ratchet_key(),
        _ => unreachable!("sessions make no other messages"),
    }
}

fn send(from: &mut Peer, to: &mut Mailbox, number: &mut u32) -> Result<(), TestCaseError> {
    let plaintext = format!("message {number}").into_bytes();
    *number += 1;
    match from.encrypt(&plaintext) {
        Ok(message) => to.under_way.push((plaintext, message)),
        // The recipient has not heard from its peer yet.
        Err(ProtocolError::SessionNotFound(_)) => prop_assert!(!from.session.has_current_state()),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    }
    Ok(())
}

fn refused(to: &mut Peer, message: &CiphertextMessage) -> Result<ProtocolError, TestCaseError> {
    let before = to.session.serialize();
    let Err(error) = to.decrypt(message) else {
        return Err(TestCaseError::fail(
            "a message was accepted that must not be",
        ));
    };
    prop_assert_eq!(
        to.session.serialize(),
        before,
        "a failed step changed the record"
    );
    Ok(error)
}

fn alter(message: &CiphertextMessage, byte: usize, bits: u8) -> Option<CiphertextMessage> {
    let mut bytes = message.serialized().to_vec();
    let byte = byte % bytes.len();
    bytes[byte] ^= bits;
    CiphertextMessage::deserialize(message.message_type(), &bytes).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_message_is_read_once(seed: u64, events in prop::collection::vec(event(), 1..250)) {
        let (mut alice, mut bob) = pair(seed);
        let (mut to_alice, mut to_bob) = (Mailbox::default(), Mailbox::default());
        let mut number = 0;
        for event in events {
            let (Event::Send { from_alice: side, .. }
            | Event::Deliver { to_alice: side, .. }
            | Event::Repeat { to_alice: side, .. }
            | Event::Drop { to_alice: side, .. }
            | Event::Alter { to_alice: side, .. }) = event;
            let (peer, inbox, outbox) = if side {
                (&mut alice, &mut to_alice, &mut to_bob)
            } else {
                (&mut bob, &mut to_bob, &mut to_alice)
            };
            match event {
                Event::Send { count, .. } => {
                    for _ in 0..count {
                        send(peer, outbox, &mut number)?;
                    }
                }
                Event::Deliver { which, .. } if !inbox.under_way.is_empty() => {
                    let which = which % inbox.under_way.len();
                    let (plaintext, message) = inbox.under_way.remove(which);
                    if inbox.is_forgotten(&message) {
                        refused(peer, &message)?;
                        continue;
                    }
                    let read = peer.decrypt(&message);
                    prop_assert_eq!(read.as_ref(), Ok(&plaintext));
                    inbox.note_arrival(message);
                }
                Event::Repeat { which, .. } if !inbox.arrived.is_empty() => {
                    let message = &inbox.arrived[which % inbox.arrived.len()];
                    let error = refused(peer, message)?;
                    // Its chain may be gone by now.
                    let expected = matches!(
                        error,
                        ProtocolError::DuplicatedMessage { .. } | ProtocolError::InvalidMessage { .. }
                    );
                    prop_assert!(expected, "{error}");
                }
                Event::Drop { which, .. } if !inbox.under_way.is_empty() => {
                    inbox.under_way.remove(which % inbox.under_way.len());
                }
                Event::Alter { which, byte, bits, .. } if !inbox.under_way.is_empty() => {
                    let which = which % inbox.under_way.len();
                    let (plaintext, message) = &inbox.under_way[which];
                    let before = peer.session.serialize();
                    match alter(message, byte, bits).map(|altered| peer.decrypt(&altered)) {
                        // The registration id and the low bits of the version are not authenticated.
                        Some(Ok(read)) => {
                            prop_assert_eq!(&read, plaintext);
                            let (_, message) = inbox.under_way.remove(which);
                            inbox.note_arrival(message);
                        }
                        _ => prop_assert_eq!(peer.session.serialize(), before),
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_long_alternating_conversation_passes_many_epochs() {
    let (mut alice, mut bob) = pair(1);
    for round in 0..300_u32 {
        let message = alice.encrypt(&round.to_be_bytes()).unwrap();
        assert_eq!(bob.decrypt(&message).unwrap(), round.to_be_bytes());
        let message = bob.encrypt(&round.to_be_bytes()).unwrap();
        assert_eq!(alice.decrypt(&message).unwrap(), round.to_be_bytes());
    }
}

#[test]
fn records_stored_between_all_steps_go_on() {
    let (mut alice, mut bob) = pair(2);
    for round in 0..200_u32 {
        for (from, to) in [(0, 1), (1, 0)] {
            let peers = [&mut alice, &mut bob];
            let message = peers[from].encrypt(&round.to_be_bytes()).unwrap();
            assert_eq!(peers[to].decrypt(&message).unwrap(), round.to_be_bytes());
            for peer in peers {
                let bytes = peer.session.serialize();
                peer.session = sprag_core::session::SessionRecord::deserialize(&bytes).unwrap();
                assert_eq!(peer.session.serialize(), bytes);
            }
        }
    }
}
