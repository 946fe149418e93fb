//! Accounts end to end, over SQLite in a file.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use sprag_sqlite::SqliteOptions;
use sprag_testkit::backend::Fixture;

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.db");
    let open = move || {
        let options = SqliteOptions::file(&path);
        async move { options.open().await.unwrap() }
    };
    Fixture::reopening(open).await.keeping(folder)
}

sprag_testkit::account_suite!(fixture);
