//! A sealed store: epochs, earlier copies, tampering, vaults that are not its own.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "sealing/epochs.rs"]
mod epochs;
#[path = "sealing/memory.rs"]
mod memory;
#[path = "sealing/rollback.rs"]
mod rollback;
#[path = "sealing/tampering.rs"]
mod tampering;
#[path = "sealing/vaults.rs"]
mod vaults;
#[path = "sealing/world.rs"]
mod world;
