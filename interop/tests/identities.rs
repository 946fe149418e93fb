//! A peer that installs anew: the official client at the other end of an account of ours.
#![allow(clippy::unwrap_used, clippy::panic)]

use sprag::vault::MemoryVault;
use sprag::{
    Account, AccountOptions, Delivery, DurableStore, Envelope, EnvelopeType, Event, IdentityPolicy,
    IdentityScope, IdentityTrust, PreKeyBundle, ProtocolAddress, Timestamp, backend::MemoryBackend,
    protocol::identity::IdentityKey,
};
use sprag_interop::{Address, Blob, BundleRequest, Implementation as _, Official, Party};

const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";

fn now() -> u64 {
    Timestamp::from(std::time::SystemTime::now()).as_millis()
}

async fn alice(policy: IdentityPolicy, scope: IdentityScope) -> Account<MemoryBackend> {
    let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new())
        .await
        .unwrap();
    let options = AccountOptions::new(ProtocolAddress::new(ALICE, 1).unwrap());
    let options = options.identity_policy(policy).identity_scope(scope);
    options.create(store).await.unwrap()
}

/// An installation of Bob's, on a device.
struct Bob(Box<dyn Party>);

impl Bob {
    fn installed(official: &Official, device: u32) -> Self {
        Self(
            official
                .create(&Address::new(BOB, device), 200, None)
                .unwrap(),
        )
    }

    fn address(&self) -> ProtocolAddress {
        ProtocolAddress::new(BOB, self.0.address().device).unwrap()
    }

    fn bundle(&mut self) -> PreKeyBundle {
        let bundle = self.0.bundle(BundleRequest::FULL, now()).unwrap();
        PreKeyBundle::try_from(&bundle).unwrap()
    }

    /// Starts a session with Alice from a bundle of hers.
    async fn start(&mut self, alice: &Account<MemoryBackend>) {
        let bundle = sprag_interop::Bundle::from(&alice.bundle().await.unwrap());
        self.0
            .process_bundle(&Address::new(ALICE, 1), &bundle, now())
            .unwrap();
    }

    async fn say(
        &mut self,
        alice: &Account<MemoryBackend>,
        text: &[u8],
    ) -> Result<Delivery, sprag::Error> {
        let sent = self
            .0
            .encrypt(&Address::new(ALICE, 1), text, now())
            .unwrap();
        let kind = EnvelopeType::from_number(sent.kind).unwrap();
        alice.receive(&self.address(), kind, &sent.body).await
    }

    fn read(&mut self, envelope: &Envelope) -> Vec<u8> {
        let envelope = sprag_interop::Envelope {
            kind: envelope.message_type as u8,
            body: Blob(envelope.bytes.to_vec()),
        };
        self.0.decrypt(&Address::new(ALICE, 1), &envelope).unwrap()
    }
}

/// Both have spoken.
async fn talking(alice: &Account<MemoryBackend>, bob: &mut Bob) {
    let bundle = bob.bundle();
    alice.start_session(&bob.address(), &bundle).await.unwrap();
    let sent = alice.send(&bob.address(), b"hello").await.unwrap();
    assert_eq!(bob.read(&sent), b"hello");
    bob.say(alice, b"hello, too").await.unwrap();
}

async fn known(alice: &Account<MemoryBackend>, bob: &Bob) -> (IdentityKey, IdentityTrust) {
    let known = alice.known_identity(&bob.address()).await.unwrap().unwrap();
    (known.key, known.trust)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(test);
}

/// His message is read at once, and Alice answers in the session that he started once she agrees.
#[test]
fn a_peer_that_installs_anew_is_read_and_answered_after_approval() {
    run(async {
        let official = Official::start().unwrap();
        let alice = alice(IdentityPolicy::TrustOnFirstUse, IdentityScope::PerAddress).await;
        let mut bob = Bob::installed(&official, 1);
        let mut tablet = Bob::installed(&official, 2);
        talking(&alice, &mut bob).await;
        talking(&alice, &mut tablet).await;
        let (old, _) = known(&alice, &bob).await;
        alice.verify(&bob.address(), &old).await.unwrap();

        let mut events = alice.events();
        let mut bob = Bob::installed(&official, 1);
        bob.start(&alice).await;
        let delivery = bob.say(&alice, b"new telephone").await.unwrap();
        assert_eq!(delivery.plaintext, "new telephone");
        let new = bob.bundle().identity_key;
        assert_eq!(delivery.changed_identity, Some(new));
        assert_eq!(known(&alice, &bob).await, (new, IdentityTrust::Changed));
        let address = bob.address();
        assert_eq!(events.try_next(), Some(Event::IdentityChanged { address }));
        let address = tablet.address();
        assert_eq!(events.try_next(), Some(Event::SessionArchived { address }));

        for device in [&bob, &tablet] {
            let refused = alice.send(&device.address(), b"no").await.unwrap_err();
            assert!(["untrusted-identity", "no-session"].contains(&refused.code()));
        }
        let later = bob.say(&alice, b"hello?").await.unwrap();
        assert_eq!(later.changed_identity, None);

        alice.approve_identity(&bob.address(), &new).await.unwrap();
        assert_eq!(known(&alice, &bob).await, (new, IdentityTrust::Unverified));
        let sent = alice.send(&bob.address(), b"welcome back").await.unwrap();
        assert_eq!(bob.read(&sent), b"welcome back");
        assert_eq!(
            bob.say(&alice, b"thanks").await.unwrap().plaintext,
            "thanks"
        );
        talking(&alice, &mut tablet).await;
    });
}

/// With one identity for a name, any of his devices tells of it; to trust everybody needs no approval.
#[test]
fn a_name_that_installs_anew_on_another_device() {
    run(async {
        let official = Official::start().unwrap();
        for policy in [IdentityPolicy::TrustOnFirstUse, IdentityPolicy::AlwaysTrust] {
            let alice = alice(policy, IdentityScope::PerName).await;
            let mut bob = Bob::installed(&official, 1);
            talking(&alice, &mut bob).await;
            let mut tablet = Bob::installed(&official, 2);
            tablet.start(&alice).await;
            let delivery = tablet.say(&alice, b"new everything").await.unwrap();
            let new = tablet.bundle().identity_key;
            assert_eq!(delivery.changed_identity, Some(new));
            assert_eq!(known(&alice, &bob).await, (new, IdentityTrust::Changed));
            let refused = alice.send(&bob.address(), b"no").await.unwrap_err();
            assert_eq!(refused.code(), "no-session");
            let answer = alice.send(&tablet.address(), b"hello").await;
            if policy == IdentityPolicy::TrustOnFirstUse {
                assert_eq!(answer.unwrap_err().code(), "untrusted-identity");
                alice.verify(&tablet.address(), &new).await.unwrap();
                let sent = alice.send(&tablet.address(), b"hello").await.unwrap();
                assert_eq!(tablet.read(&sent), b"hello");
            } else {
                assert_eq!(tablet.read(&answer.unwrap()), b"hello");
            }
        }
    });
}

/// Only who was verified is sent to; a session, and with it the safety number, can be had before.
#[test]
fn only_a_verified_peer_is_sent_to() {
    run(async {
        let official = Official::start().unwrap();
        let alice = alice(IdentityPolicy::VerifiedOnly, IdentityScope::PerAddress).await;
        let mut bob = Bob::installed(&official, 1);
        let bundle = bob.bundle();
        alice.start_session(&bob.address(), &bundle).await.unwrap();
        let refused = alice.send(&bob.address(), b"no").await.unwrap_err();
        assert_eq!(refused.code(), "untrusted-identity");
        alice.safety_number(&bob.address()).await.unwrap();
        let key = bundle.identity_key;
        alice.verify(&bob.address(), &key).await.unwrap();
        let sent = alice.send(&bob.address(), b"hello").await.unwrap();
        assert_eq!(bob.read(&sent), b"hello");
        bob.say(&alice, b"hello, too").await.unwrap();

        let mut bob = Bob::installed(&official, 1);
        bob.start(&alice).await;
        bob.say(&alice, b"new telephone").await.unwrap();
        let new = bob.bundle().identity_key;
        assert_eq!(known(&alice, &bob).await, (new, IdentityTrust::Changed));
        alice.approve_identity(&bob.address(), &new).await.unwrap();
        let refused = alice.send(&bob.address(), b"no").await.unwrap_err();
        assert_eq!(refused.code(), "untrusted-identity");
    });
}
