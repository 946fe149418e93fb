//! A store as guides show it: one SELECT for each load and one `INSERT OR REPLACE`, committed by itself, for each store
//! call. It loses messages when it is killed at the wrong moment, and is here to be compared with.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sprag::{
    DeviceId, Direction, IdentityChange, IdentityKeyStore, ProtocolAddress, SessionCipher,
    SessionRecord, SessionStore, StoreError,
    protocol::{
        identity::{IdentityKey, IdentityKeyPair},
        message::SignalMessage,
    },
};
use tempfile::TempDir;

use crate::{
    contest::{Runner, at_once, in_batches, timed},
    conversation::{Conversation, NOW, PLAINTEXT, Snapshot, ready},
    ours::{SNAPSHOTS, STREAM, Streams},
    sqlite::parsed,
};

const TABLES: &str = "
    CREATE TABLE session (account TEXT, address TEXT, record BLOB, PRIMARY KEY (account, address));
    CREATE TABLE identity (account TEXT, address TEXT, record BLOB, PRIMARY KEY (account, address));";

/// So many conversations at once over one connection; `synchronous` is SQLite's pragma.
pub fn ping_pong(conversations: usize, synchronous: &str) -> Runner {
    let folder = TempDir::new().unwrap();
    let database = Database::open(folder.path(), synchronous);
    let mut settled = Conversation::settled();
    let snapshots = settled.snapshots(SNAPSHOTS);
    let identities = [&settled.alice.identity, &settled.bob.identity];
    let starts = snapshots.iter().cycle().take(conversations).enumerate();
    let pair = |(number, snapshot)| Pair::new(&database, number, identities, snapshot);
    let mut runner = at_once(starts.map(pair).collect(), |mut pair, times| async move {
        (0..times).for_each(|_| pair.message());
        pair
    });
    Box::new(move |times| {
        let _keep = &folder;
        runner(times)
    })
}

/// Decrypt one message after the other in a session that holds so many skipped keys.
pub fn decrypt(skipped: usize, synchronous: &str) -> Runner {
    let mut streams = Streams::new(skipped);
    let folder = TempDir::new().unwrap();
    let database = Database::open(folder.path(), synchronous);
    let bob = Naive::new(&database, "bob".to_owned(), &streams.bob().identity);
    let alice = streams.alice().address.clone();
    Box::new(move |times| {
        let _keep = &folder;
        in_batches(times, STREAM, |count| {
            let (session, messages) = streams.next(count);
            ready(bob.store_session(&alice, session));
            let messages: Vec<_> = messages.iter().map(parsed).collect();
            timed(|| {
                messages
                    .iter()
                    .for_each(|message| bob.receive(&alice, message))
            })
        })
    })
}

/// A database with a table for each sort of record.
pub struct Database {
    connection: Mutex<Connection>,
}

impl Database {
    /// A new one in a folder; `synchronous` is SQLite's pragma.
    pub fn open(folder: &Path, synchronous: &str) -> Arc<Self> {
        let connection = Connection::open(folder.join("naive.db")).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection
            .pragma_update(None, "synchronous", synchronous)
            .unwrap();
        connection.execute_batch(TABLES).unwrap();
        let connection = Mutex::new(connection);
        Arc::new(Self { connection })
    }
}

struct Pair {
    next: Naive,
    other: Naive,
}

impl Pair {
    /// A pair that begins where a snapshot was taken, Bob having received last.
    fn new(
        database: &Arc<Database>,
        number: usize,
        [alice_identity, bob_identity]: [&IdentityKeyPair; 2],
        snapshot: &Snapshot,
    ) -> Self {
        let alice = Naive::new(database, format!("alice-{number}"), alice_identity);
        let bob = Naive::new(database, format!("bob-{number}"), bob_identity);
        ready(alice.store_session(&bob.address, snapshot.alice.clone()));
        ready(bob.store_session(&alice.address, snapshot.bob.clone()));
        Self {
            next: bob,
            other: alice,
        }
    }

    fn message(&mut self) {
        let (from, to) = (&self.next, &self.other);
        let mut rng = rand::rng();
        let cipher = SessionCipher::new(from, from, &from.address, &to.address);
        let message = ready(cipher.encrypt(&PLAINTEXT, NOW, &mut rng));
        to.receive(&from.address, &parsed(&message));
        std::mem::swap(&mut self.next, &mut self.other);
    }
}

/// The stores of one account.
pub struct Naive {
    address: ProtocolAddress,
    identity: IdentityKeyPair,
    database: Arc<Database>,
}

impl Naive {
    /// The stores of the first device of `name`, whose identity is kept elsewhere.
    pub fn new(database: &Arc<Database>, name: String, identity: &IdentityKeyPair) -> Self {
        Self {
            address: ProtocolAddress::new(name, 1).unwrap(),
            identity: identity.clone(),
            database: Arc::clone(database),
        }
    }

    fn receive(&self, sender: &ProtocolAddress, message: &SignalMessage) {
        let cipher = SessionCipher::new(self, self, &self.address, sender);
        ready(cipher.decrypt_signal(message, &mut rand::rng()));
    }

    fn load(&self, table: &str, address: &ProtocolAddress) -> Option<Vec<u8>> {
        let connection = self.database.connection.lock().unwrap();
        let select = format!("SELECT record FROM {table} WHERE account = ? AND address = ?");
        let mut select = connection.prepare_cached(&select).unwrap();
        let key = params![self.address.to_string(), address.to_string()];
        select.query_row(key, |row| row.get(0)).optional().unwrap()
    }

    fn store(&self, table: &str, address: &ProtocolAddress, record: &[u8]) {
        let connection = self.database.connection.lock().unwrap();
        let replace = format!("INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)");
        let mut replace = connection.prepare_cached(&replace).unwrap();
        let row = params![self.address.to_string(), address.to_string(), record];
        replace.execute(row).unwrap();
    }
}

#[async_trait]
impl SessionStore for Naive {
    async fn load_session(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let record = self.load("session", address);
        Ok(record.map(|record| SessionRecord::deserialize(&record).unwrap()))
    }

    async fn store_session(
        &self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        self.store("session", address, &record.serialize());
        Ok(())
    }

    async fn delete_session(&self, _: &ProtocolAddress) -> Result<(), StoreError> {
        panic!("not measured")
    }

    async fn delete_all_sessions(&self, _: &str) -> Result<(), StoreError> {
        panic!("not measured")
    }

    async fn sub_device_sessions(&self, _: &str) -> Result<Vec<DeviceId>, StoreError> {
        panic!("not measured")
    }
}

#[async_trait]
impl IdentityKeyStore for Naive {
    async fn identity_key_pair(&self) -> Result<IdentityKeyPair, StoreError> {
        Ok(self.identity.clone())
    }

    async fn local_registration_id(&self) -> Result<u32, StoreError> {
        Ok(1)
    }

    async fn save_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, StoreError> {
        self.store("identity", address, &identity.serialize());
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        _: Direction,
    ) -> Result<bool, StoreError> {
        let known = self.load("identity", address);
        Ok(known.is_none_or(|known| known == identity.serialize()))
    }

    async fn load_identity(
        &self,
        address: &ProtocolAddress,
    ) -> Result<Option<IdentityKey>, StoreError> {
        let known = self.load("identity", address);
        Ok(known.map(|known| IdentityKey::deserialize(&known).unwrap()))
    }
}
