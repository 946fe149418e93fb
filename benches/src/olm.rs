//! The same by vodozemac: Olm, that is X3DH without signed pre-keys and the Double Ratchet, with no
//! post-quantum parts. Its sessions are kept as they are, without any store.

use std::{hint::black_box, mem};

use vodozemac::{
    Curve25519PublicKey,
    olm::{Account, OlmMessage, Session, SessionConfig},
};

use crate::{
    contest::{Runner, in_batches, timed},
    conversation::PLAINTEXT,
};

const ROUNDS: u64 = 200;

/// Messages one way before the next batch.
const STREAM: u64 = 100;

/// Make a session and encrypt the first message.
pub fn initiate() -> Runner {
    let alice = Account::new();
    let mut bob = Account::new();
    let one_time_key = one_time_key(&mut bob);
    Box::new(move |times| {
        in_batches(times, 1, |_| {
            timed(|| {
                let mut session = start(&alice, &bob, one_time_key);
                black_box(send(&mut session));
            })
        })
    })
}

/// Make a session from the first message and decrypt it.
pub fn accept() -> Runner {
    let alice = Account::new();
    let mut bob = Account::new();
    Box::new(move |times| {
        in_batches(times, 1, |_| {
            let one_time_key = one_time_key(&mut bob);
            let first = send(&mut start(&alice, &bob, one_time_key));
            timed(|| {
                black_box(answer(&mut bob, &alice, &first));
            })
        })
    })
}

/// Encrypt one message after the other.
pub fn encrypt() -> Runner {
    let mut pair = Pair::settled();
    Box::new(move |times| {
        in_batches(times, STREAM, |count| {
            pair.settle_chain();
            timed(|| {
                for _ in 0..count {
                    black_box(send(&mut pair.alice));
                }
            })
        })
    })
}

/// Decrypt one message after the other.
pub fn decrypt() -> Runner {
    let mut pair = Pair::settled();
    Box::new(move |times| {
        in_batches(times, STREAM, |count| {
            pair.settle_chain();
            let messages: Vec<_> = (0..count).map(|_| send(&mut pair.alice)).collect();
            timed(|| {
                for message in &messages {
                    black_box(receive(&mut pair.bob, message));
                }
            })
        })
    })
}

/// One message, encrypted here and decrypted there, of which each answers the one before.
pub fn ping_pong() -> Runner {
    let mut pair = Pair::settled();
    Box::new(move |times| {
        timed(|| {
            for _ in 0..times {
                pair.one_way();
                mem::swap(&mut pair.alice, &mut pair.bob);
            }
        })
    })
}

struct Pair {
    alice: Session,
    bob: Session,
}

impl Pair {
    fn settled() -> Self {
        let alice = Account::new();
        let mut bob = Account::new();
        let one_time_key = one_time_key(&mut bob);
        let mut session = start(&alice, &bob, one_time_key);
        let first = send(&mut session);
        let answering = answer(&mut bob, &alice, &first);
        let mut pair = Self {
            alice: session,
            bob: answering,
        };
        (0..ROUNDS).for_each(|_| pair.round());
        pair
    }

    /// Alice's next messages are on a chain that both know.
    fn settle_chain(&mut self) {
        self.round();
        self.one_way();
    }

    fn round(&mut self) {
        self.one_way();
        let message = send(&mut self.bob);
        receive(&mut self.alice, &message);
    }

    fn one_way(&mut self) {
        let message = send(&mut self.alice);
        receive(&mut self.bob, &message);
    }
}

fn one_time_key(account: &mut Account) -> Curve25519PublicKey {
    account.generate_one_time_keys(1);
    let key = account.one_time_keys().into_values().next().unwrap();
    account.mark_keys_as_published();
    key
}

fn start(account: &Account, peer: &Account, one_time_key: Curve25519PublicKey) -> Session {
    let config = SessionConfig::version_1();
    account
        .create_outbound_session(config, peer.curve25519_key(), one_time_key)
        .unwrap()
}

fn answer(account: &mut Account, peer: &Account, first: &(usize, Vec<u8>)) -> Session {
    let OlmMessage::PreKey(message) = OlmMessage::from_parts(first.0, &first.1).unwrap() else {
        panic!("the first message brings keys")
    };
    let config = SessionConfig::version_1();
    let created = account
        .create_inbound_session(config, peer.curve25519_key(), &message)
        .unwrap();
    assert_eq!(created.plaintext, PLAINTEXT);
    created.session
}

/// Encrypts; type and bytes.
fn send(session: &mut Session) -> (usize, Vec<u8>) {
    session.encrypt(PLAINTEXT).unwrap().to_parts()
}

/// Parses and decrypts.
fn receive(session: &mut Session, message: &(usize, Vec<u8>)) -> Vec<u8> {
    let message = OlmMessage::from_parts(message.0, &message.1).unwrap();
    session.decrypt(&message).unwrap()
}
