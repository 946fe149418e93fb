//! What Sprag does over SQLite: accounts in one file, every step durable before its outcome is used.
//!
//! The file lies in the system's folder for temporary files; set `TMPDIR` to measure another disk.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rand::Rng;
use sprag::vault::MemoryVault;
use sprag::{
    Account, CiphertextMessage, DurableStore, Error, IdentityKeyStore, InboxId, ProtocolAddress,
    SessionCipher, SessionRecord, SessionStore, StoreOptions, Transaction,
    backend::{AccountId, Backend, Batch, CommitOutcome, Kind, OperationId, RecordKey, Version},
    protocol::{identity::IdentityKeyPair, message::SignalMessage},
    upkeep::{KeyCounts, KeyServer, KeyServerError, KeyUpload, Policy},
};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::{
    contest::{Runner, at_once, in_batches},
    conversation::{Conversation, PLAINTEXT, Snapshot},
    ours::{SNAPSHOTS, STREAM, Streams},
};

type Store = DurableStore<SqliteBackend>;

/// What a session in use takes: the record that every message rewrites, and two parts.
const RECORD: (Kind, usize) = (Kind::Session, 2000);
const PARTS: [(Kind, usize); 2] = [(Kind::SessionPart, 3400), (Kind::SessionPart, 1200)];

/// Other sessions that are put into a store in one commit.
const AT_ONCE: usize = 1000;

/// So many conversations at once, with outbox and inbox. What was sent or read is acknowledged beside
/// the next step.
pub fn ping_pong(conversations: usize) -> Runner {
    ping_pong_of(pairs(conversations))
}

/// The same in a store that is not sealed.
pub fn ping_pong_in_clear_text(conversations: usize) -> Runner {
    ping_pong_of(pairs_in(
        &Arc::new(TempDir::new().unwrap()),
        conversations,
        false,
    ))
}

fn ping_pong_of(pairs: Vec<Pair>) -> Runner {
    at_once(pairs, |mut pair, times| async move {
        for _ in 0..times {
            pair.message().await.unwrap();
        }
        pair
    })
}

/// The same without outbox and inbox: the ciphers over transactions.
pub fn ping_pong_of_sessions(conversations: usize) -> Runner {
    ping_pong_among(conversations, 0)
}

/// The same in a store that holds so many other sessions, too. Says how long it took to open that.
#[allow(clippy::print_stderr)]
pub fn ping_pong_among(conversations: usize, others: usize) -> Runner {
    let folder = Arc::new(TempDir::new().unwrap());
    if others > 0 {
        fill(&folder, others);
        let took = Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(open_and_close(&folder));
        eprintln!("opened among {others} sessions in {took:.1?}");
    }
    at_once(
        pairs_in(&folder, conversations, true),
        |mut pair, times| async move {
            for _ in 0..times {
                pair.message_of_sessions().await.unwrap();
            }
            pair
        },
    )
}

/// Decrypt one message after the other, each durable, in a session that holds so many skipped keys.
pub fn decrypt(skipped: usize) -> Runner {
    let mut streams = Streams::new(skipped);
    let folder = TempDir::new().unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let (bob, alice) = (
        streams.bob().address.clone(),
        streams.alice().address.clone(),
    );
    let store = runtime.block_on(async {
        let store = DurableStore::open(open(&folder).await, MemoryVault::new());
        let store = store.await.unwrap();
        let (identity, session) = (streams.bob().identity.clone(), streams.next(0).0);
        move_in(&store, &bob, &identity, &alice, &session)
            .await
            .unwrap();
        store
    });
    Box::new(move |times| {
        let _keep = &folder;
        in_batches(times, STREAM, |count| {
            let (session, messages) = streams.next(count);
            let messages: Vec<_> = messages.iter().map(parsed).collect();
            runtime.block_on(async {
                let transaction = store.begin(&bob);
                transaction.store_session(&alice, session).await.unwrap();
                transaction.commit().await.unwrap();
                let start = Instant::now();
                for message in &messages {
                    receive(&store, &bob, &alice, message).await.unwrap();
                }
                start.elapsed()
            })
        })
    })
}

async fn receive(
    store: &Store,
    us: &ProtocolAddress,
    sender: &ProtocolAddress,
    message: &SignalMessage,
) -> Result<Vec<u8>, Error> {
    let decrypt = |tx: Arc<Transaction<_>>| async move {
        let cipher = SessionCipher::new(&tx, &tx, us, sender);
        cipher.decrypt_signal(message, &mut tx.rng()?).await
    };
    store.run(us, decrypt).await
}

/// What travels in a session that has been answered.
pub(crate) fn parsed(message: &CiphertextMessage) -> SignalMessage {
    let parsed = CiphertextMessage::deserialize(message.message_type(), message.serialized());
    match parsed.unwrap() {
        CiphertextMessage::Signal(message) => message,
        _ => panic!("the session has been answered"),
    }
}

/// Upkeeps of an account whose server has never any one-time keys left: 200 keys are made in one commit, published, confirmed and
/// in their turn replaced.
pub fn refill() -> Runner {
    let folder = TempDir::new().unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let account = runtime.block_on(async {
        let store = DurableStore::open(open(&folder).await, MemoryVault::new());
        let address = ProtocolAddress::new("alice", 1).unwrap();
        let account = Account::create(store.await.unwrap(), address).await;
        let mut policy = Policy::default();
        policy.max_batches = usize::MAX;
        account.unwrap().with_key_policy(policy)
    });
    Box::new(move |times| {
        let _folder = &folder;
        let start = Instant::now();
        for _ in 0..times {
            runtime.block_on(account.upkeep(&Drained)).unwrap();
        }
        start.elapsed()
    })
}

struct Drained;

#[async_trait]
impl KeyServer for Drained {
    async fn counts(&self) -> Result<KeyCounts, KeyServerError> {
        Ok(KeyCounts::default())
    }

    async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError> {
        assert_eq!(
            (upload.pre_keys.len(), upload.kyber_pre_keys.len()),
            (100, 100)
        );
        Ok(())
    }
}

/// How long opening takes.
async fn open_and_close(folder: &TempDir) -> Duration {
    let start = Instant::now();
    let store = DurableStore::open(open(folder).await, MemoryVault::new())
        .await
        .unwrap();
    let took = start.elapsed();
    store.close().await.unwrap();
    took
}

pub(crate) async fn open(folder: &TempDir) -> SqliteBackend {
    let options = SqliteOptions::file(folder.path().join("sprag.db"));
    options.open().await.unwrap()
}

/// Puts sessions into a store that nobody uses. To the backend a record is but bytes.
fn fill(folder: &TempDir, sessions: usize) {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let backend = open(folder).await;
        let mut rng = rand::rng();
        for start in (0..sessions).step_by(AT_ONCE) {
            let mut batch = Batch::new(OperationId::random(&mut rng));
            for _ in start..sessions.min(start + AT_ONCE) {
                for (kind, length) in [RECORD].into_iter().chain(PARTS) {
                    let (mut key, mut bytes) = ([0; 32], vec![0; length]);
                    rng.fill_bytes(&mut key);
                    rng.fill_bytes(&mut bytes);
                    let key = RecordKey::fixed(AccountId::from_bytes([1; 16]), kind, key);
                    batch = batch.put(key, Version::random(&mut rng), bytes);
                }
            }
            assert_eq!(backend.commit(batch).await, Ok(CommitOutcome::Committed));
        }
        backend.close().await.unwrap();
    });
}

/// Two accounts of one store, who have a session.
pub(crate) struct Pair {
    next: Party,
    other: Party,
    store: Store,
    _folder: Arc<TempDir>,
}

struct Party {
    account: Account<SqliteBackend>,
    read: Option<InboxId>,
}

fn pairs(count: usize) -> Vec<Pair> {
    pairs_in(&Arc::new(TempDir::new().unwrap()), count, true)
}

fn pairs_in(folder: &Arc<TempDir>, count: usize, sealed: bool) -> Vec<Pair> {
    let mut settled = Conversation::settled();
    let snapshots = settled.snapshots(SNAPSHOTS);
    let identities = [&settled.alice.identity, &settled.bob.identity];
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (options, backend) = (StoreOptions::new(), open(folder).await);
        let store = match sealed {
            true => options.open(backend, MemoryVault::new()).await,
            false => options.dangerously_open_in_clear_text(backend).await,
        };
        let store = store.unwrap();
        let mut pairs = Vec::with_capacity(count);
        for (number, snapshot) in snapshots.iter().cycle().take(count).enumerate() {
            let pair = Pair::new(&store, folder, number, identities, snapshot);
            pairs.push(pair.await.unwrap());
        }
        pairs
    })
}

impl Pair {
    /// A pair that begins where a snapshot was taken, Bob having received last.
    pub(crate) async fn new(
        store: &Store,
        folder: &Arc<TempDir>,
        number: usize,
        [alice_identity, bob_identity]: [&IdentityKeyPair; 2],
        snapshot: &Snapshot,
    ) -> Result<Self, Error> {
        let alice = ProtocolAddress::new(format!("alice-{number}"), 1)?;
        let bob = ProtocolAddress::new(format!("bob-{number}"), 1)?;
        let alice_account = move_in(store, &alice, alice_identity, &bob, &snapshot.alice);
        let bob_account = move_in(store, &bob, bob_identity, &alice, &snapshot.bob);
        Ok(Self {
            other: alice_account.await?,
            next: bob_account.await?,
            store: store.clone(),
            _folder: Arc::clone(folder),
        })
    }

    pub(crate) async fn message(&mut self) -> Result<(), Error> {
        let (sender, receiver) = (&mut self.next, &mut self.other);
        let (from, to) = (&sender.account, &receiver.account);
        let (envelope, read) = tokio::join!(
            from.send(to.address(), &PLAINTEXT),
            acknowledge(from, sender.read.take()),
        );
        let (envelope, ()) = (envelope?, read?);
        let (delivery, sent) = tokio::join!(
            to.receive(from.address(), envelope.message_type, &envelope.bytes),
            from.sent(envelope.id),
        );
        sent?;
        receiver.read = Some(delivery?.id);
        std::mem::swap(&mut self.next, &mut self.other);
        Ok(())
    }

    async fn message_of_sessions(&mut self) -> Result<(), Error> {
        let (from, to) = (self.next.account.address(), self.other.account.address());
        let encrypt = |tx: Arc<Transaction<_>>| async move {
            let cipher = SessionCipher::new(&tx, &tx, from, to);
            cipher.encrypt(&PLAINTEXT, tx.now(), &mut tx.rng()?).await
        };
        let message = self.store.run(from, encrypt).await?;
        receive(&self.store, to, from, &parsed(&message)).await?;
        std::mem::swap(&mut self.next, &mut self.other);
        Ok(())
    }
}

async fn acknowledge(account: &Account<SqliteBackend>, read: Option<InboxId>) -> Result<(), Error> {
    if let Some(id) = read {
        account.done(id).await?;
    }
    Ok(())
}

async fn move_in(
    store: &Store,
    address: &ProtocolAddress,
    identity: &IdentityKeyPair,
    peer: &ProtocolAddress,
    session: &SessionRecord,
) -> Result<Party, Error> {
    let (own, identity) = (address.clone(), identity.clone());
    let account = Account::create_with_identity(store.clone(), own, identity, 1).await?;
    let transaction = store.begin(address);
    transaction
        .save_identity(peer, &session.remote_identity()?)
        .await?;
    transaction.store_session(peer, session.clone()).await?;
    transaction.commit().await?;
    Ok(Party {
        account,
        read: None,
    })
}
