//! What is done about peers, their sessions and their identities, broken at every call of the backend.

use sprag::{
    IdentityPolicy::{TrustOnFirstUse, VerifiedOnly},
    IdentityTrust::{Unverified, Verified},
};

use super::{
    breaks::everywhere,
    sample::{Pair, code, party_over, send, sound, start, store, talk, try_receive},
};
use crate::backend::Fixture;

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

/// The session is there, with all that it can still read, or it is gone; the identity stays.
pub async fn a_deletion_of_a_session_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let skipped = send(&alice, &bob, b"skipped").await;
        let last = send(&alice, &bob, b"last").await;
        sound(try_receive(&bob, &alice, &last).await, "receiving");
        let deletion = bob.delete_session(alice.address());
        let broken = breaks.run(&faults, deletion).await;
        let deleted = match try_receive(&bob, &alice, &skipped).await {
            Ok(delivery) => {
                assert_eq!(delivery.plaintext, "skipped");
                false
            }
            Err(error) => {
                assert_eq!(error.code(), "no-session");
                true
            }
        };
        assert!(deleted || !matches!(broken.outcome, Some(Ok(_))));
        let again = sound(bob.delete_session(alice.address()).await, "deleting again");
        assert_eq!(again, !deleted);
        let devices = bob.devices(alice.address().name()).await;
        assert_eq!(sound(devices, "listing"), []);
        let known = sound(bob.identity(alice.address()).await, "looking");
        let identity = sound(alice.identity_key().await, "her identity");
        assert_eq!(known, Some(identity));
        start(&bob, &alice).await;
        talk(&bob, &alice).await;
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

/// The identity is verified or it is not, and can be verified again.
pub async fn a_verification_that_breaks_can_be_repeated(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let key = sound(alice.identity_key().await, "her identity");
        let trust = async || {
            let known = sound(bob.known_identity(alice.address()).await, "looking");
            let known = known.expect("they have talked");
            assert_eq!(known.key, key);
            known.trust
        };
        let verification = bob.verify(alice.address(), &key);
        let broken = breaks.run(&faults, verification).await;
        let done = matches!(broken.outcome, Some(Ok(())));
        let found = trust().await;
        assert!(found == Verified || !done && found == Unverified);
        let again = bob.verify(alice.address(), &key).await;
        sound(again, "verifying again");
        assert_eq!(trust().await, Verified);
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}

/// The policy is the one before or the new one, and whoever opens the account follows it.
pub async fn a_policy_that_breaks_can_be_set_again(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let setting = bob.set_identity_policy(VerifiedOnly);
        let broken = breaks.run(&faults, setting).await;
        let done = matches!(broken.outcome, Some(Ok(())));
        let policy = sound(bob.identity_policy().await, "looking");
        assert!(policy == VerifiedOnly || !done && policy == TrustOnFirstUse);
        let reopened = party_over(store(faults.clone()).await, bob.address().name()).await;
        let refused = match policy {
            VerifiedOnly => "untrusted-identity",
            _ => "no error",
        };
        assert_eq!(code(reopened.send(alice.address(), b"").await), refused);
        if policy == TrustOnFirstUse {
            // Nor does the handle follow what was not kept.
            talk(&bob, &alice).await;
        }

        let again = bob.set_identity_policy(VerifiedOnly).await;
        sound(again, "setting it again");
        let sent = bob.send(alice.address(), b"no").await;
        assert_eq!(code(sent), "untrusted-identity");
        let back = bob.set_identity_policy(TrustOnFirstUse).await;
        sound(back, "setting the one before");
        talk(&bob, &alice).await;
        broken.reached
    })
    .await;
}
