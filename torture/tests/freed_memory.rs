//! Secrets are erased before their memory is given back.
//!
//! One story is told twice with the same randomness: first to learn all secrets that occur in it, then with an allocator
//! that looks for each of them in whatever is given back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rand::{SeedableRng as _, rngs::StdRng};
use sprag::{
    Account, DurableStore, Environment, Error, IdentityKeyStore, PreKeyStore, ProtocolAddress,
    SessionStore, StoreOptions, Timestamp, backend::MemoryBackend,
    protocol::identity::IdentityKeyPair,
};
use sprag_torture::freed::{self, Finding, Searching};
use sprag_torture::vault::{Change, RecordedVault};

#[global_allocator]
static ALLOCATOR: Searching = Searching;

const ROUNDS: usize = 12;

/// Of the story's steps, which are some hundred.
const MOST_REMNANTS: usize = 2 * ROUNDS;

/// Not in memory that could be given back.
const THERE: &[u8] = b"a plaintext of Alice's that nobody else may read";
const BACK: &[u8] = b"and the answer to it by Bob, as secret as that";

#[tokio::test]
async fn secrets_are_erased_before_their_memory_is_given_back() {
    let mut secrets = Secrets::default();
    tell(Some(&mut secrets)).await;
    let mut again = Secrets::default();
    tell(Some(&mut again)).await;
    assert!(secrets.0 == again.0, "the story is always the same");
    for (sort, least) in [
        ("root key", ROUNDS),
        ("chain key", ROUNDS),
        ("private ratchet key", ROUNDS),
        ("seed of a skipped message key", ROUNDS),
        ("identity key", 2),
        ("one-time pre-key", 1),
        ("root of the vault", 2),
    ] {
        let count = secrets.0.iter().filter(|(found, _)| *found == sort).count();
        assert!(count >= least, "only {count} of {sort}");
    }
    secrets.add("plaintext", THERE);
    secrets.add("plaintext", BACK);

    freed::watch(secrets.0.iter().map(|(sort, secret)| (*sort, &**secret)));
    tell(None).await;
    let findings = freed::findings();
    let (remnants, findings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_remnant);
    for finding in &findings {
        eprintln!("{}\n{}", finding.secret, ours(&finding.backtrace));
    }
    assert!(findings.is_empty(), "{} findings", findings.len());
    assert!(remnants.len() <= MOST_REMNANTS, "{}", remnants.len());
    let whole = ["plaintext", "identity key", "root of the vault"];
    assert!(
        remnants
            .iter()
            .all(|remnant| !whole.contains(&&*remnant.secret))
    );

    // The search finds what is not erased.
    freed::watch(secrets.0.iter().map(|(sort, secret)| (*sort, &**secret)));
    drop(std::hint::black_box(secrets.0[0].1.to_vec()));
    assert_eq!(freed::findings().len(), 1);
}

/// Whether it is in a block to which a large value was moved from the stack, with whatever lay there before between its
/// parts: Rust gives nobody a way to erase that. There are some of these, and not one in each step.
fn is_remnant(finding: &Finding) -> bool {
    const VALUES: [&str; 4] = [
        "dyn core::future::future::Future",
        "durable::value::Value>",
        "session::state::SessionState>",
        "spqr::state::Active>",
    ];
    let mut dropped = finding
        .backtrace
        .lines()
        .filter(|line| !line.trim_start().starts_with("at "))
        .skip_while(|line| !line.contains("drop"))
        .take_while(|line| line.contains("drop"));
    dropped.any(|line| VALUES.iter().any(|value| line.contains(value)))
}

/// The frames of a backtrace that tell something.
fn ours(backtrace: &str) -> String {
    let frames = backtrace.lines().filter(|line| {
        ["sprag", "prost", "bytes"]
            .iter()
            .any(|name| line.contains(name))
            && !line.contains("freed::")
    });
    let frames: Vec<_> = frames.take(24).collect();
    frames.join("\n")
}

/// Alice and Bob talk; `learning` is told their secrets after each step.
async fn tell(mut learning: Option<&mut Secrets>) {
    let vault = RecordedVault::default();
    let (environment, backend) = (Repeated::default(), MemoryBackend::new());
    let open = || {
        let options = StoreOptions::new().environment(environment.clone());
        options.open(backend.clone(), vault.clone())
    };
    let (alice, bob) = (address("alice"), address("bob"));
    let store = open().await.unwrap();
    for (number, address) in [(1, &alice), (2, &bob)] {
        let identity = IdentityKeyPair::generate(&mut StdRng::seed_from_u64(number));
        let store = store.clone();
        Account::create_with_identity(store, address.clone(), identity, 1)
            .await
            .unwrap();
    }
    let pair = Pair::open(&store, &alice, &bob).await;
    let bundle = pair.bob.bundle().await.unwrap();
    if let Some(secrets) = &mut learning {
        let store = pair.bob.store().begin(&bob);
        let id = bundle.pre_key.as_ref().unwrap().id;
        let record = store.load_pre_key(id).await.unwrap().unwrap();
        let record = record.serialize();
        secrets.add("one-time pre-key", of_number(&record, 3).next().unwrap());
    }
    pair.alice.start_session(&bob, &bundle).await.unwrap();
    for _ in 0..ROUNDS {
        pair.round(&mut learning).await;
    }
    assert!(store.new_epoch().await.unwrap().forgotten);
    drop((pair, store));
    let store = open().await.unwrap();
    let pair = Pair::open(&store, &alice, &bob).await;
    pair.round(&mut learning).await;
    if let Some(secrets) = learning {
        for change in vault.changes() {
            if let Change::Create(_, root) = change {
                secrets.add("root of the vault", root.as_bytes());
            }
        }
    }
}

fn address(name: &str) -> ProtocolAddress {
    ProtocolAddress::new(name, 1).unwrap()
}

type OurAccount = Account<MemoryBackend>;

struct Pair {
    alice: OurAccount,
    bob: OurAccount,
}

impl Pair {
    async fn open(
        store: &DurableStore<MemoryBackend>,
        alice: &ProtocolAddress,
        bob: &ProtocolAddress,
    ) -> Self {
        let open = |address: &ProtocolAddress| Account::open(store.clone(), address.clone());
        Self {
            alice: open(alice).await.unwrap(),
            bob: open(bob).await.unwrap(),
        }
    }

    /// Two messages there, of which the first comes late, and one back.
    async fn round(&self, learning: &mut Option<&mut Secrets>) {
        let late = self.alice.send(self.bob.address(), THERE).await.unwrap();
        self.learn(learning).await;
        exchange(&self.alice, &self.bob, THERE).await;
        self.learn(learning).await;
        exchange(&self.bob, &self.alice, BACK).await;
        self.learn(learning).await;
        deliver(&self.alice, &self.bob, late).await;
        self.learn(learning).await;
    }

    async fn learn(&self, learning: &mut Option<&mut Secrets>) {
        let Some(secrets) = learning else {
            return;
        };
        for (one, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let store = one.store().begin(one.address());
            let identity = store.identity_key_pair().await.unwrap();
            secrets.add(
                "identity key",
                of_number(&identity.serialize(), 2).next().unwrap(),
            );
            if let Some(session) = store.load_session(other.address()).await.unwrap() {
                secrets.add_session(&session.serialize());
            }
        }
    }
}

async fn exchange(from: &OurAccount, to: &OurAccount, text: &[u8]) {
    let envelope = from.send(to.address(), text).await.unwrap();
    deliver(from, to, envelope).await;
}

async fn deliver(from: &OurAccount, to: &OurAccount, envelope: sprag::Envelope) {
    let delivery = to
        .receive(from.address(), envelope.message_type, &envelope.bytes)
        .await
        .unwrap();
    assert!([THERE, BACK].contains(&&*delivery.plaintext));
    from.sent(envelope.id).await.unwrap();
    to.done(delivery.id).await.unwrap();
}

/// The same seeds each time.
#[derive(Clone, Default)]
struct Repeated(Arc<AtomicU64>);

impl Environment for Repeated {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_768_478_400_000)
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Ok(())
    }
}

/// Secrets and what they are called.
#[derive(Default)]
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, sort: &'static str, secret: &[u8]) {
        if self.0.iter().all(|(_, known)| known != secret) {
            self.0.push((sort, secret.to_vec()));
        }
    }

    /// The secrets in a session record (sheet 02 section 2).
    fn add_session(&mut self, record: &[u8]) {
        for session in of_number(record, 1) {
            of_number(session, 4).for_each(|root| self.add("root key", root));
            for chain in of_number(session, 6).chain(of_number(session, 7)) {
                of_number(chain, 2).for_each(|key| self.add("private ratchet key", key));
                for chain_key in of_number(chain, 3) {
                    of_number(chain_key, 2).for_each(|key| self.add("chain key", key));
                }
                for skipped in of_number(chain, 4) {
                    let seeds = of_number(skipped, 5);
                    seeds.for_each(|seed| self.add("seed of a skipped message key", seed));
                }
            }
        }
    }
}

/// The byte strings of one field in a protobuf message.
fn of_number(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let tag = varint(&mut rest);
            match tag & 7 {
                0 => drop(varint(&mut rest)),
                1 => rest = &rest[8..],
                2 => {
                    let length = varint(&mut rest) as usize;
                    let (value, after) = rest.split_at(length);
                    rest = after;
                    if tag >> 3 == number && !value.is_empty() {
                        return Some(value);
                    }
                }
                _ => rest = &rest[4..],
            }
        }
        None
    })
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let first = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
