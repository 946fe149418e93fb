//! Criterion's figures of contests.

use criterion::Criterion;

use crate::contest::Contest;

/// Measures who takes part in each, one after the other, as the command line asks.
pub fn measure(contests: Vec<Contest>) {
    let mut criterion = Criterion::default().configure_from_args();
    for contest in contests {
        let mut group = criterion.benchmark_group(contest.what);
        for entry in contest.entries {
            group.bench_function(entry.who, |bencher| bencher.iter_custom(entry.prepare()));
        }
        group.finish();
    }
    criterion.final_summary();
}
