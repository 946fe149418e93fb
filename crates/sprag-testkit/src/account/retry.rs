//! Messages that could not be decrypted, and what their senders do about it.

use sprag::{
    Envelope, EnvelopeType, RetryAssessment, Timestamp,
    protocol::message::{DecryptionErrorMessage, PlaintextContent},
};

use super::{
    breaks::everywhere,
    sample::{Pair, Party, code, party, read, send, sound, start, talk, try_receive},
};
use crate::backend::Fixture;

/// What `receiver` says about an envelope of `sender`'s, as it comes out of the wire.
fn request(sender: &Party, envelope: &Envelope) -> DecryptionErrorMessage {
    let made = DecryptionErrorMessage::for_original(
        &envelope.bytes,
        envelope.message_type as u8,
        Timestamp::from_millis(1_700_000_000_000),
        sender.address().device_id().into(),
    );
    let content = PlaintextContent::from(&made.expect("the message is one"));
    let content = PlaintextContent::deserialize(content.serialized());
    let content = content.expect("what was written can be read");
    let read = DecryptionErrorMessage::extract_from_body(content.body());
    read.expect("what was written can be read")
}

async fn assess(
    account: &Party,
    requester: &Party,
    request: &DecryptionErrorMessage,
) -> RetryAssessment {
    let found = account.assess_retry(requester.address(), request).await;
    sound(found, "assessing")
}

/// The whole round: not decrypted, said so, looked at, put aside, begun anew, sent again.
pub async fn a_lost_session_is_renewed(mut fixture: Fixture) {
    {
        let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
        start(&alice, &bob).await;
        talk(&alice, &bob).await;
        let deleted = bob.delete_session(alice.address()).await;
        assert!(sound(deleted, "deleting"));
    }
    fixture = fixture.reopened().await;
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let lost = send(&alice, &bob, b"lost").await;
    let outcome = try_receive(&bob, &alice, &lost).await;
    assert_eq!(code(outcome), "no-session");
    let request = request(&alice, &lost);

    assert_eq!(
        assess(&alice, &bob, &request).await,
        RetryAssessment::SessionBroken
    );
    let archived = alice.archive_session(bob.address()).await;
    assert!(sound(archived, "archiving"));
    assert!(!sound(
        alice.has_usable_session(bob.address()).await,
        "asking"
    ));
    assert_eq!(
        code(alice.send(bob.address(), b"in vain").await),
        "no-session"
    );
    // Asked once more, late: nothing is broken any longer.
    assert_eq!(
        assess(&alice, &bob, &request).await,
        RetryAssessment::SessionMovedOn
    );
    start(&alice, &bob).await;
    assert_eq!(
        assess(&alice, &bob, &request).await,
        RetryAssessment::SessionMovedOn
    );
    let again = send(&alice, &bob, b"lost").await;
    read(&bob, &alice, &again, b"lost").await;
    talk(&bob, &alice).await;
}

/// A ratchet step of the peer's makes an old request pointless.
pub async fn a_session_that_moved_on_is_left_alone(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let envelope = send(&alice, &bob, b"one").await;
    let request = request(&alice, &envelope);
    let answer = send(&bob, &alice, b"unaware").await;
    assert_eq!(
        assess(&alice, &bob, &request).await,
        RetryAssessment::SessionBroken
    );
    read(&bob, &alice, &envelope, b"one").await;
    read(&alice, &bob, &answer, b"unaware").await;
    talk(&bob, &alice).await;
    assert_eq!(
        assess(&alice, &bob, &request).await,
        RetryAssessment::SessionMovedOn
    );
    // Nobody's session with a stranger is broken.
    let carol = party(&fixture, "carol").await;
    assert_eq!(
        assess(&alice, &carol, &request).await,
        RetryAssessment::SessionMovedOn
    );
}

/// Requests that are not about a session between two.
pub async fn requests_about_something_else(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let envelope = send(&alice, &bob, b"one").await;
    let (bytes, kind) = (&envelope.bytes, envelope.message_type as u8);
    let about = |kind, device| {
        let time = Timestamp::from_millis(0);
        DecryptionErrorMessage::for_original(bytes, kind, time, device).expect("it is a message")
    };
    for device in [0, 2, 127, 128, u32::MAX] {
        let found = assess(&alice, &bob, &about(kind, device)).await;
        assert_eq!(found, RetryAssessment::OtherDevice);
        let found = assess(&alice, &bob, &about(7, device)).await;
        assert_eq!(found, RetryAssessment::OtherDevice);
    }
    let found = assess(&alice, &bob, &about(7, 1)).await;
    assert_eq!(found, RetryAssessment::SenderKey);
}

/// Messages under way are still read, and there is nothing to archive twice.
pub async fn an_archived_session_still_reads(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let archived = alice.archive_session(bob.address()).await;
    assert!(!sound(archived, "archiving"));
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let late = send(&bob, &alice, b"late").await;
    let archived = alice.archive_session(bob.address()).await;
    assert!(sound(archived, "archiving"));
    let archived = alice.archive_session(bob.address()).await;
    assert!(!sound(archived, "archiving"));
    read(&alice, &bob, &late, b"late").await;
    // Which makes it the current one again.
    talk(&alice, &bob).await;
}

/// A message in the clear is no message to decrypt.
pub async fn plaintext_content_is_not_decrypted(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let envelope = send(&alice, &bob, b"one").await;
    let content = PlaintextContent::from(&request(&alice, &envelope));
    let (kind, bytes) = (EnvelopeType::Plaintext, content.serialized());
    let outcome = bob.receive(alice.address(), kind, bytes).await;
    assert_eq!(code(outcome), "invalid-argument");
    assert_eq!(sound(bob.status().await, "status").inbox, 0);
    read(&bob, &alice, &envelope, b"one").await;
}

/// Wherever it breaks, the session is put aside or not, and can be renewed.
pub async fn an_archiving_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let late = send(&alice, &bob, b"late").await;
        let broken = breaks
            .run(&faults, bob.archive_session(alice.address()))
            .await;
        sound(bob.archive_session(alice.address()).await, "archiving");
        let sent = bob.send(alice.address(), b"in vain").await;
        assert_eq!(code(sent), "no-session");
        read(&bob, &alice, &late, b"late").await;
        start(&bob, &alice).await;
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}
