//! The six stores of Sprag over an SQLite database of one's own. `docs/guide/own-stores.md` explains
//! every line of this package, and a test keeps the two the same.

mod database;
mod identities;
mod messenger;
mod pre_keys;
mod sender_keys;
mod sessions;

pub use database::{Database, MyStores};
pub use messenger::Messenger;
