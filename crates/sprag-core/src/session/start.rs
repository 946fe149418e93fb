//! Starting a session: as initiator from a bundle, as recipient from a first message. Source: sheet
//! 03 sections 3 to 5.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::{
    Parties, SessionRecord,
    archive::Found,
    chain::Chain,
    state::{PendingKyberPreKey, PendingPreKey, PqRatchet, SessionState},
};
use crate::{
    bundle::VerifiedBundle,
    curve::{KeyPair, PublicKey},
    error::ProtocolError,
    identity::{IdentityKey, IdentityKeyPair, is_same_account},
    kem,
    message::{CiphertextMessageType, PreKeySignalMessage, VERSION_PQXDH},
    pqxdh,
    pre_key::{
        KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
        SignedPreKeyRecord,
    },
    ratchet::root_step,
    spqr, stack,
    time::Timestamp,
};

/// Which of the recipient's pre-keys a first message needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredPreKeys {
    /// The signed EC pre-key.
    pub signed_pre_key: SignedPreKeyId,
    /// The Kyber pre-key.
    pub kyber_pre_key: KyberPreKeyId,
    /// The one-time EC pre-key, if one was used.
    pub pre_key: Option<PreKeyId>,
}

/// How a message that can start a session relates to the sessions that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreKeyLookup {
    /// It belongs to no session yet: [`accept`](SessionRecord::accept) it with these keys.
    New(RequiredPreKeys),
    /// Its session was accepted, but nothing was decrypted in it: these keys may not have been
    /// removed yet.
    Accepted(RequiredPreKeys),
    /// Its session is in use; pre-keys are no longer needed.
    Known,
}

/// The recipient's keys for a first message.
#[derive(Clone, Copy, Debug)]
pub struct RecipientKeys<'a> {
    /// Our identity.
    pub identity: &'a IdentityKeyPair,
    /// Our registration id.
    pub registration_id: u32,
    /// The signed EC pre-key that the message names.
    pub signed_pre_key: &'a SignedPreKeyRecord,
    /// The Kyber pre-key that the message names.
    pub kyber_pre_key: &'a KyberPreKeyRecord,
    /// The one-time EC pre-key that the message names, if it names one.
    pub pre_key: Option<&'a PreKeyRecord>,
}

impl SessionRecord {
    /// Starts a session from a bundle. It becomes current, however healthy the one before was.
    ///
    /// `registration_id` is our own. Whether the bundle's identity is trusted must have been asked
    /// before. Draws 32 bytes three times.
    ///
    /// # Errors
    /// [`ProtocolError::Key`] if an agreement with one of the bundle's keys fails.
    pub fn process_bundle<R: CryptoRng + ?Sized>(
        &mut self,
        bundle: &VerifiedBundle<'_>,
        parties: Parties<'_>,
        identity: &IdentityKeyPair,
        registration_id: u32,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<(), ProtocolError> {
        let state = stack::erasing(|| {
            SessionState::initiated(bundle, parties, identity, registration_id, now, rng)
        });
        self.promote(state?);
        Ok(())
    }

    /// How `message` relates to the sessions of this record, and so which pre-keys it needs.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidMessage`] for a new session of version 3, and
    /// [`ProtocolError::InvalidSessionStructure`] if a damaged archived session is met.
    pub fn look_up(&self, message: &PreKeySignalMessage) -> Result<PreKeyLookup, ProtocolError> {
        let found = self.find(message.version().into(), &message.base_key().serialize())?;
        let answered = match (&found, &self.current) {
            (Some(Found::Archived(_, state)), _) => !state.receiver_chains.is_empty(),
            (Some(Found::Current), Some(state)) => !state.receiver_chains.is_empty(),
            _ => false,
        };
        if answered {
            return Ok(PreKeyLookup::Known);
        }
        let kyber_pre_key = match message.kyber_pre_key_id() {
            Some(id) if message.version() >= VERSION_PQXDH => id,
            _ if found.is_some() => return Ok(PreKeyLookup::Known),
            _ => return Err(refused("X3DH is no longer supported")),
        };
        let required = RequiredPreKeys {
            signed_pre_key: message.signed_pre_key_id(),
            kyber_pre_key,
            pre_key: message.pre_key_id(),
        };
        Ok(match found {
            None => PreKeyLookup::New(required),
            Some(_) => PreKeyLookup::Accepted(required),
        })
    }

    /// Starts the session that `message` asks for, without decrypting it yet; do that with
    /// [`decrypt_pre_key`](Self::decrypt_pre_key).
    ///
    /// Whether the message's identity is trusted must have been asked before.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidMessage`] if the base key is not a canonical point, and errors of the
    /// keys and of the agreement.
    pub fn accept(
        &mut self,
        message: &PreKeySignalMessage,
        parties: Parties<'_>,
        keys: &RecipientKeys<'_>,
    ) -> Result<(), ProtocolError> {
        let state = stack::erasing(|| SessionState::accepted(message, parties, keys));
        self.promote(state?);
        Ok(())
    }
}

impl SessionState {
    /// As the initiator has it.
    fn initiated<R: CryptoRng + ?Sized>(
        bundle: &VerifiedBundle<'_>,
        parties: Parties<'_>,
        identity: &IdentityKeyPair,
        registration_id: u32,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Box<Self>, ProtocolError> {
        let base_key = KeyPair::generate(rng);
        let (secrets, ciphertext) =
            stack::erasing(|| pqxdh::initiate(bundle, identity, &base_key, rng))?;
        let bundle = bundle.bundle();
        let signed_pre_key = &bundle.signed_pre_key;
        let ratchet_key = KeyPair::generate(rng);
        let agreement = ratchet_key.private_key.agree(&signed_pre_key.public_key)?;
        let (root_key, sending_key) = root_step(&secrets.root_key[..], &agreement);

        let pre_key_id = bundle.pre_key.as_ref().map(|pre_key| pre_key.id);
        let pending = PendingPreKey::new(pre_key_id, signed_pre_key.id, &base_key.public_key, now);
        let pending_kyber =
            PendingKyberPreKey::new(bundle.kyber_pre_key.id, ciphertext.serialize());
        let ends = Ends {
            parties,
            local: identity.identity_key(),
            remote: &bundle.identity_key,
            direction: spqr::Direction::AliceToBob,
        };
        Ok(Box::new(SessionState {
            root_key: (*root_key).into(),
            sender_chain: Some(Chain::sending(&ratchet_key, &sending_key)),
            receiver_chains: vec![Arc::new(Chain::receiving(
                &signed_pre_key.public_key,
                &secrets.chain_key,
            ))],
            pending_pre_key: Some(pending),
            pending_kyber_pre_key: Some(pending_kyber),
            remote_registration_id: bundle.registration_id,
            local_registration_id: registration_id,
            ..ends.initial_state(&base_key.public_key, &secrets.pq_key)
        }))
    }

    /// As the recipient has it.
    fn accepted(
        message: &PreKeySignalMessage,
        parties: Parties<'_>,
        keys: &RecipientKeys<'_>,
    ) -> Result<Box<Self>, ProtocolError> {
        if !message.base_key().is_canonical() {
            return Err(refused("incoming base key is invalid"));
        }
        let ciphertext = message
            .kyber_ciphertext()
            .ok_or(refused("there is no ciphertext"))?;
        let ciphertext = kem::Ciphertext::deserialize(ciphertext)?;
        let signed_pre_key = keys.signed_pre_key.key_pair()?;
        let pre_key = keys.pre_key.map(PreKeyRecord::key_pair).transpose()?;
        let recipient = pqxdh::Recipient {
            identity: keys.identity,
            signed_pre_key: &signed_pre_key,
            pre_key: pre_key.as_ref(),
            kyber_pre_key: &keys.kyber_pre_key.secret_key()?,
        };
        let peer = message.identity_key();
        let secrets =
            stack::erasing(|| pqxdh::accept(&recipient, peer, message.base_key(), &ciphertext))?;
        let ends = Ends {
            parties,
            local: keys.identity.identity_key(),
            remote: peer,
            direction: spqr::Direction::BobToAlice,
        };
        Ok(Box::new(SessionState {
            root_key: (*secrets.root_key).into(),
            sender_chain: Some(Chain::sending(&signed_pre_key, &secrets.chain_key)),
            remote_registration_id: message.registration_id(),
            local_registration_id: keys.registration_id,
            ..ends.initial_state(message.base_key(), &secrets.pq_key)
        }))
    }
}

/// Who a new session is between.
struct Ends<'a> {
    parties: Parties<'a>,
    local: &'a IdentityKey,
    remote: &'a IdentityKey,
    direction: spqr::Direction,
}

impl Ends<'_> {
    /// What both roles' initial states have in common.
    fn initial_state(&self, base_key: &PublicKey, pq_key: &[u8; 32]) -> SessionState {
        let with_self = is_same_account(
            self.local,
            self.parties.local,
            self.remote,
            self.parties.remote,
        );
        let params = match with_self {
            true => spqr::ChainParams::with_self(),
            false => spqr::ChainParams::DEFAULT,
        };
        let pq_ratchet = spqr::State::initial(
            self.direction,
            spqr::Version::V1,
            spqr::Version::V1,
            pq_key,
            params,
        );
        SessionState {
            stored_version: VERSION_PQXDH.into(),
            local_identity: self.local.serialize().into(),
            remote_identity: self.remote.serialize().into(),
            alice_base_key: base_key.serialize().into(),
            pq_ratchet: PqRatchet::Decoded(pq_ratchet),
            ..SessionState::default()
        }
    }
}

fn refused(reason: &'static str) -> ProtocolError {
    ProtocolError::InvalidMessage {
        message_type: CiphertextMessageType::PreKey as u8,
        reason,
    }
}
