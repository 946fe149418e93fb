//! Our protocol core as an [`Implementation`], on plain lists in memory.
//!
//! The core's steps are used as they are, without the stores and accounts above them: each step works on a copy of the
//! record, and only its success is written back.

pub(crate) mod bundle;
mod groups;
mod keys;

use rand::rngs::ThreadRng;
use sprag_core::{
    address::ProtocolAddress,
    error::{KeyError, ProtocolError},
    identity::{IdentityKey, IdentityKeyPair},
    message::{CiphertextMessageType, PreKeySignalMessage, SignalMessage},
    session::{Parties, PreKeyLookup, SenderChainRequirements, SessionRecord},
    time::Timestamp,
};

use crate::{
    Address, Bundle, BundleRequest, Envelope, Failure, FailureKind, Implementation, KnownIdentity,
    Party, PartyState, Session,
};
use keys::PreKeys;

/// Our own protocol core.
#[derive(Clone, Copy, Debug)]
pub struct Sprag;

impl Implementation for Sprag {
    fn name(&self) -> &str {
        "sprag"
    }

    fn create(
        &self,
        address: &Address,
        registration_id: u32,
        identity_key_pair: Option<&[u8]>,
    ) -> Result<Box<dyn Party>, Failure> {
        let mut rng = rand::rng();
        let identity = match identity_key_pair {
            Some(record) => IdentityKeyPair::deserialize(record)?,
            None => IdentityKeyPair::generate(&mut rng),
        };
        Ok(Box::new(SpragParty {
            address: address.clone(),
            local: parse_address(address)?,
            identity,
            registration_id,
            sessions: Vec::new(),
            identities: Vec::new(),
            pre_keys: PreKeys::default(),
            rng,
        }))
    }

    fn restore(&self, state: &PartyState) -> Result<Box<dyn Party>, Failure> {
        let sessions = state.sessions.iter().map(|entry| {
            let record = SessionRecord::deserialize(&entry.record)?;
            Ok::<_, ProtocolError>((entry.remote.clone(), record))
        });
        let identities = state.identities.iter().map(|entry| {
            let key = IdentityKey::deserialize(&entry.key)?;
            Ok::<_, KeyError>((entry.remote.clone(), key))
        });
        Ok(Box::new(SpragParty {
            address: state.address.clone(),
            local: parse_address(&state.address)?,
            identity: IdentityKeyPair::deserialize(&state.identity_key_pair)?,
            registration_id: state.registration_id,
            sessions: sessions.collect::<Result<_, _>>()?,
            identities: identities
                .collect::<Result<_, _>>()
                .map_err(ProtocolError::from)?,
            pre_keys: PreKeys::read(state)?,
            rng: rand::rng(),
        }))
    }
}

struct SpragParty {
    address: Address,
    local: ProtocolAddress,
    identity: IdentityKeyPair,
    registration_id: u32,
    sessions: Vec<(Address, SessionRecord)>,
    identities: Vec<(Address, IdentityKey)>,
    pre_keys: PreKeys,
    rng: ThreadRng,
}

impl Party for SpragParty {
    fn address(&self) -> &Address {
        &self.address
    }

    fn bundle(&mut self, request: BundleRequest, now: u64) -> Result<Bundle, Failure> {
        let now = Timestamp::from_millis(now);
        let Self {
            identity,
            pre_keys,
            rng,
            ..
        } = self;
        let one_time = match request.one_time_pre_key {
            true => Some(pre_keys.new_one_time(rng)?),
            false => None,
        };
        Ok(Bundle {
            registration_id: self.registration_id,
            device: self.address.device,
            identity_key: identity.identity_key().serialize().as_slice().into(),
            pre_key: one_time,
            signed_pre_key: pre_keys.signed(request.rotate, identity, now, rng)?,
            kyber_pre_key: pre_keys.kyber(request.kyber, identity, now, rng)?,
        })
    }

    fn process_bundle(
        &mut self,
        remote: &Address,
        bundle: &Bundle,
        now: u64,
    ) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        let bundle = bundle::parse(bundle)?;
        self.check_trust(remote, &bundle.identity_key)?;
        let mut record = self.record(remote).unwrap_or_default();
        record.process_bundle(
            &bundle.verify()?,
            parties(&self.local, &peer),
            &self.identity,
            self.registration_id,
            Timestamp::from_millis(now),
            &mut self.rng,
        )?;
        self.save(remote, record, bundle.identity_key);
        Ok(())
    }

    fn encrypt(
        &mut self,
        remote: &Address,
        plaintext: &[u8],
        now: u64,
    ) -> Result<Envelope, Failure> {
        let peer = parse_address(remote)?;
        let mut record = self.existing_record(remote)?;
        let message = record.encrypt(
            plaintext,
            parties(&self.local, &peer),
            Timestamp::from_millis(now),
            &mut self.rng,
        )?;
        let identity = record.remote_identity()?;
        self.check_trust(remote, &identity)?;
        self.save(remote, record, identity);
        Ok(Envelope {
            kind: message.message_type() as u8,
            body: message.serialized().into(),
        })
    }

    fn decrypt(&mut self, remote: &Address, envelope: &Envelope) -> Result<Vec<u8>, Failure> {
        match CiphertextMessageType::from_number(envelope.kind) {
            Some(CiphertextMessageType::Whisper) => self.decrypt_plain(remote, &envelope.body),
            Some(CiphertextMessageType::PreKey) => self.decrypt_pre_key(remote, &envelope.body),
            _ => Err(ProtocolError::InvalidArgument("not a 1:1 message type").into()),
        }
    }

    fn has_usable_sender_chain(&mut self, remote: &Address, now: u64) -> Result<bool, Failure> {
        let now = Timestamp::from_millis(now);
        let all = SenderChainRequirements::default();
        let record = self.record(remote);
        Ok(record.is_some_and(|record| record.has_usable_sender_chain(now, all)))
    }

    fn session(&mut self, remote: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let record = self.record(remote);
        Ok(record.map(|record| record.serialize().to_vec()))
    }

    fn set_session(&mut self, remote: &Address, record: &[u8]) -> Result<(), Failure> {
        let record = SessionRecord::deserialize(record)?;
        put(&mut self.sessions, remote, record);
        Ok(())
    }

    fn archive_session(&mut self, remote: &Address) -> Result<(), Failure> {
        let mut record = self.existing_record(remote)?;
        record.archive_current_state();
        put(&mut self.sessions, remote, record);
        Ok(())
    }

    fn delete_session(&mut self, remote: &Address) -> Result<(), Failure> {
        self.sessions.retain(|(address, _)| address != remote);
        Ok(())
    }

    fn trust(&mut self, remote: &Address, identity_key: &[u8]) -> Result<(), Failure> {
        let key = IdentityKey::deserialize(identity_key)?;
        put(&mut self.identities, remote, key);
        Ok(())
    }

    fn state(&mut self) -> Result<PartyState, Failure> {
        let sessions = self.sessions.iter().map(|(remote, record)| Session {
            remote: remote.clone(),
            record: record.serialize().as_slice().into(),
        });
        let identities = self.identities.iter().map(|(remote, key)| KnownIdentity {
            remote: remote.clone(),
            key: key.serialize().as_slice().into(),
        });
        let mut state = PartyState {
            address: self.address.clone(),
            registration_id: self.registration_id,
            identity_key_pair: self.identity.serialize().as_slice().into(),
            sessions: sessions.collect(),
            identities: identities.collect(),
            pre_keys: Vec::new(),
            signed_pre_keys: Vec::new(),
            kyber_pre_keys: Vec::new(),
            kyber_uses: Vec::new(),
        };
        self.pre_keys.write(&mut state);
        Ok(state)
    }
}

impl SpragParty {
    fn decrypt_plain(&mut self, remote: &Address, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let message = SignalMessage::deserialize(body)?;
        let peer = parse_address(remote)?;
        let mut record = self.existing_record(remote)?;
        let plaintext = record.decrypt(&message, parties(&self.local, &peer), &mut self.rng)?;
        let identity = record.remote_identity()?;
        self.check_trust(remote, &identity)?;
        self.save(remote, record, identity);
        Ok(plaintext)
    }

    fn decrypt_pre_key(&mut self, remote: &Address, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let message = PreKeySignalMessage::deserialize(body)?;
        let peer = parse_address(remote)?;
        let ends = parties(&self.local, &peer);
        let mut record = self.record(remote).unwrap_or_default();
        self.check_trust(remote, message.identity_key())?;
        let lookup = record.look_up(&message)?;
        if let PreKeyLookup::New(required) = &lookup {
            let (identity, id) = (&self.identity, self.registration_id);
            let keys = self.pre_keys.recipient_keys(required, identity, id)?;
            record.accept(&message, ends, &keys)?;
        }
        let plaintext = record.decrypt_pre_key(&message, ends, &mut self.rng)?;
        if let PreKeyLookup::New(required) | PreKeyLookup::Accepted(required) = &lookup {
            self.pre_keys.consume(required, &message)?;
        }
        self.save(remote, record, *message.identity_key());
        Ok(plaintext)
    }

    fn record(&self, remote: &Address) -> Option<SessionRecord> {
        let found = self.sessions.iter().find(|(address, _)| address == remote);
        found.map(|(_, record)| record.clone())
    }

    fn existing_record(&self, remote: &Address) -> Result<SessionRecord, ProtocolError> {
        self.record(remote)
            .ok_or(ProtocolError::SessionNotFound(None))
    }

    fn save(&mut self, remote: &Address, record: SessionRecord, identity: IdentityKey) {
        put(&mut self.identities, remote, identity);
        put(&mut self.sessions, remote, record);
    }

    fn check_trust(&self, remote: &Address, identity: &IdentityKey) -> Result<(), ProtocolError> {
        let mut known = self.identities.iter();
        match known.find(|(address, _)| address == remote) {
            Some((_, known)) if known != identity => {
                Err(ProtocolError::UntrustedIdentity(parse_address(remote)?))
            }
            _ => Ok(()),
        }
    }
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Self {
        let kind = match &error {
            ProtocolError::DuplicatedMessage { .. } => FailureKind::DuplicatedMessage,
            ProtocolError::SessionNotFound(_) => FailureKind::SessionNotFound,
            ProtocolError::UntrustedIdentity(_) => FailureKind::UntrustedIdentity,
            ProtocolError::InvalidMessage {
                reason: "reused base key",
                ..
            } => FailureKind::ReusedBaseKey,
            ProtocolError::InvalidMessage { .. } => FailureKind::InvalidMessage,
            ProtocolError::SignatureValidationFailed => FailureKind::InvalidSignature,
            ProtocolError::InvalidPreKeyId
            | ProtocolError::InvalidSignedPreKeyId
            | ProtocolError::InvalidKyberPreKeyId => FailureKind::MissingPreKey,
            ProtocolError::NoSenderKey(_) => FailureKind::NoSenderKey,
            ProtocolError::InvalidSenderKeySession(_) => FailureKind::InvalidSenderKey,
            ProtocolError::Key(_)
            | ProtocolError::CiphertextMessageTooShort(_)
            | ProtocolError::LegacyCiphertextVersion(_)
            | ProtocolError::UnrecognizedCiphertextVersion(_)
            | ProtocolError::InvalidProtobufEncoding => FailureKind::Malformed,
            _ => FailureKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        ProtocolError::from(error).into()
    }
}

fn parties<'a>(local: &'a ProtocolAddress, remote: &'a ProtocolAddress) -> Parties<'a> {
    Parties { local, remote }
}

pub(crate) fn parse_address(address: &Address) -> Result<ProtocolAddress, ProtocolError> {
    ProtocolAddress::new(&address.name, address.device)
}

/// Sets the value of a key, in its old place if it has one.
fn put<K: PartialEq + Clone, T>(list: &mut Vec<(K, T)>, key: &K, value: T) {
    match list.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => *old = value,
        None => list.push((key.clone(), value)),
    }
}
