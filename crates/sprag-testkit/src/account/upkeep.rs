//! Pre-keys that look after themselves, with a server and without one.

use std::{collections::HashSet, time::Duration};

use sprag::{
    Account, Advice, Envelope, KyberPreKeyStore, Outgoing, PreKeyBundle, PreKeyStore,
    SignedPreKeyStore, StoreOptions,
    backend::Backend,
    upkeep::{Action, KeyServer, Policy},
};

use super::{
    breaks::everywhere,
    sample::{
        AnyBackend, Party, address, code, party, read, send, sound, start, store, talk, try_receive,
    },
};
use crate::{
    Clock, MemoryKeyServer, ServerFault,
    backend::{FaultyBackend, Fixture},
    vault,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Few keys, so that it is quick, and no time for them.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.batch = 4;
    policy.refill_below = 3;
    policy.keep_newest = 8;
    policy
}

/// An account that lives by `clock`.
async fn by_the_clock<B: Backend>(backend: B, clock: &Clock, name: &str) -> Party<B> {
    let options = StoreOptions::new().environment(clock.clone());
    let store = options.open(backend, vault::shared()).await;
    let store = sound(store, "opening the store");
    let account = Account::open_or_create(store, address(name)).await;
    sound(account, "opening an account").with_key_policy(policy())
}

async fn keep_up<B: Backend>(account: &Account<B>, server: &MemoryKeyServer) -> Vec<Action> {
    sound(account.upkeep(server).await, "the upkeep")
}

fn bundle(server: &MemoryKeyServer) -> PreKeyBundle {
    server.bundle().expect("there are keys")
}

async fn counts(server: &MemoryKeyServer) -> (usize, usize) {
    let counts = server.counts().await.expect("the server does not fail");
    (counts.pre_keys, counts.kyber_pre_keys)
}

/// A first message by this bundle.
async fn first_message<A: Backend, B: Backend>(
    from: &Account<A>,
    to: &Account<B>,
    bundle: &PreKeyBundle,
) -> Envelope {
    sound(from.start_session(to.address(), bundle).await, "starting");
    send(from, to, b"first").await
}

/// Whatever the server has, we can use.
pub(super) async fn assert_covered<B: Backend>(account: &Account<B>, server: &MemoryKeyServer) {
    let Some(published) = server.published() else {
        return;
    };
    let tx = account.store().begin(account.address());
    let at = "looking for a private half";
    let signed = tx.load_signed_pre_key(published.signed_pre_key.id).await;
    assert!(sound(signed.map_err(Into::into), at).is_some());
    let kyber = published.kyber_pre_keys.iter().map(|key| key.id);
    for id in kyber.chain([published.last_resort.id]) {
        let record = tx.load_kyber_pre_key(id).await;
        assert!(
            sound(record.map_err(Into::into), at).is_some(),
            "Kyber {id}"
        );
    }
    for key in &published.pre_keys {
        let record = tx.load_pre_key(key.id).await;
        let record = sound(record.map_err(Into::into), at).expect("an EC pre-key");
        assert_eq!(record.public_key().ok(), Some(key.public_key));
    }
}

/// Everything is made and published once, and peers can write.
pub async fn a_new_account_supplies_its_server(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let server = MemoryKeyServer::new();
    let planned = sound(bob.upkeep_plan(&server).await, "planning");
    assert_eq!((server.uploads(), planned.len()), (0, 3));
    let done = keep_up(&bob, &server).await;
    let texts = |actions: &[Action]| actions.iter().map(Action::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&done), texts(&planned));
    assert_eq!(counts(&server).await, (100, 100));
    assert_eq!(keep_up(&bob, &server).await, []);
    assert_eq!(server.uploads(), 1);
    assert_covered(&bob, &server).await;

    let fixture = fixture.reopened().await;
    let bob = party(&fixture, "bob").await;
    assert_eq!(keep_up(&bob, &server).await, []);
    let bundle = bundle(&server);
    assert_eq!(
        bundle.registration_id,
        sound(bob.status().await, "status").registration_id
    );
    sound(bundle.verify().map_err(Into::into), "verifying a bundle");
    let envelope = first_message(&alice, &bob, &bundle).await;
    read(&bob, &alice, &envelope, b"first").await;
    let status = sound(bob.status().await, "status");
    assert_eq!((status.pre_keys, status.kyber_pre_keys), (99, 99));
    assert_eq!(
        (status.signed_pre_keys, status.last_resort_pre_keys),
        (1, 1)
    );
}

/// They are made for one peer; what all share is the same.
pub async fn bundles_by_hand_share_no_one_time_key_with_the_server(fixture: Fixture) {
    let bob = party(&fixture, "bob").await.with_key_policy(policy());
    let server = MemoryKeyServer::new();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let by_hand = sound(bob.bundle().await, "making a bundle");
        keep_up(&bob, &server).await;
        let theirs = [bundle(&server), bundle(&server), bundle(&server)];
        for bundle in theirs.iter().chain([&by_hand]) {
            assert_eq!(bundle.signed_pre_key, by_hand.signed_pre_key);
            let pre_key = bundle.pre_key.as_ref().expect("a one-time pre-key");
            assert!(seen.insert(("EC", u32::from(pre_key.id))));
            assert!(seen.insert(("Kyber", u32::from(bundle.kyber_pre_key.id))));
        }
    }
}

/// Those that it has handed out before stay good.
pub async fn a_server_that_runs_low_or_loses_keys_is_refilled(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let bob = party(&fixture, "bob").await.with_key_policy(policy());
    let server = MemoryKeyServer::new();
    keep_up(&bob, &server).await;
    let handed_out = [bundle(&server), bundle(&server), bundle(&server)];
    assert_eq!(counts(&server).await, (1, 1));
    keep_up(&bob, &server).await;
    assert_eq!(counts(&server).await, (4, 4));

    server.lose_one_time_keys();
    keep_up(&bob, &server).await;
    assert_eq!(counts(&server).await, (4, 4));
    let before = bundle(&server);
    server.lose_all();
    assert!(server.bundle().is_none());
    keep_up(&bob, &server).await;
    assert_eq!(counts(&server).await, (4, 4));
    assert_covered(&bob, &server).await;
    let after = bundle(&server);
    assert_eq!(after.signed_pre_key, before.signed_pre_key);

    for bundle in handed_out.iter().chain([&before, &after]) {
        let envelope = first_message(&alice, &bob, bundle).await;
        read(&bob, &alice, &envelope, b"first").await;
    }
}

/// Not even if nobody knows whether they had been published.
pub async fn one_time_keys_that_were_used_are_not_published_again(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let bob = party(&fixture, "bob").await.with_key_policy(policy());
    let server = MemoryKeyServer::new();
    server.fail_next(ServerFault::AfterUpload);
    assert_eq!(code(bob.upkeep(&server).await), "key-server-failed");
    let used = bundle(&server);
    let envelope = first_message(&alice, &bob, &used).await;
    read(&bob, &alice, &envelope, b"first").await;

    // This one remembers nothing.
    let server = MemoryKeyServer::new();
    keep_up(&bob, &server).await;
    assert_eq!(counts(&server).await, (3, 3));
    assert_covered(&bob, &server).await;
}

/// A message whose keys are in their time is read, and what is over is forgotten.
pub async fn keys_are_replaced_and_deleted_in_time(fixture: Fixture) {
    let clock = Clock::new();
    let alice = party(&fixture, "alice").await;
    let bob = by_the_clock(fixture.backend().clone(), &clock, "bob").await;
    let server = MemoryKeyServer::new();
    keep_up(&bob, &server).await;
    let [early, earlier] = [bundle(&server), bundle(&server)];
    let mut signed = HashSet::from([u32::from(early.signed_pre_key.id)]);
    for day in 1..=80 {
        clock.advance(DAY);
        keep_up(&bob, &server).await;
        assert_covered(&bob, &server).await;
        let current = server.published().expect("there are keys");
        let is_new = signed.insert(current.signed_pre_key.id.into());
        assert_eq!(is_new, day % 2 == 0, "replaced every two days");
        if day == 46 {
            let envelope = first_message(&alice, &bob, &early).await;
            read(&bob, &alice, &envelope, b"first").await;
        }
    }
    let envelope = first_message(&alice, &bob, &earlier).await;
    let refused = try_receive(&bob, &alice, &envelope).await;
    assert_eq!(code(refused), "invalid-signed-pre-key-id");
    let status = sound(bob.status().await, "status");
    // Those replaced on the even days from the 36th on, and the current one.
    assert_eq!(
        (status.signed_pre_keys, status.last_resort_pre_keys),
        (24, 24)
    );
}

/// An account without a server replaces and forgets its keys, too.
pub async fn bundles_alone_look_after_their_keys(fixture: Fixture) {
    let clock = Clock::new();
    let alice = party(&fixture, "alice").await;
    let bob = by_the_clock(fixture.backend().clone(), &clock, "bob").await;
    let early = sound(bob.bundle().await, "making a bundle");
    let mut last = early.clone();
    for day in 1..=100 {
        clock.advance(DAY);
        let next = sound(bob.bundle().await, "making a bundle");
        let is_new = next.signed_pre_key.id != last.signed_pre_key.id;
        assert_eq!(is_new, day % 2 == 0, "replaced every two days");
        last = next;
    }
    let status = sound(bob.status().await, "status");
    assert_eq!(
        (status.signed_pre_keys, status.last_resort_pre_keys),
        (24, 0)
    );
    // Two a run, of which the last one was handed out a day after the first.
    assert_eq!((status.pre_keys, status.kyber_pre_keys), (91, 91));
    let envelope = first_message(&alice, &bob, &last).await;
    read(&bob, &alice, &envelope, b"first").await;
    let envelope = first_message(&alice, &bob, &early).await;
    let refused = try_receive(&bob, &alice, &envelope).await;
    assert_eq!(code(refused), "invalid-signed-pre-key-id");
    // Nobody waits for an upkeep of what was never published.
    send(&bob, &alice, b"still").await;
}

/// But what others send is read.
pub async fn nothing_is_sent_with_keys_that_are_too_old(fixture: Fixture) {
    let clock = Clock::new();
    let alice = party(&fixture, "alice").await;
    let bob = by_the_clock(fixture.backend().clone(), &clock, "bob").await;
    let server = MemoryKeyServer::new();
    keep_up(&bob, &server).await;
    let envelope = first_message(&alice, &bob, &bundle(&server)).await;
    read(&bob, &alice, &envelope, b"first").await;
    talk(&bob, &alice).await;

    clock.advance(14 * DAY - Duration::from_millis(1));
    talk(&bob, &alice).await;
    let text = Outgoing::new(b"in time").key(b"17");
    let in_time = sound(bob.send(alice.address(), text).await, "sending");
    clock.advance(Duration::from_millis(1));
    let reopened = by_the_clock(fixture.backend().clone(), &clock, "bob").await;
    for bob in [&bob, &reopened] {
        let refused = bob.send(alice.address(), b"no").await;
        let error = refused.expect_err("the keys are too old");
        assert_eq!(
            (error.code(), error.advice()),
            ("keys-too-old", Advice::Upkeep)
        );
        let refused = bob.send_to_all(alice.address().name(), b"no").await;
        assert_eq!(code(refused), "keys-too-old");
        let group = sprag::Uuid::from_u128(1);
        assert_eq!(code(bob.group_send(group, b"no").await), "keys-too-old");
        let again = sound(bob.send(alice.address(), text).await, "repeating");
        assert_eq!(again, in_time, "it was encrypted when the keys were good");
    }
    read(&alice, &bob, &in_time, b"in time").await;
    let envelope = send(&alice, &bob, b"heard").await;
    read(&bob, &alice, &envelope, b"heard").await;
    server.fail_next(ServerFault::BeforeUpload);
    assert_eq!(code(bob.upkeep(&server).await), "key-server-failed");
    assert_eq!(code(bob.send(alice.address(), b"no").await), "keys-too-old");
    keep_up(&bob, &server).await;
    talk(&bob, &alice).await;
    talk(&reopened, &alice).await;
}

/// Given again after its session is gone, it makes no new one.
pub async fn a_first_message_with_a_last_resort_key_is_taken_once(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let bob = party(&fixture, "bob").await.with_key_policy(policy());
    let server = MemoryKeyServer::new();
    keep_up(&bob, &server).await;
    server.lose_one_time_keys();
    let bundle = bundle(&server);
    let envelope = first_message(&alice, &bob, &bundle).await;
    read(&bob, &alice, &envelope, b"first").await;
    sound(bob.delete_session(alice.address()).await, "deleting");
    let refused = try_receive(&bob, &alice, &envelope).await;
    assert_eq!(code(refused), "invalid-message");
    // Another one by the same keys is taken.
    let envelope = first_message(&alice, &bob, &bundle).await;
    read(&bob, &alice, &envelope, b"first").await;
}

/// The application need not keep a calendar.
pub async fn an_upkeep_is_due_in_time_and_after_a_first_message(fixture: Fixture) {
    let clock = Clock::new();
    let alice = party(&fixture, "alice").await;
    let bob = by_the_clock(fixture.backend().clone(), &clock, "bob").await;
    let is_due = async || sound(bob.upkeep_is_due().await, "asking");
    let server = MemoryKeyServer::new();
    assert!(is_due().await);
    keep_up(&bob, &server).await;
    assert!(!is_due().await);
    clock.advance(DAY / 2);
    assert!(is_due().await);
    keep_up(&bob, &server).await;
    assert!(!is_due().await);
    clock.put_back(2 * DAY);
    assert!(is_due().await);
    keep_up(&bob, &server).await;
    assert!(!is_due().await);

    let envelope = first_message(&alice, &bob, &bundle(&server)).await;
    read(&bob, &alice, &envelope, b"first").await;
    assert!(is_due().await);
    server.fail_next(ServerFault::Counts);
    assert_eq!(code(bob.upkeep(&server).await), "key-server-failed");
    assert!(is_due().await);
    keep_up(&bob, &server).await;
    assert!(!is_due().await);
}

/// Whatever step it breaks in, what is published can be used, and the next upkeep has nothing to mend but what was left.
pub async fn an_upkeep_that_breaks_goes_on_where_it_stopped(fixture: Fixture) {
    let clock = Clock::new();
    let mut policy = policy();
    // So that the upkeep that breaks has something to do of every sort.
    (policy.keep_replaced, policy.keep_newest_replaced) = (Duration::ZERO, 0);
    (policy.keep_stale, policy.keep_newest) = (Duration::ZERO, 0);
    everywhere(async |number, breaks| {
        let faults = FaultyBackend::new(fixture.backend().clone());
        let alice = party(&fixture, &format!("alice{number}")).await;
        let bob = by_the_clock(faults.clone(), &clock, &format!("bob{number}")).await;
        let bob = bob.with_key_policy(policy.clone());
        let server = MemoryKeyServer::new();
        keep_up(&bob, &server).await;
        server.lose_one_time_keys();
        let envelope = first_message(&alice, &bob, &bundle(&server)).await;
        read(&bob, &alice, &envelope, b"first").await;

        clock.advance(3 * DAY);
        let broken = breaks.run_in_steps(&faults, bob.upkeep(&server)).await;
        assert_covered(&bob, &server).await;
        keep_up(&bob, &server).await;
        assert_covered(&bob, &server).await;
        assert_eq!(keep_up(&bob, &server).await, []);
        assert_eq!(server.uploads(), 2, "what arrived is not sent again");
        let status = sound(bob.status().await, "status");
        assert_eq!((status.pre_keys, status.kyber_pre_keys), (4, 4));
        assert_eq!(
            (status.signed_pre_keys, status.last_resort_pre_keys),
            (1, 1)
        );
        let envelope = first_message(&alice, &bob, &bundle(&server)).await;
        read(&bob, &alice, &envelope, b"first").await;
        broken.reached
    })
    .await;
}

/// They share the work or do it twice, but what is published can be used.
pub async fn several_upkeeps_at_once_do_no_harm(fixture: Fixture) {
    let server = MemoryKeyServer::new();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let account: Party<AnyBackend> = party(&fixture, "bob").await.with_key_policy(policy());
        let server = server.clone();
        tasks.push(tokio::spawn(
            async move { keep_up(&account, &server).await },
        ));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let bob = party(&fixture, "bob").await.with_key_policy(policy());
    assert_covered(&bob, &server).await;
    let (pre_keys, kyber_pre_keys) = counts(&server).await;
    assert!(pre_keys >= 4 && kyber_pre_keys >= 4);
    let elsewhere = store(fixture.second().await).await;
    let alice = sound(
        Account::create(elsewhere, address("alice")).await,
        "creating",
    );
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
}
