//! One piece of work, and those who do it.

use std::time::{Duration, Instant};

use crate::{official, olm, ours};

/// Does a piece of work so many times, and says how long that took. What has to be made ready for it
/// is not counted.
pub type Runner = Box<dyn FnMut(u64) -> Duration>;

/// One who takes part.
pub struct Entry {
    /// Its name.
    pub who: &'static str,
    prepare: Box<dyn Fn() -> Runner>,
}

impl Entry {
    fn new(who: &'static str, prepare: impl Fn() -> Runner + 'static) -> Self {
        let prepare = Box::new(prepare);
        Self { who, prepare }
    }

    /// Makes what does the work. This can take seconds.
    pub fn prepare(&self) -> Runner {
        (self.prepare)()
    }
}

/// A piece of work and all who do it, ourselves first.
pub struct Contest {
    /// The work.
    pub what: &'static str,
    /// Who does it.
    pub entries: Vec<Entry>,
}

/// Everything that is measured in memory, with messages of 100 bytes.
pub fn in_memory() -> Vec<Contest> {
    vec![
        contest("initiate", ours::initiate, Some(olm::initiate)),
        contest("accept", ours::accept, Some(olm::accept)),
        contest("encrypt", ours::encrypt, Some(olm::encrypt)),
        contest("decrypt", ours::decrypt, Some(olm::decrypt)),
        contest("ping-pong message", ours::ping_pong, Some(olm::ping_pong)),
        contest("skip 2000", ours::skip, None),
        contest("decrypt, 2000 skipped", ours::decrypt_with_skipped, None),
        contest("decrypt late, 2000 skipped", ours::decrypt_late, None),
        contest("100 + 100 pre-keys", ours::pre_keys, None),
    ]
}

/// The official client takes part only if it is installed.
fn contest(
    what: &'static str,
    sprag: fn() -> Runner,
    vodozemac: Option<fn() -> Runner>,
) -> Contest {
    let mut entries = vec![Entry::new("sprag", sprag)];
    entries.extend(vodozemac.map(|runner| Entry::new("vodozemac", runner)));
    if official::is_installed() {
        entries.push(Entry::new("npm client", move || official::runner(what)));
    }
    Contest { what, entries }
}

/// How long `work` takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Cuts `times` into batches, does each and adds up the time they took.
pub fn in_batches(times: u64, most: u64, mut batch: impl FnMut(u64) -> Duration) -> Duration {
    let mut left = times;
    let mut total = Duration::ZERO;
    while left > 0 {
        let size = left.min(most);
        total += batch(size);
        left -= size;
    }
    total
}
