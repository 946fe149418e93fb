//! A clock that a test sets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sprag::{Environment, Error, System, Timestamp};

/// An [`Environment`] whose time stands still until the test moves it. Its randomness is the system's. Clones show the
/// same time.
///
/// ```
/// use std::time::Duration;
/// use sprag::Environment;
/// use sprag_testkit::Clock;
///
/// let clock = Clock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), before.saturating_add(Duration::from_secs(1)));
/// ```
#[derive(Clone)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// A clock that shows some time in 2026.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_770_000_000_000)))
    }

    /// Time passes, or jumps.
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(millis(time), Ordering::Relaxed);
    }

    /// Puts the clock back.
    pub fn put_back(&self, time: Duration) {
        self.0.fetch_sub(millis(time), Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        System.seed(seed)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
