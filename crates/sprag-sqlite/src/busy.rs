//! Waiting for other processes that write.
//!
//! SQLite's own waiting sleeps for up to a tenth of a second at a time, the longer the longer it has waited, so that
//! whoever came first is the last to notice that the lock is free. Sleeps of the same few milliseconds for all give
//! all the same chance. Still shorter ones would pass the lock on after each commit, and whatever a process
//! remembers of a conversation would be stale each time.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;

/// A sleep takes between half of this and this.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

thread_local! {
    /// How long this thread waits for a lock, and since when it has waited for the present one.
    static PATIENCE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Has a connection wait for locks so long. It stays on this thread, and is the only one for which the thread waits.
pub(crate) fn wait_for_others(
    connection: &Connection,
    patience: Duration,
) -> Result<(), rusqlite::Error> {
    PATIENCE.set(patience);
    connection.busy_handler(Some(wait))
}

/// Sleeps, unless patience is exhausted. SQLite counts the sleeps for a lock from 0 on.
fn wait(sleeps: i32) -> bool {
    let since = SINCE.get().filter(|_| sleeps > 0);
    let since = since.unwrap_or_else(Instant::now);
    SINCE.set(Some(since));
    let left = PATIENCE.get().saturating_sub(since.elapsed());
    if left.is_zero() {
        return false;
    }
    thread::sleep(sleep(SystemTime::now()).min(left));
    true
}

/// How long to sleep. The nanoseconds of the clock differ between processes, which is all that is needed.
fn sleep(now: SystemTime) -> Duration {
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = now.map_or(0, |now| now.subsec_nanos());
    let half = LONGEST_SLEEP / 2;
    half + half.mul_f64(f64::from(nanoseconds % 1024) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_begins_anew_for_the_next_lock() {
        PATIENCE.set(Duration::from_millis(25));
        for _ in 0..2 {
            let begun = Instant::now();
            let sleeps = (0..).take_while(|sleeps| wait(*sleeps)).count();
            assert!(sleeps > 0 && begun.elapsed() >= PATIENCE.get());
        }
        PATIENCE.set(Duration::ZERO);
        assert!(!wait(0));
    }

    #[test]
    fn sleeps_differ() {
        let at = |nanoseconds| sleep(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds));
        assert_ne!(at(100), at(200));
        assert!((0..2048).all(|time| at(time) >= LONGEST_SLEEP / 2 && at(time) <= LONGEST_SLEEP));
    }
}
