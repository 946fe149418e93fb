//! Whom an account trusts, and what it tells about that.

use sprag::{
    AccountOptions, Delivery, DurableStore, Error, Event, Events, IdentityChange,
    IdentityPolicy::{self, AlwaysTrust, TrustOnFirstUse, VerifiedOnly},
    IdentityScope::{self, PerAddress, PerName},
    IdentityTrust::{self, Changed, Unverified, Verified},
    ProtocolAddress,
    backend::{Backend, MemoryBackend},
    protocol::identity::{IdentityKey, IdentityKeyPair},
};

use super::{
    breaks::everywhere,
    sample::{
        Pair, Party, address, code, party, party_over, read, send, sound, start, store, talk,
        talking_to, try_receive,
    },
};
use crate::backend::{Call, Fault, Fixture};

/// An account of its own, as a peer has that lives elsewhere or installs anew.
async fn elsewhere(name: &str, device: u32) -> Party<MemoryBackend> {
    let address = ProtocolAddress::new(name, device).expect("a device id from 1 to 127");
    sibling(&store(MemoryBackend::new()).await, address, None).await
}

/// An account in this store, with the identity of another one.
async fn sibling<B: Backend>(
    store: &DurableStore<B>,
    address: ProtocolAddress,
    of: Option<&IdentityKeyPair>,
) -> Party<B> {
    let options = AccountOptions::new(address);
    let options = match of {
        Some(identity) => options.identity(identity.clone(), 7),
        None => options,
    };
    sound(options.create(store.clone()).await, "creating")
}

async fn with_rules(
    fixture: &Fixture,
    name: &str,
    policy: IdentityPolicy,
    scope: IdentityScope,
) -> Party {
    let account = AccountOptions::new(address(name))
        .identity_policy(policy)
        .identity_scope(scope)
        .create(store(fixture.backend().clone()).await);
    sound(account.await, "creating")
}

async fn key<B: Backend>(account: &Party<B>) -> IdentityKey {
    sound(account.identity_key().await, "our identity")
}

/// A first message from a peer, in a session that it starts.
async fn hear<A: Backend, B: Backend>(at: &Party<A>, from: &Party<B>) -> Result<Delivery, Error> {
    start(from, at).await;
    let envelope = send(from, at, b"it is me").await;
    try_receive(at, from, &envelope).await
}

fn told(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// What is done with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Receive,
}

use Step::{Receive, Start};

const OK: &str = "no error";
const NO: &str = "untrusted-identity";

/// What is known of a peer (`None`: nothing), and whether it comes with that identity or another one; what is
/// done; what becomes of that, how far the identity is trusted afterwards, and whether the peer can be sent to then.
type Row = (
    IdentityPolicy,
    Option<IdentityTrust>,
    bool,
    Step,
    &'static str,
    IdentityTrust,
    &'static str,
);

const SAME: bool = true;
const OTHER: bool = false;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (AlwaysTrust,     None,             SAME,  Start,   OK, Unverified, OK),
    (AlwaysTrust,     None,             SAME,  Receive, OK, Unverified, OK),
    (AlwaysTrust,     Some(Unverified), SAME,  Start,   OK, Unverified, OK),
    (AlwaysTrust,     Some(Unverified), SAME,  Receive, OK, Unverified, OK),
    (AlwaysTrust,     Some(Unverified), OTHER, Start,   OK, Changed,    OK),
    (AlwaysTrust,     Some(Unverified), OTHER, Receive, OK, Changed,    OK),
    (AlwaysTrust,     Some(Verified),   SAME,  Start,   OK, Verified,   OK),
    (AlwaysTrust,     Some(Verified),   SAME,  Receive, OK, Verified,   OK),
    (AlwaysTrust,     Some(Verified),   OTHER, Start,   OK, Changed,    OK),
    (AlwaysTrust,     Some(Verified),   OTHER, Receive, OK, Changed,    OK),
    (AlwaysTrust,     Some(Changed),    SAME,  Start,   OK, Changed,    OK),
    (AlwaysTrust,     Some(Changed),    SAME,  Receive, OK, Changed,    OK),
    (AlwaysTrust,     Some(Changed),    OTHER, Start,   OK, Changed,    OK),
    (AlwaysTrust,     Some(Changed),    OTHER, Receive, OK, Changed,    OK),

    (TrustOnFirstUse, None,             SAME,  Start,   OK, Unverified, OK),
    (TrustOnFirstUse, None,             SAME,  Receive, OK, Unverified, OK),
    (TrustOnFirstUse, Some(Unverified), SAME,  Start,   OK, Unverified, OK),
    (TrustOnFirstUse, Some(Unverified), SAME,  Receive, OK, Unverified, OK),
    (TrustOnFirstUse, Some(Unverified), OTHER, Start,   NO, Unverified, OK),
    (TrustOnFirstUse, Some(Unverified), OTHER, Receive, OK, Changed,    NO),
    (TrustOnFirstUse, Some(Verified),   SAME,  Start,   OK, Verified,   OK),
    (TrustOnFirstUse, Some(Verified),   SAME,  Receive, OK, Verified,   OK),
    (TrustOnFirstUse, Some(Verified),   OTHER, Start,   NO, Verified,   OK),
    (TrustOnFirstUse, Some(Verified),   OTHER, Receive, OK, Changed,    NO),
    (TrustOnFirstUse, Some(Changed),    SAME,  Start,   NO, Changed,    NO),
    (TrustOnFirstUse, Some(Changed),    SAME,  Receive, OK, Changed,    NO),
    (TrustOnFirstUse, Some(Changed),    OTHER, Start,   NO, Changed,    NO),
    (TrustOnFirstUse, Some(Changed),    OTHER, Receive, OK, Changed,    NO),

    (VerifiedOnly,    None,             SAME,  Start,   OK, Unverified, NO),
    (VerifiedOnly,    None,             SAME,  Receive, OK, Unverified, NO),
    (VerifiedOnly,    Some(Unverified), SAME,  Start,   OK, Unverified, NO),
    (VerifiedOnly,    Some(Unverified), SAME,  Receive, OK, Unverified, NO),
    (VerifiedOnly,    Some(Unverified), OTHER, Start,   NO, Unverified, NO),
    (VerifiedOnly,    Some(Unverified), OTHER, Receive, OK, Changed,    NO),
    (VerifiedOnly,    Some(Verified),   SAME,  Start,   OK, Verified,   OK),
    (VerifiedOnly,    Some(Verified),   SAME,  Receive, OK, Verified,   OK),
    (VerifiedOnly,    Some(Verified),   OTHER, Start,   NO, Verified,   OK),
    (VerifiedOnly,    Some(Verified),   OTHER, Receive, OK, Changed,    NO),
    (VerifiedOnly,    Some(Changed),    SAME,  Start,   NO, Changed,    NO),
    (VerifiedOnly,    Some(Changed),    SAME,  Receive, OK, Changed,    NO),
    (VerifiedOnly,    Some(Changed),    OTHER, Start,   NO, Changed,    NO),
    (VerifiedOnly,    Some(Changed),    OTHER, Receive, OK, Changed,    NO),
];

/// Every policy, by the table.
pub async fn policies_hold(fixture: Fixture) {
    let peers = Peers::new().await;
    for (number, row) in TABLE.iter().enumerate() {
        let alice = with_rules(&fixture, &format!("alice{number}"), row.0, PerAddress).await;
        peers.meet(&alice, row.1).await;
        peers.play(&alice, 1, row).await;
    }
}

/// With one identity for a name the table holds, too, and the name's second device is no stranger: it finds what is known of
/// the first.
pub async fn an_identity_may_be_that_of_a_name(fixture: Fixture) {
    let peers = Peers::new().await;
    for (number, row) in TABLE.iter().enumerate() {
        let device = 1 + number as u32 % 2;
        let alice = with_rules(&fixture, &format!("alice{number}"), row.0, PerName).await;
        peers.meet(&alice, row.1).await;
        peers.play(&alice, device, row).await;
        let listed = sound(alice.identities().await, "listing");
        let names: Vec<_> = listed
            .iter()
            .map(|one| (&*one.name, one.device_id))
            .collect();
        assert_eq!(names, [("bob", None)]);
    }
}

/// Bob with his two devices, and whoever else may appear in his place.
struct Peers {
    same: [Party<MemoryBackend>; 2],
    other: [Party<MemoryBackend>; 2],
}

impl Peers {
    async fn new() -> Self {
        let both = async || {
            let mut rng = rand::rng();
            let identity = IdentityKeyPair::generate(&mut rng);
            let store = store(MemoryBackend::new()).await;
            let device = async |number| {
                let address = ProtocolAddress::new("bob", number).expect("a device id");
                sibling(&store, address, Some(&identity)).await
            };
            [device(1).await, device(2).await]
        };
        Self {
            same: both().await,
            other: both().await,
        }
    }

    /// Brings about what is known of Bob's first device.
    async fn meet(&self, alice: &Party, known: Option<IdentityTrust>) {
        let (bob, other) = (&self.same[0], &self.other[0]);
        match known {
            None => {}
            Some(Changed) => {
                start(alice, other).await;
                let delivery = sound(hear(alice, bob).await, "receiving");
                assert_eq!(delivery.changed_identity, Some(key(bob).await));
            }
            Some(trust) => {
                start(alice, bob).await;
                if trust == Verified {
                    let verified = alice.verify(bob.address(), &key(bob).await).await;
                    sound(verified, "verifying");
                }
            }
        }
    }

    /// Does what `row` says with a device of Bob's.
    async fn play(&self, alice: &Party, device: u32, row: &Row) {
        let (_, known, is_same, step, outcome, trust, sending) = *row;
        let [same, other] = [&self.same, &self.other].map(|bob| &bob[device as usize - 1]);
        let bob = if is_same { same } else { other };
        let mut events = alice.events();
        let before = sound(alice.identity(bob.address()).await, "looking");
        let refused = match step {
            Start => {
                let bundle = sound(bob.bundle().await, "making a bundle");
                code(alice.start_session(bob.address(), &bundle).await)
            }
            Receive => {
                let heard = hear(alice, bob).await;
                if let Ok(delivery) = &heard {
                    let changed = (known.is_some() && !is_same).then_some(key(bob).await);
                    assert_eq!(delivery.changed_identity, changed, "{row:?}");
                }
                code(heard)
            }
        };
        assert_eq!(refused, outcome, "{row:?}");

        let found = sound(alice.known_identity(bob.address()).await, "looking");
        let found = found.expect("somebody is known");
        assert_eq!(found.trust, trust, "{row:?}");
        let now = if outcome == OK {
            Some(key(bob).await)
        } else {
            before
        };
        assert_eq!(Some(found.key), now, "{row:?}");

        let has_changed = before.is_some() && before != now;
        let told = told(&mut events);
        let reported = told
            .iter()
            .filter(|event| matches!(event, Event::IdentityChanged { .. }));
        assert_eq!(reported.count(), usize::from(has_changed), "{row:?}");

        let sent = code(alice.send(bob.address(), b"and now?").await);
        let has_session = outcome == OK || device == 1;
        let expected = if has_session { sending } else { "no-session" };
        assert_eq!(sent, expected, "sending after {row:?}");
    }
}

/// A peer installs anew. Its message is there and says so, with the same bytes again and after a restart, too; it is
/// answered once the user agrees.
pub async fn a_changed_identity_waits_for_approval(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    talking_to(&alice, &bob).await;

    let bob = elsewhere("bob", 1).await;
    let new = key(&bob).await;
    let bundle = sound(bob.bundle().await, "making a bundle");
    let refused = alice.start_session(bob.address(), &bundle).await;
    assert_eq!(code(refused), NO);
    let known = sound(alice.identity(bob.address()).await, "an identity");
    assert_ne!(known, Some(new), "a refused bundle leaves nothing");

    start(&bob, &alice).await;
    let envelope = send(&bob, &alice, b"it is me").await;
    let delivery = sound(try_receive(&alice, &bob, &envelope).await, "receiving");
    assert_eq!(delivery.changed_identity, Some(new));

    let fixture = fixture.reopened().await;
    let alice = party(&fixture, "alice").await;
    let waiting = sound(alice.inbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&delivery));
    let again = sound(try_receive(&alice, &bob, &envelope).await, "receiving");
    assert_eq!(again, delivery);
    assert_eq!(code(alice.send(bob.address(), b"who?").await), NO);
    let later = send(&bob, &alice, b"still me").await;
    let later = sound(try_receive(&alice, &bob, &later).await, "receiving");
    assert_eq!(later.changed_identity, None, "it was reported");
    assert_eq!(code(alice.send(bob.address(), b"who?").await), NO);

    let approved = alice.approve_identity(bob.address(), &new).await;
    assert_eq!(sound(approved, "approving"), IdentityChange::NewOrUnchanged);
    talk(&alice, &bob).await;
}

/// A bundle under another identity can be approved before anything was received.
pub async fn an_identity_may_be_approved_from_a_bundle(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    talking_to(&alice, &bob).await;
    let bob = elsewhere("bob", 1).await;
    let bundle = sound(bob.bundle().await, "making a bundle");
    let approved = alice
        .approve_identity(bob.address(), &bundle.identity_key)
        .await;
    assert_eq!(
        sound(approved, "approving"),
        IdentityChange::ReplacedExisting
    );
    // The session is with the one before.
    assert_eq!(code(alice.send(bob.address(), b"no").await), NO);
    sound(
        alice.start_session(bob.address(), &bundle).await,
        "starting",
    );
    talk(&alice, &bob).await;
}

/// Nothing more goes to the devices of the one who was there before, in the same commit.
pub async fn a_changed_identity_puts_other_devices_aside(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let (one, two) = (elsewhere("bob", 1).await, elsewhere("bob", 2).await);
    let carol = elsewhere("carol", 1).await;
    for peer in [&one, &two, &carol] {
        talking_to(&alice, peer).await;
    }
    let late = send(&two, &alice, b"late").await;
    let mut events = alice.events();
    let new = elsewhere("bob", 1).await;
    sound(hear(&alice, &new).await, "receiving");
    let expected = [
        Event::IdentityChanged {
            address: address("bob"),
        },
        Event::SessionArchived {
            address: two.address().clone(),
        },
    ];
    assert_eq!(told(&mut events), expected);
    assert_eq!(code(alice.send(new.address(), b"no").await), NO);
    assert_eq!(code(alice.send(two.address(), b"no").await), "no-session");
    talk(&alice, &carol).await;
    // What was sent in it can be read.
    read(&alice, &two, &late, b"late").await;
}

/// Verifying is for the key that was compared.
pub async fn what_is_verified_is_what_was_compared(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let (compared, other) = (key(&bob).await, key(&alice).await);
    let trust = async || {
        let known = alice.known_identity(bob.address()).await;
        sound(known, "looking").map(|known| known.trust)
    };
    assert_eq!(trust().await, None);
    // Before the first message, by a code that was scanned.
    sound(alice.verify(bob.address(), &compared).await, "verifying");
    assert_eq!(trust().await, Some(Verified));
    talking_to(&alice, &bob).await;
    assert_eq!(trust().await, Some(Verified));

    let refused = alice.verify(bob.address(), &other).await;
    assert_eq!(code(refused), NO);
    assert_eq!(trust().await, Some(Verified));
    let approved = alice.approve_identity(bob.address(), &compared).await;
    sound(approved, "approving");
    assert_eq!(
        trust().await,
        Some(Verified),
        "approving takes nothing away"
    );
    sound(
        alice.approve_identity(bob.address(), &other).await,
        "approving",
    );
    assert_eq!(trust().await, Some(Unverified));

    let imposed = elsewhere("bob", 1).await;
    sound(hear(&alice, &imposed).await, "receiving");
    assert_eq!(trust().await, Some(Changed));
    sound(
        alice.verify(bob.address(), &key(&imposed).await).await,
        "verifying",
    );
    assert_eq!(trust().await, Some(Verified));
    talk(&alice, &imposed).await;
}

/// All that is known is listed, as it is stored.
pub async fn identities_are_listed(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    assert_eq!(sound(alice.identities().await, "listing"), []);
    let mut expected = Vec::new();
    for (name, device) in [("bob", 1), ("bob", 2), ("b\u{f6}b", 1), ("boa", 127)] {
        let peer = elsewhere(name, device).await;
        start(&alice, &peer).await;
        expected.push((peer.address().clone(), key(&peer).await));
    }
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    let fixture = fixture.reopened().await;
    let alice = party(&fixture, "alice").await;
    let listed = sound(alice.identities().await, "listing");
    assert_eq!(listed.len(), expected.len());
    for (known, (peer, key)) in listed.iter().zip(&expected) {
        assert_eq!(
            (&*known.name, known.device_id),
            (peer.name(), Some(peer.device_id()))
        );
        assert_eq!((&known.key, known.trust), (key, Unverified));
        assert_eq!(known.changed, None);
        let one = sound(alice.known_identity(peer).await, "looking");
        assert_eq!(one.as_ref(), Some(known));
    }
}

/// A policy is stored with the account, and another one can be set at any time; the scope stays.
pub async fn a_policy_is_that_of_the_account(fixture: Fixture) {
    let alice = with_rules(&fixture, "alice", VerifiedOnly, PerName).await;
    let bob = elsewhere("bob", 1).await;
    start(&alice, &bob).await;
    assert_eq!(code(alice.send(bob.address(), b"no").await), NO);
    let fixture = fixture.reopened().await;
    let alice = party(&fixture, "alice").await;
    assert_eq!(alice.identity_scope(), PerName);
    let policy = sound(alice.identity_policy().await, "asking");
    assert_eq!(policy, VerifiedOnly);
    assert_eq!(code(alice.send(bob.address(), b"no").await), NO);
    sound(alice.set_identity_policy(TrustOnFirstUse).await, "setting");
    send(&alice, &bob, b"yes").await;
    let fixture = fixture.reopened().await;
    let alice = party(&fixture, "alice").await;
    assert_eq!(alice.identity_scope(), PerName);
    send(&alice, &bob, b"yes").await;
}

/// A handle that has just sent under one policy follows the next one that another handle sets.
pub async fn a_policy_holds_for_every_handle_at_once(fixture: Fixture) {
    let alice = with_rules(&fixture, "alice", TrustOnFirstUse, PerAddress).await;
    let bob = elsewhere("bob", 1).await;
    start(&alice, &bob).await;
    let elsewhere = party(&fixture, "alice").await;
    for _ in 0..2 {
        send(&alice, &bob, b"yes").await;
        sound(elsewhere.set_identity_policy(VerifiedOnly).await, "setting");
        assert_eq!(code(alice.send(bob.address(), b"no").await), NO);
        sound(
            elsewhere.set_identity_policy(TrustOnFirstUse).await,
            "setting",
        );
    }
    send(&alice, &bob, b"yes").await;
}

/// Whoever takes himself for us, or for another device of ours that is known, is ignored, and that is told.
pub async fn nobody_changes_an_identity_under_our_name(fixture: Fixture) {
    for (number, (policy, scope)) in [
        (TrustOnFirstUse, PerName),
        (AlwaysTrust, PerName),
        (TrustOnFirstUse, PerAddress),
        (AlwaysTrust, PerAddress),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("alice{number}");
        let alice = with_rules(&fixture, &name, policy, scope).await;
        let ours = key(&alice).await;
        let two = elsewhere(&name, 2).await;
        if scope == PerAddress {
            // A device of ours that has an identity of its own.
            talking_to(&alice, &two).await;
        }
        let known = sound(alice.identity(two.address()).await, "looking");
        let expected = if scope == PerName {
            ours
        } else {
            key(&two).await
        };
        assert_eq!(known, Some(expected));

        let mut events = alice.events();
        let imposed = elsewhere(&name, 2).await;
        assert_eq!(code(hear(&alice, &imposed).await), NO);
        let bundle = sound(imposed.bundle().await, "making a bundle");
        let started = alice.start_session(imposed.address(), &bundle).await;
        assert_eq!(code(started), NO);
        let contested = Event::OwnIdentityContested {
            address: two.address().clone(),
        };
        assert_eq!(told(&mut events), [contested.clone(), contested]);
        let known = sound(alice.identity(two.address()).await, "looking");
        assert_eq!(known, Some(expected));

        // Not even we ourselves agree to another identity of ours.
        let imposed = key(&imposed).await;
        let agreed = alice.approve_identity(alice.address(), &imposed).await;
        assert_eq!(code(agreed), "invalid-argument");
        let agreed = alice.verify(alice.address(), &imposed).await;
        assert_eq!(code(agreed), "invalid-argument");
        assert_eq!(key(&alice).await, ours);
        let known = sound(alice.identity(alice.address()).await, "looking");
        assert_eq!(known, Some(ours));
        if scope == PerAddress {
            talk(&alice, &two).await;
            let agreed = alice.approve_identity(two.address(), &imposed).await;
            assert_eq!(sound(agreed, "approving"), IdentityChange::ReplacedExisting);
        }
    }
}

/// An attempt that was given up tells nothing; what was done is told once.
pub async fn events_follow_the_commit(fixture: Fixture) {
    let Pair { alice, bob, faults } = Pair::talking(&fixture, 0).await;
    let alice_again = elsewhere(alice.address().name(), 1).await;
    start(&alice_again, &bob).await;
    let envelope = send(&alice_again, &bob, b"it is me").await;
    let (mut of_bob, mut of_all) = (bob.events(), bob.store().subscribe());
    let changed = Event::IdentityChanged {
        address: alice.address().clone(),
    };

    faults.inject(Call::Commit, 1, Fault::Conflict);
    faults.inject(Call::Commit, 2, Fault::Conflict);
    sound(
        try_receive(&bob, &alice_again, &envelope).await,
        "receiving",
    );
    let expected = [Event::ConflictRetried, Event::ConflictRetried, changed];
    assert_eq!(told(&mut of_bob), expected);
    assert_eq!(told(&mut of_all), expected);
    // Given again, it changes nothing: all there is to tell is that it was taken for new at first.
    sound(
        try_receive(&bob, &alice_again, &envelope).await,
        "receiving",
    );
    assert_eq!(told(&mut of_bob), [Event::ConflictRetried]);

    let archived = bob.archive_session(alice.address()).await;
    assert!(sound(archived, "archiving"));
    let archived = bob.archive_session(alice.address()).await;
    assert!(!sound(archived, "archiving"));
    let address = alice.address().clone();
    assert_eq!(told(&mut of_bob), [Event::SessionArchived { address }]);

    // What happens to another account in the store is not told to this one.
    let carol = party_over(bob.store().clone(), "carol").await;
    let mut of_carol = carol.events();
    talking_to(&carol, &bob).await;
    bob.archive_session(carol.address())
        .await
        .expect("no fault");
    assert_eq!(told(&mut of_carol), []);
    assert_eq!(told(&mut of_bob).len(), 1);
}

/// Session, identity and other devices change together, or nothing does and nothing is told.
pub async fn a_change_that_breaks_is_whole_or_nothing(fixture: Fixture) {
    everywhere(async |number, breaks| {
        let Pair { alice, bob, faults } = Pair::talking(&fixture, number).await;
        let name = alice.address().name();
        let second = elsewhere(name, 2).await;
        talking_to(&bob, &second).await;
        let new = elsewhere(name, 1).await;
        start(&new, &bob).await;
        let envelope = send(&new, &bob, b"it is me").await;
        let mut events = bob.events();
        let broken = breaks
            .run(&faults, try_receive(&bob, &new, &envelope))
            .await;
        let known = sound(bob.known_identity(new.address()).await, "looking");
        let known = known.expect("they have talked");
        let was_changed = known.key == key(&new).await;
        assert_eq!(known.trust, if was_changed { Changed } else { Unverified });
        let has_session = sound(bob.has_usable_session(second.address()).await, "asking");
        assert_eq!(has_session, !was_changed);
        let told = told(&mut events);
        let told = told
            .iter()
            .any(|event| matches!(event, Event::IdentityChanged { .. }));
        assert!(was_changed || !told, "told without a commit");
        assert!(told || !matches!(broken.outcome, Some(Ok(_))), "not told");

        let delivery = sound(try_receive(&bob, &new, &envelope).await, "receiving");
        assert_eq!(delivery.changed_identity, Some(key(&new).await));
        assert_eq!(code(bob.send(new.address(), b"no").await), NO);
        broken.reached
    })
    .await;
}
