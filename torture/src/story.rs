//! A run of an account's life that is written down: what it did to the disk, and what it let out when.
//!
//! The application in it does as the documentation says. After an error it opens the store anew, looks into the
//! outbox, sends what it finds there, and does again what it does not find done.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use sprag::backend::Backend;
use sprag::{Account, Environment, Error, OutboxId, Recipient, StoreOptions, Timestamp};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

use crate::diary::Diary;
use crate::disk::Event;
use crate::ledger::{Mark, PEERS};
use crate::pace::generator;
use crate::peer::{self, Peer, address, group};
use crate::vault::RecordedVault;
use crate::vfs::{Failure, Folder, Operation};

/// Whose life it is.
pub const NAME: &str = "alice";

/// The file of the store in its folder.
pub const FILE: &str = "sprag.db";

/// Stands in the place of a peer for the group.
const GROUP: usize = PEERS;

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
}

/// What a story is to be about.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    /// Everything that happens by chance follows from this.
    pub seed: u64,
    /// How many steps there are after the beginning.
    pub steps: usize,
    /// What the disk does to it.
    pub failure: Option<Failure>,
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
            vault: RecordedVault::of_story(Arc::clone(&diary)),
            diary,
            peers: [Peer::new("bob").await, Peer::new("carol").await],
            account: None,
            texts: 0,
            letters: Mutex::default(),
            failures: 0,
        };
        teller.begin().await;
        for _ in 0..self.steps {
            teller.step().await;
        }
        teller.end().await
    }
}

struct Teller {
    diary: Arc<Diary>,
    path: PathBuf,
    vault: RecordedVault,
    rng: StdRng,
    peers: [Peer; PEERS],
    account: Option<Account<SqliteBackend>>,
    texts: usize,
    /// How many letters were handed over.
    letters: Mutex<usize>,
    failures: usize,
}

impl Teller {
    async fn begin(&mut self) {
        self.reopen().await;
        for peer in 0..PEERS {
            self.restart(peer).await;
            self.write_to(peer).await;
            self.write_from(peer).await;
        }
        self.distribute().await;
        self.write_to(GROUP).await;
        self.new_epoch().await;
        self.write_to(0).await;
    }

    async fn step(&mut self) {
        let peer = self.rng.random_range(0..PEERS);
        match self.rng.random_range(0..24) {
            0..4 => self.write_to(peer).await,
            4 => self.write_to(GROUP).await,
            5..10 => self.write_from(peer).await,
            10..13 => self.both_at_once(peer).await,
            13 => self.restart(peer).await,
            14 => self.bundle().await,
            15 | 16 => self.empty_the_log().await,
            17 => self.move_the_log(),
            18 => self.reopen().await,
            19 => self.new_epoch().await,
            20 | 21 => self.new_epoch_meanwhile(peer).await,
            22 => self.upkeep().await,
            _ => {
                // Without closing.
                self.account = None;
                self.mark(Mark::Closed(false));
                self.reopen().await;
            }
        }
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
        }
    }

    /// Opens the account anew, and makes it if there is none.
    async fn reopen(&mut self) {
        if let Some(account) = self.account.take() {
            let closed = account.store().close().await;
            self.mark(Mark::Closed(closed.is_ok()));
            self.tolerate(closed).await;
        }
        loop {
            match open(&self.path, self.vault.clone(), self.rng.random()).await {
                Ok(account) => {
                    let identity = account.identity_key().await;
                    if let Some(identity) = self.tolerate(identity).await {
                        self.mark(Mark::Created(identity));
                        self.account = Some(account);
                        return;
                    }
                }
                Err(error) => self.tolerate(Err(error)).await.unwrap_or(()),
            }
        }
    }

    /// From the account to a peer.
    async fn write_to(&mut self, peer: usize) {
        let text = self.text();
        self.mark(Mark::Sending(text.clone()));
        loop {
            let sent = self.send(peer, &text).await;
            let Some(id) = self.tolerate(sent).await else {
                if self.look_for(&text).await {
                    return;
                }
                continue;
            };
            return self.acknowledge(id).await;
        }
    }

    async fn send(&self, peer: usize, text: &str) -> Result<OutboxId, Error> {
        let envelope = match self.peers.get(peer) {
            None => self.account().group_send(group(), text.as_bytes()).await?,
            Some(peer) => {
                let to = peer.account.address();
                self.account().send(to, text.as_bytes()).await?
            }
        };
        let peer = self.reader_of(&envelope);
        self.mark(Mark::Released(peer, envelope.clone()));
        self.read(peer, &envelope).await;
        Ok(envelope.id)
    }

    /// The peer reads an envelope.
    async fn read(&self, peer: usize, envelope: &sprag::Envelope) {
        let (account, from) = (&self.peers[peer].account, address(NAME));
        let read = peer::read(account, &from, envelope);
        let delivery = read.await.expect("every envelope can be read");
        account.done(delivery.id).await.unwrap();
        let text = String::from_utf8(delivery.plaintext.to_vec()).unwrap();
        self.mark(Mark::Read(envelope.id, text));
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
    }

    fn reader_of(&self, envelope: &sprag::Envelope) -> usize {
        let mut peers = self.peers.iter();
        let device = |peer: &Peer| envelope.recipient == peer.account.address().into();
        match envelope.recipient {
            Recipient::Group(_) => 0,
            _ => peers.position(device).expect("nobody else"),
        }
    }

    /// After a failure, sends what waits in the outbox, and answers whether the text was among it.
    async fn look_for(&mut self, text: &str) -> bool {
        let mut found = false;
        let waiting = loop {
            let waiting = self.account().outbox_pending().await;
            if let Some(waiting) = self.tolerate(waiting).await {
                break waiting;
            }
        };
        for envelope in waiting {
            let peer = self.reader_of(&envelope);
            if !self.was_read(envelope.id) {
                self.mark(Mark::Released(peer, envelope.clone()));
                self.read(peer, &envelope).await;
            }
            found |= self.last_read() == Some(text.to_owned());
            self.acknowledge(envelope.id).await;
        }
        if !found {
            self.mark(Mark::NotSent(text.to_owned()));
            self.mark(Mark::Sending(text.to_owned()));
        }
        found
    }

    async fn acknowledge(&mut self, id: OutboxId) {
        // Some wait until later.
        if self.rng.random_ratio(1, 4) {
            return;
        }
        self.mark(Mark::Acknowledging(id));
        loop {
            let sent = self.account().sent(id).await;
            if self.tolerate(sent).await.is_some() {
                return self.mark(Mark::Acknowledged(id));
            }
        }
    }

    /// From a peer to the account.
    async fn write_from(&mut self, peer: usize) {
        let (letter, envelope) = self.letter(peer).await;
        loop {
            let received = self.receive(letter, peer, &envelope).await;
            if let Some(id) = self.tolerate(received).await {
                return self.finish(id).await;
            }
        }
    }

    /// The peer writes a letter, which is about to be handed over.
    async fn letter(&mut self, peer: usize) -> (usize, sprag::Envelope) {
        let text = self.text();
        let account = &self.peers[peer].account;
        let envelope = account.send(&address(NAME), text.as_bytes()).await;
        let envelope = envelope.expect("the peers have sessions");
        account.sent(envelope.id).await.unwrap();
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
        self.mark(Mark::Handing(peer, envelope.clone(), text));
        let mut letters = self.letters.lock().unwrap();
        *letters += 1;
        (*letters - 1, envelope)
    }

    async fn receive(
        &self,
        letter: usize,
        peer: usize,
        envelope: &sprag::Envelope,
    ) -> Result<sprag::InboxId, Error> {
        let from = self.peers[peer].account.address();
        let received = self
            .account()
            .receive(from, envelope.message_type, &envelope.bytes)
            .await?;
        self.mark(Mark::Delivered(letter, received.id));
        Ok(received.id)
    }

    async fn finish(&mut self, id: sprag::InboxId) {
        if self.rng.random_ratio(1, 4) {
            return;
        }
        self.mark(Mark::Finishing(id));
        loop {
            let done = self.account().done(id).await;
            if self.tolerate(done).await.is_some() {
                return self.mark(Mark::Finished(id));
            }
        }
    }

    /// To one peer and from the other, in one group.
    async fn both_at_once(&mut self, peer: usize) {
        let other = 1 - peer;
        let (letter, envelope) = self.letter(other).await;
        let text = self.text();
        self.mark(Mark::Sending(text.clone()));
        let (sent, received) = tokio::join!(
            self.send(peer, &text),
            self.receive(letter, other, &envelope)
        );
        let sent = self.tolerate(sent).await;
        // An error that both got has been dealt with.
        let mut received = match received {
            Err(_) if sent.is_none() => None,
            received => self.tolerate(received).await,
        };
        self.make_sure(peer, &text, sent.is_some()).await;
        while received.is_none() {
            let again = self.receive(letter, other, &envelope).await;
            received = self.tolerate(again).await;
        }
    }

    /// After a failure, looks whether a text was sent, and sends it until it was.
    async fn make_sure(&mut self, peer: usize, text: &str, mut sent: bool) {
        while !sent && !self.look_for(text).await {
            let again = self.send(peer, text).await;
            sent = self.tolerate(again).await.is_some();
        }
    }

    /// A new session with a peer.
    async fn restart(&mut self, peer: usize) {
        let bundle = self.peers[peer].account.bundle().await.unwrap();
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
        let to = self.peers[peer].account.address().clone();
        loop {
            let started = self.account().start_session(&to, &bundle).await;
            if self.tolerate(started).await.is_some() {
                return self.mark(Mark::Started(peer));
            }
        }
    }

    /// The first peer gets the sender key of the group.
    async fn distribute(&mut self) {
        loop {
            let key = self.account().group_distribute(group()).await;
            if let Some(key) = self.tolerate(key).await {
                let peer = &self.peers[0];
                peer.account.group_join(&address(NAME), &key).await.unwrap();
                self.mark(Mark::Peer(0, peer.moment()));
                return self.mark(Mark::Joined);
            }
        }
    }

    async fn bundle(&mut self) {
        let bundle = self.account().bundle().await;
        if let Some(bundle) = self.tolerate(bundle).await {
            self.mark(Mark::Bundle(Box::new(bundle)));
        }
    }

    async fn new_epoch(&mut self) {
        let changed = self.account().store().new_epoch().await;
        self.tolerate(changed).await;
    }

    /// A message to a peer while the store is sealed anew.
    async fn new_epoch_meanwhile(&mut self, peer: usize) {
        let text = self.text();
        self.mark(Mark::Sending(text.clone()));
        let (sent, changed) =
            tokio::join!(self.send(peer, &text), self.account().store().new_epoch());
        let sent = self.tolerate(sent).await;
        // An error that both got has been dealt with.
        if sent.is_some() {
            self.tolerate(changed).await;
        }
        self.make_sure(peer, &text, sent.is_some()).await;
    }

    async fn upkeep(&mut self) {
        let done = self.account().store().upkeep().await;
        self.tolerate(done).await;
    }

    async fn empty_the_log(&mut self) {
        let done = self.account().store().backend().checkpoint().await;
        self.tolerate(done.map_err(Error::from)).await;
    }

    /// Another program moves the log into the file, so that the next commit begins the log anew.
    fn move_the_log(&self) {
        let other = rusqlite::Connection::open(&self.path).unwrap();
        let moved = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        assert!(moved.is_ok() || self.diary.folder.heal() > 0);
    }

    /// Takes an error for what it is if the disk gave reason, and opens the store anew if that is called for.
    async fn tolerate<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        let error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.failures += 1;
        let codes = [
            "outcome-unknown",
            "store-io",
            "store-poisoned",
            "store-full",
        ];
        assert!(codes.contains(&error.code()), "{error}");
        if let Some(account) = &self.account
            && ["outcome-unknown", "store-poisoned"].contains(&error.code())
        {
            let refused = account.identity_key().await;
            let code = refused.err().map(|error| error.code());
            assert_eq!(code, Some("store-poisoned"), "after {error}");
        }
        self.diary.folder.heal();
        if let Some(account) = self.account.take() {
            // Whatever it says, it is over.
            let closed = account.store().close().await;
            self.mark(Mark::Closed(closed.is_ok()));
            Box::pin(self.reopen()).await;
        }
        None
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("text {}", self.texts)
    }

    fn mark(&self, mark: Mark) {
        self.diary.mark(mark);
    }

    fn was_read(&self, id: OutboxId) -> bool {
        self.diary
            .marks()
            .iter()
            .any(|mark| matches!(mark, Mark::Read(read, _) if *read == id))
    }

    fn last_read(&self) -> Option<String> {
        let marks = self.diary.marks();
        marks.iter().rev().find_map(|mark| match mark {
            Mark::Read(_, text) => Some(text.clone()),
            _ => None,
        })
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
    vault: RecordedVault,
    seed: u64,
) -> Result<Account<SqliteBackend>, Error> {
    let backend = SqliteOptions::file(path).readers(1).open().await?;
    let store = StoreOptions::new()
        .environment(Seeded::new(seed))
        .open(backend, vault)
        .await?;
    Account::open_or_create(store, address(NAME)).await
}

/// A world in which everything happens again in the same way.
pub struct Seeded(Mutex<StdRng>);

impl Seeded {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(generator(seed)))
    }
}

impl Environment for Seeded {
    fn now(&self) -> Timestamp {
        (SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)).into()
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(seed);
        Ok(())
    }
}
