//! What tests of a sealed store need.

use std::sync::LazyLock;

use sprag::vault::MemoryVault;

/// One vault in memory for all stores of this process, so that each can be opened again.
pub fn shared() -> MemoryVault {
    static VAULT: LazyLock<MemoryVault> = LazyLock::new(MemoryVault::new);
    VAULT.clone()
}
