//! The database, and the transactions that are the six stores.

use std::{
    fmt::Display,
    fs::OpenOptions,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng, rand_core::UnwrapErr, rngs::SysRng};
use rusqlite::{Connection, OptionalExtension, Params, TransactionBehavior, params};
use sprag::{ProtocolAddress, StoreError, protocol::identity::IdentityKeyPair};
use tokio::sync::OwnedMutexGuard;

/// The database of one account. Clones share one connection.
#[derive(Clone)]
pub struct Database {
    connection: Arc<tokio::sync::Mutex<Connection>>,
}

impl Database {
    /// Opens the database in the file `path`, and makes file, tables and identity on first use.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.write(true).create_new(true).open(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(StoreError::new("open", error));
            }
            _ => {}
        }
        Connection::open(path)
            .and_then(Self::set_up)
            .map_err(|error| StoreError::new("open", error))
    }

    /// A database that goes with the process, for tests.
    pub fn in_memory() -> Result<Self, StoreError> {
        Connection::open_in_memory()
            .and_then(Self::set_up)
            .map_err(|error| StoreError::new("open", error))
    }

    fn set_up(mut connection: Connection) -> rusqlite::Result<Self> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA fullfsync = ON;
             PRAGMA checkpoint_fullfsync = ON;
             PRAGMA secure_delete = ON;
             PRAGMA foreign_keys = ON;",
        )?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(include_str!("schema.sql"))?;
        if !transaction.prepare("SELECT 1 FROM own")?.exists([])? {
            let identity = IdentityKeyPair::generate(&mut UnwrapErr(SysRng));
            let registration_id = 1 + UnwrapErr(SysRng).next_u32() % 0x3fff;
            transaction.execute(
                "INSERT INTO own VALUES (1, ?1, ?2)",
                params![identity.serialize().as_slice(), registration_id],
            )?;
        }
        transaction.commit()?;
        Ok(Self {
            connection: Arc::new(tokio::sync::Mutex::new(connection)),
        })
    }
}

impl Database {
    /// The six stores in one transaction. Nothing is stored until [`MyStores::commit`].
    pub async fn begin(&self) -> Result<MyStores, StoreError> {
        let stores = self.stores().await;
        stores.execute("begin", "BEGIN IMMEDIATE", [])?;
        Ok(stores)
    }

    /// The six stores without a transaction: each call is stored by itself. For single calls, such as
    /// asking for an identity, and for tests; not for encrypting and decrypting.
    pub async fn stores(&self) -> MyStores {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        MyStores {
            connection: Mutex::new(connection),
        }
    }

    /// Empties the write-ahead log, and with it what it still holds of deleted keys. Returns whether it could:
    /// if another process was reading, try again later.
    pub async fn checkpoint(&self) -> Result<bool, StoreError> {
        let stores = self.stores().await;
        let busy = stores.numbers::<u32>("checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", [])?;
        Ok(busy == [0])
    }
}

/// All six stores. Nobody else has the connection before this is committed or dropped.
pub struct MyStores {
    connection: Mutex<OwnedMutexGuard<Connection>>,
}

impl MyStores {
    /// Stores everything that was done in this transaction.
    pub fn commit(self) -> Result<(), StoreError> {
        self.execute("commit", "COMMIT", []).map(drop)
    }
}

/// What was not committed is forgotten.
impl Drop for MyStores {
    fn drop(&mut self) {
        let connection = self
            .connection
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
}

impl MyStores {
    /// Runs a statement, and says how many rows it changed.
    pub(crate) fn execute(
        &self,
        call: &'static str,
        sql: &str,
        values: impl Params,
    ) -> Result<usize, StoreError> {
        self.run(call, |connection| {
            connection.prepare_cached(sql)?.execute(values)
        })
    }

    /// Reads one value, if it is there.
    pub(crate) fn load<T, E: Display>(
        &self,
        call: &'static str,
        sql: &str,
        values: impl Params,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<Option<T>, StoreError> {
        let parsed = self.run(call, |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let row = statement.query_row(values, |row| Ok(parse(row.get_ref(0)?.as_blob()?)));
            row.optional()
        })?;
        parsed
            .transpose()
            .map_err(|error| StoreError::corrupt(call, error.to_string()))
    }

    /// Reads the first column of all rows, which holds numbers.
    pub(crate) fn numbers<T: From<u32>>(
        &self,
        call: &'static str,
        sql: &str,
        values: impl Params,
    ) -> Result<Vec<T>, StoreError> {
        self.run(call, |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let numbers = statement.query_map(values, |row| Ok(row.get::<_, u32>(0)?.into()))?;
            numbers.collect()
        })
    }

    fn run<T>(
        &self,
        call: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|error| StoreError::new(call, error))
    }
}

/// An address as the two columns that stand for it.
pub(crate) fn columns(address: &ProtocolAddress) -> (&str, u8) {
    (address.name(), address.device_id().as_u8())
}
