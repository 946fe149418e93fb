//! The Signal Protocol with stores that can be trusted in production.
//!
//! It speaks what today's libsignal speaks (PQXDH and the Triple Ratchet), and keeps state so that it
//! does not roll back: every ratchet step is durable and whole before anything that depends on it leaves the process.
//!
//! # The short way: an account
//!
//! An [`Account`] lives in a [`DurableStore`] over a backend: SQLite (the crate `sprag-sqlite`), or here one in
//! memory. Each of its methods is one commit.
//!
//! ```
//! use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
//!
//! # async fn example() -> Result<(), sprag::Error> {
//! // In production: SqliteBackend::open("sqlite:alice.db").await?
//! let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
//! let alice = Account::open_or_create(store, ProtocolAddress::new("alice", 1)?).await?;
//!
//! # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
//! # let bob = Account::open_or_create(store, ProtocolAddress::new("bob", 1)?).await?;
//! # let bundle = bob.bundle().await?;
//! // The server has handed out Bob's bundle.
//! alice.start_session(bob.address(), &bundle).await?;
//! let envelope = alice.send(bob.address(), b"hello").await?;
//! // ... transmit envelope.message_type and envelope.bytes ...
//! alice.sent(envelope.id).await?;
//!
//! // On Bob's side.
//! let delivery = bob.receive(alice.address(), envelope.message_type, &envelope.bytes).await?;
//! assert_eq!(delivery.plaintext, "hello");
//! // ... keep or show the plaintext ...
//! bob.done(delivery.id).await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # What a crash costs
//!
//! Nothing. The envelope is in the outbox and the plaintext in the inbox by the same commit as the ratchet
//! step that made it, under an id that stays, until the application says that it has it. After a crash, a
//! timeout or a dropped future, take up what waits:
//!
//! ```
//! # use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
//! # async fn example() -> Result<(), sprag::Error> {
//! # let (backend, vault) = (MemoryBackend::new(), MemoryVault::new());
//! # let (alice, bob) = (ProtocolAddress::new("alice", 1)?, ProtocolAddress::new("bob", 1)?);
//! # {
//! #     let store = DurableStore::open(backend.clone(), vault.clone()).await?;
//! #     let alice = Account::create(store.clone(), alice.clone()).await?;
//! #     let bob = Account::create(store, bob.clone()).await?;
//! #     alice.start_session(bob.address(), &bob.bundle().await?).await?;
//! #     alice.send(bob.address(), b"hello").await?;
//! # }
//! let store = DurableStore::open(backend, vault).await?;
//! # let bob = Account::open(store.clone(), bob).await?;
//! let alice = Account::open(store, alice).await?;
//! for envelope in alice.outbox_pending().await? {
//!     // Sent before the crash or not: a recipient tells duplicates.
//!     # let from = alice.address();
//!     # let delivery = bob.receive(from, envelope.message_type, &envelope.bytes).await?;
//!     # assert_eq!(bob.receive(from, envelope.message_type, &envelope.bytes).await?, delivery);
//!     // ... transmit ...
//!     alice.sent(envelope.id).await?;
//! }
//! for delivery in bob.inbox_pending().await? {
//!     // ... keep or show delivery.plaintext, if delivery.id was not seen before ...
//!     bob.done(delivery.id).await?;
//! }
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # What can go wrong
//!
//! Every [`Error`] has a stable [`code`](Error::code), says whose [`fault`](Error::fault) it was and what
//! to [do](Error::advice). The one to plan for is a peer whose identity has changed. A message from it is delivered, and
//! [says so](Delivery::changed_identity); sending waits for the user, as the account's [`IdentityPolicy`] wants it:
//!
//! ```
//! use sprag::{Account, Advice, DurableStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
//!
//! # async fn example() -> Result<(), sprag::Error> {
//! # let bob = ProtocolAddress::new("bob", 1)?;
//! # let elsewhere = || async {
//! #     let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
//! #     let account = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
//! #     account.bundle().await
//! # };
//! # let (bundle, new_bundle) = (elsewhere().await?, elsewhere().await?);
//! # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
//! # let alice = Account::create(store, ProtocolAddress::new("alice", 1)?).await?;
//! alice.start_session(&bob, &bundle).await?; // trusted on first use
//!
//! let error = alice.start_session(&bob, &new_bundle).await.unwrap_err();
//! assert_eq!(error.code(), "untrusted-identity");
//! if error.advice() == Advice::AskUser {
//!     // ... only if the user says so ...
//!     alice.approve_identity(&bob, &new_bundle.identity_key).await?;
//! }
//! alice.start_session(&bob, &new_bundle).await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # Several devices, groups, and hidden senders
//!
//! | to | call |
//! |---|---|
//! | send once, however often it is tried | [`Outgoing::key`] |
//! | reach all devices of a name | [`Account::send_to_all`] |
//! | talk in a group | [`Account::group_distribute`], [`group_join`](Account::group_join), [`group_send`](Account::group_send), [`group_receive`](Account::group_receive) |
//! | lock out a member that left | [`Account::group_renew`] |
//! | hide from the server who sends | [`Account::send_sealed`], [`receive_sealed`](Account::receive_sealed), [`group_send_sealed`](Account::group_send_sealed) |
//! | show two people that nobody stands between them | [`Account::safety_number`], [`verify`](Account::verify) |
//! | list whom one knows, and how far each is trusted | [`Account::identities`] |
//! | hear of changed identities and the like | [`Account::events`] |
//! | keep a server supplied with fresh pre-keys | [`Account::upkeep`] |
//! | decide when a peer could not decrypt | [`Account::assess_retry`] |
//!
//! Each is one commit, with inbox and outbox, like the rest.
//!
//! # More than an account does: transactions
//!
//! A [`Transaction`] implements the six store traits over a durable store. Whatever an operation reads and
//! writes through it, by the ciphers or by itself, becomes durable in one commit, or not at all if somebody else was
//! faster; [`DurableStore::run`] then runs it again.
//!
//! ```
//! use std::sync::Arc;
//! use sprag::{DurableStore, ProtocolAddress, SessionCipher, SessionStore, Transaction, backend::MemoryBackend, vault::MemoryVault};
//!
//! # async fn example() -> Result<(), sprag::Error> {
//! # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
//! # let alice = ProtocolAddress::new("alice", 1)?;
//! // A message to each of those whom there is a session with, all in one commit.
//! let from = &alice;
//! let peers = [ProtocolAddress::new("bob", 1)?, ProtocolAddress::new("carol", 1)?];
//! let peers = &peers;
//! let step = |transaction: Arc<Transaction<_>>| async move {
//!     let mut messages = Vec::new();
//!     for to in peers {
//!         if transaction.contains_session(to).await? {
//!             let cipher = SessionCipher::new(&transaction, &transaction, from, to);
//!             messages.push(cipher.encrypt(b"hello", transaction.now(), &mut transaction.rng()?).await?);
//!         }
//!     }
//!     Ok(messages)
//! };
//! let messages = store.run(&alice, step).await?;
//! assert!(messages.is_empty(), "there is no session yet");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # Your own stores
//!
//! [`SessionBuilder`], [`SessionCipher`], [`GroupCipher`] and [`SealedSessionCipher`] work over any implementation of the [six traits](stores), each
//! of another make if you like; the table there says which operation needs which. The conformance kit in `sprag-testkit`
//! tests yours.
//!
//! # Your own storage
//!
//! Or keep the durable store, and bring another place for its bytes: a [`Backend`](backend::Backend) has a handful of
//! methods on opaque records.
//!
//! # What is where
//!
//! | module | about |
//! |---|---|
//! | [`stores`] | the six store traits, and in-memory stores for tests |
//! | [`backend`] | the narrow waist below the durable store |
//! | [`upkeep`] | pre-keys that are made, published, replaced and deleted in time |
//! | [`vault`] | where the root secrets of a store lie |
//! | [`error`] | errors, faults and advice |
//! | [`protocol`] | the protocol itself, without stores |
//!
//! Records are sealed under roots that lie in the vault. What this protects against, and what not, says
//! [`docs/security.md`](https://github.com/sprag-rs/sprag/blob/main/docs/security.md).

mod account;
pub mod backend;
mod durable;
mod environment;
pub mod error;
mod events;
mod group_cipher;
mod identity_policy;
mod sealed_session_cipher;
mod session_builder;
mod session_cipher;
pub mod stores;
pub mod upkeep;
pub mod vault;

/// The protocol itself, without stores: keys, messages, records.
pub use sprag_core as protocol;
pub use sprag_core::{
    KeyError, ProtocolError,
    address::{DeviceId, ProtocolAddress},
    bundle::PreKeyBundle,
    fingerprint::Fingerprint,
    message::{CiphertextMessage, CiphertextMessageType},
    session::SessionRecord,
    time::Timestamp,
};
/// The ids of groups.
pub use uuid::Uuid;

pub use crate::{
    account::{
        Account, AccountOptions, Delivery, Envelope, EnvelopeType, InboxId, Opened, OutboxId,
        Outgoing, Recipient, RetryAssessment, Status,
    },
    durable::{
        Damage, DurableStore, EpochChange, Examination, Recovery, SealStatus, StoreOptions,
        Transaction,
    },
    environment::{Environment, System},
    error::{Advice, Error},
    events::{Event, Events},
    group_cipher::GroupCipher,
    identity_policy::{IdentityPolicy, IdentityScope, IdentityTrust, KnownIdentity},
    sealed_session_cipher::{SealedSessionCipher, SealedTrust, Sealing, Unsealed},
    session_builder::SessionBuilder,
    session_cipher::{PreKeyStores, SessionCipher},
    stores::{
        Direction, IdentityChange, IdentityKeyStore, InMemoryIdentityKeyStore,
        InMemoryKyberPreKeyStore, InMemoryPreKeyStore, InMemorySenderKeyStore,
        InMemorySessionStore, InMemorySignedPreKeyStore, KyberPreKeyKind, KyberPreKeyStore,
        KyberPreKeyUse, PreKeyStore, SenderKeyStore, SessionStore, SignedPreKeyStore, StoreError,
    },
};
