//! Whether what was left of a disk keeps every promise that was made before the power went.
//!
//! The store opens and is sound; nothing that was released is missing; what was not sent stays so; redelivery
//! ends well; and the next message is one that the peer, who has read everything that was released, can
//! read: no message key is used twice.

mod mailboxes;
mod next;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sprag::backend::{Backend, MemoryBackend};
use sprag::{Account, Delivery, DurableStore, Envelope, Error, IdentityPolicy, OutboxId};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

use crate::ledger::{Ledger, PEERS, Session, Vouched};
use crate::peer::{Peer, address};
use crate::story::{ACQUAINTANCE, FILE, NAME, open_store};
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
    vault: Option<RecordedVault>,
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
    /// What waits in the outbox.
    waiting: BTreeMap<OutboxId, Envelope>,
    /// Which peer has read which text, each once.
    read: HashSet<(usize, String)>,
}

impl Recovery<'_> {
    async fn check(
        path: &Path,
        backend: Arc<SqliteBackend>,
        ledger: &Ledger,
        vault: Option<RecordedVault>,
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
        let mut recovery = Recovery {
            account,
            ledger,
            peers: copies,
            waiting: BTreeMap::new(),
            read: ledger.readings.clone(),
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
        wrong.push(self.knows_the_acquaintance().await);
        wrong.push(self.asks_what_was_decided().await);
        wrong.push(self.forgets().await);
        for peer in 0..self.peers.len() {
            wrong.push(self.goes_on(peer).await);
        }
        wrong.push(self.group_goes_on().await);
        wrong.push(self.bundle().await);
        wrong.push(self.sends_once().await);
        let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
        ensure(wrong.is_empty(), || wrong.join("; "))
    }

    /// The user's word holds.
    async fn knows_the_acquaintance(&self) -> Verdict {
        let known = self.account.known_identity(&address(ACQUAINTANCE)).await;
        let known = known.map_err(told("a known identity"))?;
        let known = known.map(|known| (known.key, known.trust));
        let Ledger {
            vouched, vouching, ..
        } = self.ledger;
        let word = |said: &Option<Vouched>| said.map(|said| (said.key, said.trust));
        let right = known == word(vouched) || vouching.is_some() && known == word(vouching);
        ensure(right, || {
            format!("{ACQUAINTANCE} is known by {known:?}, not {vouched:?}")
        })
    }

    /// What is asked of identities before something is sent is what was decided.
    async fn asks_what_was_decided(&self) -> Verdict {
        let Ledger {
            policy, deciding, ..
        } = self.ledger;
        let asked = self.account.identity_policy().await;
        let asked = asked.map_err(told("the policy on identities"))?;
        ensure(asked == *policy || Some(asked) == *deciding, || {
            format!("the policy is {asked:?}, not {policy:?}")
        })?;
        if asked != IdentityPolicy::VerifiedOnly {
            return Ok(());
        }
        for (peer, session) in self.peers.iter().zip(self.ledger.sessions) {
            let sent = self.account.send(peer.address(), "refused").await;
            let code = sent.err().map(|error| error.code());
            let refused = code == Some("untrusted-identity") || session != Session::Current;
            ensure(refused, || format!("sending under {asked:?}: {code:?}"))?;
        }
        // So that life goes on.
        let usual = self.account.set_identity_policy(IdentityPolicy::default());
        usual.await.map_err(told("deciding"))
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
}

/// The store, which is not taken for an earlier copy.
async fn reopened(
    backend: &Arc<SqliteBackend>,
    vault: &Option<RecordedVault>,
    seed: u64,
) -> Result<DurableStore<Arc<SqliteBackend>>, String> {
    let store = open_store(Arc::clone(backend), vault.clone(), seed);
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
