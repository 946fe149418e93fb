//! SQLite keeps the contracts of the waist: in a file, in memory, and through several handles on
//! one file.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_testkit::backend::Fixture;

mod file {
    use super::{Fixture, SqliteOptions};

    async fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sprag.db");
        let open = move || {
            let options = SqliteOptions::file(&path);
            async move { options.open().await.unwrap() }
        };
        Fixture::reopening(open).await.keeping(folder)
    }

    sprag_testkit::backend_suite!(fixture);
    sprag_testkit::durable_backend_suite!(fixture);
    sprag_testkit::shared_backend_suite!(fixture);
}

mod memory {
    use super::{Fixture, SqliteBackend};

    async fn fixture() -> Fixture {
        Fixture::new(SqliteBackend::open("sqlite::memory:").await.unwrap())
    }

    sprag_testkit::backend_suite!(fixture);
}

/// With the shortest queue and one reader, callers have to wait for each other everywhere.
mod narrow {
    use super::{Fixture, SqliteOptions};

    async fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::file(folder.path().join("sprag.db"));
        let backend = options
            .readers(1)
            .queue_length(1)
            .cache_bytes(0)
            .open()
            .await
            .unwrap();
        Fixture::new(backend).keeping(folder)
    }

    sprag_testkit::backend_suite!(fixture);
}

/// Every store in memory is its own.
#[tokio::test]
async fn stores_in_memory_are_apart() {
    use sprag::backend::{AccountId, Backend, Batch, Kind, OperationId, RecordKey, Version};
    let mut rng = rand::rng();
    let key = RecordKey::fixed(AccountId::STORE, Kind::Header, []);
    let one = SqliteBackend::open("sqlite::memory:").await.unwrap();
    let two = SqliteBackend::open("sqlite::memory:").await.unwrap();
    let batch =
        Batch::new(OperationId::random(&mut rng)).put(key, Version::random(&mut rng), &b"1"[..]);
    let _ = one.commit(batch).await.unwrap();
    assert_eq!(two.read(&[key]).await.unwrap(), [None]);
}
