//! Sprag in memory, beside vodozemac and the official client: `cargo bench -p sprag-benches --bench memory`.

#![allow(missing_docs)]

use sprag_benches::{contest, measure::measure};

fn main() {
    measure(contest::in_memory());
}
