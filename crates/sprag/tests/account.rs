//! Accounts end to end, over the backend in memory.

use sprag::backend::MemoryBackend;
use sprag_testkit::backend::Fixture;

async fn fixture() -> Fixture {
    let backend = MemoryBackend::new();
    Fixture::reopening(move || std::future::ready(backend.clone())).await
}

sprag_testkit::account_suite!(fixture);
