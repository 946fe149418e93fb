//! Identities, pre-keys and trust.

use std::collections::HashSet;

use sprag::Account;

use super::sample::{address, code, party, read, send, sound, start, store, talk, try_receive};
use crate::backend::Fixture;

/// The identity is made once and stays.
pub async fn an_account_is_made_once_and_opened_again(fixture: Fixture) {
    let durable = store(fixture.backend().clone()).await;
    assert_eq!(sound(durable.accounts().await, "listing"), []);
    let absent = Account::open(durable.clone(), address("alice")).await;
    assert_eq!(code(absent), "not-initialised");
    let created = Account::create(durable.clone(), address("alice")).await;
    let created = sound(sound(created, "creating").status().await, "status");
    assert!((1..=0x3fff).contains(&created.registration_id));
    assert_eq!(created.address, address("alice"));
    let again = Account::create(durable.clone(), address("alice")).await;
    assert_eq!(code(again), "already-initialised");
    let other = Account::open_or_create(durable, address("bob")).await;
    sound(other, "creating a second one");

    let fixture = fixture.reopened().await;
    let durable = store(fixture.backend().clone()).await;
    let accounts = sound(durable.accounts().await, "listing");
    assert_eq!(accounts, [address("alice"), address("bob")]);
    for account in [
        Account::open(durable.clone(), address("alice")).await,
        Account::open_or_create(durable, address("alice")).await,
    ] {
        let account = sound(account, "opening");
        assert_eq!(sound(account.status().await, "status"), created);
        let key = sound(account.identity_key().await, "our identity");
        assert_eq!(key, created.identity_key);
    }
}

/// Accounts share nothing but the storage.
pub async fn accounts_of_one_store_are_apart(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let bob = party(&fixture, "bob").await;
    let carol = party(&fixture, "carol").await;
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    assert_ne!(
        sound(alice.identity_key().await, "our identity"),
        sound(bob.identity_key().await, "our identity")
    );
    assert_eq!(code(carol.send(bob.address(), b"").await), "no-session");
    let known = sound(carol.identity(bob.address()).await, "an identity");
    assert_eq!(known, None);
    let status = sound(carol.status().await, "status");
    assert_eq!((status.sessions, status.pre_keys), (0, 0));
}

/// Not even when bundles are made at once, by several handles.
pub async fn no_two_bundles_share_a_one_time_key(fixture: Fixture) {
    let mut tasks = Vec::new();
    for number in 0..12 {
        let account = party(&fixture, "alice").await;
        let task = async move {
            let mut bundles = Vec::new();
            for _ in 0..1 + number % 2 {
                bundles.push(sound(account.bundle().await, "making a bundle"));
            }
            bundles
        };
        tasks.push(tokio::spawn(task));
    }
    let mut bundles = Vec::new();
    for task in tasks {
        bundles.extend(task.await.expect("no panic"));
    }
    let fixture = fixture.reopened().await;
    let account = party(&fixture, "alice").await;
    bundles.push(sound(account.bundle().await, "making a bundle"));

    let mut seen = HashSet::new();
    for bundle in &bundles {
        sound(bundle.verify().map_err(Into::into), "verifying a bundle");
        let pre_key = bundle.pre_key.as_ref().expect("a one-time pre-key");
        let kyber = &bundle.kyber_pre_key;
        for id in [
            u32::from(pre_key.id),
            kyber.id.into(),
            bundle.signed_pre_key.id.into(),
        ] {
            assert!((1..1 << 24).contains(&id), "pre-key ids have 24 bits: {id}");
        }
        assert!(seen.insert(("EC", u32::from(pre_key.id))));
        assert!(seen.insert(("Kyber", u32::from(kyber.id))));
        assert_eq!(
            bundle.signed_pre_key, bundles[0].signed_pre_key,
            "the signed pre-key is shared"
        );
    }
    let status = sound(account.status().await, "status");
    assert_eq!(
        (
            status.pre_keys,
            status.kyber_pre_keys,
            status.signed_pre_keys
        ),
        (bundles.len(), bundles.len(), 1)
    );
}

/// One-time keys go with the commit of the message that used them.
pub async fn a_first_message_uses_up_its_keys(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let used = sound(bob.bundle().await, "making a bundle");
    sound(bob.bundle().await, "making a bundle");
    sound(alice.start_session(bob.address(), &used).await, "starting");
    let envelope = send(&alice, &bob, b"first").await;
    read(&bob, &alice, &envelope, b"first").await;
    let status = sound(bob.status().await, "status");
    assert_eq!(
        (
            status.pre_keys,
            status.kyber_pre_keys,
            status.signed_pre_keys
        ),
        (1, 1, 1)
    );
    // Somebody else has got hold of the same bundle.
    let carol = party(&fixture, "carol").await;
    sound(carol.start_session(bob.address(), &used).await, "starting");
    let envelope = send(&carol, &bob, b"first").await;
    let refused = try_receive(&bob, &carol, &envelope).await;
    assert_eq!(code(refused), "invalid-kyber-pre-key-id");
    let status = sound(bob.status().await, "status");
    assert_eq!((status.sessions, status.inbox), (1, 0));
}
