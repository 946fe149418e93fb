//! The passphrase, and the key that is derived from it.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sprag::vault::VaultError;
use zeroize::{Zeroize, Zeroizing};

use super::Cost;

/// A passphrase, wiped on drop. `Debug` does not print it.
///
/// Its UTF-8 bytes count as they are: the same letters typed in another Unicode form are another passphrase.
pub struct Passphrase(Zeroizing<String>);

impl From<String> for Passphrase {
    fn from(passphrase: String) -> Self {
        Self(Zeroizing::new(passphrase))
    }
}

impl From<&str> for Passphrase {
    fn from(passphrase: &str) -> Self {
        passphrase.to_owned().into()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// Refuses one that is empty.
    pub(super) fn check(&self) -> Result<(), VaultError> {
        if self.0.is_empty() {
            return Err(VaultError::EmptyPassphrase);
        }
        Ok(())
    }

    /// Argon2id of the passphrase. It takes as long as the cost says.
    pub(super) fn derive(
        &self,
        salt: &[u8; 16],
        cost: Cost,
    ) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(cost.memory_kib(), cost.passes(), cost.lanes(), Some(32))
            .map_err(|error| failed(&error.to_string()))?;
        let mut memory = Memory::new(params.block_count())?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(self.0.as_bytes(), salt, &mut *key, &mut memory.0[..])
            .map_err(|error| failed(&error.to_string()))?;
        Ok(key)
    }
}

/// What Argon2 works in. Wiped on drop, since the key could be found from it.
struct Memory(Vec<Block>);

impl Memory {
    fn new(blocks: usize) -> Result<Self, VaultError> {
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(blocks)
            .map_err(|error| failed(&error.to_string()))?;
        memory.resize(blocks, Block::new());
        Ok(Self(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

fn failed(what: &str) -> VaultError {
    VaultError::Io {
        detail: format!("deriving a key from the passphrase: {what}"),
    }
}
