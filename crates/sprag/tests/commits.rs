//! What operations cost: which records they read and write, in how many calls.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sprag::{
    Account, DurableStore, Envelope, ProtocolAddress, SessionStore,
    backend::{
        Backend, BackendError, Batch, CommitOutcome, Kind, MemoryBackend, Record, RecordKey,
    },
};
use sprag_testkit::{backend::PassThrough, vault};

/// Notes all calls.
#[derive(Clone, Default)]
struct Noting {
    inner: MemoryBackend,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Notes {
    reads: usize,
    /// Written of sessions.
    session_bytes: usize,
    commits: Vec<Written>,
}

/// The kinds of records that a commit wrote, in order.
#[derive(Default, Debug, PartialEq, Eq)]
struct Written {
    puts: Vec<Kind>,
    deletes: Vec<Kind>,
}

impl Notes {
    fn add(&mut self, batch: &Batch, written: Written) {
        let of_sessions = |kind| matches!(kind, Kind::Session | Kind::SessionPart);
        let puts = batch.puts.iter().filter(|put| of_sessions(put.key.kind()));
        self.session_bytes += puts.map(|put| put.bytes.len()).sum::<usize>();
        self.commits.push(written);
    }
}

impl Noting {
    fn take(&self) -> Notes {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }
}

#[async_trait]
impl PassThrough for Noting {
    type Inner = MemoryBackend;

    fn inner(&self) -> &MemoryBackend {
        &self.inner
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, BackendError> {
        self.notes.lock().unwrap().reads += 1;
        self.inner.read(keys).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        let mut written = Written {
            puts: batch.puts.iter().map(|put| put.key.kind()).collect(),
            deletes: batch.deletes.iter().map(RecordKey::kind).collect(),
        };
        written.puts.sort();
        written.deletes.sort();
        self.notes.lock().unwrap().add(&batch, written);
        self.inner.commit(batch).await
    }

    async fn delete_soon(&self, batch: Batch) -> Result<CommitOutcome, BackendError> {
        PassThrough::commit(self, batch).await
    }
}

sprag_testkit::pass_through!(Noting);

struct Pair {
    backend: Noting,
    alice: Account<Noting>,
    bob: Account<Noting>,
}

impl Pair {
    async fn new() -> Self {
        let backend = Noting::default();
        let store = DurableStore::open(backend.clone(), vault::shared())
            .await
            .unwrap();
        let account = async |name| {
            let address = ProtocolAddress::new(name, 1).unwrap();
            Account::create(store.clone(), address).await.unwrap()
        };
        let (alice, bob) = (account("alice").await, account("bob").await);
        Self {
            backend,
            alice,
            bob,
        }
    }

    async fn talking() -> Self {
        let pair = Self::new().await;
        let bundle = pair.bob.bundle().await.unwrap();
        let started = pair.alice.start_session(pair.bob.address(), &bundle).await;
        started.unwrap();
        let envelope = pair.alice.send(pair.bob.address(), b"").await.unwrap();
        pair.receive(&pair.bob, &pair.alice, &envelope).await;
        let envelope = pair.bob.send(pair.alice.address(), b"").await.unwrap();
        pair.receive(&pair.alice, &pair.bob, &envelope).await;
        pair.backend.take();
        pair
    }

    async fn receive(&self, to: &Account<Noting>, from: &Account<Noting>, envelope: &Envelope) {
        let (message_type, bytes) = (envelope.message_type, &envelope.bytes);
        to.receive(from.address(), message_type, bytes)
            .await
            .unwrap();
    }

    fn assert_one_commit(&self, reads: usize, puts: &[Kind], deletes: &[Kind]) {
        let notes = self.backend.take();
        let written = Written {
            puts: puts.to_vec(),
            deletes: deletes.to_vec(),
        };
        assert_eq!(notes.commits, [written]);
        assert_eq!(notes.reads, reads);
    }
}

/// A message rewrites its session, and nothing that others use. In a conversation that is going on it reads
/// nothing.
#[tokio::test]
async fn a_message_costs_one_commit_of_two_records_on_each_side() {
    let pair = Pair::talking().await;
    let envelope = pair.alice.send(pair.bob.address(), b"hi").await.unwrap();
    pair.assert_one_commit(0, &[Kind::Session, Kind::Outbox], &[]);
    pair.receive(&pair.bob, &pair.alice, &envelope).await;
    pair.assert_one_commit(0, &[Kind::Session, Kind::Inbox], &[]);
    // Given again, it is only looked up.
    pair.receive(&pair.bob, &pair.alice, &envelope).await;
    assert!(
        pair.backend
            .take()
            .commits
            .iter()
            .all(|commit| *commit == Written::default())
    );
}

#[tokio::test]
async fn an_acknowledgement_costs_one_deletion() {
    let pair = Pair::talking().await;
    let envelope = pair.alice.send(pair.bob.address(), b"hi").await.unwrap();
    let (message_type, bytes) = (envelope.message_type, &envelope.bytes);
    let received = pair.bob.receive(pair.alice.address(), message_type, bytes);
    let delivery = received.await.unwrap();
    pair.backend.take();
    assert!(pair.alice.sent(envelope.id).await.unwrap());
    pair.assert_one_commit(0, &[], &[Kind::Outbox]);
    assert!(pair.bob.done(delivery.id).await.unwrap());
    pair.assert_one_commit(0, &[], &[Kind::Inbox]);
}

/// Session, identity, inbox and the consumed keys land together.
#[tokio::test]
async fn a_first_message_costs_one_commit_with_its_keys_in_it() {
    let pair = Pair::new().await;
    let bundle = pair.bob.bundle().await.unwrap();
    pair.backend.take();
    let started = pair.alice.start_session(pair.bob.address(), &bundle).await;
    started.unwrap();
    // The device is on the list of its name from now on. Every first message repeats a long ciphertext.
    pair.assert_one_commit(
        1,
        &[
            Kind::Session,
            Kind::Identity,
            Kind::Directory,
            Kind::SessionPart,
        ],
        &[],
    );
    let envelope = pair.alice.send(pair.bob.address(), b"").await.unwrap();
    pair.backend.take();
    pair.receive(&pair.bob, &pair.alice, &envelope).await;
    pair.assert_one_commit(
        1,
        &[Kind::Session, Kind::Identity, Kind::Inbox, Kind::Directory],
        &[Kind::PreKey, Kind::KyberPreKey],
    );
}

#[tokio::test]
async fn a_bundle_costs_one_commit() {
    let pair = Pair::talking().await;
    pair.bob.bundle().await.unwrap();
    let notes = pair.backend.take();
    let puts = vec![
        Kind::Account,
        Kind::PreKey,
        Kind::KyberPreKey,
        Kind::Directory,
        Kind::Directory,
        Kind::Counter,
        Kind::Counter,
    ];
    let written = Written {
        puts,
        deletes: vec![],
    };
    assert_eq!(notes.commits, [written]);
}

/// Skipped keys lie apart from what every message changes, in blocks: a message in order rewrites none, a late
/// one its own. All of it is there again after a restart, and goes with the session.
#[tokio::test]
async fn a_message_rewrites_of_many_skipped_keys_only_what_it_must() {
    let pair = Pair::talking().await;
    let mut envelopes = Vec::new();
    for number in 0..500_u16 {
        let text = number.to_be_bytes();
        let sent = pair.alice.send(pair.bob.address(), &text[..]);
        envelopes.push(sent.await.unwrap());
    }
    pair.receive(&pair.bob, &pair.alice, &envelopes[498]).await;
    assert!(
        pair.backend.take().session_bytes > 30_000,
        "498 skipped keys"
    );
    pair.receive(&pair.bob, &pair.alice, &envelopes[499]).await;
    let in_order = pair.backend.take().session_bytes;
    pair.receive(&pair.bob, &pair.alice, &envelopes[77]).await;
    let late = pair.backend.take().session_bytes;
    assert!(in_order < 3_000 && late < 30_000, "{in_order} {late}");

    let store = DurableStore::open(pair.backend.clone(), vault::shared())
        .await
        .unwrap();
    let bob = pair.bob.address();
    let restarted = Account::open(store.clone(), bob.clone()).await.unwrap();
    for number in [400, 64, 63, 0] {
        pair.receive(&restarted, &pair.alice, &envelopes[number])
            .await;
    }
    let before = pair.backend.inner.len();
    let transaction = store.begin(bob);
    let deleted = transaction.delete_session(pair.alice.address()).await;
    deleted.unwrap();
    transaction.commit().await.unwrap();
    let written = pair.backend.take().commits.pop().unwrap();
    let parts = written
        .deletes
        .iter()
        .filter(|kind| **kind == Kind::SessionPart);
    assert!(parts.count() >= 8);
    assert_eq!(before - pair.backend.inner.len(), written.deletes.len());
}
