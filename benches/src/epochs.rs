//! What a new epoch takes, in stores of any size and while they are in use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sprag::backend::Backend;
use sprag::{
    Account, DurableStore, ProtocolAddress, SessionStore, backend::Checkpoint, vault::MemoryVault,
};
use sprag_sqlite::SqliteBackend;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::{
    conversation::{Conversation, Snapshot},
    ours::SNAPSHOTS,
    sqlite::{self, Pair},
};

/// Sessions that are stored in one commit.
const AT_ONCE: usize = 100;

/// How long a conversation goes on before the change of epochs, to compare.
const BEFORE: Duration = Duration::from_secs(2);

/// What one change of epochs took.
pub struct Figures {
    /// How many records were sealed anew.
    pub records: u64,
    /// The time from the call to the destroyed root.
    pub took: Duration,
    /// A conversation in the same store, before and meanwhile.
    pub before: Talked,
    /// The same, meanwhile.
    pub meanwhile: Talked,
}

/// How a conversation went.
pub struct Talked {
    /// Messages a second.
    pub rate: f64,
    /// What one took at most.
    pub longest: Duration,
}

/// Makes a store with so many sessions, and begins a new epoch in it while two others talk.
pub fn measure(sessions: usize) -> Figures {
    let folder = Arc::new(TempDir::new().unwrap());
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = DurableStore::open(sqlite::open(&folder).await, MemoryVault::new())
            .await
            .unwrap();
        let mut settled = Conversation::settled();
        let snapshots = settled.snapshots(SNAPSHOTS);
        fill(&store, &settled, &snapshots, sessions).await;
        let identities = [&settled.alice.identity, &settled.bob.identity];
        let pair = Pair::new(&store, &folder, 0, identities, &snapshots[0]);
        let pair = pair.await.unwrap();

        let stop = Arc::new(AtomicBool::new(false));
        let talk = tokio::spawn(talk(pair, Arc::clone(&stop)));
        tokio::time::sleep(BEFORE).await;
        stop.store(true, Ordering::Relaxed);
        let (pair, before) = talk.await.unwrap();

        stop.store(false, Ordering::Relaxed);
        let talk = tokio::spawn(self::talk(pair, Arc::clone(&stop)));
        let start = Instant::now();
        let change = store.new_epoch().await.unwrap();
        let took = start.elapsed();
        assert!(change.forgotten);
        stop.store(true, Ordering::Relaxed);
        let (_pair, meanwhile) = talk.await.unwrap();
        Figures {
            records: change.records,
            took,
            before,
            meanwhile,
        }
    })
}

async fn talk(mut pair: Pair, stop: Arc<AtomicBool>) -> (Pair, Talked) {
    let start = Instant::now();
    let (mut count, mut longest) = (0_u32, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let message = Instant::now();
        pair.message().await.unwrap();
        longest = longest.max(message.elapsed());
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    (pair, Talked { rate, longest })
}

/// Sessions of an account with so many peers.
async fn fill(
    store: &DurableStore<SqliteBackend>,
    settled: &Conversation,
    snapshots: &[Snapshot],
    sessions: usize,
) {
    let address = ProtocolAddress::new("keeper", 1).unwrap();
    let identity = settled.alice.identity.clone();
    Account::create_with_identity(store.clone(), address.clone(), identity, 1)
        .await
        .unwrap();
    for start in (0..sessions).step_by(AT_ONCE) {
        let transaction = store.begin(&address);
        for number in start..sessions.min(start + AT_ONCE) {
            let peer = ProtocolAddress::new(format!("peer-{number}"), 1).unwrap();
            let session = snapshots[number % snapshots.len()].alice.clone();
            transaction.store_session(&peer, session).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
    let emptied = store.backend().checkpoint().await.unwrap();
    assert_eq!(emptied, Checkpoint::Complete);
}
