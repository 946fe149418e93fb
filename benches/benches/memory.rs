//! Sprag in memory, beside vodozemac and the official client: `cargo bench -p sprag-benches --bench memory`.

#![allow(missing_docs)]

use criterion::Criterion;
use sprag_benches::contest;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for contest in contest::in_memory() {
        let mut group = criterion.benchmark_group(contest.what);
        for entry in contest.entries {
            group.bench_function(entry.who, |bencher| {
                bencher.iter_custom(entry.prepare());
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
