//! One piece of work, and those who do it.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::{disk, groups, naive, official, olm, ours, ours::SKIPPED, sealed, sqlite};

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
    /// How long a turn must be to mean something.
    pub turn: Duration,
    /// How many turns each has.
    pub rounds: usize,
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
        contest("group encrypt", groups::encrypt, None),
        contest("group decrypt", groups::decrypt, None),
        contest("sealed v1 seal", sealed::seal, None),
        contest("sealed v1 open", sealed::open, None),
        contest("sealed sender v2 to 100", sealed::to_100, None),
        contest("sealed sender v2 to 1000", sealed::to_1000, None),
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
    Contest {
        what,
        entries,
        turn: Duration::from_millis(8),
        rounds: 101,
    }
}

/// What is kept in SQLite.
pub fn in_sqlite() -> Vec<Contest> {
    let mut contests = conversations_in_sqlite();
    contests.extend([in_order_with_skipped(), refill()]);
    contests
}

/// Conversations that are kept in SQLite. The work is one message of a ping-pong, encrypted here and
/// decrypted there, where both sides keep what changes.
pub fn conversations_in_sqlite() -> Vec<Contest> {
    vec![
        conversations(1, "SQLite, one conversation"),
        conversations(8, "SQLite, 8 conversations"),
        conversations(64, "SQLite, 64 conversations"),
        conversations(512, "SQLite, 512 conversations"),
    ]
}

/// Sprag alone, in stores of several sizes. To make these takes minutes and 8 GB of disk.
pub fn in_big_stores() -> Vec<Contest> {
    const SIZES: [(usize, &str); 3] = [
        (1000, "1 000 sessions"),
        (100_000, "100 000 sessions"),
        (1_000_000, "1 000 000 sessions"),
    ];
    let entry = |(size, who)| Entry::new(who, move || sqlite::ping_pong_among(64, size));
    vec![Contest {
        what: "a big store",
        entries: SIZES.into_iter().map(entry).collect(),
        turn: Duration::from_millis(200),
        rounds: 11,
    }]
}

fn conversations(count: usize, what: &'static str) -> Contest {
    let naive = |synchronous| move || naive::ping_pong(count, synchronous);
    let entries = vec![
        Entry::new("sprag", move || sqlite::ping_pong(count)),
        Entry::new("sprag, sessions only", move || {
            sqlite::ping_pong_of_sessions(count)
        }),
        Entry::new("sprag, in clear text", move || {
            sqlite::ping_pong_in_clear_text(count)
        }),
        Entry::new("sprag in memory", move || ours::ping_pong_at_once(count)),
        Entry::new("naive store, FULL", naive("FULL")),
        Entry::new("naive store, NORMAL", naive("NORMAL")),
        Entry::new("two commits of a row", disk::two_commits),
    ];
    Contest {
        what,
        entries,
        turn: Duration::from_millis(200),
        rounds: 11,
    }
}

/// One message after the other while 2000 skipped keys are held, each kept before the next.
fn in_order_with_skipped() -> Contest {
    Contest {
        what: "SQLite, decrypt, 2000 skipped",
        entries: vec![
            Entry::new("sprag, sessions only", || sqlite::decrypt(SKIPPED)),
            Entry::new("sprag, none skipped", || sqlite::decrypt(0)),
            Entry::new("naive store, FULL", || naive::decrypt(SKIPPED, "FULL")),
        ],
        turn: Duration::from_millis(100),
        rounds: 21,
    }
}

/// 100 EC and 100 signed Kyber pre-keys, kept: by an upkeep whose server has none left, and in memory.
fn refill() -> Contest {
    let mut entries = vec![
        Entry::new("sprag", sqlite::refill),
        Entry::new("sprag in memory", ours::pre_keys),
    ];
    if official::is_installed() {
        let in_memory = || official::runner("100 + 100 pre-keys");
        entries.push(Entry::new("npm client in memory", in_memory));
    }
    Contest {
        what: "SQLite, 100 + 100 pre-keys",
        entries,
        turn: Duration::from_millis(100),
        rounds: 21,
    }
}

/// How long `work` takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Lets each of `all` do its share of the work, all at once on two threads; `work` does so much of it and
/// gives back who did it.
pub fn at_once<T, F>(mut all: Vec<T>, work: fn(T, u64) -> F) -> Runner
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    Box::new(move |times| {
        let share = times.div_ceil(all.len() as u64);
        let start = Instant::now();
        let tasks: Vec<_> = all
            .drain(..)
            .map(|one| runtime.spawn(work(one, share)))
            .collect();
        for task in tasks {
            all.push(runtime.block_on(task).unwrap());
        }
        start
            .elapsed()
            .mul_f64(times as f64 / (share * all.len() as u64) as f64)
    })
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
