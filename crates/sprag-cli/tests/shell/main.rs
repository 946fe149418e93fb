//! The command as a shell runs it: every step a process of its own.

#![allow(clippy::unwrap_used, clippy::panic)]

mod errors;
mod groups;
mod identities;
mod messages;
mod person;
mod repair;
mod safety;
mod upkeep;
mod vaults;
