//! How much SQLite writes for each message, log and checkpoints together: `cargo bench -p sprag-benches --bench written`.
//! On Linux only, which counts for us.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::fs;

use sprag_benches::contest;

const MESSAGES: u64 = 4096;

fn main() {
    println!("| work | who | KiB written for a message |");
    println!("|---|---|---|");
    for contest in contest::in_sqlite() {
        for entry in &contest.entries {
            let mut runner = entry.prepare();
            runner(MESSAGES / 8);
            let before = written();
            runner(MESSAGES);
            let each = (written() - before) as f64 / MESSAGES as f64;
            println!(
                "| {} | {} | {:.1} |",
                contest.what,
                entry.who,
                each / 1024.0
            );
        }
    }
}

/// Bytes that this process has handed to write calls.
fn written() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").unwrap();
    let count = counts.lines().find_map(|line| line.strip_prefix("wchar: "));
    count.unwrap().parse().unwrap()
}
