//! Operations of groups that break at every call of the backend.

use sprag::{Outgoing, Recipient};

use super::{
    breaks::{Break, everywhere},
    groups::{GROUP, distribute, join, read_in_group, send_to_group, try_receive_in_group},
    sample::{AnyBackend, Pair, Party, code, sound},
};
use crate::backend::{FaultyBackend, Fixture};

/// Two accounts that have each other's sender keys. The second one is over a backend that can be broken.
async fn members(fixture: &Fixture, number: usize) -> Pair {
    let pair = Pair::strangers(fixture, number).await;
    distribute(&pair.alice, &pair.bob).await;
    distribute(&pair.bob, &pair.alice).await;
    pair
}

/// A message each way.
async fn talk(bob: &Party<FaultyBackend<AnyBackend>>, alice: &Party) {
    let envelope = send_to_group(bob, b"there").await;
    read_in_group(alice, bob, &envelope, b"there").await;
    assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
    let envelope = send_to_group(alice, b"back").await;
    read_in_group(bob, alice, &envelope, b"back").await;
}

/// The peer reads what is in the outbox for the group, and nothing else.
async fn deliver_outbox(from: &Party<FaultyBackend<AnyBackend>>, to: &Party) -> usize {
    let waiting = sound(from.outbox_pending().await, "listing");
    for envelope in &waiting {
        assert_eq!(envelope.recipient, Recipient::Group(GROUP));
        read_in_group(to, from, envelope, b"maybe").await;
        assert!(sound(from.sent(envelope.id).await, "acknowledging"));
    }
    waiting.len()
}

/// Whoever got the first message and whoever gets it later have the same key.
pub async fn a_distribution_that_breaks_hands_out_one_key(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::strangers(&fixture, number).await;
        let broken = breaks.run(&faults, bob.group_distribute(GROUP)).await;
        let key = sound(bob.group_distribute(GROUP).await, "distributing again");
        if let Some(Ok(first)) = &broken.outcome {
            assert!(
                first.serialized() == key.serialized(),
                "a second key was made"
            );
        }
        join(&bob, &alice, &key).await;
        distribute(&alice, &bob).await;
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// The old key holds or a new one does, and that can be handed out.
pub async fn a_renewal_that_breaks_leaves_one_key(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = members(&fixture, number).await;
        let old = sound(bob.group_distribute(GROUP).await, "distributing");
        let broken = breaks.run(&faults, bob.group_renew(GROUP)).await;
        let key = sound(bob.group_distribute(GROUP).await, "distributing");
        if let Some(Ok(renewed)) = &broken.outcome {
            assert!(renewed.serialized() == key.serialized());
            assert_ne!(renewed.signing_key(), old.signing_key());
        }
        join(&bob, &alice, &key).await;
        let envelope = send_to_group(&bob, b"maybe").await;
        let received = try_receive_in_group(&alice, &bob, &envelope).await;
        assert_eq!(sound(received, "receiving").plaintext, "maybe");
        assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// Once it succeeds the sender can be read; a message tells whether it has.
pub async fn a_joining_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::strangers(&fixture, number).await;
        let key = sound(alice.group_distribute(GROUP).await, "distributing");
        let first = send_to_group(&alice, b"first").await;
        let broken = breaks
            .run(&faults, bob.group_join(alice.address(), &key))
            .await;
        match try_receive_in_group(&bob, &alice, &first).await {
            Err(error) => {
                assert!(!matches!(broken.outcome, Some(Ok(()))), "it was not kept");
                assert_eq!(error.code(), "no-sender-key");
            }
            Ok(delivery) => assert_eq!(delivery.plaintext, "first"),
        }
        join(&alice, &bob, &key).await;
        read_in_group(&bob, &alice, &first, b"first").await;
        distribute(&bob, &alice).await;
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// The message is in the outbox or was never encrypted.
pub async fn a_group_send_that_breaks_loses_nothing(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = members(&fixture, number).await;
        let broken = breaks.run(&faults, bob.group_send(GROUP, b"maybe")).await;
        if let Some(Ok(envelope)) = &broken.outcome {
            let waiting = sound(bob.outbox_pending().await, "listing");
            assert_eq!(waiting, std::slice::from_ref(envelope));
        }
        let sent = deliver_outbox(&bob, &alice).await;
        talk(&bob, &alice).await;
        assert!(sent <= 1, "one message, one envelope");
        let late = deliver_outbox(&bob, &alice).await;
        assert_eq!(late, 0, "it was not there, and then it came");
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// With a key there is nothing to look up: done again, it is the same message.
pub async fn a_group_send_with_a_key_that_breaks_is_just_done_again(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = members(&fixture, number).await;
        let text = Outgoing::new(b"once").key(b"17");
        let broken = breaks.run(&faults, bob.group_send(GROUP, text)).await;
        let envelope = sound(bob.group_send(GROUP, text).await, "doing it again");
        if let Some(Ok(first)) = &broken.outcome {
            assert_eq!(first, &envelope);
        }
        read_in_group(&alice, &bob, &envelope, b"once").await;
        let waiting = sound(bob.outbox_pending().await, "listing");
        assert_eq!(waiting, std::slice::from_ref(&envelope));
        assert!(sound(bob.sent(envelope.id).await, "acknowledging"));
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// Delivered again, the message gives the same plaintext under the same id.
pub async fn a_group_receive_that_breaks_loses_nothing(fixture: Fixture) {
    everywhere(async |number, breaks: Break| {
        let Pair { alice, bob, faults } = members(&fixture, number).await;
        // Some are skipped, and have to be there afterwards.
        let skipped = send_to_group(&alice, b"skipped").await;
        let envelope = send_to_group(&alice, b"once").await;
        let receive = try_receive_in_group(&bob, &alice, &envelope);
        let broken = breaks.run(&faults, receive).await;
        let again = try_receive_in_group(&bob, &alice, &envelope).await;
        let delivery = sound(again, "redelivery");
        assert_eq!(delivery.plaintext, "once");
        if let Some(Ok(first)) = &broken.outcome {
            assert_eq!(first, &delivery);
        }
        let waiting = sound(bob.inbox_pending().await, "listing");
        assert_eq!(waiting, std::slice::from_ref(&delivery));
        assert!(sound(bob.done(delivery.id).await, "acknowledging"));
        let again = try_receive_in_group(&bob, &alice, &envelope).await;
        assert_eq!(code(again), "duplicate-message");
        read_in_group(&bob, &alice, &skipped, b"skipped").await;
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}
