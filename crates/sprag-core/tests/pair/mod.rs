//! A deterministic pair of peers over nothing but records, for scenario tests.

use rand::{SeedableRng, rngs::StdRng};
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    bundle::{PreKey, PreKeyBundle},
    identity::IdentityKeyPair,
    message::{CiphertextMessage, PreKeySignalMessage, SignalMessage},
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    session::{Parties, PreKeyLookup, RecipientKeys, SessionRecord},
    time::Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_768_478_400_000);

/// One side: an identity, the keys of one bundle, and the session with the other side.
pub(crate) struct Peer {
    pub(crate) address: ProtocolAddress,
    pub(crate) remote: ProtocolAddress,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) registration_id: u32,
    pub(crate) signed: SignedPreKeyRecord,
    pub(crate) kyber: KyberPreKeyRecord,
    pub(crate) pre_key: PreKeyRecord,
    pub(crate) session: SessionRecord,
    pub(crate) rng: StdRng,
}

impl Peer {
    pub(crate) fn new(name: &str, remote: &str, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng);
        Self {
            address: ProtocolAddress::new(name, 1).unwrap(),
            remote: ProtocolAddress::new(remote, 1).unwrap(),
            registration_id: 1,
            signed: SignedPreKeyRecord::generate(1.into(), NOW, &identity, &mut rng),
            kyber: KyberPreKeyRecord::generate(2.into(), NOW, &identity, &mut rng),
            pre_key: PreKeyRecord::generate(3.into(), &mut rng),
            session: SessionRecord::new_fresh(),
            identity,
            rng,
        }
    }

    pub(crate) fn bundle(&self) -> PreKeyBundle {
        PreKeyBundle {
            registration_id: self.registration_id,
            device_id: self.address.device_id(),
            pre_key: Some(PreKey {
                id: self.pre_key.id(),
                public_key: self.pre_key.public_key().unwrap(),
            }),
            signed_pre_key: self.signed.public_view().unwrap(),
            kyber_pre_key: self.kyber.public_view().unwrap(),
            identity_key: *self.identity.identity_key(),
        }
    }

    pub(crate) fn start(&mut self, bundle: &PreKeyBundle) {
        let parties = Parties {
            local: &self.address,
            remote: &self.remote,
        };
        self.session
            .process_bundle(
                &bundle.verify().unwrap(),
                parties,
                &self.identity,
                self.registration_id,
                NOW,
                &mut self.rng,
            )
            .unwrap();
    }

    pub(crate) fn encrypt(&mut self, plaintext: &[u8]) -> Result<CiphertextMessage, ProtocolError> {
        let parties = Parties {
            local: &self.address,
            remote: &self.remote,
        };
        self.session.encrypt(plaintext, parties, NOW, &mut self.rng)
    }

    /// Parses what came over the wire and decrypts it.
    pub(crate) fn decrypt(
        &mut self,
        message: &CiphertextMessage,
    ) -> Result<Vec<u8>, ProtocolError> {
        let bytes = message.serialized();
        match message {
            CiphertextMessage::Signal(_) => {
                self.decrypt_signal(&SignalMessage::deserialize(bytes)?)
            }
            CiphertextMessage::PreKey(_) => {
                self.decrypt_pre_key(&PreKeySignalMessage::deserialize(bytes)?)
            }
            _ => unreachable!("sessions make no other messages"),
        }
    }

    fn decrypt_signal(&mut self, message: &SignalMessage) -> Result<Vec<u8>, ProtocolError> {
        let parties = Parties {
            local: &self.address,
            remote: &self.remote,
        };
        self.session.decrypt(message, parties, &mut self.rng)
    }

    fn decrypt_pre_key(&mut self, message: &PreKeySignalMessage) -> Result<Vec<u8>, ProtocolError> {
        let parties = Parties {
            local: &self.address,
            remote: &self.remote,
        };
        let mut session = self.session.clone();
        if let PreKeyLookup::New(_) = session.look_up(message)? {
            let keys = RecipientKeys {
                identity: &self.identity,
                registration_id: self.registration_id,
                signed_pre_key: &self.signed,
                kyber_pre_key: &self.kyber,
                pre_key: message.pre_key_id().map(|_| &self.pre_key),
            };
            session.accept(message, parties, &keys)?;
        }
        let plaintext = session.decrypt_pre_key(message, parties, &mut self.rng)?;
        self.session = session;
        Ok(plaintext)
    }
}

/// Alice and Bob; Alice has started a session with Bob.
pub(crate) fn pair(seed: u64) -> (Peer, Peer) {
    let mut alice = Peer::new("alice", "bob", seed);
    let bob = Peer::new("bob", "alice", seed.wrapping_add(1));
    alice.start(&bob.bundle());
    (alice, bob)
}
