//! Sending, receiving and what belongs to them, broken at every call of the backend.

use std::{collections::BTreeSet, time::Duration};

use crate::vault;
use sprag::{Account, DurableStore, Envelope, Outgoing, ProtocolAddress, backend::Kind};

use super::{
    breaks::{Break, everywhere},
    records::Records,
    sample::{
        AnyBackend, Pair, Party, address, code, party_over, read, send, sound, start, store, talk,
        try_receive,
    },
};
use crate::backend::{FaultyBackend, Fixture};

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
        assert!(sent <= 1, "one message, one envelope");
        let late = deliver_outbox(&bob, &alice).await;
        assert_eq!(late, 0, "it was not there, and then it came");
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

/// There is the account or there is none, and never half of one.
pub async fn a_creation_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let name = format!("new{number}");
        let faults = FaultyBackend::new(fixture.backend().clone());
        let create = async {
            let store = DurableStore::open(faults.clone(), vault::shared()).await?;
            Account::create(store, address(&name)).await
        };
        let broken = breaks.run_in_steps(&faults, create).await;
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

/// Nor is a key forgotten because the entry is acknowledged again.
pub async fn a_hand_over_with_a_key_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let text = Outgoing::new(b"once").key(b"17");
        let envelope = sound(bob.send(alice.address(), text).await, "sending");
        let broken = breaks.run(&faults, bob.sent(envelope.id)).await;
        let acknowledged = matches!(broken.outcome, Some(Ok(true)));
        let again = sound(bob.sent(envelope.id).await, "acknowledging again");
        assert!(!(acknowledged && again));
        assert_eq!(sound(bob.outbox_pending().await, "listing"), []);
        let same = sound(bob.send(alice.address(), text).await, "sending again");
        assert_eq!(same, envelope);
        assert_eq!(sound(bob.outbox_pending().await, "listing"), []);
        read(&alice, &bob, &envelope, b"once").await;
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// The acknowledgement that brings the sweep about does not fail with it, and the next sweep leaves nothing behind.
pub async fn a_sweep_of_forgotten_keys_that_breaks_is_made_up_for(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let text = |key| Outgoing::new(b"once").key(key).kept_for(Duration::ZERO);
        let envelope = sound(bob.send(alice.address(), text(b"17")).await, "sending");
        let broken = breaks.run_in_steps(&faults, bob.sent(envelope.id)).await;
        let again = sound(bob.sent(envelope.id).await, "acknowledging again");
        match &broken.outcome {
            Some(Ok(acknowledged)) => assert!(*acknowledged && !again),
            Some(Err(error)) if error.code() != "outcome-unknown" => {
                assert!(again, "acknowledged, and failed: {error}");
            }
            _ => {}
        }
        assert_eq!(sound(bob.outbox_pending().await, "listing"), []);

        // A handle of its own: the first one may have swept within the hour.
        let bob = party_over(store(faults.clone()).await, bob.address().name()).await;
        let other = sound(bob.send(alice.address(), text(b"18")).await, "sending");
        assert!(sound(bob.sent(other.id).await, "acknowledging"));
        assert_eq!(Records::of(faults.inner()).await.count(Kind::Outbox), 0);
        read(&alice, &bob, &envelope, b"once").await;
        read(&alice, &bob, &other, b"once").await;
        broken.reached
    })
    .await;
}
