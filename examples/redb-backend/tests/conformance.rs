//! The backend over redb keeps the contracts of the waist, and so does what it leaves on disk.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use redb_backend_example::RedbBackend;
use sprag_testkit::backend::Fixture;

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.redb");
    let open = move || std::future::ready(RedbBackend::open(&path).unwrap());
    Fixture::reopening(open).await.keeping(folder)
}

sprag_testkit::backend_suite!(fixture);
sprag_testkit::durable_backend_suite!(fixture);
