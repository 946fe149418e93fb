//! Ten years of upkeep with real keys, over a backend that fails and dies at any call, by a clock that jumps, with a server that loses
//! keys and messages that come late and in storms.
//!
//! `PROPTEST_CASES=20 cargo test -p sprag --test upkeep_years` lives through more of them; the seed of one that fails is printed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::HashMap, future::poll_fn, pin::pin, task::Poll, time::Duration};

use chacha20::ChaCha20Rng;
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use sprag::{
    Account, Envelope, Error, KyberPreKeyStore, PreKeyBundle, PreKeyStore, ProtocolAddress,
    SignedPreKeyStore, StoreOptions,
    backend::{BackendError, MemoryBackend},
    upkeep::Policy,
    vault::MemoryVault,
};
use sprag_testkit::{
    Clock, MemoryKeyServer, ServerFault,
    backend::{Call, Fault, FaultyBackend},
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The shortest time for which everything that was handed out must be good.
const WITHIN: Duration = Duration::from_secs(45 * 24 * 60 * 60);

type Bob = Account<FaultyBackend<MemoryBackend>>;

struct Message {
    envelope: Envelope,
    /// How far Bob's clock had gone forward in all.
    handed_out_at: Duration,
}

struct World {
    rng: ChaCha20Rng,
    clock: Clock,
    vault: MemoryVault,
    disk: MemoryBackend,
    faults: FaultyBackend<MemoryBackend>,
    server: MemoryKeyServer,
    alice: Account<MemoryBackend>,
    bob: Bob,
    messages: Vec<Message>,
    /// How far Bob's clock has gone forward in all, jumps included.
    forward: Duration,
    /// Every public key that was ever seen, by sort and id.
    seen: HashMap<(&'static str, u32), Vec<u8>>,
    delivered: usize,
    failures: usize,
}

impl World {
    async fn new(seed: u64) -> Self {
        let (clock, vault, disk) = (Clock::new(), MemoryVault::new(), MemoryBackend::new());
        let faults = FaultyBackend::new(disk.clone());
        let elsewhere = StoreOptions::new().environment(Clock::new());
        let elsewhere = elsewhere
            .open(MemoryBackend::new(), MemoryVault::new())
            .await;
        let alice = ProtocolAddress::new("alice", 1).unwrap();
        Self {
            rng: ChaCha20Rng::seed_from_u64(seed),
            server: MemoryKeyServer::new(),
            alice: Account::create(elsewhere.unwrap(), alice).await.unwrap(),
            bob: bob(&faults, &vault, &clock).await,
            messages: Vec::new(),
            forward: Duration::ZERO,
            seen: HashMap::new(),
            delivered: 0,
            failures: 0,
            clock,
            vault,
            disk,
            faults,
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    fn advance(&mut self, time: Duration) {
        self.clock.advance(time);
        self.forward += time;
    }

    async fn live(&mut self) {
        let mut time = Duration::ZERO;
        while time < YEARS {
            let passes = HOUR * self.below(120);
            time += passes;
            self.advance(passes);
            match self.below(80) {
                0 => {
                    let jump = DAY * self.below(100);
                    self.advance(jump);
                }
                1 => {
                    let jump = DAY * self.below(100);
                    self.clock.put_back(jump);
                }
                2 => self.server.lose_one_time_keys(),
                3 => self.server.lose_all(),
                4 => {
                    for _ in 0..8 {
                        self.hand_out().await;
                    }
                }
                5..10 => self.bundle().await,
                10..50 => self.hand_out().await,
                _ => {}
            }
            if self.below(4) > 0 {
                self.upkeep().await;
            }
            self.deliver().await;
            self.check().await;
        }
    }

    /// One upkeep, which may fail or die anywhere.
    async fn upkeep(&mut self) {
        let dies_at = self.prepare_a_fault();
        let done = {
            let mut upkeep = pin!(self.bob.upkeep(&self.server));
            let is_dead = || dies_at.is_some_and(|place| self.faults.log().len() >= place);
            poll_fn(|context| match upkeep.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(outcome.is_ok()),
                Poll::Pending if is_dead() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            })
            .await
        };
        self.faults.heal();
        if !done {
            self.failures += 1;
            // As after a restart.
            self.bob = bob(&self.faults, &self.vault, &self.clock).await;
        }
    }

    /// Answers after which call the process dies, if it does.
    fn prepare_a_fault(&mut self) -> Option<usize> {
        match self.below(8) {
            0 => self.server.fail_next(ServerFault::BeforeUpload),
            1 => self.server.fail_next(ServerFault::AfterUpload),
            _ => {}
        }
        let place = u64::from(1 + self.below(30));
        let (start, which) = (self.faults.log().len(), self.below(12));
        let io = BackendError::Io {
            detail: "injected".into(),
        };
        let anywhere = |fault| self.faults.inject_any(place, fault);
        let in_commits = |fault| self.faults.inject(Call::Commit, place.div_ceil(3), fault);
        match which {
            0 => anywhere(Fault::FailBefore(io)),
            1 => anywhere(Fault::FailAfter(io)),
            2 => in_commits(Fault::UnknownApplied),
            3 => in_commits(Fault::UnknownLost),
            4 => in_commits(Fault::Conflict),
            5 | 6 => anywhere(Fault::HangBefore),
            7 | 8 => anywhere(Fault::HangAfter),
            _ => {}
        }
        (5..=8)
            .contains(&which)
            .then(|| start + usize::try_from(place).unwrap())
    }

    async fn hand_out(&mut self) {
        if let Some(bundle) = self.server.bundle() {
            self.write(&bundle).await;
        }
    }

    async fn bundle(&mut self) {
        let bundle = self.bob.bundle().await.unwrap();
        self.write(&bundle).await;
    }

    /// Alice writes to Bob for the first time, as it were. Some of it gets lost.
    async fn write(&mut self, bundle: &PreKeyBundle) {
        let kyber = &bundle.kyber_pre_key;
        let signed = &bundle.signed_pre_key;
        self.see("Kyber", kyber.id.into(), kyber.public_key.serialize());
        self.see(
            "signed",
            signed.id.into(),
            signed.public_key.serialize().to_vec(),
        );
        if let Some(key) = &bundle.pre_key {
            self.see("EC", key.id.into(), key.public_key.serialize().to_vec());
        }
        if self.below(4) == 0 {
            return;
        }
        let to = self.bob.address().clone();
        self.alice.start_session(&to, bundle).await.unwrap();
        let envelope = self.alice.send(&to, b"first").await.unwrap();
        self.alice.sent(envelope.id).await.unwrap();
        self.alice.delete_session(&to).await.unwrap();
        let handed_out_at = self.forward;
        self.messages.push(Message {
            envelope,
            handed_out_at,
        });
    }

    /// An id never means another key: ten years do not go round.
    fn see(&mut self, sort: &'static str, id: u32, key: Vec<u8>) {
        assert!((1..1 << 24).contains(&id));
        let known = self.seen.entry((sort, id)).or_insert_with(|| key.clone());
        assert_eq!(*known, key, "{sort} {id} is used again");
    }

    async fn deliver(&mut self) {
        for message in std::mem::take(&mut self.messages) {
            let age = self.forward - message.handed_out_at;
            if age >= WITHIN {
                continue;
            }
            // Some at once, the others when they are just within their time.
            let is_late = age + 5 * DAY > WITHIN;
            if is_late || self.below(4) == 0 {
                self.receive(&message.envelope, age).await;
            } else {
                self.messages.push(message);
            }
        }
    }

    async fn receive(&mut self, envelope: &Envelope, age: Duration) {
        self.delivered += 1;
        let alice = self.alice.address();
        let received = self
            .bob
            .receive(alice, envelope.message_type, &envelope.bytes);
        let delivery = received.await.unwrap_or_else(|error: Error| {
            panic!("{} after {} days", error.code(), age.as_secs() / 86_400)
        });
        self.bob.done(delivery.id).await.unwrap();
        // Given again, it makes no new session, whatever its keys were.
        self.bob.delete_session(alice).await.unwrap();
        let again = self
            .bob
            .receive(alice, envelope.message_type, &envelope.bytes);
        assert!(again.await.is_err());
    }

    async fn check(&self) {
        // One identity, what the account has once, and the keys: a batch for each drain in 90 days, and one a bundle in 90 days; rotated
        // keys for 45 days, more when the clock went back; uses of last-resort keys.
        assert!(self.disk.len() < 1500, "{} records", self.disk.len());
        let Some(published) = self.server.published() else {
            return;
        };
        let tx = self.bob.store().begin(self.bob.address());
        let signed = tx.load_signed_pre_key(published.signed_pre_key.id).await;
        assert!(signed.unwrap().is_some());
        let kyber = published.kyber_pre_keys.iter().map(|key| key.id);
        for id in kyber.chain([published.last_resort.id]) {
            assert!(tx.load_kyber_pre_key(id).await.unwrap().is_some());
        }
        for key in &published.pre_keys {
            assert!(tx.load_pre_key(key.id).await.unwrap().is_some());
        }
    }
}

/// Bob, as after a start of his process.
async fn bob(faults: &FaultyBackend<MemoryBackend>, vault: &MemoryVault, clock: &Clock) -> Bob {
    let options = StoreOptions::new().environment(clock.clone());
    let store = options.open(faults.clone(), vault.clone()).await.unwrap();
    let address = ProtocolAddress::new("bob", 1).unwrap();
    // Fewer keys than usual, for the sake of time.
    let mut policy = Policy::default();
    policy.batch = 6;
    policy.refill_below = 3;
    policy.keep_newest = 12;
    let bob = Account::open_or_create(store, address).await.unwrap();
    bob.with_key_policy(policy)
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::with_cases(if std::env::var_os("PROPTEST_CASES").is_some() {
            ProptestConfig::default().cases
        } else {
            1
        })
    })]

    #[test]
    fn ten_years(seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(tokio::task::unconstrained(async {
            let mut world = World::new(seed).await;
            world.live().await;
            assert!(world.delivered > 200 && world.failures > 100);
        }));
    }
}
