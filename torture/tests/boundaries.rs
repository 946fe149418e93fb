//! Many operations in random order, sealed messages and those to a group, changes of epochs and openings among them, in which calls of the storage fail, end
//! unknown, conflict or hang, those of the vault fail, and futures are dropped at any await. Checked against what a transport and three honest applications know: at the end every
//! text is delivered exactly once, and no message key was used twice.
//!
//! What each single break leaves behind is looked at by the contracts of `sprag-testkit`
//! (`account_suite!`), in order and for every backend.
#![allow(missing_docs)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rand::RngExt;
use rand::rngs::StdRng;
use sprag::backend::{BackendError, MemoryBackend};
use sprag::{Account, Envelope, Error, OutboxId, StoreOptions};
use sprag_testkit::backend::{Call, Fault, FaultyBackend};
use sprag_testkit::vault::{FaultyVault, VaultFault};
use sprag_torture::pace::{generator, say, seeds};
use sprag_torture::peer::address;
use sprag_torture::post::{self, Way, group};
use sprag_torture::seeded::Seeded;
use sprag_torture::used::{Key, key_of};
use sprag_torture::yielding::Yielding;

/// They are service ids, as the members of a group must be that is written to without telling the server who writes.
const NAMES: [&str; 3] = [
    "a11ce000-0000-4000-8000-000000000000",
    "b0b00000-0000-4000-8000-000000000000",
    "ca401000-0000-4000-8000-000000000000",
];
const STEPS: usize = 400;

/// After so many messages that were released later, an envelope has been late for long enough.
const LATE: usize = 20;

type Storage = FaultyBackend<Yielding<MemoryBackend>>;

#[test]
fn every_text_is_delivered_once_and_no_key_used_twice() {
    for seed in seeds() {
        let world = run(World::run(seed));
        let (broken, cancelled) = (world.broken, world.cancelled);
        say(&format!(
            "seed {seed}: {} texts, {} epochs, {broken} errors, {cancelled} futures dropped",
            world.texts.len(),
            world.epochs
        ));
        let tried = broken > 20 && cancelled > 20 && world.epochs > 2;
        assert!(tried, "nothing was tried");
    }
}

/// Every operation is dropped at each of its awaits in turn, and what is done after that ends well.
#[test]
fn futures_may_be_dropped_at_every_await() {
    let mut polls = 1;
    while run(World::dropped_after(polls)) {
        polls += 1;
    }
    say(&format!("the longest operation has {} awaits", polls - 1));
    assert!(polls > 4);
}

struct Person {
    account: Account<Storage>,
    storage: Storage,
    vault: FaultyVault,
}

struct World {
    seed: u64,
    rng: StdRng,
    people: Vec<Person>,
    texts: BTreeMap<String, Fate>,
    /// Who encrypted every envelope with which key, and its bytes.
    keys: HashMap<(usize, Key), Vec<u8>>,
    /// Envelopes that were released and not acknowledged by their recipient, with the number of each.
    transport: Vec<(usize, usize, Envelope, usize)>,
    seen: HashSet<OutboxId>,
    broken: usize,
    cancelled: usize,
    /// How many changes of epochs were finished.
    epochs: usize,
    /// Drop every future after so many polls, instead of what happens by chance.
    polls: Option<usize>,
}

/// What became of a text.
#[derive(Default)]
struct Fate {
    deliveries: HashSet<sprag::InboxId>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut people = Vec::new();
        for (number, name) in NAMES.into_iter().enumerate() {
            let storage = FaultyBackend::new(Yielding(MemoryBackend::new()));
            let vault = FaultyVault::new();
            let seed = seed ^ (number as u64) << 32;
            let opened = open(&storage, &vault, name, seed).await;
            people.push(Person {
                account: opened.unwrap(),
                storage,
                vault,
            });
        }
        for from in 0..NAMES.len() {
            for to in (0..NAMES.len()).filter(|to| *to != from) {
                let bundle = people[to].account.bundle().await.unwrap();
                let (account, peer) = (&people[from].account, address(NAMES[to]));
                account.start_session(&peer, &bundle).await.unwrap();
                let sender_key = account.group_distribute(group()).await.unwrap();
                let (peer, account) = (account.address(), &people[to].account);
                account.group_join(peer, &sender_key).await.unwrap();
            }
        }
        Self {
            seed,
            rng: generator(seed),
            people,
            texts: BTreeMap::new(),
            keys: HashMap::new(),
            transport: Vec::new(),
            seen: HashSet::new(),
            broken: 0,
            cancelled: 0,
            epochs: 0,
            polls: None,
        }
    }

    async fn run(seed: u64) -> Self {
        let mut world = Self::new(seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.settle().await;
        world
    }

    /// One operation of each sort, dropped after so many polls. Answers whether one of them was.
    async fn dropped_after(polls: usize) -> bool {
        let mut world = Self::new(polls as u64).await;
        world.polls = Some(polls);
        for way in Way::ALL {
            world.send(0, 1, way).await;
            world.deliver(0).await;
            world.restart(1, 0).await;
            world.send(1, 0, way).await;
            world.deliver(0).await;
            world.sent(0).await;
            world.new_epoch(0).await;
            world.reopen(0).await;
        }
        world.polls = None;
        world.settle().await;
        world.cancelled > 0
    }

    async fn step(&mut self) {
        let from = self.rng.random_range(0..NAMES.len());
        let to = (from + self.rng.random_range(1..NAMES.len())) % NAMES.len();
        match self.rng.random_range(0..24) {
            0..8 => {
                let way = Way::ALL[self.rng.random_range(0..Way::ALL.len())];
                self.send(from, to, way).await;
            }
            8..16 if !self.transport.is_empty() => {
                // Late, but not by more turns of the session than the five chains that a recipient keeps.
                let latest = self.transport.len().min(4);
                let overdue = self.transport[0].3 + LATE < self.seen.len();
                let latest = if overdue { 1 } else { latest };
                let which = self.rng.random_range(0..latest);
                self.deliver(which).await;
            }
            16..18 => self.sent(from).await,
            18 => self.restart(from, to).await,
            19..21 => self.new_epoch(from).await,
            21..23 => self.reopen(from).await,
            _ => {}
        }
    }

    async fn send(&mut self, from: usize, to: usize, way: Way) {
        let text = format!("seed {} text {}", self.seed, self.texts.len());
        self.texts.insert(text.clone(), Fate::default());
        for again in std::iter::once(false).chain(std::iter::repeat(true)) {
            self.plan(from);
            let polls = self.patience();
            let peer = address(NAMES[to]);
            let operation = post::write(&self.people[from].account, &peer, way, &text);
            let sent = attempt(operation, if again { usize::MAX } else { polls });
            self.people[from].heal();
            match sent {
                Some(Ok(envelope)) => return self.release(from, to, envelope).await,
                other => self.count(other),
            }
            // It is in the outbox, or it is not: then again.
            let waiting = self.people[from].account.outbox_pending().await.unwrap();
            let new = waiting
                .into_iter()
                .find(|waiting| !self.seen.contains(&waiting.id));
            if let Some(envelope) = new {
                return self.release(from, to, envelope).await;
            }
        }
    }

    /// The envelope gets out: its key is one that was never used.
    async fn release(&mut self, from: usize, to: usize, envelope: Envelope) {
        assert!(self.seen.insert(envelope.id), "seed {}", self.seed);
        let key = (from, key_of(&envelope, &self.people[to].account).await);
        let bytes = envelope.bytes.to_vec();
        let before = self.keys.insert(key, bytes);
        assert!(
            before.is_none(),
            "seed {}: a message key is used twice",
            self.seed
        );
        let number = self.seen.len();
        self.transport.push((from, to, envelope, number));
    }

    /// The transport delivers an envelope, and again until it is acknowledged.
    async fn deliver(&mut self, which: usize) {
        let (from, to, envelope, _) = self.transport[which].clone();
        self.plan(to);
        let polls = self.patience();
        let account = &self.people[to].account;
        let sender = address(NAMES[from]);
        let operation = post::read(account, &sender, &envelope);
        let received = attempt(operation, polls);
        self.people[to].heal();
        let delivery = match received {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) if error.code() == "duplicate-message" => {
                // Acknowledged, and the acknowledgement of that was lost.
                self.transport.remove(which);
                return;
            }
            other => return self.count(other),
        };
        let text = String::from_utf8(delivery.plaintext.to_vec()).unwrap();
        let fate = self.texts.get_mut(&text).expect("a text that was sent");
        fate.deliveries.insert(delivery.id);
        assert_eq!(
            fate.deliveries.len(),
            1,
            "seed {}: {text} comes twice",
            self.seed
        );
        self.plan(to);
        let polls = self.patience();
        let done = attempt(self.people[to].account.done(delivery.id), polls);
        self.people[to].heal();
        match done {
            Some(Ok(_)) => drop(self.transport.remove(which)),
            other => self.count(other),
        }
    }

    /// Somebody acknowledges what is in the outbox.
    async fn sent(&mut self, who: usize) {
        let waiting = self.people[who].account.outbox_pending().await.unwrap();
        for envelope in waiting {
            self.plan(who);
            let polls = self.patience();
            let sent = attempt(self.people[who].account.sent(envelope.id), polls);
            self.people[who].heal();
            if !matches!(sent, Some(Ok(_))) {
                self.count(sent);
            }
        }
    }

    async fn restart(&mut self, from: usize, to: usize) {
        self.plan(to);
        let polls = self.patience();
        let bundle = attempt(self.people[to].account.bundle(), polls);
        self.people[to].heal();
        let bundle = match bundle {
            Some(Ok(bundle)) => bundle,
            other => return self.count(other),
        };
        self.plan(from);
        let polls = self.patience();
        let peer = address(NAMES[to]);
        let started = attempt(
            self.people[from].account.start_session(&peer, &bundle),
            polls,
        );
        self.people[from].heal();
        if !matches!(started, Some(Ok(()))) {
            self.count(started);
        }
    }

    /// Somebody seals the store anew, or finishes that.
    async fn new_epoch(&mut self, who: usize) {
        self.plan(who);
        if self.polls.is_none() && self.rng.random_ratio(1, 4) {
            // Nobody can tell whether the header names the new root.
            let storage = &self.people[who].storage;
            let error = BackendError::Io {
                detail: "injected".to_owned(),
            };
            storage.inject(Call::Commit, 1, Fault::UnknownApplied);
            storage.inject(Call::Committed, 1, Fault::FailBefore(error));
        }
        let polls = self.patience();
        let begin = self.rng.random_ratio(2, 3);
        let store = self.people[who].account.store();
        let change = async {
            match begin {
                true => store.new_epoch().await.map(Some),
                false => store.upkeep().await,
            }
        };
        let changed = attempt(change, polls);
        self.people[who].heal();
        match changed {
            Some(Ok(change)) => {
                assert!(change.is_none_or(|change| change.forgotten && change.damaged == 0));
                self.epochs += usize::from(change.is_some());
            }
            other => self.count(other),
        }
    }

    /// Somebody opens the store anew, again until it is open.
    async fn reopen(&mut self, who: usize) {
        loop {
            self.plan(who);
            let polls = self.patience();
            let person = &self.people[who];
            let opening = open(
                &person.storage,
                &person.vault,
                NAMES[who],
                self.rng.random(),
            );
            let opened = attempt(opening, polls);
            self.people[who].heal();
            match opened {
                Some(Ok(account)) => return self.people[who].account = account,
                other => self.count(other),
            }
            if self.polls.is_some() {
                return;
            }
        }
    }

    /// Nothing fails any more, and everything is delivered.
    async fn settle(&mut self) {
        self.polls = Some(usize::MAX);
        while !self.transport.is_empty() {
            self.deliver(0).await;
        }
        for (text, fate) in &self.texts {
            assert_eq!(fate.deliveries.len(), 1, "{text}");
        }
        for who in 0..NAMES.len() {
            self.sent(who).await;
            let status = self.people[who].account.status().await.unwrap();
            assert_eq!((status.outbox, status.inbox), (0, 0));
            self.new_epoch(who).await;
            let store = self.people[who].account.store();
            assert_eq!(store.examine().await.unwrap().damaged, []);
        }
    }

    /// Plans what is to go wrong in the next operation of somebody, if anything.
    fn plan(&mut self, who: usize) {
        if self.polls.is_some() || self.rng.random_ratio(1, 3) {
            return;
        }
        let Person { storage, vault, .. } = &self.people[who];
        if self.rng.random_ratio(1, 4) {
            let fault = match self.rng.random() {
                true => VaultFault::Before,
                false => VaultFault::After,
            };
            vault.inject(self.rng.random_range(1..4), fault);
        }
        for _ in 0..self.rng.random_range(0..3) {
            let error = BackendError::Io {
                detail: "injected".to_owned(),
            };
            let nth = self.rng.random_range(1..6);
            let change = match self.rng.random_ratio(1, 3) {
                true => Call::DeleteSoon,
                false => Call::Commit,
            };
            match self.rng.random_range(0..8) {
                0 => storage.inject_any(nth, Fault::FailBefore(error)),
                1 => storage.inject_any(nth, Fault::FailAfter(error)),
                2 => storage.inject_any(nth, Fault::HangBefore),
                3 => storage.inject_any(nth, Fault::HangAfter),
                4 => storage.inject(change, 1, Fault::UnknownApplied),
                5 => storage.inject(change, 1, Fault::UnknownLost),
                6 => storage.inject(change, 1, Fault::Conflict),
                _ => storage.inject(Call::Committed, 1, Fault::FailBefore(error)),
            }
        }
    }

    /// After how many polls the next future is dropped.
    fn patience(&mut self) -> usize {
        match self.polls {
            Some(polls) => polls,
            None if self.rng.random_ratio(1, 4) => self.rng.random_range(1..12),
            None => 1000,
        }
    }

    fn count<T>(&mut self, outcome: Option<Result<T, Error>>) {
        match outcome {
            None => self.cancelled += 1,
            Some(Err(error)) => {
                let code = error.code();
                let expected = ["store-io", "outcome-unknown", "vault-locked"].contains(&code);
                assert!(expected, "seed {}: {error}", self.seed);
                self.broken += 1;
            }
            Some(Ok(_)) => {}
        }
    }
}

impl Person {
    /// Nothing fails any more.
    fn heal(&self) {
        self.storage.heal();
        self.vault.heal();
    }
}

/// The account of a store, made if there is none.
async fn open(
    storage: &Storage,
    vault: &FaultyVault,
    name: &str,
    seed: u64,
) -> Result<Account<Storage>, Error> {
    let store = StoreOptions::new()
        .environment(Seeded::new(seed))
        .open(storage.clone(), Yielding(vault.clone()))
        .await?;
    Account::open_or_create(store, address(name)).await
}

/// Runs an operation, and drops it after so many polls. All that it waits for wakes it at once, but for calls that
/// hang.
fn attempt<T>(operation: impl Future<Output = T>, polls: usize) -> Option<T> {
    // Polled again and again, without a turn for the runtime, it would use up what a task may do in one turn, and
    // then wait in vain for every lock.
    let mut operation = pin!(tokio::task::unconstrained(operation));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls.min(100_000) {
        if let Poll::Ready(value) = operation.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}
