//! Whether what was left of a disk keeps every promise that was made before the power went.
//!
//! The store opens and is sound; nothing that was released is missing; what was not sent stays so; redelivery
//! ends well; and the next message is one that the peer, who has read everything that was released, can
//! read: no message key is used twice.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sprag::StoreOptions;
use sprag::backend::{Backend, MemoryBackend};
use sprag::vault::MemoryVault;
use sprag::{Account, Delivery, DurableStore, Envelope, Error, Recipient};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

use crate::ledger::{Ledger, Letter, PEERS, Text};
use crate::peer::{Peer, address, group, read};
use crate::story::{FILE, NAME, Seeded};
use crate::vault::RecordedVault;

/// What is wrong, or that nothing is.
pub type Verdict = Result<(), String>;

/// Recovers from the files in a folder, as an application would that knew what the ledger says.
///
/// # Errors
/// What is wrong.
pub async fn check(
    folder: &Path,
    ledger: &Ledger,
    vault: RecordedVault,
    peers: &[Peer; PEERS],
    seed: u64,
) -> Verdict {
    let path = folder.join(FILE);
    let options = SqliteOptions::file(&path)
        .readers(1)
        .create_if_missing(ledger.created.is_none());
    let backend = options.open().await.map_err(told("opening"))?;
    let backend = Arc::new(backend);
    let verdict = Recovery::check(&path, backend.clone(), ledger, vault, peers, seed).await;
    // Whatever it was: nothing may be at work in the folder any more.
    let closed = backend.close().await.map_err(told("closing"));
    verdict.and(closed)
}

struct Recovery<'a> {
    account: Account<Arc<SqliteBackend>>,
    ledger: &'a Ledger,
    peers: Vec<Account<MemoryBackend>>,
    /// Texts that the peers have read, each once.
    read: HashSet<String>,
}

impl Recovery<'_> {
    async fn check(
        path: &Path,
        backend: Arc<SqliteBackend>,
        ledger: &Ledger,
        vault: RecordedVault,
        peers: &[Peer; PEERS],
        seed: u64,
    ) -> Verdict {
        is_sound(path)?;
        let store = reopened(&backend, &vault, seed).await?;
        is_undamaged(&store).await?;
        let account = match (
            Account::open(store.clone(), address(NAME)).await,
            ledger.created,
        ) {
            (Err(Error::NotInitialised(_)), None) => {
                let account = Account::create(store.clone(), address(NAME)).await;
                account.map_err(told("making the account"))?
            }
            (account, _) => account.map_err(told("opening the account"))?,
        };
        let mut copies = Vec::new();
        if ledger.created.is_some() {
            for (peer, moment) in peers.iter().zip(ledger.moments) {
                copies.push(if moment == 0 {
                    continue;
                } else {
                    peer.at(moment).await
                });
            }
        }
        let open = |(text, fate): (&String, &Text)| (*fate == Text::Read).then(|| text.clone());
        let read = ledger.texts.iter().filter_map(open).collect();
        let mut recovery = Recovery {
            account,
            ledger,
            peers: copies,
            read,
        };
        recovery.keeps_every_promise().await?;
        // No anchor was raised too far.
        reopened(&backend, &vault, seed).await.map(drop)
    }

    async fn keeps_every_promise(&mut self) -> Verdict {
        let identity = self.account.identity_key().await;
        let identity = identity.map_err(told("the identity"))?;
        ensure(
            self.ledger.created.is_none_or(|known| known == identity),
            || "another identity".to_owned(),
        )?;
        // All of them, whatever the ones before say.
        let mut wrong = vec![self.outbox().await, self.inbox().await];
        wrong.push(self.forgets().await);
        for peer in 0..self.peers.len() {
            if self.ledger.started[peer] {
                wrong.push(self.goes_on(peer).await);
            }
        }
        if self.ledger.joined {
            wrong.push(self.group_goes_on().await);
        }
        wrong.push(self.bundle().await);
        let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
        ensure(wrong.is_empty(), || wrong.join("; "))
    }

    /// The outbox holds what was released and not acknowledged, and perhaps what was under way.
    async fn outbox(&mut self) -> Verdict {
        let waiting = self.account.outbox_pending().await;
        let waiting = waiting.map_err(told("listing the outbox"))?;
        for (id, (peer, envelope)) in &self.ledger.released {
            let found = waiting.iter().find(|waiting| waiting.id == *id);
            let may_be_gone = self.ledger.acknowledging.contains(id);
            match found {
                Some(found) if found == envelope => {}
                Some(_) => return Err(format!("{id} has changed")),
                None if may_be_gone => {}
                None => return Err(format!("{id} was released and is not in the outbox")),
            }
            ensure(
                found.is_none() || !self.ledger.acknowledged.contains(id),
                || format!("{id} was acknowledged and is back"),
            )?;
            if !self.ledger.read.contains(id) {
                self.peer_reads(*peer, envelope).await?;
            }
        }
        for envelope in &waiting {
            if !self.ledger.released.contains_key(&envelope.id) {
                let device = |peer: &Account<_>| envelope.recipient == peer.address().into();
                let peer = match envelope.recipient {
                    Recipient::Group(_) => Some(0),
                    _ => self.peers.iter().position(device),
                };
                let peer = peer.ok_or("an envelope to a stranger")?;
                self.peer_reads(peer, envelope).await?;
            }
        }
        Ok(())
    }

    /// The peer reads a message that it has not read: one that was to be sent, and that it does not know.
    async fn peer_reads(&mut self, peer: usize, envelope: &Envelope) -> Verdict {
        let delivery = read(&self.peers[peer], &address(NAME), envelope).await;
        let delivery = delivery.map_err(told("reading an envelope"))?;
        let text = text_of(&delivery);
        match self.ledger.texts.get(&text) {
            Some(Text::NotSent) => return Err(format!("{text} was not sent, and now it is")),
            Some(_) => {}
            None => return Err(format!("{text} was never to be sent")),
        }
        ensure(self.read.insert(text.clone()), || {
            format!("{text} comes in two messages")
        })
    }

    /// The inbox holds what was delivered and not acknowledged, and perhaps what was under way.
    async fn inbox(&self) -> Verdict {
        let waiting = self.account.inbox_pending().await;
        let waiting = waiting.map_err(told("listing the inbox"))?;
        for letter in self
            .ledger
            .letters
            .iter()
            .filter(|letter| letter.id.is_some())
        {
            let mut found = waiting.iter();
            let found = found.find(|found| Some(found.id) == letter.id);
            match found {
                Some(found) if text_of(found) != letter.text => {
                    return Err(format!("{} has changed", letter.text));
                }
                Some(_) if letter.finished => {
                    return Err(format!("{} was acknowledged and is back", letter.text));
                }
                None if !letter.finishing => {
                    return Err(format!(
                        "{} was delivered and is not in the inbox",
                        letter.text
                    ));
                }
                _ => {}
            }
        }
        for found in &waiting {
            let text = text_of(found);
            let known = self.ledger.letters.iter().any(|letter| letter.text == text);
            ensure(known, || format!("{text} was never received"))?;
        }
        Ok(())
    }

    /// A change of epochs that was under way is finished, and nothing is damaged by it.
    async fn forgets(&self) -> Verdict {
        let store = self.account.store();
        let finished = store.upkeep().await.map_err(told("upkeep"))?;
        let forgotten = finished.is_none_or(|change| change.forgotten && change.damaged == 0);
        ensure(forgotten, || format!("upkeep did {finished:?}"))?;
        let again = store.upkeep().await.map_err(told("upkeep again"))?;
        ensure(again.is_none(), || "there is always something due".into())?;
        is_undamaged(store).await
    }

    /// The conversation goes on: what the transport delivers again is delivered once, and new messages are read.
    async fn goes_on(&self, peer: usize) -> Verdict {
        let letters = self.ledger.letters.iter();
        let letters: Vec<_> = letters.filter(|letter| letter.peer == peer).collect();
        // Each of the last ones; that of the others nothing is missing was seen in the inbox.
        for letter in letters.iter().rev().take(3) {
            self.redelivery(letter).await?;
        }
        let account = &self.peers[peer];
        let envelope = self.account.send(account.address(), b"on and on").await;
        let envelope = envelope.map_err(told("sending"))?;
        let delivery = read(account, &address(NAME), &envelope).await;
        let delivery = delivery.map_err(told("the peer reading the next message"))?;
        ensure(text_of(&delivery) == "on and on", || {
            "another text".to_owned()
        })?;
        let envelope = account.send(&address(NAME), b"and back").await;
        let envelope = envelope.map_err(told("the peer sending"))?;
        let delivery = read(&self.account, account.address(), &envelope).await;
        let delivery = delivery.map_err(told("reading the next message"))?;
        ensure(text_of(&delivery) == "and back", || {
            "another text".to_owned()
        })
    }

    /// The next message to the group can be read, too.
    async fn group_goes_on(&self) -> Verdict {
        let envelope = self.account.group_send(group(), b"to all").await;
        let envelope = envelope.map_err(told("sending to the group"))?;
        let delivery = read(&self.peers[0], &address(NAME), &envelope).await;
        let delivery = delivery.map_err(told("the peer reading the group's next message"))?;
        ensure(text_of(&delivery) == "to all", || "another text".to_owned())
    }

    async fn redelivery(&self, letter: &Letter) -> Verdict {
        let from = self.peers[letter.peer].address();
        match read(&self.account, from, &letter.envelope).await {
            Ok(delivery) => {
                ensure(!letter.finished, || {
                    format!("{} is read twice", letter.text)
                })?;
                let same = letter.id.is_none_or(|id| id == delivery.id);
                ensure(same && text_of(&delivery) == letter.text, || {
                    format!("{} is delivered otherwise", letter.text)
                })
            }
            Err(error) if error.code() == "duplicate-message" && letter.finishing => Ok(()),
            Err(error) => Err(format!("{} is not delivered: {error}", letter.text)),
        }
    }

    /// A stranger can use the bundle that was handed out last.
    async fn bundle(&self) -> Verdict {
        let Some(bundle) = &self.ledger.bundle else {
            return Ok(());
        };
        let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await;
        let store = store.map_err(told("a store in memory"))?;
        let stranger = Account::create(store, address("stranger")).await;
        let stranger = stranger.map_err(told("a stranger"))?;
        let started = stranger.start_session(&address(NAME), bundle).await;
        started.map_err(told("using the bundle"))?;
        let envelope = stranger.send(&address(NAME), b"hello").await;
        let envelope = envelope.map_err(told("the stranger sending"))?;
        let delivery = read(&self.account, stranger.address(), &envelope).await;
        let delivery = delivery.map_err(told("reading the stranger's message"))?;
        ensure(text_of(&delivery) == "hello", || "another text".to_owned())
    }
}

/// The store, which is not taken for an earlier copy.
async fn reopened(
    backend: &Arc<SqliteBackend>,
    vault: &RecordedVault,
    seed: u64,
) -> Result<DurableStore<Arc<SqliteBackend>>, String> {
    let store = StoreOptions::new()
        .environment(Seeded::new(seed))
        .open(Arc::clone(backend), vault.clone());
    store.await.map_err(told("opening the store"))
}

/// Every record opens under a root that the vault has.
async fn is_undamaged<B: Backend>(store: &DurableStore<B>) -> Verdict {
    let found = store.examine().await.map_err(told("examining the store"))?;
    ensure(found.damaged.is_empty(), || format!("{found:?}"))
}

/// SQLite finds nothing wrong.
fn is_sound(path: &Path) -> Verdict {
    let sound = || -> Result<String, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))
    };
    match sound() {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(answer) => Err(format!("integrity check: {answer}")),
        Err(error) => Err(format!("integrity check: {error}")),
    }
}

fn text_of(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.plaintext).into_owned()
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Says at which step an error came.
fn told<E: std::fmt::Display>(step: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{step}: {error}")
}
