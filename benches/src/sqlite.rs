//! What Sprag does over SQLite: accounts in one file, every step durable before its outcome is used.
//!
//! The file lies in the system's folder for temporary files; set `TMPDIR` to measure another disk.

use std::sync::Arc;

use sprag::{
    Account, CiphertextMessage, DurableStore, Error, IdentityKeyStore, InboxId, ProtocolAddress,
    SessionCipher, SessionRecord, SessionStore, Transaction, protocol::identity::IdentityKeyPair,
};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::{
    contest::{Runner, at_once},
    conversation::{Conversation, PLAINTEXT, Snapshot},
    ours::SNAPSHOTS,
};

type Store = DurableStore<SqliteBackend>;

/// So many conversations at once, with outbox and inbox. What was sent or read is acknowledged beside
/// the next step.
pub fn ping_pong(conversations: usize) -> Runner {
    at_once(pairs(conversations), |mut pair, times| async move {
        for _ in 0..times {
            pair.message().await.unwrap();
        }
        pair
    })
}

/// The same without outbox and inbox: the ciphers over transactions.
pub fn ping_pong_of_sessions(conversations: usize) -> Runner {
    at_once(pairs(conversations), |mut pair, times| async move {
        for _ in 0..times {
            pair.message_of_sessions().await.unwrap();
        }
        pair
    })
}

/// Two accounts of one store, who have a session.
struct Pair {
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
    let folder = Arc::new(TempDir::new().unwrap());
    let mut settled = Conversation::settled();
    let snapshots = settled.snapshots(SNAPSHOTS);
    let identities = [&settled.alice.identity, &settled.bob.identity];
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let backend = SqliteOptions::file(folder.path().join("sprag.db")).open();
        let store = DurableStore::open(backend.await.unwrap()).await.unwrap();
        let mut pairs = Vec::with_capacity(count);
        for (number, snapshot) in snapshots.iter().cycle().take(count).enumerate() {
            let pair = Pair::new(&store, &folder, number, identities, snapshot);
            pairs.push(pair.await.unwrap());
        }
        pairs
    })
}

impl Pair {
    /// A pair that begins where a snapshot was taken, Bob having received last.
    async fn new(
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

    async fn message(&mut self) -> Result<(), Error> {
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
        let parsed = CiphertextMessage::deserialize(message.message_type(), message.serialized())?;
        let CiphertextMessage::Signal(parsed) = &parsed else {
            panic!("the session has been answered")
        };
        let decrypt = |tx: Arc<Transaction<_>>| async move {
            let cipher = SessionCipher::new(&tx, &tx, to, from);
            cipher.decrypt_signal(parsed, &mut tx.rng()?).await
        };
        self.store.run(to, decrypt).await?;
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
