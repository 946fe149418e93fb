//! The Signal Protocol with stores that can be trusted in production.

mod account;
pub mod backend;
mod durable;
mod environment;
pub mod error;
mod session_builder;
mod session_cipher;
pub mod stores;

/// The protocol itself, without stores: keys, messages, records.
pub use sprag_core as protocol;
pub use sprag_core::{
    KeyError, ProtocolError,
    address::{DeviceId, ProtocolAddress},
    bundle::PreKeyBundle,
    message::{CiphertextMessage, CiphertextMessageType},
    session::SessionRecord,
    time::Timestamp,
};

pub use crate::{
    account::{Account, Delivery, Envelope, InboxId, OutboxId, Status},
    durable::{DurableStore, Transaction},
    environment::{Environment, System},
    error::{Advice, Error},
    session_builder::SessionBuilder,
    session_cipher::{PreKeyStores, SessionCipher},
    stores::{
        Direction, IdentityChange, IdentityKeyStore, InMemoryIdentityKeyStore,
        InMemoryKyberPreKeyStore, InMemoryPreKeyStore, InMemorySenderKeyStore,
        InMemorySessionStore, InMemorySignedPreKeyStore, KyberPreKeyKind, KyberPreKeyStore,
        KyberPreKeyUse, PreKeyStore, SenderKeyStore, SessionStore, SignedPreKeyStore, StoreError,
    },
};
