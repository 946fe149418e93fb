//! Operations of sealed sender that break at every call of the backend.

use sprag::{Sealing, Uuid};

use super::{
    breaks::everywhere,
    groups::{GROUP, distribute, read_in_group, send_to_group},
    sample::{Pair, code, party, party_over, sound, start, store, talk},
    sealed::{Service, cut, request_for, send_sealed, send_sealed_to_group},
};
use crate::backend::{FaultyBackend, Fixture};

/// Two members of a group, with names that messages to many can bear, who have each other's sender keys.
async fn members(fixture: &Fixture, number: usize) -> Pair {
    let name = |who: u128| Uuid::from_u128(who << 64 | number as u128).to_string();
    let faults = FaultyBackend::new(fixture.backend().clone());
    let pair = Pair {
        alice: party(fixture, &name(1)).await,
        bob: party_over(store(faults.clone()).await, &name(2)).await,
        faults,
    };
    start(&pair.bob, &pair.alice).await;
    start(&pair.alice, &pair.bob).await;
    distribute(&pair.alice, &pair.bob).await;
    distribute(&pair.bob, &pair.alice).await;
    pair
}

/// The message is in the outbox or was never encrypted.
pub async fn a_sealed_send_that_breaks_loses_nothing(fixture: Fixture) {
    let service = Service::new();
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let certificate = service.certify(&bob).await;
        let send = bob.send_sealed(alice.address(), Sealing::new(&certificate), b"maybe");
        let broken = breaks.run(&faults, send).await;
        if let Some(Ok(envelope)) = &broken.outcome {
            let waiting = sound(bob.outbox_pending().await, "listing");
            assert_eq!(waiting, std::slice::from_ref(envelope));
        }
        let waiting = sound(bob.outbox_pending().await, "listing");
        assert!(waiting.len() <= 1, "one message, one envelope");
        for envelope in &waiting {
            let delivery = alice.receive_sealed(&envelope.bytes, service.trust()).await;
            assert_eq!(sound(delivery, "receiving").plaintext, "maybe");
            assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
        }
        talk(&bob, &alice).await;
        talk(&alice, &bob).await;
        broken.reached
    })
    .await;
}

/// Delivered again, a first message gives the same plaintext under the same id.
pub async fn a_sealed_receive_that_breaks_loses_nothing(fixture: Fixture) {
    let service = Service::new();
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::strangers(&fixture, number).await;
        start(&alice, &bob).await;
        let certificate = service.certify(&alice).await;
        let sealing = Sealing::new(&certificate);
        let envelope = alice.send_sealed(bob.address(), sealing, b"once").await;
        let envelope = sound(envelope, "sending");
        let receive = || bob.receive_sealed(&envelope.bytes, service.trust());
        let broken = breaks.run(&faults, receive()).await;
        let delivery = sound(receive().await, "redelivery");
        assert_eq!(delivery.plaintext, "once");
        if let Some(Ok(first)) = &broken.outcome {
            assert_eq!(first, &delivery);
        }
        let waiting = sound(bob.inbox_pending().await, "listing");
        assert_eq!(waiting, std::slice::from_ref(&delivery));
        assert!(sound(bob.done(delivery.id).await, "acknowledging"));
        assert_eq!(code(receive().await), "duplicate-message");
        let status = sound(bob.status().await, "status");
        assert_eq!((status.pre_keys, status.kyber_pre_keys), (0, 0));
        talk(&bob, &alice).await;
        talk(&alice, &bob).await;
        broken.reached
    })
    .await;
}

/// The message to the group is in the outbox or was never encrypted.
pub async fn a_sealed_group_send_that_breaks_loses_nothing(fixture: Fixture) {
    let service = Service::new();
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = members(&fixture, number).await;
        let certificate = service.certify(&bob).await;
        let to = [alice.address().clone()];
        let send = bob.group_send_sealed(GROUP, &to, &[], Sealing::new(&certificate), b"maybe");
        let broken = breaks.run(&faults, send).await;
        let waiting = sound(bob.outbox_pending().await, "listing");
        if let Some(Ok(envelope)) = &broken.outcome {
            assert_eq!(waiting, std::slice::from_ref(envelope));
        }
        assert!(waiting.len() <= 1, "one message, one envelope");
        for envelope in &waiting {
            let cut = cut(envelope, &alice);
            let delivery = alice.receive_sealed(&cut, service.trust()).await;
            assert_eq!(sound(delivery, "receiving").plaintext, "maybe");
            assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
        }
        let envelope = send_to_group(&bob, b"there").await;
        read_in_group(&alice, &bob, &envelope, b"there").await;
        broken.reached
    })
    .await;
}

/// Delivered again, a message to the group gives the same plaintext under the same id.
pub async fn a_sealed_group_receive_that_breaks_loses_nothing(fixture: Fixture) {
    let service = Service::new();
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = members(&fixture, number).await;
        let certificate = service.certify(&alice).await;
        let envelope = send_sealed_to_group(&alice, &[&bob], &certificate, b"once").await;
        let cut = cut(&envelope, &bob);
        let receive = || bob.receive_sealed(&cut, service.trust());
        let broken = breaks.run(&faults, receive()).await;
        let delivery = sound(receive().await, "redelivery");
        assert_eq!(delivery.plaintext, "once");
        if let Some(Ok(first)) = &broken.outcome {
            assert_eq!(first, &delivery);
        }
        let waiting = sound(bob.inbox_pending().await, "listing");
        assert_eq!(waiting, std::slice::from_ref(&delivery));
        assert!(sound(bob.done(delivery.id).await, "acknowledging"));
        assert_eq!(code(receive().await), "duplicate-message");
        broken.reached
    })
    .await;
}

/// The request is in the outbox or was never sealed, and no session has moved.
pub async fn a_retry_request_that_breaks_can_be_sent_again(fixture: Fixture) {
    let service = Service::new();
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let [from_alice, from_bob] = [service.certify(&alice).await, service.certify(&bob).await];
        let lost = send_sealed(&alice, &bob, &from_alice, b"lost").await;
        let opened = bob.open_sealed(&lost.bytes, service.trust()).await;
        let request = request_for(&sound(opened, "opening"));
        let sealing = Sealing::new(&from_bob);
        let ask = || bob.send_retry_request_sealed(alice.address(), sealing, &request);
        let broken = breaks.run(&faults, ask()).await;
        let waiting = sound(bob.outbox_pending().await, "listing");
        if let Some(Ok(envelope)) = &broken.outcome {
            assert_eq!(waiting, std::slice::from_ref(envelope));
        }
        assert!(waiting.len() <= 1, "one request, one envelope");
        let again = sound(ask().await, "asking again");
        for envelope in waiting.iter().chain([&again]) {
            let opened = alice.open_sealed(&envelope.bytes, service.trust()).await;
            let content = sound(opened, "opening").content;
            assert_eq!(content.contents(), request.serialized());
            assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
        }
        let delivery = bob.receive_sealed(&lost.bytes, service.trust()).await;
        assert_eq!(sound(delivery, "receiving").plaintext, "lost");
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}
