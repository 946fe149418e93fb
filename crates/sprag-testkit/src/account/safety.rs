//! Safety numbers.

use sprag::{Account, protocol::fingerprint::Fingerprint};

use super::sample::{Party, code, party, send, sound, start, store, talk, try_receive};
use crate::backend::Fixture;

const ACI: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
const OTHER_ACI: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";
const PNI: &str = "PNI:796abedb-ca4e-4f18-8803-1fde5b921f9f";

async fn compared(one: &Party, two: &Party) -> Fingerprint {
    let at_one = sound(one.safety_number(two.address()).await, "a safety number");
    let at_two = sound(two.safety_number(one.address()).await, "a safety number");
    assert_eq!(at_one.displayable(), at_two.displayable());
    let (code_one, code_two) = (at_one.scannable(), at_two.scannable());
    assert_eq!(code_one.compare(code_two.as_bytes()), Ok(true));
    assert_eq!(code_two.compare(code_one.as_bytes()), Ok(true));
    assert_eq!(code_one.compare(code_one.as_bytes()), Ok(false));
    at_one
}

/// Whatever their names are, two people who have spoken see one number.
pub async fn both_people_see_one_safety_number(fixture: Fixture) {
    for (one, two, version) in [
        ("alice", "bob", 1),
        (ACI, OTHER_ACI, 2),
        (ACI, PNI, 1),
        ("alice", ACI, 1),
    ] {
        let (one, two) = (party(&fixture, one).await, party(&fixture, two).await);
        start(&one, &two).await;
        talk(&one, &two).await;
        assert_eq!(compared(&one, &two).await.version(), version);
    }
}

/// Account ids go into the number as the 16 bytes of their UUIDs, however they are written.
pub async fn account_ids_count_as_their_bytes(fixture: Fixture) {
    let (one, two) = (party(&fixture, ACI).await, party(&fixture, OTHER_ACI).await);
    start(&one, &two).await;
    talk(&one, &two).await;
    let keys = (
        sound(one.identity_key().await, "asking"),
        sound(two.identity_key().await, "asking"),
    );
    let id = |account: &Party| account.address().service_id().expect("the name is one");
    let expected = Fingerprint::new(
        5200,
        2,
        id(&one).uuid().as_bytes(),
        &keys.0,
        id(&two).uuid().as_bytes(),
        &keys.1,
    );
    assert_eq!(Ok(compared(&one, &two).await), expected);
}

/// There is no number with a stranger.
pub async fn a_safety_number_needs_an_identity(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let unknown = alice.safety_number(bob.address()).await;
    assert_eq!(code(unknown), "unknown-identity");
    start(&alice, &bob).await;
    sound(alice.safety_number(bob.address()).await, "a safety number");
    let unknown = bob.safety_number(alice.address()).await;
    assert_eq!(code(unknown), "unknown-identity");
    let envelope = send(&alice, &bob, b"hello").await;
    sound(try_receive(&bob, &alice, &envelope).await, "receiving");
    compared(&alice, &bob).await;
}

/// A peer that is somebody else, or has installed anew, shows as another number, once the new identity is approved.
pub async fn a_safety_number_changes_with_an_identity(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let before = compared(&alice, &bob).await;

    let elsewhere = store(sprag::backend::MemoryBackend::new()).await;
    let other = sound(
        Account::create(elsewhere, bob.address().clone()).await,
        "creating",
    );
    let key = sound(other.identity_key().await, "asking");
    let bundle = sound(other.bundle().await, "a bundle");
    let refused = alice.start_session(bob.address(), &bundle).await;
    assert_eq!(code(refused), "untrusted-identity");
    assert_eq!(compared(&alice, &bob).await, before);

    sound(
        alice.approve_identity(bob.address(), &key).await,
        "approving",
    );
    let after = sound(alice.safety_number(bob.address()).await, "a safety number");
    assert_ne!(after.displayable(), before.displayable());
    let code = before.scannable();
    assert_eq!(after.scannable().compare(code.as_bytes()), Ok(false));
}
