//! What a new epoch takes while two people talk: `cargo bench -p sprag-benches --bench epochs [-- SESSIONS...]`, in stores of 1 000
//! and 100 000 sessions unless other numbers are given. A million take minutes, and 16 GB of disk.

#![allow(missing_docs, clippy::print_stdout)]

use std::env;

use sprag_benches::epochs::{self, Talked};

fn main() {
    let asked: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let sizes = match &asked[..] {
        [] => &[1000, 100_000],
        asked => asked,
    };
    println!(
        "| sessions | records | new epoch | records/s | messages/s before: longest | meanwhile: longest |"
    );
    println!("|---|---|---|---|---|---|");
    for sessions in sizes {
        let figures = epochs::measure(*sessions);
        println!(
            "| {sessions} | {} | {:.2?} | {:.0} | {} | {} |",
            figures.records,
            figures.took,
            figures.records as f64 / figures.took.as_secs_f64(),
            talked(&figures.before),
            talked(&figures.meanwhile),
        );
    }
}

fn talked(talked: &Talked) -> String {
    format!("{:.0}: {:.0?}", talked.rate, talked.longest)
}
