//! The random source of recordings that name every byte.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use super::Outcome;

/// Gives the recorded bytes, of which there must be exactly as many as are drawn.
pub(super) struct Recorded {
    left: Vec<u8>,
    /// How many more were drawn; they were given as zeros.
    missing: usize,
}

impl Recorded {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            left: bytes,
            missing: 0,
        }
    }

    /// Whether exactly the recorded bytes were drawn.
    pub(super) fn finish(self) -> Outcome {
        match (self.left.len(), self.missing) {
            (0, 0) => Ok(()),
            (left, 0) => Err(format!("{left} bytes fewer than recorded were drawn")),
            (_, missing) => Err(format!("{missing} bytes more than recorded were drawn")),
        }
    }
}

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        let length = out.len().min(self.left.len());
        out[..length].copy_from_slice(&self.left[..length]);
        self.left.drain(..length);
        self.missing += out.len() - length;
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}
