//! The contests once more, for their ratios: `cargo bench -p sprag-benches --bench ratios [-- WORK...]`.
//!
//! Who takes part runs in short turns, so that all meet the same machine, and each turn of another is compared with ours
//! beside it. The best turns tell what the work takes when nothing else disturbs it.

#![allow(missing_docs, clippy::print_stdout)]

use std::{env, time::Duration};

use sprag_benches::contest::{self, Contest, Runner};

fn main() {
    let wanted: Vec<_> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    println!("| work | who | median | best | times ours: median | best |");
    println!("|---|---|---|---|---|---|");
    let contests = contest::in_memory().into_iter().chain(contest::in_sqlite());
    for contest in contests {
        if wanted.is_empty() || wanted.iter().any(|word| contest.what.contains(word)) {
            hold(&contest);
        }
    }
    // These only if they are asked for.
    for contest in contest::in_big_stores() {
        if wanted.iter().any(|word| contest.what.contains(word)) {
            hold(&contest);
        }
    }
}

/// Holds a contest and prints its rows.
fn hold(contest: &Contest) {
    let entries = contest.entries.iter();
    let mut turns: Vec<_> = entries
        .map(|entry| Turns::new(entry.prepare(), contest.turn))
        .collect();
    for _ in 0..contest.rounds {
        turns.iter_mut().for_each(Turns::take);
    }
    let ours = &turns[0];
    for (entry, them) in contest.entries.iter().zip(&turns) {
        let ratios = them.taken.iter().zip(&ours.taken);
        println!(
            "| {} | {} | {:.1} us | {:.1} us | {:.2} | {:.2} |",
            contest.what,
            entry.who,
            median(them.taken.iter().copied()),
            best(&them.taken),
            median(ratios.map(|(them, us)| them / us)),
            best(&them.taken) / best(&ours.taken),
        );
    }
}

struct Turns {
    runner: Runner,
    times: u64,
    /// Microseconds that one piece of work took in each turn.
    taken: Vec<f64>,
}

impl Turns {
    fn new(mut runner: Runner, length: Duration) -> Self {
        let mut times = 1;
        while runner(times) < length / 2 {
            times *= 2;
        }
        Self {
            runner,
            times,
            taken: Vec::new(),
        }
    }

    fn take(&mut self) {
        let took = (self.runner)(self.times);
        self.taken
            .push(took.as_secs_f64() * 1e6 / self.times as f64);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
