//! SPQR, the sparse post-quantum ratchet, version 1 (sheet 05).
//!
//! Two machines share one [`State`]. The *braid* agrees on one ML-KEM-768 secret after the other,
//! in chunks of 32 bytes that ride on ordinary messages. The *chain* turns the handshake's key and
//! those secrets into one 32-byte key for every message, which the Double Ratchet mixes into that
//! message's keys.
//!
//! A step that fails leaves the state as it was, byte for byte. Randomness is passed in. Copies of a
//! state are cheap: it is one shared pointer, and a step copies the small parts that it changes and
//! goes on sharing the large ones.
//!
//! The stored form is libsignal's, bit for bit, so a session may move between the two at any point.
//!
//! ```
//! use rand::{SeedableRng, rngs::StdRng};
//! use sprag_core::spqr::{ChainParams, Direction, State, Version};
//!
//! # fn main() -> Result<(), sprag_core::spqr::Error> {
//! let mut rng = StdRng::seed_from_u64(1);
//! let start = |direction| {
//!     State::initial(direction, Version::V1, Version::V1, &[7; 32], ChainParams::default())
//! };
//! let mut alice = start(Direction::AliceToBob);
//! let mut bob = start(Direction::BobToAlice);
//!
//! let sent = alice.send(&mut rng)?;
//! let received = bob.recv(&sent.message)?;
//! assert_eq!(
//!     sent.key.map(|key| *key.as_bytes()),
//!     received.map(|key| *key.as_bytes()),
//! );
//! # Ok(())
//! # }
//! ```

mod authenticator;
mod braid;
mod chain;
mod erasure;
mod error;
mod field;
#[cfg(feature = "hazmat")]
pub(crate) mod hazmat;
mod kdf;
mod kem;
mod message;
mod secret;
mod skipped;
mod state;
mod stored;

pub use error::Error;
pub use secret::MessageKey;
pub use state::{ChainParams, Direction, Sent, State, Version, VersionRule};

use state::{Active, Negotiation};
