//! Encrypting. Source: sheet 04 section 2.

use rand_core::CryptoRng;

use super::{
    Parties, SessionRecord,
    state::{PqRatchet, SessionState},
};
use crate::{
    curve::PublicKey,
    error::ProtocolError,
    message::{
        CiphertextMessage, PreKeyParts, PreKeySignalMessage, SignalMessage, SignalParts,
        address_binding,
    },
    ratchet::MessageKeys,
    stack,
    time::Timestamp,
};

impl SessionRecord {
    /// Encrypts in the current session.
    ///
    /// The changed record must be stored before the message leaves, or a later message could repeat
    /// its key; whether [`remote_identity`](Self::remote_identity) is trusted must be asked before
    /// that. Draws random bytes only when the post-quantum ratchet makes keys (64) or encapsulates
    /// (32).
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] without a current session, or if the peer has not answered
    /// in it for 30 days; [`ProtocolError::InvalidSessionStructure`] and
    /// [`ProtocolError::InvalidState`] if it is damaged.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        parties: Parties<'_>,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<CiphertextMessage, ProtocolError> {
        let not_found = || ProtocolError::SessionNotFound(Some(parties.remote.clone()));
        let state = self.current.as_mut().ok_or_else(not_found)?;
        stack::erasing(|| state.encrypt(plaintext, parties, now, rng))?.ok_or_else(not_found)
    }
}

impl SessionState {
    /// `None` if the session is stale.
    fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        parties: Parties<'_>,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Option<CiphertextMessage>, ProtocolError> {
        let local_identity = self.local_identity()?;
        let remote_identity = self.remote_identity()?;
        let chain = self.sender_chain()?;
        let ratchet_key = chain.ratchet_key_pair()?.public_key;
        let chain_key = chain.chain_key()?;
        let (seed, next) = chain_key
            .step()
            .ok_or(ProtocolError::InvalidSessionStructure(
                "the chain is at its end",
            ))?;
        let version = match self.version() {
            version @ 3..=4 => version as u8,
            _ => {
                return Err(ProtocolError::InvalidSessionStructure(
                    "unknown session version",
                ));
            }
        };
        if self.is_stale(now) {
            return Ok(None);
        }
        let pending = self.pending_parts()?;

        let mut pq_ratchet = self
            .pq_ratchet
            .to_state()
            .map_err(|_| ProtocolError::InvalidState)?;
        let sent = pq_ratchet
            .send(rng)
            .map_err(|_| ProtocolError::InvalidState)?;
        let keys = MessageKeys::derive(&seed[..], sent.key.as_ref().map(|key| key.as_bytes()));
        let addresses = pending
            .as_ref()
            .and_then(|_| address_binding(parties.local, parties.remote));
        let parts = SignalParts {
            version,
            ratchet_key: &ratchet_key,
            counter: chain_key.index(),
            previous_counter: self.previous_counter,
            ciphertext: keys.encrypt(plaintext),
            pq_ratchet: sent.message,
            addresses,
        };
        let message = SignalMessage::new(parts, keys.mac_key(), &local_identity, &remote_identity);
        let message = match pending {
            None => CiphertextMessage::Signal(message),
            Some(base_key) => CiphertextMessage::PreKey(self.wrap(version, base_key, message)?),
        };

        // Everything that can fail has been done.
        if let Some(chain) = &mut self.sender_chain {
            chain.set_chain_key(next);
        }
        self.pq_ratchet = PqRatchet::Decoded(pq_ratchet);
        Ok(Some(message))
    }

    /// The base key of a session that the peer has not answered yet.
    fn pending_parts(&self) -> Result<Option<PublicKey>, ProtocolError> {
        let Some(pending) = &self.pending_pre_key else {
            return Ok(None);
        };
        PublicKey::deserialize(&pending.base_key)
            .map(Some)
            .map_err(|_| ProtocolError::InvalidSessionStructure("the base key is damaged"))
    }

    fn wrap(
        &self,
        version: u8,
        base_key: PublicKey,
        message: SignalMessage,
    ) -> Result<PreKeySignalMessage, ProtocolError> {
        let pending =
            self.pending_pre_key
                .as_ref()
                .ok_or(ProtocolError::InvalidSessionStructure(
                    "there is no pending pre-key",
                ))?;
        let kyber = self.pending_kyber_pre_key.as_ref();
        Ok(PreKeySignalMessage::new(PreKeyParts {
            version,
            registration_id: self.local_registration_id,
            pre_key_id: pending.pre_key_id(),
            signed_pre_key_id: pending.signed_pre_key_id(),
            kyber: kyber.map(|kyber| (kyber.id(), kyber.ciphertext.clone())),
            base_key,
            identity_key: self.local_identity()?,
            message,
        }))
    }
}
