//! The Signal Protocol, sans-io: no async, no clock, no files and no randomness of its own.
//!
//! Every step takes the record it works on, its input, the time and a random source, and either
//! returns its output together with the changed record or fails and changes nothing. Bytes are
//! those of today's libsignal (PQXDH, Double Ratchet and SPQR, together the *Triple Ratchet*).
//!
//! | module | about |
//! |---|---|
//! | [`address`], [`service_id`] | who talks to whom |
//! | [`curve`], [`kem`], [`identity`] | Curve25519, Kyber and identity keys |
//! | [`pre_key`], [`bundle`] | what a recipient publishes so that sessions can start while it is away |
//! | [`message`] | messages on the wire |
//! | [`session`] | session records and the steps over them: start, encrypt, decrypt |
//! | [`sealed_sender`] | hiding from the server who sends |
//! | [`sender_key`] | sender keys of groups and the steps over them: distribute, encrypt, decrypt |
//! | [`spqr`] | the sparse post-quantum ratchet |
//! | [`fingerprint`] | safety numbers |
//! | [`crypto`] | helpers for applications |
//! | [`error`], [`time`] | what can go wrong, and when |
//!
//! Applications use the `sprag` crate, which adds stores and accounts. This crate is for those who
//! bring both themselves:
//!
//! ```
//! use rand::rngs::SysRng;
//! use rand_core::UnwrapErr;
//! use sprag_core::{
//!     address::ProtocolAddress, bundle::PreKeyBundle, curve::KeyPair, identity::IdentityKeyPair,
//!     message::CiphertextMessage, pre_key::{KyberPreKeyRecord, SignedPreKeyRecord},
//!     session::{Parties, RecipientKeys, SessionRecord}, time::Timestamp,
//! };
//!
//! let mut rng = UnwrapErr(SysRng);
//! let now = Timestamp::from_millis(1_768_478_400_000);
//! let alice = ProtocolAddress::new("alice", 1)?;
//! let bob = ProtocolAddress::new("bob", 1)?;
//!
//! // Bob publishes a bundle.
//! let bob_identity = IdentityKeyPair::generate(&mut rng);
//! let signed = SignedPreKeyRecord::generate(1.into(), now, &bob_identity, &mut rng);
//! let kyber = KyberPreKeyRecord::generate(1.into(), now, &bob_identity, &mut rng);
//! let bundle = PreKeyBundle {
//!     registration_id: 7,
//!     device_id: bob.device_id(),
//!     pre_key: None,
//!     signed_pre_key: signed.public_view()?,
//!     kyber_pre_key: kyber.public_view()?,
//!     identity_key: *bob_identity.identity_key(),
//! };
//!
//! // Alice starts a session and encrypts.
//! let alice_identity = IdentityKeyPair::generate(&mut rng);
//! let alice_to_bob = Parties { local: &alice, remote: &bob };
//! let mut session = SessionRecord::new_fresh();
//! session.process_bundle(&bundle.verify()?, alice_to_bob, &alice_identity, 9, now, &mut rng)?;
//! let message = session.encrypt(b"hello", alice_to_bob, now, &mut rng)?;
//!
//! // Bob decrypts.
//! let CiphertextMessage::PreKey(message) = message else { unreachable!() };
//! let keys = RecipientKeys {
//!     identity: &bob_identity,
//!     registration_id: 7,
//!     signed_pre_key: &signed,
//!     kyber_pre_key: &kyber,
//!     pre_key: None,
//! };
//! let mut session = SessionRecord::new_fresh();
//! let parties = Parties { local: &bob, remote: &alice };
//! session.accept(&message, parties, &keys)?;
//! let plaintext = session.decrypt_pre_key(&message, parties, &mut rng)?;
//! assert_eq!(plaintext, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
pub mod bundle;
mod cipher;
pub mod crypto;
pub mod curve;
pub mod error;
pub mod fingerprint;
#[cfg(feature = "hazmat")]
pub mod hazmat;
pub mod identity;
mod kdf;
pub mod kem;
pub mod message;
mod pqxdh;
pub mod pre_key;
mod ratchet;
mod record;
pub mod sealed_sender;
pub mod sender_key;
pub mod service_id;
pub mod session;
pub mod spqr;
mod stack;
pub mod time;

pub use error::{KeyError, ProtocolError};
