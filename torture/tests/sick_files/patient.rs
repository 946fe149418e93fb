//! An account with a past, whose file is to fall ill.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use sprag::backend::{Backend, MemoryBackend};
use sprag::protocol::identity::IdentityKey;
use sprag::{Account, DurableStore, Envelope, Error, StoreOptions};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_torture::peer::{Peer, address};
use sprag_torture::vault::{Change, RecordedVault};
use sprag_torture::vfs::Folder;
use tempfile::TempDir;

/// What may be said of a sick file.
const CLEAR: [&str; 12] = [
    "store-corrupt",
    "not-a-store",
    "store-too-new",
    "store-missing",
    "store-read-only",
    "store-io",
    "store-poisoned",
    "outcome-unknown",
    "not-initialised",
    "store-tampered",
    "store-rolled-back",
    // Where the file's order is damaged SQLite may not find a session or key that is there.
    "protocol",
];

pub(crate) type Alice = Account<SqliteBackend>;

pub(crate) struct Patient {
    /// Synced by nobody, and full when a test says so.
    pub(crate) disk: Folder,
    folder: TempDir,
    path: PathBuf,
    vault: RecordedVault,
    /// What it had done when the file was copied.
    kept: Vec<Change>,
    /// Whom she talks to, and who that was when the file was closed.
    bob: Account<MemoryBackend>,
    origin: Peer,
    moment: usize,
    identity: IdentityKey,
    outbox: Vec<Envelope>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Whether somebody was told.
    pub(crate) found: bool,
}

impl Patient {
    /// A closed store, with an account, sessions, and something in outbox and inbox.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Folder::watch(folder.path());
        let path = disk.path().join("sprag.db");
        let origin = Peer::new(address("bob")).await;
        let backend = options(&path).create_if_missing(true).open().await.unwrap();
        let vault = RecordedVault::default();
        let store = DurableStore::open(backend, vault.clone()).await.unwrap();
        let alice = Account::create(store, address("alice")).await.unwrap();
        let identity = alice.identity_key().await.unwrap();
        let bundle = origin.account.bundle().await.unwrap();
        let peer = address("bob");
        alice.start_session(&peer, &bundle).await.unwrap();
        for number in 0..10 {
            let peer = address(&format!("peer{number}"));
            alice.bundle().await.unwrap();
            alice.start_session(&peer, &bundle).await.unwrap();
            alice.send(&peer, &[number; 300]).await.unwrap();
        }
        let mut patient = Self {
            disk,
            folder,
            path,
            kept: vault.changes(),
            vault,
            bob: origin.at(origin.moment()).await,
            moment: 0,
            origin,
            identity,
            outbox: Vec::new(),
        };
        for _ in 0..3 {
            let bob = &patient.origin.account;
            send(&alice, bob).await.unwrap();
            receive(&alice, bob).await.unwrap();
        }
        patient.moment = patient.origin.moment();
        patient.bob = patient.origin.at(patient.moment).await;
        patient.outbox = alice.outbox_pending().await.unwrap();
        alice.store().close().await.unwrap();
        patient
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("sprag.db-wal")
    }

    /// Takes the vault as it is for the one of the files that are restored later.
    pub(crate) fn keep_vault(&mut self) {
        self.kept = self.vault.changes();
    }

    /// Puts a file in place, with nothing beside it, and vault and peer back to when it was whole.
    pub(crate) async fn restore(&mut self, file: &[u8]) {
        self.vault = RecordedVault::after(&self.kept).await;
        self.bob = self.origin.at(self.moment).await;
        for name in ["sprag.db", "sprag.db-wal", "sprag.db-shm"] {
            let _ = fs::remove_file(self.folder.path().join(name));
        }
        fs::write(&self.path, file).unwrap();
    }

    /// Opens the account, as it was, or with a code.
    pub(crate) async fn open(&self) -> Result<Alice, &'static str> {
        let store = self.store().await?;
        let alice = Account::open(store.clone(), address("alice")).await;
        closed_otherwise(alice, &store).await
    }

    /// The same, but makes an account if there seems to be none.
    pub(crate) async fn open_or_create(&self) -> Result<Alice, &'static str> {
        let store = self.store().await?;
        let alice = Account::open_or_create(store.clone(), address("alice")).await;
        closed_otherwise(alice, &store).await
    }

    async fn store(&self) -> Result<DurableStore<SqliteBackend>, &'static str> {
        let backend = options(&self.path)
            .open()
            .await
            .map_err(|error| error.code())?;
        DurableStore::open(backend, self.vault.clone())
            .await
            .map_err(|error| error.code())
    }

    /// Alice writes, and Bob reads it.
    pub(crate) async fn send(&self, alice: &Alice) -> Result<(), &'static str> {
        send(alice, &self.bob).await
    }

    /// Bob writes, and Alice reads it.
    pub(crate) async fn receive(&self, alice: &Alice) -> Result<(), &'static str> {
        receive(alice, &self.bob).await
    }

    pub(crate) async fn is_well(&self, alice: &Alice) {
        assert_eq!(alice.identity_key().await.unwrap(), self.identity);
        for envelope in &self.outbox {
            assert!(alice.outbox_pending().await.unwrap().contains(envelope));
        }
        assert_eq!(self.send(alice).await, Ok(()));
        assert_eq!(self.receive(alice).await, Ok(()));
    }

    /// Opens a sick file and does everything with it. Each answer is a clear code or none.
    pub(crate) async fn examine(&self) -> Seen {
        match self.open().await {
            Ok(alice) => {
                let found = self.use_up(&alice).await;
                let _ = alice.store().close().await;
                Seen { found }
            }
            Err(code) => {
                assert!(CLEAR.contains(&code), "{code}");
                self.is_not_made_anew(code).await;
                Seen { found: true }
            }
        }
    }

    /// Whatever was lost, who she is can be saved.
    pub(crate) async fn recovers(&self) {
        let backend = options(&self.path).open().await.unwrap();
        let recovered = StoreOptions::new().recover(backend, self.vault.clone());
        let (store, recovery) = recovered.await.unwrap();
        assert_eq!(recovery.damaged, 0);
        let alice = Account::open(store.clone(), address("alice"))
            .await
            .unwrap();
        assert_eq!(alice.identity_key().await.unwrap(), self.identity);
        store.close().await.unwrap();
    }

    /// The tables of records that have any.
    pub(crate) fn tables(&self) -> Vec<String> {
        let file = Connection::open(&self.path).unwrap();
        let query = "SELECT kind.name FROM sqlite_schema AS kind JOIN pragma_table_info(kind.name) AS part \
                     WHERE kind.type = 'table' AND part.name = 'bytes'";
        let mut query = file.prepare(query).unwrap();
        let names = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names
            .map(Result::unwrap)
            .filter(|table| rows(&file, table) > 0)
            .collect()
    }

    /// Flips a bit of some record.
    pub(crate) fn flip(&self, table: &str, at: usize, bit: u8) {
        let file = Connection::open(&self.path).unwrap();
        let place = at as i64 % rows(&file, table);
        let query = format!("SELECT account, key, bytes FROM {table} LIMIT 1 OFFSET {place}");
        let row = file.query_row(&query, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        let (account, key, mut bytes): (Vec<u8>, Vec<u8>, Vec<u8>) = row.unwrap();
        let at = at % bytes.len();
        bytes[at] ^= bit;
        let update = format!("UPDATE {table} SET bytes = ?1 WHERE account = ?2 AND key = ?3");
        file.execute(&update, (bytes, account, key)).unwrap();
    }

    /// Does everything. Answers whether somebody was told that something is wrong.
    pub(crate) async fn use_up(&self, alice: &Alice) -> bool {
        let codes = [
            self.send(alice).await.err(),
            self.receive(alice).await.err(),
            alice.outbox_pending().await.err().map(|error| code(&error)),
            alice.inbox_pending().await.err().map(|error| code(&error)),
            alice.bundle().await.err().map(|error| code(&error)),
            alice.status().await.err().map(|error| code(&error)),
        ];
        let examined = alice.store().examine().await;
        let damaged = examined.is_ok_and(|examined| !examined.damaged.is_empty());
        for code in codes.iter().flatten() {
            assert!(CLEAR.contains(code), "{code}");
        }
        damaged || codes.iter().any(Option::is_some)
    }

    /// An account that the store has on its list is not silently made again.
    async fn is_not_made_anew(&self, before: &str) {
        let Ok(store) = self.store().await else {
            return;
        };
        let listed = store.accounts().await;
        let _ = store.close().await;
        if listed.is_ok_and(|listed| listed.contains(&address("alice"))) {
            let code = self.open_or_create().await.err();
            let clear = code.is_some_and(|code| CLEAR.contains(&code));
            assert!(clear, "{before}, and then {code:?}");
        }
    }
}

fn rows(file: &Connection, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    file.query_row(&query, [], |row| row.get(0)).unwrap()
}

async fn closed_otherwise(
    alice: Result<Alice, Error>,
    store: &DurableStore<SqliteBackend>,
) -> Result<Alice, &'static str> {
    if alice.is_err() {
        let _ = store.close().await;
    }
    alice.map_err(|error| error.code())
}

pub(crate) fn options(path: &Path) -> SqliteOptions {
    SqliteOptions::file(path)
        .busy_timeout(Duration::from_millis(50))
        .create_if_missing(false)
}

/// The code, with one for all that the protocol says.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Protocol(_) => "protocol",
        error => error.code(),
    }
}

async fn send(alice: &Alice, bob: &Account<impl Backend>) -> Result<(), &'static str> {
    let envelope = alice.send(bob.address(), b"there").await;
    let envelope = envelope.map_err(|error| code(&error))?;
    let from = alice.address();
    let read = bob
        .receive(from, envelope.message_type, &envelope.bytes)
        .await;
    let read = read.map_err(|error| code(&error))?;
    assert_eq!(read.plaintext, "there");
    bob.done(read.id).await.unwrap();
    let sent = alice.sent(envelope.id).await;
    sent.map(|_| ()).map_err(|error| code(&error))
}

async fn receive(alice: &Alice, bob: &Account<impl Backend>) -> Result<(), &'static str> {
    let envelope = bob.send(alice.address(), b"and back").await.unwrap();
    bob.sent(envelope.id).await.unwrap();
    let from = bob.address();
    let read = alice
        .receive(from, envelope.message_type, &envelope.bytes)
        .await;
    let read = read.map_err(|error| code(&error))?;
    assert_eq!(read.plaintext, "and back");
    Ok(())
}
