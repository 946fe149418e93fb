//! Placeholder.

pub mod account;
pub mod backend;
pub mod fuzz;
pub mod replay;
pub mod stores;
