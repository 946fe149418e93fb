//! Where a durable store takes the time and its randomness from.

use std::time::SystemTime;

use chacha20::ChaCha20Rng;
use rand::rngs::SysRng;
use rand_core::{SeedableRng, TryRng};
use sprag_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::Error;

/// The world outside: a clock, and a source of seeds. [`System`] is the real one; a test can bring
/// its own.
pub trait Environment: Send + Sync + 'static {
    /// The time now. It may jump; nothing depends on it but the ages of sessions, pre-keys and epochs, and how long the key of a
    /// sent envelope is remembered.
    fn now(&self) -> Timestamp;

    /// Fills in 32 random bytes, never the same twice. Everything that one attempt at one step draws is made
    /// from them, so whoever can guess them can read its messages.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error>;
}

/// The system's clock and its random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Environment for System {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        SysRng.try_fill_bytes(seed).map_err(|_| Error::NoRandomness)
    }
}

/// The generator of one attempt at one step: wiped when it is dropped.
pub(crate) fn generator(environment: &dyn Environment) -> Result<ChaCha20Rng, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    environment.seed(&mut seed)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
