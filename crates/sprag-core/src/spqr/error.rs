//! What can go wrong in the post-quantum ratchet (sheet 05, section 1.4).

/// Why a step of the post-quantum ratchet was refused. The state is then what it was before.
///
/// None of these carries a secret: the numbers are epochs and key indices, which travel in clear
/// inside the authenticated message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stored state cannot be used: it is not what this or a conforming implementation
    /// wrote. The store is at fault; the session has to be renewed. The text says what is wrong.
    #[error("the stored post-quantum state is unusable: {0}")]
    StateDecode(&'static str),

    /// The post-quantum part of the message is malformed. The peer is at fault; discard it.
    #[error("the post-quantum part of the message is malformed")]
    MessageDecode,

    /// The MAC over the KEM header or the KEM ciphertext is wrong: one of the chunks of which it
    /// was put together was not the peer's.
    #[error("the MAC over the key encapsulation data is wrong")]
    MacVerifyFailed,

    /// The encapsulation vector does not belong to the header that announced it, or is not
    /// reduced.
    #[error("the encapsulation key does not match its header")]
    ErroneousDataReceived,

    /// The epoch is too far ahead to be the peer's next one, or so old that its keys are gone.
    #[error("epoch {0} is out of range")]
    EpochOutOfRange(u64),

    /// The key index is further ahead than the chain is allowed to jump.
    #[error("key index {at} is too far ahead of {counter}")]
    KeyJump {
        /// Index of the last key that the chain has given.
        counter: u32,
        /// Index that was asked for.
        at: u32,
    },

    /// The key was skipped so long ago that it is no longer kept.
    #[error("the key at index {0} is no longer kept")]
    KeyTrimmed(u32),

    /// The key was handed out before: the message is a duplicate.
    #[error("the key at index {0} has been used")]
    KeyAlreadyRequested(u32),

    /// The chain was asked for a sending key of an older epoch than the one it sends in.
    #[error("cannot send in epoch {requested} after epoch {current}")]
    SendKeyEpochDecreased {
        /// Epoch in which the chain sends.
        current: u64,
        /// Epoch that was asked for.
        requested: u64,
    },

    /// The peer uses a version of the post-quantum ratchet that was not agreed on.
    #[error("the post-quantum version is not the one agreed on")]
    VersionMismatch,

    /// The peer uses an older version of the post-quantum ratchet than this session allows.
    #[error("the post-quantum version is lower than this session allows")]
    MinimumVersion,

    /// The state has neither a key chain nor the means to start one.
    #[error("the post-quantum state has no key chain")]
    ChainNotAvailable,
}
