//! A world in which everything happens again in the same way.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rand::Rng;
use rand::rngs::StdRng;
use sprag::{Environment, Error, Timestamp};

use crate::pace::generator;

/// One of its worlds.
pub struct Seeded(Mutex<StdRng>);

impl Seeded {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(generator(seed)))
    }
}

impl Environment for Seeded {
    fn now(&self) -> Timestamp {
        (SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)).into()
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(seed);
        Ok(())
    }
}
