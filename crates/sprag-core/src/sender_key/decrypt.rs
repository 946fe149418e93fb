//! Decrypting a message to a group. Source: sheet 06 section 7.
//!
//! The signature is verified first, so that a forged message costs little and moves nothing. Then all
//! is computed that will change, and only when the text has come out is it applied.

use zeroize::Zeroizing;

use super::{SenderKeyRecord, message_keys::MessageKeys, state::SenderKeyState};
use crate::{
    error::ProtocolError,
    message::{CiphertextMessageType, SenderKeyMessage},
    record::{ChainKey, NumberedKey, Place},
    stack,
};

/// How far a message may be ahead of its chain.
const MAX_JUMP: u32 = 25_000;

impl SenderKeyRecord {
    /// Decrypts a message of the sender whose record this is.
    ///
    /// The changed record must be stored before the plaintext is used.
    ///
    /// # Errors
    /// [`ProtocolError::NoSenderKey`] if the chain is not known: ask the sender to distribute its key
    /// again. [`ProtocolError::SignatureValidationFailed`] for a forged or damaged message.
    /// [`ProtocolError::DuplicatedMessage`] for one that was read before, or was sent before the key was
    /// handed to us. [`ProtocolError::InvalidMessage`] if it is more than 25 000 messages ahead, or its
    /// text is damaged; [`ProtocolError::UnrecognizedMessageVersion`];
    /// [`ProtocolError::SenderKeyUsedUp`]; [`ProtocolError::InvalidSenderKeySession`] if the chain is
    /// damaged.
    pub fn decrypt(&mut self, message: &SenderKeyMessage) -> Result<Vec<u8>, ProtocolError> {
        stack::erasing(|| self.decrypt_step(message))
    }

    fn decrypt_step(&mut self, message: &SenderKeyMessage) -> Result<Vec<u8>, ProtocolError> {
        let mut states = self.states.iter_mut();
        let state = states
            .find(|state| state.chain_id() == message.chain_id())
            .ok_or(ProtocolError::NoSenderKey(message.distribution_id()))?;
        state.authenticate(message)?;
        let source = KeySource::find(state, message)?;
        let plaintext = source
            .message_keys(state)
            .and_then(|keys| keys.decrypt(message.ciphertext()))
            .ok_or_else(|| ProtocolError::decryption_failed(MESSAGE_TYPE))?;
        source.apply(state);
        Ok(plaintext)
    }
}

const MESSAGE_TYPE: u8 = CiphertextMessageType::SenderKey as u8;

impl SenderKeyState {
    fn authenticate(&self, message: &SenderKeyMessage) -> Result<(), ProtocolError> {
        let version = u32::from(message.version());
        if version != self.version() {
            return Err(ProtocolError::UnrecognizedMessageVersion(version));
        }
        let (keys, public_key) =
            self.verifying_key()
                .ok_or(ProtocolError::InvalidSenderKeySession(
                    message.distribution_id(),
                ))?;
        if keys.verify(&public_key, message) {
            Ok(())
        } else {
            Err(ProtocolError::SignatureValidationFailed)
        }
    }
}

/// Where a message's seed comes from.
enum KeySource {
    /// It was skipped, and is at this place.
    Skipped(Place),
    /// From the chain, which goes on with `next`, keeping what was `skipped`.
    Chain {
        seed: Zeroizing<[u8; 32]>,
        next: ChainKey,
        skipped: Vec<NumberedKey>,
    },
}

impl KeySource {
    fn find(state: &SenderKeyState, message: &SenderKeyMessage) -> Result<Self, ProtocolError> {
        let (id, iteration) = (message.distribution_id(), message.iteration());
        let chain_key = state
            .chain_key
            .as_ref()
            .ok_or(ProtocolError::InvalidSenderKeySession(id))?;
        let Some(jump) = iteration.checked_sub(chain_key.index()) else {
            let duplicated = ProtocolError::DuplicatedMessage {
                chain_index: chain_key.index(),
                counter: iteration,
            };
            let place = state.skipped.oldest_place(iteration);
            return place.map(Self::Skipped).ok_or(duplicated);
        };
        if jump > MAX_JUMP {
            return Err(ProtocolError::InvalidMessage {
                message_type: MESSAGE_TYPE,
                reason: "too far in the future",
            });
        }
        let (key, skipped) =
            chain_key.skip_to(iteration, |index, seed| NumberedKey::new(index, &seed));
        let (seed, next) = key.step().ok_or(ProtocolError::SenderKeyUsedUp(id))?;
        Ok(Self::Chain {
            seed,
            next,
            skipped,
        })
    }

    fn message_keys(&self, state: &SenderKeyState) -> Option<MessageKeys> {
        match self {
            Self::Skipped(place) => {
                let seed = state.skipped.get(*place)?;
                Some(MessageKeys::derive(&seed.key))
            }
            Self::Chain { seed, .. } => Some(MessageKeys::derive(&seed[..])),
        }
    }

    fn apply(self, state: &mut SenderKeyState) {
        match self {
            Self::Skipped(place) => state.skipped.remove(place),
            Self::Chain { next, skipped, .. } => {
                state.chain_key = Some(next);
                state.skipped.extend(&skipped);
            }
        }
    }
}
