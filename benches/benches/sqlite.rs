//! Sprag over SQLite, beside a naive store and the bare disk: `cargo bench -p sprag-benches --bench sqlite`.

#![allow(missing_docs)]

use sprag_benches::{contest, measure::measure};

fn main() {
    measure(contest::in_sqlite());
}
