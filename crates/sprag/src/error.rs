//! What can go wrong in an operation, whose fault it was, and what to do about it.

use sprag_core::{
    KeyError, ProtocolError,
    address::ProtocolAddress,
    error::{Fault, FingerprintError},
};

use crate::{
    StoreError,
    backend::{BackendError, Remedy},
    upkeep::KeyServerError,
    vault::VaultError,
};

/// An operation failed.
///
/// Programs match on variants; people, the command line and other languages on [`code`](Self::code), which never
/// changes. No error carries a secret. Where an operation runs over a durable store nothing was
/// changed by it, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The protocol refused: the message, the bundle or the session is not fit.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// One of the six stores failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The durable store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store is older than its vault remembers: somebody put an earlier copy of it back. What it holds was used
    /// since, so that going on would use keys twice. [Recover](crate::StoreOptions::recover) it, or put the current store
    /// in its place.
    #[error(
        "the store is an earlier copy of itself; recover it, or put the current one in its place"
    )]
    RolledBack,
    /// The vault is not of the sort that the store is sealed with.
    #[error("the store is sealed with a vault of the sort {expected}, not {given}; give that one")]
    WrongVault {
        /// What the store says.
        expected: String,
        /// The vault that was given.
        given: String,
    },
    /// The vault does not have the root that the store names: it is another vault, or its secrets are gone. Without the
    /// root the store cannot be read by anybody.
    #[error("the vault does not have the root of this store; give the vault that it was made with")]
    RootMissing,
    /// The store is sealed, and no vault was given.
    #[error("the store is sealed; open it with its vault")]
    StoreSealed,
    /// The store is in clear text, and a vault was given.
    #[error("the store is in clear text, not sealed; nothing was changed")]
    StoreNotSealed,
    /// The account exists already.
    #[error("the account {0} is initialised already")]
    AlreadyInitialised(ProtocolAddress),
    /// There is no such account in the store.
    #[error("the account {0} is not initialised")]
    NotInitialised(ProtocolAddress),
    /// The key was used for the same recipient, for a message that is sealed and this one not, or the other way round.
    #[error(
        "the key was used for a message that is sealed and this one not, or the other way round"
    )]
    KeyReused,
    /// No identity of the peer is known yet. It becomes known with the first session.
    #[error("the identity of {0} is not known yet")]
    UnknownIdentity(ProtocolAddress),
    /// What peers are given to start sessions with has not been replaced for 14 days, so nothing is sent any more.
    #[error("our keys have not been replaced for too long; the upkeep is overdue")]
    KeysTooOld,
    /// The application's key server failed.
    #[error(transparent)]
    KeyServer(#[from] KeyServerError),
    /// Others changed the same records again and again.
    #[error("others keep changing the same records; try again")]
    Conflict,
    /// The storage failed while it committed and cannot tell what became of it. Nothing was
    /// released. Open the store anew and do the same again: what was committed is found in the outbox or
    /// inbox.
    #[error("the store cannot tell whether the operation is committed ({0})")]
    OutcomeUnknown(BackendError),
    /// The system gave no random bytes.
    #[error("the system's random source failed")]
    NoRandomness,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Try the same again, after a moment.
    Retry,
    /// Drop the message or the bundle: it will never be acceptable.
    Discard,
    /// Start a new session from a fresh bundle.
    RenewSession,
    /// Have the sender key distributed: for decrypting, ask the sender for its distribution message; for encrypting,
    /// renew our own and distribute it.
    RenewSenderKey,
    /// Show the changed identity to the user, and approve it or not.
    AskUser,
    /// Do the [upkeep](crate::Account::upkeep) of the account's keys, then the same again.
    Upkeep,
    /// Open the store anew, then do the same again.
    Reopen,
    /// Have the storage looked after: trying again does not help.
    Operator,
    /// Correct the call.
    FixCall,
}

impl Error {
    /// The stable short code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Protocol(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Backend(error) => error.code(),
            Self::Vault(error) => error.code(),
            Self::RolledBack => "store-rolled-back",
            Self::WrongVault { .. } => "store-wrong-vault",
            Self::RootMissing => "store-root-missing",
            Self::StoreSealed => "store-sealed",
            Self::StoreNotSealed => "store-not-sealed",
            Self::AlreadyInitialised(_) => "already-initialised",
            Self::NotInitialised(_) => "not-initialised",
            Self::KeyReused => "key-reused",
            Self::UnknownIdentity(_) => "unknown-identity",
            Self::KeysTooOld => "keys-too-old",
            Self::KeyServer(_) => "key-server-failed",
            Self::Conflict => "store-conflict",
            Self::OutcomeUnknown(_) => "outcome-unknown",
            Self::NoRandomness => "no-randomness",
        }
    }

    /// Whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Protocol(error) => error.fault(),
            Self::AlreadyInitialised(_)
            | Self::NotInitialised(_)
            | Self::UnknownIdentity(_)
            | Self::KeyReused
            | Self::KeysTooOld
            | Self::WrongVault { .. }
            | Self::StoreSealed
            | Self::StoreNotSealed => Fault::Caller,
            Self::Vault(error) if error.remedy() == Remedy::Caller => Fault::Caller,
            Self::Backend(error) if error.remedy() == Remedy::Caller => Fault::Caller,
            _ => Fault::Store,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Protocol(error) => protocol_advice(error),
            Self::Store(error) if error.is_tampered() => Advice::Operator,
            Self::Store(error) => error.as_backend().map_or(Advice::Retry, backend_advice),
            Self::Backend(error) => remedy_advice(error.remedy()),
            Self::Vault(error) => remedy_advice(error.remedy()),
            Self::RolledBack | Self::RootMissing => Advice::Operator,
            Self::WrongVault { .. } | Self::StoreSealed | Self::StoreNotSealed => Advice::FixCall,
            Self::AlreadyInitialised(_) | Self::NotInitialised(_) | Self::KeyReused => {
                Advice::FixCall
            }
            Self::UnknownIdentity(_) => Advice::RenewSession,
            Self::KeysTooOld => Advice::Upkeep,
            Self::KeyServer(_) | Self::Conflict => Advice::Retry,
            Self::OutcomeUnknown(_) => Advice::Reopen,
            Self::NoRandomness => Advice::Operator,
        }
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        ProtocolError::from(error).into()
    }
}

fn protocol_advice(error: &ProtocolError) -> Advice {
    match error {
        ProtocolError::InvalidProtocolAddress { .. }
        | ProtocolError::Fingerprint(FingerprintError::InvalidIterations(_))
        | ProtocolError::InvalidArgument(_) => Advice::FixCall,
        ProtocolError::SessionNotFound(_)
        | ProtocolError::InvalidSessionStructure(_)
        | ProtocolError::InvalidRegistrationId { .. }
        | ProtocolError::InvalidState => Advice::RenewSession,
        ProtocolError::NoSenderKey(_)
        | ProtocolError::InvalidSenderKeySession(_)
        | ProtocolError::SenderKeyUsedUp(_) => Advice::RenewSenderKey,
        ProtocolError::UntrustedIdentity(_) => Advice::AskUser,
        _ => Advice::Discard,
    }
}

fn backend_advice(error: &BackendError) -> Advice {
    remedy_advice(error.remedy())
}

fn remedy_advice(remedy: Remedy) -> Advice {
    match remedy {
        Remedy::Retry => Advice::Retry,
        Remedy::Reopen => Advice::Reopen,
        Remedy::Caller => Advice::FixCall,
        _ => Advice::Operator,
    }
}
