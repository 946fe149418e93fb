//! Tests for what others build on [Sprag](sprag), and what tests of Sprag itself need.
//!
//! | module | about |
//! |---|---|
//! | [`stores`] | contracts for stores that you write yourself, a party over six stores, stores that fail |
//! | [`backend`] | contracts for backends of the durable store, a backend that fails |
//! | [`vault`] | contracts for vaults, and one for tests of stores |
//! | [`account`] | accounts end to end over any backend |
//! | [`Clock`], [`MemoryKeyServer`], [`Log`] | a clock that the test sets, a server for pre-keys that can lose them, a log to search |
//! | [`replay`] | replay of recordings of the protocol |
//! | [`fuzz`] | what must hold for any bytes at all |
//!
//! Contracts panic, and say what is wrong; macros make an ordinary test of each.

pub mod account;
pub mod backend;
mod clock;
pub mod fuzz;
mod key_server;
mod log;
pub mod replay;
pub mod stores;
pub mod vault;

pub use self::{
    clock::Clock,
    key_server::{MemoryKeyServer, ServerFault},
    log::Log,
};
