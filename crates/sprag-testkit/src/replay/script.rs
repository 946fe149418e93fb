//! A random source whose draws are dictated.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// Gives the scripted bytes over and over: recordings name the one draw that counts.
///
/// Not random at all, so for replaying recordings only.
#[derive(Clone, Debug)]
pub struct ScriptedRng {
    bytes: Vec<u8>,
    position: usize,
}

impl ScriptedRng {
    /// A source that gives `bytes`, and begins again after the last of them. Without any it gives
    /// zeros.
    pub fn repeating(bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes = bytes.into();
        if bytes.is_empty() {
            bytes.push(0);
        }
        Self { bytes, position: 0 }
    }
}

impl TryRng for ScriptedRng {
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
        for byte in out {
            *byte = self.bytes[self.position];
            self.position = (self.position + 1) % self.bytes.len();
        }
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}
