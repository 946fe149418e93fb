//! Decrypting: trial over the sessions, the ratchet step, and the key of a counter. Source: sheet 04
//! sections 3 to 6.
//!
//! An attempt computes what would change and touches nothing; only when the message has proved
//! authentic is the change applied.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    Parties, SessionRecord,
    archive::{Found, decode_archived},
    chain::Chain,
    skipped::SkippedKey,
    state::{PqRatchet, SessionState},
};
use crate::{
    curve::{KeyPair, PublicKey},
    error::ProtocolError,
    identity::is_same_account,
    message::{CiphertextMessageType, PreKeySignalMessage, SignalMessage},
    ratchet::{MessageKeys, root_step},
    record::{ChainKey, Field, Place},
    spqr, stack,
};

/// How far a message may be ahead of its chain.
const MAX_JUMP: u32 = 25_000;

/// The same in a session with oneself, which has no such limit in libsignal. This one is never reached
/// in use; without it one forged message could keep a processor busy for an hour.
const MAX_JUMP_WITH_SELF: u32 = 1 << 20;

impl SessionRecord {
    /// Decrypts a message of an established session. If an archived session decrypts it, that one
    /// becomes current.
    ///
    /// Afterwards the caller asks whether [`remote_identity`](Self::remote_identity) is trusted and
    /// stores the record before it uses the plaintext. Draws 32 bytes for every session in which the
    /// message is on a new chain.
    ///
    /// # Errors
    /// [`ProtocolError::DuplicatedMessage`], or [`ProtocolError::InvalidMessage`] with one text for
    /// all other reasons.
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &mut self,
        message: &SignalMessage,
        parties: Parties<'_>,
        rng: &mut R,
    ) -> Result<Vec<u8>, ProtocolError> {
        let message_type = CiphertextMessageType::Whisper;
        stack::erasing(|| self.try_sessions(message, parties, message_type, rng))
    }

    /// Decrypts a message of a session that it or one before it started. The session must be there:
    /// known, or [accepted](Self::accept) from this message.
    ///
    /// Before the plaintext is used the record must be stored and the one-time keys removed, all at
    /// once.
    ///
    /// # Errors
    /// [`ProtocolError::SessionNotFound`] if there is no such session; otherwise as for
    /// [`decrypt`](Self::decrypt).
    pub fn decrypt_pre_key<R: CryptoRng + ?Sized>(
        &mut self,
        message: &PreKeySignalMessage,
        parties: Parties<'_>,
        rng: &mut R,
    ) -> Result<Vec<u8>, ProtocolError> {
        let mut record = self.clone();
        match record.find(message.version().into(), &message.base_key().serialize())? {
            Some(Found::Current) => {}
            Some(Found::Archived(position, state)) => record.promote_archived(position, state),
            None => return Err(ProtocolError::SessionNotFound(Some(parties.remote.clone()))),
        }
        let inner = message.message();
        let message_type = CiphertextMessageType::PreKey;
        let plaintext = stack::erasing(|| record.try_sessions(inner, parties, message_type, rng))?;
        *self = record;
        Ok(plaintext)
    }

    fn try_sessions<R: CryptoRng + ?Sized>(
        &mut self,
        message: &SignalMessage,
        parties: Parties<'_>,
        message_type: CiphertextMessageType,
        rng: &mut R,
    ) -> Result<Vec<u8>, ProtocolError> {
        let failed = || ProtocolError::decryption_failed(message_type as u8);
        if let Some(state) = &mut self.current
            && state.version() == u32::from(message.version())
        {
            match state.attempt(message, parties, rng) {
                Ok((plaintext, change)) => {
                    state.apply(message, change);
                    return Ok(plaintext);
                }
                Err(error @ ProtocolError::DuplicatedMessage { .. }) => return Err(error),
                // The message names its session: no other can be meant.
                Err(_) if message_type == CiphertextMessageType::PreKey => return Err(failed()),
                Err(_) => {}
            }
        }
        for position in 0..self.previous.len() {
            let Ok(mut state) = decode_archived(&self.previous[position]) else {
                continue;
            };
            if state.version() != u32::from(message.version()) {
                continue;
            }
            match state.attempt(message, parties, rng) {
                Ok((plaintext, change)) => {
                    state.apply(message, change);
                    self.promote_archived(position, Box::new(state));
                    return Ok(plaintext);
                }
                Err(error @ ProtocolError::DuplicatedMessage { .. }) => return Err(error),
                Err(_) => {}
            }
        }
        Err(failed())
    }
}

/// What a message changes in its session.
struct Change {
    /// The new chains, if the message came on a new one.
    step: Option<RatchetStep>,
    source: KeySource,
    pq_ratchet: spqr::State,
}

/// Source: sheet 04 section 4.
struct RatchetStep {
    root_key: Field<32>,
    previous_counter: u32,
    sender_chain: Chain,
    receiver_chain: Chain,
}

/// Where on its receiver chain a message's keys come from. Source: sheet 04 section 5.
enum KeySource {
    /// From the skipped key at this place.
    Skipped(Place),
    /// From `seed`; the chain goes on with `next`, keeping what was `skipped`.
    Chain {
        seed: Zeroizing<[u8; 32]>,
        next: ChainKey,
        skipped: Vec<SkippedKey>,
    },
}

impl SessionState {
    fn attempt<R: CryptoRng + ?Sized>(
        &self,
        message: &SignalMessage,
        parties: Parties<'_>,
        rng: &mut R,
    ) -> Result<(Vec<u8>, Change), ProtocolError> {
        let failed = || ProtocolError::decryption_failed(CiphertextMessageType::Whisper as u8);
        let local_identity = self.local_identity()?;
        let remote_identity = self.remote_identity()?;
        let with_self = is_same_account(
            &local_identity,
            parties.local,
            &remote_identity,
            parties.remote,
        );

        let mut step = None;
        let chain = match self.receiver_chain(message.ratchet_key()) {
            Some(position) => &self.receiver_chains[position],
            None => {
                &step
                    .insert(self.ratchet_step(message.ratchet_key(), rng)?)
                    .receiver_chain
            }
        };
        let source = KeySource::find(chain, message.counter(), with_self)?;

        let mut pq_ratchet = self.pq_ratchet.to_state().map_err(|_| failed())?;
        let pq_key = pq_ratchet
            .recv(message.pq_ratchet())
            .map_err(|_| failed())?;
        let keys = source.message_keys(chain, pq_key.as_ref().map(|key| key.as_bytes()))?;
        if !message.verify_mac(&remote_identity, &local_identity, keys.mac_key())
            || !message.addresses_match(parties.remote, parties.local)
        {
            return Err(failed());
        }
        let plaintext = keys.decrypt(message.body()).ok_or_else(failed)?;
        Ok((
            plaintext,
            Change {
                step,
                source,
                pq_ratchet,
            },
        ))
    }

    fn ratchet_step<R: CryptoRng + ?Sized>(
        &self,
        their_key: &PublicKey,
        rng: &mut R,
    ) -> Result<RatchetStep, ProtocolError> {
        let old = self.sender_chain()?;
        let own_key = old.ratchet_key_pair()?.private_key;
        let (root_key, receiving_key) = root_step(self.root_key()?, &own_key.agree(their_key)?);
        let new_key = KeyPair::generate(rng);
        let agreement = new_key.private_key.agree(their_key)?;
        let (root_key, sending_key) = root_step(&root_key[..], &agreement);
        Ok(RatchetStep {
            root_key: (*root_key).into(),
            // One less than the published specification has it, as deployed.
            previous_counter: old.chain_key()?.index().saturating_sub(1),
            sender_chain: Chain::sending(&new_key, &sending_key),
            receiver_chain: Chain::receiving(their_key, &receiving_key),
        })
    }

    fn apply(&mut self, message: &SignalMessage, change: Change) {
        if let Some(step) = change.step {
            self.root_key = step.root_key;
            self.previous_counter = step.previous_counter;
            self.sender_chain = Some(step.sender_chain);
            self.add_receiver_chain(step.receiver_chain);
        }
        if let Some(position) = self.receiver_chain(message.ratchet_key()) {
            let chain = Arc::make_mut(&mut self.receiver_chains[position]);
            match change.source {
                KeySource::Skipped(place) => chain.skipped_mut().remove(place),
                KeySource::Chain { next, skipped, .. } => {
                    chain.set_chain_key(next);
                    chain.skipped_mut().extend(&skipped);
                }
            }
        }
        self.pq_ratchet = PqRatchet::Decoded(change.pq_ratchet);
        self.clear_pending();
    }
}

impl KeySource {
    fn find(chain: &Chain, counter: u32, with_self: bool) -> Result<Self, ProtocolError> {
        let chain_key = chain.chain_key()?;
        let Some(jump) = counter.checked_sub(chain_key.index()) else {
            // Decided before the MAC is looked at, as deployed.
            let chain_index = chain_key.index();
            return chain.skipped().place(counter).map(Self::Skipped).ok_or(
                ProtocolError::DuplicatedMessage {
                    chain_index,
                    counter,
                },
            );
        };
        let failed = || ProtocolError::decryption_failed(CiphertextMessageType::Whisper as u8);
        if jump
            > if with_self {
                MAX_JUMP_WITH_SELF
            } else {
                MAX_JUMP
            }
        {
            return Err(failed());
        }
        let (key, skipped) = chain_key.skip_to(counter, SkippedKey::seed);
        let (seed, next) = key.step().ok_or_else(failed)?;
        Ok(Self::Chain {
            seed,
            next,
            skipped,
        })
    }

    fn message_keys(
        &self,
        chain: &Chain,
        pq_key: Option<&[u8; 32]>,
    ) -> Result<MessageKeys, ProtocolError> {
        match self {
            Self::Skipped(place) => match chain.skipped().get(*place) {
                Some(key) => key.message_keys(pq_key),
                None => Err(ProtocolError::InvalidSessionStructure(
                    "a message key is missing",
                )),
            },
            Self::Chain { seed, .. } => Ok(MessageKeys::derive(&seed[..], pq_key)),
        }
    }
}
