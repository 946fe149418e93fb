//! Accounts to try.

use std::sync::Arc;

use crate::vault;
use sprag::{Account, Delivery, DurableStore, Envelope, Error, ProtocolAddress, backend::Backend};

use crate::backend::{FaultyBackend, Fixture};

pub(super) type AnyBackend = Arc<dyn Backend>;
pub(super) type Party<B = AnyBackend> = Account<B>;

pub(super) fn address(name: &str) -> ProtocolAddress {
    ProtocolAddress::new(name, 1).expect("1 is a device id")
}

pub(super) async fn store<B: Backend>(backend: B) -> DurableStore<B> {
    sound(
        DurableStore::open(backend, vault::shared()).await,
        "opening the store",
    )
}

/// The account of `name` over the first handle of a fixture, made if there is none.
pub(super) async fn party(fixture: &Fixture, name: &str) -> Party {
    party_over(store(fixture.backend().clone()).await, name).await
}

pub(super) async fn party_over<B: Backend>(store: DurableStore<B>, name: &str) -> Party<B> {
    sound(
        Account::open_or_create(store, address(name)).await,
        "opening an account",
    )
}

/// The outcome of a step that has no reason to fail.
#[allow(clippy::panic, reason = "this is how a contract reports")]
pub(super) fn sound<T>(outcome: Result<T, Error>, step: &str) -> T {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => panic!("{step} fails: {} ({error})", error.code()),
    }
}

pub(super) fn code<T>(outcome: Result<T, Error>) -> &'static str {
    outcome.err().map_or("no error", |error| error.code())
}

pub(super) async fn start<A: Backend, B: Backend>(from: &Account<A>, to: &Account<B>) {
    let bundle = sound(to.bundle().await, "making a bundle");
    let started = from.start_session(to.address(), &bundle).await;
    sound(started, "starting a session");
}

pub(super) async fn send<A: Backend, B: Backend>(
    from: &Account<A>,
    to: &Account<B>,
    plaintext: &[u8],
) -> Envelope {
    let envelope = sound(from.send(to.address(), plaintext).await, "sending");
    assert_eq!(envelope.recipient, to.address().into());
    envelope
}

pub(super) async fn try_receive<A: Backend, B: Backend>(
    to: &Account<A>,
    from: &Account<B>,
    envelope: &Envelope,
) -> Result<Delivery, Error> {
    to.receive(from.address(), envelope.message_type, &envelope.bytes)
        .await
}

/// Receives an envelope that must hold `plaintext`, and is done with it.
pub(super) async fn read<A: Backend, B: Backend>(
    to: &Account<A>,
    from: &Account<B>,
    envelope: &Envelope,
    plaintext: &[u8],
) {
    let delivery = sound(try_receive(to, from, envelope).await, "receiving");
    assert_eq!(delivery.plaintext, plaintext);
    assert_eq!(&delivery.sender, from.address());
    assert!(sound(to.done(delivery.id).await, "acknowledging"));
}

/// A message each way, acknowledged.
pub(super) async fn talk<A: Backend, B: Backend>(one: &Account<A>, two: &Account<B>) {
    let envelope = send(one, two, b"there").await;
    read(two, one, &envelope, b"there").await;
    assert!(sound(one.sent(envelope.id).await, "acknowledging"));
    let envelope = send(two, one, b"back").await;
    read(one, two, &envelope, b"back").await;
    assert!(sound(two.sent(envelope.id).await, "acknowledging"));
}

/// Starts a session, in which both have spoken then.
pub(super) async fn talking_to<A: Backend, B: Backend>(from: &Account<A>, to: &Account<B>) {
    start(from, to).await;
    talk(from, to).await;
}

/// Two accounts in one store that have both spoken. The second one is over a backend that can be
/// broken.
pub(super) struct Pair {
    pub(super) alice: Party,
    pub(super) bob: Party<FaultyBackend<AnyBackend>>,
    pub(super) faults: FaultyBackend<AnyBackend>,
}

impl Pair {
    pub(super) async fn strangers(fixture: &Fixture, number: usize) -> Self {
        let faults = FaultyBackend::new(fixture.backend().clone());
        Self {
            alice: party(fixture, &format!("alice{number}")).await,
            bob: party_over(store(faults.clone()).await, &format!("bob{number}")).await,
            faults,
        }
    }

    pub(super) async fn talking(fixture: &Fixture, number: usize) -> Self {
        let pair = Self::strangers(fixture, number).await;
        start(&pair.alice, &pair.bob).await;
        talk(&pair.alice, &pair.bob).await;
        pair
    }
}
