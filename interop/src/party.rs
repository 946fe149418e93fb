//! One end of a conversation, whoever implements it.

use thiserror::Error;

use crate::{Address, Bundle, BundleRequest, Envelope, PartyState};

/// An implementation of the protocol, as a maker of parties.
pub trait Implementation {
    /// A short name for reports.
    fn name(&self) -> &str;

    /// A new party with a fresh identity, or with the given identity key pair record (for a second device).
    fn create(
        &self,
        address: &Address,
        registration_id: u32,
        identity_key_pair: Option<&[u8]>,
    ) -> Result<Box<dyn Party>, Failure>;

    /// The party that `state` describes.
    fn restore(&self, state: &PartyState) -> Result<Box<dyn Party>, Failure>;
}

/// One end of conversations: an address, its keys and its sessions. It trusts the first identity key that it sees for an
/// address until it is told otherwise. Times are milliseconds since 1970.
pub trait Party {
    /// The party's own address.
    fn address(&self) -> &Address;

    /// A bundle to hand out, signed at `now`.
    fn bundle(&mut self, request: BundleRequest, now: u64) -> Result<Bundle, Failure>;

    /// Starts a session from the bundle of `remote`.
    fn process_bundle(
        &mut self,
        remote: &Address,
        bundle: &Bundle,
        now: u64,
    ) -> Result<(), Failure>;

    /// Encrypts for `remote`.
    fn encrypt(
        &mut self,
        remote: &Address,
        plaintext: &[u8],
        now: u64,
    ) -> Result<Envelope, Failure>;

    /// Decrypts a message from `remote`.
    fn decrypt(&mut self, remote: &Address, envelope: &Envelope) -> Result<Vec<u8>, Failure>;

    /// Whether the current session with `remote` can be used for sending.
    fn has_usable_sender_chain(&mut self, remote: &Address, now: u64) -> Result<bool, Failure>;

    /// The serialised session record with `remote`, if there is one.
    fn session(&mut self, remote: &Address) -> Result<Option<Vec<u8>>, Failure>;

    /// Puts a serialised session record in place.
    fn set_session(&mut self, remote: &Address, record: &[u8]) -> Result<(), Failure>;

    /// Puts the current session with `remote` aside.
    fn archive_session(&mut self, remote: &Address) -> Result<(), Failure>;

    /// Forgets the session record with `remote`.
    fn delete_session(&mut self, remote: &Address) -> Result<(), Failure>;

    /// Accepts an identity key (33 bytes) for `remote`, in place of one accepted before.
    fn trust(&mut self, remote: &Address, identity_key: &[u8]) -> Result<(), Failure>;

    /// Everything that the party has.
    fn state(&mut self) -> Result<PartyState, Failure>;
}

/// Why a party refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind:?}: {text}")]
pub struct Failure {
    /// The kind, comparable across implementations.
    pub kind: FailureKind,
    /// The implementation's own words.
    pub text: String,
}

impl Failure {
    /// A failure of this kind, in these words.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

/// Kinds of refusals that scenarios tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The message was decrypted before, or its key was dropped.
    DuplicatedMessage,
    /// There is no session, or none that may be used for sending.
    SessionNotFound,
    /// The identity key is not the one accepted for the address.
    UntrustedIdentity,
    /// The message is not what its sender wrote, or not for this session.
    InvalidMessage,
    /// A bundle's signature is wrong.
    InvalidSignature,
    /// The store has no such pre-key any more.
    MissingPreKey,
    /// A last-resort key was used with this base key before.
    ReusedBaseKey,
    /// There is no sender key, or none for the chain.
    NoSenderKey,
    /// The stored sender key cannot be used for this.
    InvalidSenderKey,
    /// The bytes cannot be parsed as what they should be.
    Malformed,
    /// Anything else, the harness's own troubles included.
    Other,
}
