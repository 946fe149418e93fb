//! How long a test goes on, and from which seed.
//!
//! By themselves the tests take seconds. `cargo xtask torture` makes them go on by setting [`SECONDS`]; a finding is
//! repeated with the seed that was printed, given in [`SEED`].

use std::time::{Duration, Instant};
use std::{env, io, io::Write};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// For how many seconds each test is to go on.
pub const SECONDS: &str = "SPRAG_TORTURE_SECONDS";

/// The seed to begin with.
pub const SEED: &str = "SPRAG_TORTURE_SEED";

/// How long, if it was asked for.
pub fn seconds() -> Option<Duration> {
    number(SECONDS).map(Duration::from_secs)
}

/// Seeds: one if there is no hurry to find something, or as many as fit into the time that was asked for.
pub fn seeds() -> impl Iterator<Item = u64> {
    let (begun, seconds) = (Instant::now(), seconds());
    let first = number(SEED).unwrap_or(1);
    (first..).take_while(move |seed| {
        let goes_on = *seed == first || seconds.is_some_and(|limit| begun.elapsed() < limit);
        if goes_on {
            say(&format!("seed {seed}"));
        }
        goes_on
    })
}

/// The generator of a seed.
pub fn generator(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Writes a line to the standard error, where the harness captures nothing.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}
