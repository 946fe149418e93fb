//! Proof by destruction of the durable store: it is broken in every way that we can think of, and then asked
//! whether anything is missing.
//!
//! | module | about |
//! |---|---|
//! | [`vfs`] | a file system for SQLite that writes down what happens, and fails on demand |
//! | [`disk`] | what a power cut may leave of it |
//! | [`story`] | a run of an account's life that is written down, and goes on through failures |
//! | [`diary`] | how it is written down |
//! | [`vault`] | the vault of it, at any moment |
//! | [`order`] | what is to be sent in it, and to whom |
//! | [`post`] | the ways that a text takes in it |
//! | [`service`] | who certifies the senders of sealed ones |
//! | [`key_server`] | where the account publishes its keys |
//! | [`ledger`] | what the application knew at each moment of it |
//! | [`recovery`] | whether what was left keeps every promise that was made |
//! | [`examination`] | all images of a story, checked |
//! | [`peer`] | whom the account talks to, at any moment of the story |
//! | [`used`] | which keys were used, seen from outside |
//! | [`freed`] | an allocator that looks for secrets in memory that is given back |
//! | [`counting`] | a backend that counts its conflicts |
//! | [`yielding`] | a backend that can be cancelled everywhere |
//! | [`pace`] | how long and from which seed |
//! | [`seeded`] | the clock and the chance of a store, from a seed |
//!
//! The tests are in `tests/`; how to run them for long, and what they prove, says `docs/torture.md`. Everything here breaks
//! things and nothing is meant to be used, so whatever goes wrong panics.

pub mod counting;
pub mod diary;
pub mod disk;
pub mod examination;
pub mod freed;
pub mod key_server;
pub mod ledger;
pub mod order;
pub mod pace;
pub mod peer;
pub mod post;
pub mod recovery;
pub mod seeded;
pub mod service;
pub mod story;
pub mod used;
pub mod vault;
pub mod vfs;
pub mod yielding;
