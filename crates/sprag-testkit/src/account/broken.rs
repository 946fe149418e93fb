//! Operations that break at every call of the backend: it fails, before or after its effect, a commit conflicts or ends
//! unknown, or the future is dropped there, as by a crash or a timeout.

use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll};

use crate::vault;
use sprag::{
    Account, DurableStore, Envelope, Error, Outgoing, ProtocolAddress, backend::BackendError,
};

use super::sample::{
    AnyBackend, Pair, Party, address, code, party_over, read, send, sound, start, store, talk,
    try_receive,
};
use crate::backend::{Call, Fault, FaultyBackend, Fixture};

/// Where and how an operation breaks.
#[derive(Clone)]
pub(super) struct Break {
    nth: u64,
    fault: Fault,
    /// Calls of which sort are counted; `None` for all.
    calls: Option<Call>,
    /// Nobody can tell what became of a commit that ended unknown.
    for_good: bool,
}

/// What became of an operation that was to break.
pub(super) struct Broken<T> {
    /// `None` if it hung and was cancelled.
    pub(super) outcome: Option<Result<T, Error>>,
    /// Whether it came as far as the call that was to break.
    pub(super) reached: bool,
}

impl Break {
    /// Runs `operation`, whose calls go to `backend`, then heals that.
    pub(super) async fn run<T>(
        &self,
        backend: &FaultyBackend<AnyBackend>,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Broken<T> {
        let hangs = matches!(self.fault, Fault::HangBefore | Fault::HangAfter);
        let calls = || match self.calls {
            Some(call) => backend.calls(call),
            None => backend.log().len() as u64,
        };
        let place = calls() + self.nth;
        match self.calls {
            Some(call) => backend.inject(call, self.nth, self.fault.clone()),
            None => backend.inject_any(self.nth, self.fault.clone()),
        }
        if self.for_good {
            backend.inject(Call::Committed, 1, Fault::FailBefore(injected()));
        }
        let outcome = {
            let mut operation = pin!(operation);
            let poll = poll_fn(|context| match operation.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if hangs && calls() >= place => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            poll.await
        };
        let reached = calls() >= place;
        backend.heal();
        Broken { outcome, reached }
    }
}

/// Goes through all breaks of an operation. `attempt` runs it once, between the accounts of this number, and
/// checks what is left; it answers whether the break was reached.
pub(super) async fn everywhere(attempt: impl AsyncFn(usize, Break) -> bool) {
    let (mut number, mut changes) = (0, 0);
    for breaks in sorts_of_breaks() {
        for nth in 1.. {
            number += 1;
            let breaks = breaks.clone();
            let in_change = breaks.calls.is_some();
            if !attempt(number, Break { nth, ..breaks }).await {
                assert!(nth > 1 || in_change, "the operation made no call");
                break;
            }
            changes += usize::from(in_change);
        }
    }
    assert!(changes > 0, "the operation changed nothing");
}

fn sorts_of_breaks() -> Vec<Break> {
    let sort = |calls, for_good| {
        move |fault| Break {
            nth: 1,
            fault,
            calls,
            for_good,
        }
    };
    let anywhere = [
        Fault::FailBefore(injected()),
        Fault::FailAfter(injected()),
        Fault::HangBefore,
        Fault::HangAfter,
    ];
    let mut sorts: Vec<_> = anywhere.map(sort(None, false)).into();
    for call in [Call::Commit, Call::DeleteSoon] {
        let outcomes = [Fault::UnknownApplied, Fault::UnknownLost, Fault::Conflict];
        let for_good = [Fault::UnknownApplied, Fault::UnknownLost];
        sorts.extend(outcomes.map(sort(Some(call), false)));
        sorts.extend(for_good.map(sort(Some(call), true)));
    }
    sorts
}

fn injected() -> BackendError {
    BackendError::Io {
        detail: "injected".into(),
    }
}

/// The peer reads what is in the outbox, and nothing else.
async fn deliver_outbox(from: &Party<FaultyBackend<AnyBackend>>, to: &Party) -> usize {
    let waiting = sound(from.outbox_pending().await, "listing");
    for envelope in &waiting {
        read(to, from, envelope, b"maybe").await;
        assert!(sound(from.sent(envelope.id).await, "acknowledging"));
    }
    waiting.len()
}

/// The message is in the outbox or was never encrypted.
pub async fn a_send_that_breaks_loses_nothing(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let send = bob.send(alice.address(), b"maybe");
        let broken = breaks.run(&faults, send).await;
        if let Some(Ok(envelope)) = &broken.outcome {
            let waiting = sound(bob.outbox_pending().await, "listing");
            assert_eq!(waiting, std::slice::from_ref(envelope));
        }
        let sent = deliver_outbox(&bob, &alice).await;
        talk(&bob, &alice).await;
        // A cancelled commit may come late.
        let late = deliver_outbox(&bob, &alice).await;
        assert!(sent + late <= 1, "one message, one envelope");
        talk(&alice, &bob).await;
        broken.reached
    })
    .await;
}

/// With a key there is nothing to look up: done again, it is the same message.
pub async fn a_send_with_a_key_that_breaks_is_just_done_again(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let text = Outgoing::new(b"once").key(b"17");
        let broken = breaks.run(&faults, bob.send(alice.address(), text)).await;
        let envelope = sound(bob.send(alice.address(), text).await, "doing it again");
        if let Some(Ok(first)) = &broken.outcome {
            assert_eq!(first, &envelope);
        }
        read(&alice, &bob, &envelope, b"once").await;
        let waiting = sound(bob.outbox_pending().await, "listing");
        assert_eq!(waiting, std::slice::from_ref(&envelope));
        assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
        let again = sound(bob.send(alice.address(), text).await, "once more");
        assert_eq!(again, envelope);
        talk(&bob, &alice).await;
        talk(&alice, &bob).await;
        broken.reached
    })
    .await;
}

/// No device is left out of what others get.
pub async fn a_send_to_all_devices_that_breaks_reaches_all_or_none(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let second = ProtocolAddress::new(alice.address().name(), 2).expect("2 is a device id");
        let store = store(fixture.backend().clone()).await;
        let second = sound(Account::create(store, second).await, "a second device");
        start(&bob, &second).await;
        let name = alice.address().name();
        let broken = breaks.run(&faults, bob.send_to_all(name, b"all")).await;
        let waiting = sound(bob.outbox_pending().await, "listing");
        if let Some(Ok(envelopes)) = &broken.outcome {
            let ids = |envelopes: &[Envelope]| -> BTreeSet<_> {
                envelopes.iter().map(|envelope| envelope.id).collect()
            };
            assert_eq!(ids(envelopes), ids(&waiting));
        }
        assert!(
            waiting.len() == 2 || waiting.is_empty(),
            "both devices or none"
        );
        for envelope in &waiting {
            let device = [&alice, &second].into_iter();
            let device = device.filter(|device| envelope.recipient == device.address().into());
            for device in device {
                read(device, &bob, envelope, b"all").await;
            }
        }
        broken.reached
    })
    .await;
}

/// Delivered again, the message gives the same plaintext under the same id.
pub async fn a_receive_that_breaks_loses_nothing(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let pair = Pair::talking(&fixture, number).await;
        receive_broken(pair, breaks).await
    })
    .await;
}

/// The same of a message that uses up pre-keys.
pub async fn a_first_receive_that_breaks_loses_nothing(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let pair = Pair::strangers(&fixture, number).await;
        start(&pair.alice, &pair.bob).await;
        receive_broken(pair, breaks).await
    })
    .await;
}

async fn receive_broken(pair: Pair, breaks: Break) -> bool {
    let Pair { alice, bob, faults } = pair;
    let envelope = send(&alice, &bob, b"once").await;
    let broken = breaks
        .run(&faults, try_receive(&bob, &alice, &envelope))
        .await;
    let delivery = sound(try_receive(&bob, &alice, &envelope).await, "redelivery");
    assert_eq!(delivery.plaintext, "once");
    if let Some(Ok(first)) = &broken.outcome {
        assert_eq!(first, &delivery);
    }
    let waiting = sound(bob.inbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&delivery));
    assert!(sound(bob.done(delivery.id).await, "acknowledging"));
    let again = try_receive(&bob, &alice, &envelope).await;
    assert_eq!(code(again), "duplicate-message");
    let status = sound(bob.status().await, "status");
    assert_eq!((status.pre_keys, status.kyber_pre_keys), (0, 0));
    talk(&bob, &alice).await;
    talk(&alice, &bob).await;
    broken.reached
}

/// Another bundle has other keys, whether the first one got out or not.
pub async fn a_bundle_that_breaks_is_not_handed_out_twice(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::strangers(&fixture, number).await;
        let broken = breaks.run(&faults, bob.bundle()).await;
        let bundle = sound(bob.bundle().await, "making a bundle");
        if let Some(Ok(first)) = &broken.outcome {
            assert_ne!(first.pre_key, bundle.pre_key);
            assert_ne!(first.kyber_pre_key, bundle.kyber_pre_key);
            assert_eq!(first.signed_pre_key, bundle.signed_pre_key);
        }
        let started = alice.start_session(bob.address(), &bundle).await;
        sound(started, "starting");
        talk(&alice, &bob).await;
        broken.reached
    })
    .await;
}

/// The conversation goes on in the old session or in the new one.
pub async fn a_session_start_that_breaks_leaves_the_old_session(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let bundle = sound(alice.bundle().await, "making a bundle");
        let starting = bob.start_session(alice.address(), &bundle);
        let broken = breaks.run(&faults, starting).await;
        talk(&alice, &bob).await;
        talk(&bob, &alice).await;
        start(&bob, &alice).await;
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// There is the account or there is none, and never half of one.
pub async fn a_creation_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let name = format!("new{number}");
        let faults = FaultyBackend::new(fixture.backend().clone());
        let create = async {
            let store = DurableStore::open(faults.clone(), vault::shared()).await?;
            Account::create(store, address(&name)).await
        };
        let broken = breaks.run(&faults, create).await;
        let created = match broken.outcome {
            Some(Ok(account)) => Some(sound(account.identity_key().await, "our identity")),
            _ => None,
        };
        let store = store(faults).await;
        let account = party_over(store.clone(), &name).await;
        let key = sound(account.identity_key().await, "our identity");
        assert!(created.is_none_or(|created| created == key));
        let accounts = sound(store.accounts().await, "listing");
        let listed = accounts.iter().filter(|listed| **listed == address(&name));
        assert_eq!(listed.count(), 1);
        broken.reached
    })
    .await;
}

/// The entry is there or gone, and can be acknowledged again.
pub async fn an_acknowledgement_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let envelope = send(&alice, &bob, b"once").await;
        let delivery = sound(try_receive(&bob, &alice, &envelope).await, "receiving");
        let broken = breaks.run(&faults, bob.done(delivery.id)).await;
        let acknowledged = matches!(broken.outcome, Some(Ok(true)));
        let again = sound(bob.done(delivery.id).await, "acknowledging again");
        assert!(!(acknowledged && again));
        assert_eq!(sound(bob.inbox_pending().await, "listing"), []);
        let again = try_receive(&bob, &alice, &envelope).await;
        assert_eq!(code(again), "duplicate-message");
        broken.reached
    })
    .await;
}

/// The same of the outbox.
pub async fn a_hand_over_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let envelope = send(&bob, &alice, b"once").await;
        let broken = breaks.run(&faults, bob.sent(envelope.id)).await;
        let acknowledged = matches!(broken.outcome, Some(Ok(true)));
        let again = sound(bob.sent(envelope.id).await, "acknowledging again");
        assert!(!(acknowledged && again));
        assert_eq!(sound(bob.outbox_pending().await, "listing"), []);
        read(&alice, &bob, &envelope, b"once").await;
        broken.reached
    })
    .await;
}

/// The identity is the one before or the approved one, and can be approved again.
pub async fn an_approval_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let before = sound(alice.identity_key().await, "her identity");
        let approved = sound(bob.identity_key().await, "another identity");
        let approval = bob.approve_identity(alice.address(), &approved);
        let broken = breaks.run(&faults, approval).await;
        // A cancelled commit may come late, but not after another one.
        sound(bob.bundle().await, "making a bundle");
        let known = sound(bob.identity(alice.address()).await, "looking");
        let done = matches!(broken.outcome, Some(Ok(_)));
        assert!(known == Some(approved) || !done && known == Some(before));
        let again = bob.approve_identity(alice.address(), &before).await;
        sound(again, "approving the one before");
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}
