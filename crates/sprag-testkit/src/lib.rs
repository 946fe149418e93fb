//! Placeholder.

pub mod backend;
