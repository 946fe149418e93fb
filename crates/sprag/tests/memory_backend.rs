//! The backend in memory keeps the contracts of the waist.
#![allow(missing_docs, reason = "tests")]

use sprag::backend::MemoryBackend;
use sprag_testkit::backend::Fixture;

async fn fixture() -> Fixture {
    Fixture::new(MemoryBackend::new())
}

sprag_testkit::backend_suite!(fixture);

/// Clones are handles on one store, and what the first one wrote is there for the next.
mod clones {
    use super::{Fixture, MemoryBackend};

    async fn fixture() -> Fixture {
        let backend = MemoryBackend::new();
        Fixture::reopening(move || std::future::ready(backend.clone())).await
    }

    sprag_testkit::shared_backend_suite!(fixture);
    sprag_testkit::durable_backend_suite!(fixture);
}
