//! A run of an account's life that is written down: what it did to the disk, and what it let out when.
//!
//! The application in it does as the documentation says. After an error it opens the store anew, looks into the
//! outbox, sends what it finds there, and does again what it does not find done.

mod keys;
mod receiving;
mod sending;
mod storage;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rand::RngExt;
use rand::rngs::StdRng;
use sprag::backend::Backend;
use sprag::{Account, DurableStore, Envelope, Error, StoreOptions};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

pub use self::keys::ACQUAINTANCE;
use crate::diary::Diary;
use crate::disk::Event;
use crate::key_server::RecordedServer;
use crate::ledger::{Mark, PEERS};
use crate::order::{Order, To};
use crate::pace::generator;
use crate::peer::{MEMBER, Peer, address, device};
use crate::post::Way;
use crate::seeded::Seeded;
use crate::vault::RecordedVault;
use crate::vfs::{Failure, Folder, Operation};

/// Whose life it is.
pub const NAME: &str = "a11ce000-0000-4000-8000-000000000000";

/// Whose devices the peers are.
pub const PEER: &str = "b0b00000-0000-4000-8000-000000000000";

/// The file of the store in its folder.
pub const FILE: &str = "sprag.db";

/// What happened.
pub struct Story {
    /// On the disk, with marks in between.
    pub events: Vec<Event>,
    /// What the application knew.
    pub marks: Vec<Mark>,
    /// Whom it talked to.
    pub peers: [Peer; PEERS],
    /// How many operations failed.
    pub failures: usize,
    /// How many operations of each sort the disk did.
    pub counts: [(Operation, u64); 2],
    /// Whether its store was sealed, or in clear text.
    pub sealed: bool,
    /// How many texts were found in the store that a killed process had written there.
    pub inherited: usize,
}

/// What a story is to be about.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    /// Everything that happens by chance follows from this.
    pub seed: u64,
    /// How many steps there are between the beginning and the end.
    pub steps: usize,
    /// What the disk does to it.
    pub failure: Option<Failure>,
    /// Whether the store is sealed, or in clear text.
    pub sealed: bool,
}

impl Plot {
    /// Lets it happen.
    ///
    /// # Panics
    /// If the account does what it must not.
    pub async fn tell(self) -> Story {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::record(place.path());
        let path = folder.path().join(FILE);
        if let Some(failure) = self.failure {
            folder.fail(failure);
        }
        let diary = Arc::new(Diary::new(folder));
        let mut teller = Teller {
            path,
            rng: generator(self.seed),
            vault: { self.sealed }.then(|| RecordedVault::of_story(Arc::clone(&diary))),
            server: RecordedServer::of_story(Arc::clone(&diary)),
            is_killed: self.failure.is_none(),
            diary,
            peers: [
                Peer::new(device(PEER, 1)).await,
                Peer::new(device(PEER, 2)).await,
            ],
            account: None,
            texts: 0,
            done: Vec::new(),
            letters: Mutex::default(),
            failures: 0,
            inherited: 0,
        };
        teller.begin().await;
        for _ in 0..self.steps {
            teller.step().await;
        }
        teller.seldom().await;
        teller.end().await
    }
}

struct Teller {
    diary: Arc<Diary>,
    path: PathBuf,
    /// None if the store is in clear text.
    vault: Option<RecordedVault>,
    server: RecordedServer,
    /// Whether the process is killed at times. Together with a failed sync that is too much.
    is_killed: bool,
    rng: StdRng,
    peers: [Peer; PEERS],
    account: Option<Account<SqliteBackend>>,
    texts: usize,
    /// What was sent under a key.
    done: Vec<(Order, Vec<Envelope>)>,
    /// How many letters were handed over.
    letters: Mutex<usize>,
    failures: usize,
    inherited: usize,
}

impl Teller {
    /// Everything by which texts travel, in each way once.
    async fn begin(&mut self) {
        self.reopen().await;
        for (peer, way) in Way::IN_SESSION.into_iter().enumerate() {
            self.restart(peer).await;
            self.write_to(To::Peer(peer, way)).await;
            self.write_from(peer, way).await;
        }
        self.distribute(false).await;
        self.join().await;
        for way in Way::IN_GROUP {
            self.write_to(To::Peer(MEMBER, way)).await;
            self.write_from(MEMBER, way).await;
        }
        self.new_epoch().await;
        self.write_to(To::All).await;
    }

    async fn step(&mut self) {
        let peer = self.rng.random_range(0..PEERS);
        let way = self.way_with(peer);
        match self.rng.random_range(0..40) {
            0..5 => self.write_to(To::Peer(peer, way)).await,
            5 => self.write_to(To::All).await,
            6..11 => self.write_from(peer, way).await,
            11..15 => self.both_at_once(peer, way).await,
            15 => self.restart(peer).await,
            16 => self.restart_by(peer).await,
            17 => self.retry(peer).await,
            18 => self.distribute(true).await,
            19 => self.bundle().await,
            20 => self.upkeep().await,
            21 => self.vouch().await,
            22 | 23 => self.empty_the_log().await,
            24 => self.move_the_log(),
            25 => self.reopen().await,
            26 => self.new_epoch().await,
            27..30 => self.new_epoch_meanwhile(peer, way).await,
            30 => self.finish_the_epoch().await,
            31 | 32 => {
                let keyed = self.rng.random();
                self.killed(To::Peer(peer, way), keyed).await;
            }
            33 | 34 => self.repeat().await,
            35 => self.write_again_and_again(To::Peer(peer, way)).await,
            36 => self.write_to(To::Again(peer)).await,
            37 => self.forget(peer).await,
            38 => self.decide().await,
            _ => {
                // Without closing.
                self.account = None;
                self.mark(Mark::Closed(false));
                self.reopen().await;
            }
        }
    }

    /// What there is little of among the steps, once.
    async fn seldom(&mut self) {
        self.restart_by(1 - MEMBER).await;
        self.write_to(To::Peer(MEMBER, Way::Session)).await;
        self.retry(MEMBER).await;
        self.distribute(true).await;
        self.write_to(To::Peer(MEMBER, Way::SealedGroup)).await;
        self.vouch().await;
        self.upkeep().await;
        self.write_to(To::All).await;
        self.decide().await;
        self.forget(MEMBER).await;
        self.write_to(To::Again(MEMBER)).await;
        self.write_again_and_again(To::All).await;
        self.killed(To::Peer(MEMBER, Way::Session), false).await;
        self.killed(To::Peer(MEMBER, Way::SealedGroup), true).await;
        self.killed(To::All, false).await;
    }

    async fn end(mut self) -> Story {
        self.diary.folder.heal();
        self.reopen().await;
        let account = self.account.take().unwrap();
        account.store().close().await.unwrap();
        let counts = [Operation::Write, Operation::Sync];
        let counts = counts.map(|operation| (operation, self.diary.folder.count(operation)));
        let (events, marks) = self.diary.take();
        Story {
            counts,
            events,
            marks,
            peers: self.peers,
            failures: self.failures,
            sealed: self.vault.is_some(),
            inherited: self.inherited,
        }
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("text {}", self.texts)
    }

    /// Some way to write to that peer, or from it.
    fn way_with(&mut self, peer: usize) -> Way {
        match peer {
            MEMBER => Way::ALL[self.rng.random_range(0..Way::ALL.len())],
            _ => self.way_in_session(),
        }
    }

    fn way_in_session(&mut self) -> Way {
        Way::IN_SESSION[self.rng.random_range(0..Way::IN_SESSION.len())]
    }

    fn mark(&self, mark: Mark) {
        self.diary.mark(mark);
    }

    fn account(&self) -> &Account<SqliteBackend> {
        self.account.as_ref().expect("open between the steps")
    }
}

/// Opens the account of a store, and makes what is not there.
///
/// # Errors
/// What the store reports.
pub async fn open(
    path: &Path,
    vault: Option<RecordedVault>,
    seed: u64,
) -> Result<Account<SqliteBackend>, Error> {
    let backend = SqliteOptions::file(path).readers(1).open().await?;
    let store = open_store(backend, vault, seed).await?;
    Account::open_or_create(store, address(NAME)).await
}

/// Opens a store, in clear text without a vault.
///
/// # Errors
/// What the store reports.
pub async fn open_store<B: Backend>(
    backend: B,
    vault: Option<RecordedVault>,
    seed: u64,
) -> Result<DurableStore<B>, Error> {
    let options = StoreOptions::new().environment(Seeded::new(seed));
    match vault {
        Some(vault) => options.open(backend, vault).await,
        None => options.dangerously_open_in_clear_text(backend).await,
    }
}
