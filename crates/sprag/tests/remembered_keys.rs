//! How long the key of a text is remembered, by a clock that the test sets.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sprag::vault::MemoryVault;
use sprag::{
    Account, Environment, Error, Outgoing, ProtocolAddress, StoreOptions, System, Timestamp,
    backend::MemoryBackend,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn advance(&self, time: Duration) {
        self.0.fetch_add(millis(time), Ordering::Relaxed);
    }

    fn set_back(&self, time: Duration) {
        self.0.fetch_sub(millis(time), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

impl Environment for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        System.seed(seed)
    }
}

struct Sender {
    clock: Clock,
    backend: MemoryBackend,
    /// How many records it had before anything was sent.
    before: usize,
    alice: Account<MemoryBackend>,
    bob: ProtocolAddress,
}

impl Sender {
    async fn new() -> Self {
        let (clock, backend) = (Clock::default(), MemoryBackend::new());
        let store = StoreOptions::new()
            .environment(clock.clone())
            .open(backend.clone(), MemoryVault::new());
        let store = store.await.unwrap();
        let account = async |name| {
            let address = ProtocolAddress::new(name, 1).unwrap();
            Account::create(store.clone(), address).await.unwrap()
        };
        let (alice, bob) = (account("alice").await, account("bob").await);
        let bundle = bob.bundle().await.unwrap();
        alice.start_session(bob.address(), &bundle).await.unwrap();
        let bob = bob.address().clone();
        // From here on the session has all the records that it is kept in.
        let first = alice.send(&bob, b"first").await.unwrap();
        alice.sent(first.id).await.unwrap();
        Self {
            clock,
            before: backend.len(),
            backend,
            alice,
            bob,
        }
    }

    /// Sends under a key, at once acknowledged; gives the bytes.
    async fn send(&self, key: &[u8]) -> Vec<u8> {
        let text = Outgoing::new(b"text").key(key);
        let envelope = self.alice.send(&self.bob, text).await.unwrap();
        self.alice.sent(envelope.id).await.unwrap();
        envelope.bytes.to_vec()
    }

    /// Records that were not there before anything was sent.
    fn kept(&self) -> usize {
        self.backend.len() - self.before
    }
}

#[tokio::test]
async fn a_key_is_remembered_for_a_day_after_it_was_sent() {
    let sender = Sender::new().await;
    let first = sender.send(b"17").await;
    sender.clock.advance(23 * HOUR);
    assert_eq!(sender.send(b"17").await, first);
    sender.clock.advance(2 * HOUR);
    assert_ne!(sender.send(b"17").await, first);
}

#[tokio::test]
async fn an_envelope_that_waits_is_remembered_however_long_it_waits() {
    let sender = Sender::new().await;
    let text = Outgoing::new(b"text").key(b"17");
    let envelope = sender.alice.send(&sender.bob, text).await.unwrap();
    sender.clock.advance(100 * 24 * HOUR);
    let again = sender.alice.send(&sender.bob, text).await.unwrap();
    assert_eq!(again, envelope);
}

#[tokio::test]
async fn nothing_stays_of_forgotten_keys() {
    let sender = Sender::new().await;
    for key in 0..10 {
        sender.send(&[key]).await;
    }
    assert_eq!(sender.kept(), 10);
    sender.clock.advance(25 * HOUR);
    sender.send(b"later").await;
    assert_eq!(sender.kept(), 1);
    sender.send(b"soon after").await;
    assert_eq!(sender.kept(), 2);
}

/// A clock that was wrong for a while forgets nothing too early when it is set back, and keeps nothing for longer than by the
/// clock as it is now.
#[tokio::test]
async fn a_clock_that_is_set_back() {
    let sender = Sender::new().await;
    sender.clock.advance(500 * HOUR);
    let first = sender.send(b"17").await;
    sender.clock.set_back(400 * HOUR);
    assert_eq!(sender.send(b"17").await, first);
    let second = sender.send(b"18").await;
    sender.clock.advance(23 * HOUR);
    assert_eq!(sender.send(b"18").await, second);
    // The sweep that is due after a day of this clock was not put off to the time of the wrong one.
    sender.clock.advance(2 * HOUR);
    sender.send(b"later").await;
    assert_eq!(sender.kept(), 2, "of the wrong time, and the last");
}
