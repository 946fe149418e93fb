//! Making a sender key, handing it out, and taking somebody else's. Source: sheet 06 sections 6 and 7.

use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{SenderKeyRecord, signing_keys::SigningKeys, state::SenderKeyState};
use crate::{
    curve::KeyPair,
    error::ProtocolError,
    message::{DistributionParts, SenderKeyDistributionMessage, VERSION_SENDER_KEY},
    record::ChainKey,
    stack,
};

/// How many chains a record keeps.
pub(super) const MAX_STATES: usize = 5;

impl SenderKeyRecord {
    /// Our own record with a new chain, which nobody knows yet. Draws 4 bytes and twice 32.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        stack::erasing(|| Self {
            states: vec![new_state(rng)],
        })
    }

    /// The message by which a new member of `distribution_id` reads what we send from now on, but
    /// nothing that was sent before.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidSenderKeySession`] if there is no chain, or it is damaged.
    pub fn create_distribution_message(
        &self,
        distribution_id: Uuid,
    ) -> Result<SenderKeyDistributionMessage, ProtocolError> {
        let parts = || {
            let state = self.states.first()?;
            let chain_key = state.chain_key.as_ref()?;
            Some(DistributionParts {
                version: state.version().try_into().ok()?,
                distribution_id,
                chain_id: state.chain_id(),
                iteration: chain_key.index(),
                chain_key: chain_key.key(),
                signing_key: state.verifying_key()?.1,
            })
        };
        parts()
            .map(SenderKeyDistributionMessage::new)
            .ok_or(ProtocolError::InvalidSenderKeySession(distribution_id))
    }

    /// Takes the key of the sender whose record this is. Who sent it must be known from the session in
    /// which it came. A chain that is known already is neither rewound nor advanced.
    pub fn process_distribution_message(&mut self, message: &SenderKeyDistributionMessage) {
        self.add(SenderKeyState::new(
            message.version(),
            message.chain_id(),
            ChainKey::stored(message.iteration(), message.chain_key()),
            SigningKeys::receiving(message.signing_key()),
        ));
    }

    /// Puts a chain in front, as it is known already if it is, and drops the oldest beyond the limit. One
    /// of the same number that is signed by another key is replaced.
    fn add(&mut self, state: SenderKeyState) {
        let known = self.states.iter().find(|old| old.is_same_chain(&state));
        let state = known.cloned().unwrap_or(state);
        let id = state.chain_id();
        let others = self.states.iter().filter(|old| old.chain_id() != id);
        // Copied: moving chains about in their list would leave parts of them behind.
        let mut states = Vec::with_capacity(MAX_STATES);
        states.push(state);
        states.extend(others.take(MAX_STATES - 1).cloned());
        self.states = states;
    }
}

fn new_state<R: CryptoRng + ?Sized>(rng: &mut R) -> SenderKeyState {
    let chain_id = rng.next_u32() >> 1;
    let mut chain_key = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *chain_key);
    SenderKeyState::new(
        VERSION_SENDER_KEY,
        chain_id,
        ChainKey::new(0, &chain_key),
        SigningKeys::sending(&KeyPair::generate(rng)),
    )
}
