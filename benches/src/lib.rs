//! What the benchmarks run: the same work, done by Sprag and by others.
//!
//! | module | about |
//! |---|---|
//! | [`contest`] | one piece of work and those who do it |
//! | [`measure`] | figures of contests |
//! | [`conversation`] | Sprag between two parties, over its in-memory stores |
//! | [`ours`] | the pieces of work, done by Sprag |
//! | [`groups`] | the same for groups |
//! | [`sealed`] | sealed sender, done by Sprag |
//! | [`sqlite`] | the same over accounts in SQLite |
//! | [`epochs`] | what a new epoch takes |
//! | [`naive`] | the same over a SQLite store as guides show it |
//! | [`disk`] | what the disk allows |
//! | [`olm`] | the same by vodozemac: Olm, without post-quantum parts |
//! | [`official`] | the same by the official libsignal client for Node.js |
//!
//! Everything here measures and nothing is meant to be used, so whatever goes wrong panics.

#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc)]

pub mod contest;
pub mod conversation;
pub mod disk;
pub mod epochs;
pub mod groups;
pub mod measure;
pub mod naive;
pub mod official;
pub mod olm;
pub mod ours;
pub mod sealed;
pub mod sqlite;
