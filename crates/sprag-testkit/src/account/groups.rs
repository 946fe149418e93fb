//! Groups: everybody reads what was sent after its sender's key was handed to them, once.

use sprag::{
    Account, Delivery, Envelope, EnvelopeType, Error, Outgoing, Recipient, Uuid, backend::Backend,
    protocol::message::SenderKeyDistributionMessage,
};

use super::sample::{Party, code, party, sound, start};
use crate::backend::Fixture;

pub(super) const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);

/// Hands the sender key of `from` over, as bytes.
pub(super) async fn join<A: Backend, B: Backend>(
    from: &Account<A>,
    to: &Account<B>,
    key: &SenderKeyDistributionMessage,
) {
    let key = SenderKeyDistributionMessage::deserialize(key.serialized());
    let key = sound(key.map_err(Error::from), "parsing a sender key");
    sound(to.group_join(from.address(), &key).await, "joining");
}

/// Makes the key if there is none, and hands it over.
pub(super) async fn distribute<A: Backend, B: Backend>(from: &Account<A>, to: &Account<B>) {
    let key = sound(from.group_distribute(GROUP).await, "distributing");
    join(from, to, &key).await;
}

pub(super) async fn send_to_group<B: Backend>(from: &Account<B>, text: &[u8]) -> Envelope {
    let envelope = sound(from.group_send(GROUP, text).await, "sending to a group");
    assert_eq!(envelope.recipient, Recipient::Group(GROUP));
    assert_eq!(envelope.message_type, EnvelopeType::SenderKey);
    envelope
}

pub(super) async fn try_receive_in_group<A: Backend, B: Backend>(
    to: &Account<A>,
    from: &Account<B>,
    envelope: &Envelope,
) -> Result<Delivery, Error> {
    to.group_receive(from.address(), &envelope.bytes).await
}

/// Receives an envelope that must hold `text`, and is done with it.
pub(super) async fn read_in_group<A: Backend, B: Backend>(
    to: &Account<A>,
    from: &Account<B>,
    envelope: &Envelope,
    text: &[u8],
) {
    let received = try_receive_in_group(to, from, envelope).await;
    let delivery = sound(received, "receiving in a group");
    assert_eq!(delivery.plaintext, text);
    assert_eq!(&delivery.sender, from.address());
    assert_eq!(delivery.group, Some(GROUP));
    assert!(sound(to.done(delivery.id).await, "acknowledging"));
}

/// Three members, each of whom has the others' keys.
async fn members(fixture: &Fixture) -> [Party; 3] {
    let [alice, bob, carol] = accounts(fixture).await;
    for (from, to) in [
        (&alice, &bob),
        (&alice, &carol),
        (&bob, &alice),
        (&bob, &carol),
        (&carol, &alice),
        (&carol, &bob),
    ] {
        distribute(from, to).await;
    }
    [alice, bob, carol]
}

async fn accounts(fixture: &Fixture) -> [Party; 3] {
    [
        party(fixture, "alice").await,
        party(fixture, "bob").await,
        party(fixture, "carol").await,
    ]
}

/// Every member speaks, across restarts too, and no session is needed for it.
pub async fn every_member_speaks_across_restarts(fixture: Fixture) {
    drop(members(&fixture).await);
    let mut fixture = fixture;
    for round in 0..3_u8 {
        let members = accounts(&fixture).await;
        for from in &members {
            let envelope = send_to_group(from, &[round]).await;
            let others = members
                .iter()
                .filter(|other| other.address() != from.address());
            for to in others {
                read_in_group(to, from, &envelope, &[round]).await;
            }
            assert!(sound(from.sent(envelope.id).await, "acknowledging"));
        }
        fixture = fixture.reopened().await;
    }
}

/// Late messages are read, repeated ones are not.
pub async fn group_messages_may_be_late_or_lost(fixture: Fixture) {
    let [alice, bob, _] = members(&fixture).await;
    let mut envelopes = Vec::new();
    for number in 0..6_u8 {
        envelopes.push(send_to_group(&alice, &[number]).await);
    }
    for number in [4, 1, 0] {
        read_in_group(&bob, &alice, &envelopes[number], &[number as u8]).await;
    }
    for number in [4, 1, 0] {
        let again = try_receive_in_group(&bob, &alice, &envelopes[number]).await;
        assert_eq!(code(again), "duplicate-message");
    }
    read_in_group(&bob, &alice, &envelopes[2], &[2]).await;
}

/// A member that joins late reads nothing from before; one that was removed nothing from after.
pub async fn a_sender_key_is_good_from_joining_to_renewal(fixture: Fixture) {
    let [alice, bob, carol] = accounts(&fixture).await;
    let nothing = alice.group_send(GROUP, b"too early").await;
    assert_eq!(code(nothing), "no-sender-key");
    distribute(&alice, &bob).await;
    let before = send_to_group(&alice, b"before").await;
    let stranger = try_receive_in_group(&carol, &alice, &before).await;
    assert_eq!(code(stranger), "no-sender-key");
    distribute(&alice, &carol).await;
    let late = try_receive_in_group(&carol, &alice, &before).await;
    assert_eq!(code(late), "duplicate-message");
    let after = send_to_group(&alice, b"after").await;
    read_in_group(&carol, &alice, &after, b"after").await;

    let key = sound(alice.group_renew(GROUP).await, "renewing");
    join(&alice, &carol, &key).await;
    let renewed = send_to_group(&alice, b"without bob").await;
    let removed = try_receive_in_group(&bob, &alice, &renewed).await;
    assert_eq!(code(removed), "no-sender-key");
    read_in_group(&carol, &alice, &renewed, b"without bob").await;
    // What was sent before can still be read, late as it is.
    read_in_group(&bob, &alice, &after, b"after").await;
    read_in_group(&bob, &alice, &before, b"before").await;
}

/// A key that was taken before is neither rewound nor advanced by being taken again.
pub async fn a_sender_key_may_be_taken_again(fixture: Fixture) {
    let [alice, bob, _] = accounts(&fixture).await;
    let first = sound(alice.group_distribute(GROUP).await, "distributing");
    join(&alice, &bob, &first).await;
    let one = send_to_group(&alice, b"1").await;
    let two = send_to_group(&alice, b"2").await;
    read_in_group(&bob, &alice, &two, b"2").await;
    join(&alice, &bob, &first).await;
    distribute(&alice, &bob).await;
    let again = try_receive_in_group(&bob, &alice, &two).await;
    assert_eq!(code(again), "duplicate-message");
    read_in_group(&bob, &alice, &one, b"1").await;
}

/// Groups, senders and accounts do not see each other's keys.
pub async fn groups_and_senders_are_apart(fixture: Fixture) {
    let [alice, bob, carol] = members(&fixture).await;
    let other = Uuid::from_u128(1);
    let nothing = alice.group_send(other, b"nobody").await;
    assert_eq!(code(nothing), "no-sender-key");
    let envelope = send_to_group(&alice, b"mine").await;
    // Bob's key does not open what is Alice's.
    let as_bobs = carol.group_receive(bob.address(), &envelope.bytes).await;
    assert_eq!(code(as_bobs), "no-sender-key");
    // Who can read cannot write.
    let dave = party(&fixture, "dave").await;
    let as_alice = dave.group_send(GROUP, b"text").await;
    assert_eq!(code(as_alice), "no-sender-key");
    let mut forged = envelope.bytes.to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let refused = bob.group_receive(alice.address(), &forged).await;
    assert_eq!(code(refused), "invalid-signature");
    // A message to a group belongs to no session.
    start(&alice, &bob).await;
    let in_session = bob
        .receive(alice.address(), envelope.message_type, &envelope.bytes)
        .await;
    assert_eq!(code(in_session), "invalid-argument");
    read_in_group(&bob, &alice, &envelope, b"mine").await;
    read_in_group(&carol, &alice, &envelope, b"mine").await;
}

/// Mailboxes serve groups as they do sessions.
pub async fn group_messages_wait_in_the_mailboxes(fixture: Fixture) {
    let [alice, bob, _] = members(&fixture).await;
    let text = Outgoing::new(b"wait").key(b"17");
    let envelope = sound(alice.group_send(GROUP, text).await, "sending");
    let again = sound(alice.group_send(GROUP, text).await, "sending again");
    assert_eq!(again, envelope);
    start(&alice, &bob).await;
    let alone = sound(alice.send(bob.address(), text).await, "to one of them");
    assert_ne!(alone.id, envelope.id, "a group is another recipient");
    assert!(sound(alice.sent(alone.id).await, "acknowledging"));
    let received = try_receive_in_group(&bob, &alice, &envelope).await;
    let delivery = sound(received, "receiving");

    let fixture = fixture.reopened().await;
    let [alice, bob, _] = accounts(&fixture).await;
    let waiting = sound(alice.outbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&envelope));
    let waiting = sound(bob.inbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&delivery));
    let again = try_receive_in_group(&bob, &alice, &envelope).await;
    assert_eq!(sound(again, "receiving again"), delivery);
    assert!(sound(alice.sent(envelope.id).await, "acknowledging"));
    assert!(sound(bob.done(delivery.id).await, "acknowledging"));
    let again = try_receive_in_group(&bob, &alice, &envelope).await;
    assert_eq!(code(again), "duplicate-message");
}

/// However many tasks send at once, every message has a number of its own.
pub async fn no_group_message_key_is_used_twice(fixture: Fixture) {
    let [alice, bob, _] = members(&fixture).await;
    let sending = async |number: u8| send_to_group(&alice, &[number]).await;
    let (a, b, c, d) = tokio::join!(sending(0), sending(1), sending(2), sending(3));
    for (number, envelope) in [a, b, c, d].iter().enumerate() {
        read_in_group(&bob, &alice, envelope, &[number as u8]).await;
    }
    let envelope = send_to_group(&alice, b"once").await;
    let receiving = async || try_receive_in_group(&bob, &alice, &envelope).await;
    let (one, two) = tokio::join!(receiving(), receiving());
    assert_eq!(sound(one, "receiving"), sound(two, "receiving at once"));
}
