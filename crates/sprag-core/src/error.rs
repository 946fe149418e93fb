//! What can go wrong in the protocol, whose fault it was, and what to do about it.
//!
//! Source: sheet 04 section 8. Every error has a short code that never changes; programs match on
//! variants, people and other languages on codes. No error carries a secret.

use uuid::Uuid;

use crate::address::ProtocolAddress;

/// A key, or a KEM ciphertext, could not be parsed or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The input was empty, so there was no type byte.
    #[error("the key is empty: it has no type byte")]
    NoKeyTypeIdentifier,
    /// The first byte is not the type byte of a Curve25519 public key (05).
    #[error("unknown key type 0x{0:02x}")]
    BadKeyType(u8),
    /// A Curve25519 key had the wrong number of bytes.
    #[error("a Curve25519 key cannot have {0} bytes")]
    BadKeyLength(usize),
    /// The first byte is not the type byte of a supported KEM.
    #[error("unsupported KEM key type 0x{0:02x}")]
    BadKemKeyType(u8),
    /// A KEM key had the wrong number of bytes.
    #[error("a KEM key of type 0x{key_type:02x} cannot have {length} bytes")]
    BadKemKeyLength {
        /// The type byte.
        key_type: u8,
        /// The length found, type byte included.
        length: usize,
    },
    /// A KEM ciphertext had the wrong number of bytes.
    #[error("a KEM ciphertext of type 0x{key_type:02x} cannot have {length} bytes")]
    BadKemCiphertextLength {
        /// The type byte.
        key_type: u8,
        /// The length found, type byte included.
        length: usize,
    },
    /// Two KEM values that must be of one type are not.
    #[error("KEM types differ: 0x{found:02x} where 0x{expected:02x} was needed")]
    WrongKemKeyType {
        /// The type byte found.
        found: u8,
        /// The type byte that was needed.
        expected: u8,
    },
    /// A Curve25519 agreement gave zero: the peer's key is of small order.
    #[error("the key agreement gave an all-zero secret")]
    InvalidKeyAgreement,
}

impl KeyError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKeyTypeIdentifier => "no-key-type",
            Self::BadKeyType(_) => "bad-key-type",
            Self::BadKeyLength(_) => "bad-key-length",
            Self::BadKemKeyType(_) => "bad-kem-key-type",
            Self::BadKemKeyLength { .. } => "bad-kem-key-length",
            Self::BadKemCiphertextLength { .. } => "bad-kem-ciphertext-length",
            Self::WrongKemKeyType { .. } => "wrong-kem-key-type",
            Self::InvalidKeyAgreement => "invalid-key-agreement",
        }
    }
}

/// A step of the protocol failed. Nothing was changed by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A key could not be parsed or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A name and device id that are no address: device ids run from 1 to 127.
    #[error("{name:?} with device id {device_id} is not an address: device ids run from 1 to 127")]
    InvalidProtocolAddress {
        /// The name that was given.
        name: String,
        /// The device id that was given.
        device_id: u32,
    },
    /// There is no session with the peer, or only one that must no longer be used for sending.
    /// Start a new one from a fresh bundle.
    #[error("no usable session{}", .0.as_ref().map(|address| format!(" with {address}")).unwrap_or_default())]
    SessionNotFound(Option<ProtocolAddress>),
    /// The peer's identity key is not trusted. Ask the user.
    #[error("the identity key of {0} is not trusted")]
    UntrustedIdentity(ProtocolAddress),
    /// A signature in a bundle, or of a group message, is wrong. It is forged or damaged: do not use it.
    #[error("a signature does not verify")]
    SignatureValidationFailed,
    /// The message is not acceptable; the reason is given where telling it is harmless.
    #[error("invalid {} message: {reason}", kind_name(*.message_type))]
    InvalidMessage {
        /// The message type's number: 2, 3, 7 or 8.
        message_type: u8,
        /// A fixed text.
        reason: &'static str,
    },
    /// The message was decrypted before, or is so old that its key was dropped. Drop it.
    #[error("message {counter} was received before (the chain is at {chain_index})")]
    DuplicatedMessage {
        /// Counter that the chain expects next.
        chain_index: u32,
        /// Counter of the message.
        counter: u32,
    },
    /// The message is shorter than any message can be.
    #[error("a message of {0} bytes is too short")]
    CiphertextMessageTooShort(usize),
    /// The message's version is no longer supported.
    #[error("message version {0} is no longer supported")]
    LegacyCiphertextVersion(u8),
    /// The message's version is not known yet.
    #[error("message version {0} is not supported")]
    UnrecognizedCiphertextVersion(u8),
    /// The bytes are not the protobuf that they should be.
    #[error("malformed encoding")]
    InvalidProtobufEncoding,
    /// The stored session cannot be read or lacks what the step needs.
    #[error("the stored session is damaged: {0}")]
    InvalidSessionStructure(&'static str),
    /// The stored post-quantum ratchet state cannot be used.
    #[error("the stored post-quantum state is damaged")]
    InvalidState,
    /// The message asks for a one-time pre-key that is not held (any more).
    #[error("no one-time pre-key with the id that the message names")]
    InvalidPreKeyId,
    /// The message asks for a signed pre-key that is not held (any more).
    #[error("no signed pre-key with the id that the message names")]
    InvalidSignedPreKeyId,
    /// The message asks for a Kyber pre-key that is not held (any more).
    #[error("no Kyber pre-key with the id that the message names")]
    InvalidKyberPreKeyId,
    /// There is no sender key for the distribution, or none for the chain that the message names. To
    /// decrypt, the sender has to distribute its key (again); to encrypt, make a distribution first.
    #[error("no sender key for the distribution {0}")]
    NoSenderKey(Uuid),
    /// The stored sender key cannot be used: it is damaged, or a receiver's where a sender's is needed.
    #[error("the stored sender key for the distribution {0} is damaged")]
    InvalidSenderKeySession(Uuid),
    /// The sender's chain has come to the end of its counter. Renew the sender key.
    #[error("the sender key for the distribution {0} is used up")]
    SenderKeyUsedUp(Uuid),
    /// The message's version is not the one that is needed here.
    #[error("a message of version {0} does not fit here")]
    UnrecognizedMessageVersion(u32),
    /// The sealed message cannot be opened, or its sender's certificate is not valid. The reason is told
    /// where that is harmless.
    #[error("invalid sealed-sender message: {0}")]
    InvalidSealedSenderMessage(&'static str),
    /// The sealed message's version is not known.
    #[error("sealed-sender version {0} is not supported")]
    UnknownSealedSenderVersion(u8),
    /// The sealed message was sent by this very device. Drop it.
    #[error("the sealed message was sent by this device itself")]
    SealedSenderSelfSend,
    /// The sender's certificate names a server certificate that is not known.
    #[error("unknown server certificate {0}")]
    UnknownServerCertificateId(u32),
    /// The session's registration id of the peer has more than 14 bits, so that it fits in no message for several
    /// recipients. Start a new session with the peer.
    #[error("{id} is no registration id for {address}: it has more than 14 bits")]
    InvalidRegistrationId {
        /// The peer.
        address: ProtocolAddress,
        /// The id in the session.
        id: u32,
    },
    /// A safety number cannot be made or compared.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// The caller's input does not fit together.
    #[error("{0}")]
    InvalidArgument(&'static str),
}

/// A safety number could not be made, or a scanned code not compared. Source: sheet 08 sections 1 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// The number of iterations is not from 2 to 1 000 000.
    #[error("a fingerprint takes 2 to 1000000 iterations, not {0}")]
    InvalidIterations(u32),
    /// The two codes are of different versions: one of the two applications is older.
    #[error("the scanned code is of version {theirs}, ours of version {ours}")]
    VersionMismatch {
        /// The scanned code's version.
        theirs: u32,
        /// Our own code's version.
        ours: u32,
    },
    /// A code is not readable; the text says whose and what is missing.
    #[error("the code cannot be read: {0}")]
    Parsing(&'static str),
}

impl FingerprintError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidIterations(_) => "invalid-fingerprint-iterations",
            Self::VersionMismatch { .. } => "fingerprint-version-mismatch",
            Self::Parsing(_) => "invalid-fingerprint",
        }
    }
}

/// One of the [helpers](crate::crypto) refused. Source: sheet 08 sections 6 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// A key of another length than 32 bytes.
    #[error("a key has 32 bytes, not {0}")]
    InvalidKeySize(usize),
    /// A nonce of another length than 12 bytes.
    #[error("a nonce has 12 bytes, not {0}")]
    InvalidNonceSize(usize),
    /// The input is too short to be what it should be, or too long to be encrypted.
    #[error("the input cannot have {0} bytes")]
    InvalidInputSize(usize),
    /// The bytes or what they were bound to were altered, or the key is another one. It does not say which.
    #[error("the input is not authentic")]
    InvalidAuthenticationTag,
    /// The first byte of a sealed text names no algorithm that is known.
    #[error("unknown algorithm 0x{0:02x}")]
    UnknownAlgorithm(u8),
    /// More bytes were asked for than can be derived: at most 8160.
    #[error("no more than 8160 bytes can be derived, not {0}")]
    OutputTooLong(usize),
    /// Nothing can be sealed to this key: it is of small order.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl CryptoError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidKeySize(_) => "invalid-key-size",
            Self::InvalidNonceSize(_) => "invalid-nonce-size",
            Self::InvalidInputSize(_) => "invalid-input-size",
            Self::InvalidAuthenticationTag => "invalid-authentication-tag",
            Self::UnknownAlgorithm(_) => "unknown-algorithm",
            Self::OutputTooLong(_) => "output-too-long",
            Self::Key(error) => error.code(),
        }
    }
}

/// Who has to act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The peer, or somebody in between, sent something that cannot be used.
    Peer,
    /// The calling program asked for something that cannot be done.
    Caller,
    /// What the store returned is damaged or missing.
    Store,
}

impl ProtocolError {
    /// "Decryption failed": the one text for everything that authentication must not tell apart.
    pub(crate) fn decryption_failed(message_type: u8) -> Self {
        Self::InvalidMessage {
            message_type,
            reason: "decryption failed",
        }
    }

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Key(error) => error.code(),
            Self::InvalidProtocolAddress { .. } => "invalid-address",
            Self::SessionNotFound(_) => "no-session",
            Self::UntrustedIdentity(_) => "untrusted-identity",
            Self::SignatureValidationFailed => "invalid-signature",
            Self::InvalidMessage { .. } => "invalid-message",
            Self::DuplicatedMessage { .. } => "duplicate-message",
            Self::CiphertextMessageTooShort(_) => "message-too-short",
            Self::LegacyCiphertextVersion(_) => "legacy-version",
            Self::UnrecognizedCiphertextVersion(_) => "unknown-version",
            Self::InvalidProtobufEncoding => "invalid-encoding",
            Self::InvalidSessionStructure(_) => "invalid-session",
            Self::InvalidState => "invalid-pq-state",
            Self::InvalidPreKeyId => "invalid-pre-key-id",
            Self::InvalidSignedPreKeyId => "invalid-signed-pre-key-id",
            Self::InvalidKyberPreKeyId => "invalid-kyber-pre-key-id",
            Self::NoSenderKey(_) => "no-sender-key",
            Self::InvalidSenderKeySession(_) => "invalid-sender-key",
            Self::SenderKeyUsedUp(_) => "sender-key-used-up",
            Self::UnrecognizedMessageVersion(_) => "version-mismatch",
            Self::InvalidSealedSenderMessage(_) => "invalid-sealed-message",
            Self::UnknownSealedSenderVersion(_) => "unknown-sealed-version",
            Self::SealedSenderSelfSend => "self-send",
            Self::UnknownServerCertificateId(_) => "unknown-server-certificate",
            Self::InvalidRegistrationId { .. } => "invalid-registration-id",
            Self::Fingerprint(error) => error.code(),
            Self::InvalidArgument(_) => "invalid-argument",
        }
    }

    /// Whose fault it was. A damaged message and a damaged session look alike on purpose
    /// ([`Fault::Peer`]).
    pub fn fault(&self) -> Fault {
        match self {
            Self::InvalidProtocolAddress { .. }
            | Self::SessionNotFound(_)
            | Self::SenderKeyUsedUp(_)
            | Self::Fingerprint(FingerprintError::InvalidIterations(_))
            | Self::InvalidArgument(_) => Fault::Caller,
            Self::InvalidSessionStructure(_)
            | Self::InvalidState
            | Self::InvalidSenderKeySession(_)
            | Self::InvalidRegistrationId { .. } => Fault::Store,
            _ => Fault::Peer,
        }
    }
}

impl From<prost::DecodeError> for ProtocolError {
    fn from(_: prost::DecodeError) -> Self {
        Self::InvalidProtobufEncoding
    }
}

fn kind_name(message_type: u8) -> &'static str {
    match message_type {
        3 => "pre-key",
        7 => "sender-key",
        8 => "plaintext",
        _ => "session",
    }
}
