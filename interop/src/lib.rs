//! Live tests against the official libsignal client.
//!
//! The official client runs in a Node process (`peer/`), which [`Peer`] starts and speaks to. [`Party`] is one end of a
//! conversation, whoever implements it; the [scenarios](scenario) are written once over two of them, and `tests/` runs
//! them for every casting of the roles. A party's whole [`PartyState`] can be taken out of one implementation
//! and put into another between any two steps, which is how stored records are proven to be interchangeable. Our own
//! library takes part at each of its levels: [`Sprag`] is the core, [`SpragCiphers`] and [`SpragAccount`] are what stands on it.
//!
//! Test-only: nothing that Sprag ships depends on this crate or on the official client.

mod address;
mod blob;
mod bundle;
mod conversation;
mod envelope;
mod group;
mod library;
mod official;
mod party;
mod peer;
mod sprag;
mod state;
mod wanderer;

pub mod scenario;

pub use address::Address;
pub use blob::Blob;
pub use bundle::{Bundle, BundleRequest, KyberKind, PublicPreKey, SignedPublicPreKey};
pub use conversation::{Broken, Conversation, Names, Opinion, START, Sent, Side};
pub use envelope::{Envelope, Header};
pub use group::Member;
pub use library::{SpragAccount, SpragCiphers};
pub use official::Official;
pub use party::{Failure, FailureKind, Implementation, Party};
pub use peer::{KeyPair, Peer, PeerError, Pooled};
pub use sprag::Sprag;
pub use state::{KnownIdentity, KyberPreKey, KyberUse, PartyState, Session};
pub use wanderer::Wandering;
