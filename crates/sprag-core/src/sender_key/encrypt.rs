//! Encrypting for a group. Source: sheet 06 section 7.

use rand_core::CryptoRng;
use uuid::Uuid;

use super::{SenderKeyRecord, message_keys::MessageKeys};
use crate::{
    error::ProtocolError,
    message::{SenderKeyMessage, SenderKeyParts},
    stack,
};

impl SenderKeyRecord {
    /// Encrypts for all who know our newest chain.
    ///
    /// The changed record must be stored before the message leaves, or a later message could repeat its
    /// key. Draws 64 bytes.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidSenderKeySession`] if there is no chain, it is damaged, or it is somebody
    /// else's; [`ProtocolError::SenderKeyUsedUp`] at the end of the chain.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        distribution_id: Uuid,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<SenderKeyMessage, ProtocolError> {
        stack::erasing(|| self.encrypt_step(distribution_id, plaintext, rng))
    }

    fn encrypt_step<R: CryptoRng + ?Sized>(
        &mut self,
        distribution_id: Uuid,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<SenderKeyMessage, ProtocolError> {
        let damaged = || ProtocolError::InvalidSenderKeySession(distribution_id);
        let state = self.states.first_mut().ok_or_else(damaged)?;
        let version = u8::try_from(state.version()).map_err(|_| damaged())?;
        let chain_key = state.chain_key.as_ref().ok_or_else(damaged)?;
        let keys = state.signing_keys().ok_or_else(damaged)?;
        let private_key = keys.private_key().ok_or_else(damaged)?;
        let (seed, next) = chain_key
            .step()
            .ok_or(ProtocolError::SenderKeyUsedUp(distribution_id))?;
        let parts = SenderKeyParts {
            version,
            distribution_id,
            chain_id: state.chain_id(),
            iteration: chain_key.index(),
            ciphertext: MessageKeys::derive(&seed[..]).encrypt(plaintext),
        };
        let message = SenderKeyMessage::new(parts, |content| keys.sign(&private_key, content, rng));
        state.chain_key = Some(next);
        Ok(message)
    }
}
