//! Two parties over Sprag's in-memory stores. What goes from one to the other goes as bytes.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use rand::rngs::StdRng;
use sprag::{
    CiphertextMessage, CiphertextMessageType, InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore,
    InMemoryPreKeyStore, InMemorySessionStore, InMemorySignedPreKeyStore, KyberPreKeyKind,
    KyberPreKeyStore, PreKeyBundle, PreKeyStore, PreKeyStores, ProtocolAddress,
    SealedSessionCipher, SessionBuilder, SessionCipher, SessionRecord, SessionStore,
    SignedPreKeyStore, Timestamp,
    protocol::{
        bundle::PreKey,
        identity::IdentityKeyPair,
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
    },
};

/// The time of everything.
pub const NOW: Timestamp = Timestamp::from_millis(1_768_478_400_000);

/// What every message says.
pub const PLAINTEXT: [u8; 100] = [b'x'; 100];

/// Rounds after which a conversation is taken for one of everyday use.
const ROUNDS: usize = 200;

/// A message on its way.
pub struct Envelope {
    /// What travels beside the bytes.
    pub kind: CiphertextMessageType,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// One side.
pub struct Party {
    /// Its address.
    pub address: ProtocolAddress,
    /// Its generator, which is not the system's so that the system is not measured.
    pub rng: StdRng,
    /// Its identity.
    pub identity: IdentityKeyPair,
    sessions: InMemorySessionStore,
    identities: InMemoryIdentityKeyStore,
    pre_keys: InMemoryPreKeyStore,
    signed_pre_keys: InMemorySignedPreKeyStore,
    kyber_pre_keys: InMemoryKyberPreKeyStore,
}

impl Party {
    /// A party with a new identity and empty stores.
    pub fn new(name: &str) -> Self {
        let mut rng = rand::make_rng::<StdRng>();
        let identity = IdentityKeyPair::generate(&mut rng);
        Self {
            address: ProtocolAddress::new(name, 1).unwrap(),
            sessions: InMemorySessionStore::new(),
            identities: InMemoryIdentityKeyStore::new(identity.clone(), 1),
            pre_keys: InMemoryPreKeyStore::new(),
            signed_pre_keys: InMemorySignedPreKeyStore::new(),
            kyber_pre_keys: InMemoryKyberPreKeyStore::new(),
            identity,
            rng,
        }
    }

    /// The cipher for what is sealed.
    pub fn sealed(&self) -> SealedSessionCipher<'_> {
        SealedSessionCipher::new(&self.sessions, &self.identities, &self.address)
    }

    /// New pre-keys of each kind.
    pub fn keys(&mut self) -> Keys {
        Keys {
            pre_key: PreKeyRecord::generate(1.into(), &mut self.rng),
            signed: SignedPreKeyRecord::generate(1.into(), NOW, &self.identity, &mut self.rng),
            kyber: KyberPreKeyRecord::generate(1.into(), NOW, &self.identity, &mut self.rng),
        }
    }

    /// Makes and stores `count` EC pre-keys and as many signed Kyber pre-keys.
    pub fn make_pre_keys(&mut self, count: u32) {
        for id in 0..count {
            let pre_key = PreKeyRecord::generate(id.into(), &mut self.rng);
            ready(self.pre_keys.store_pre_key(id.into(), pre_key));
            let kyber = KyberPreKeyRecord::generate(id.into(), NOW, &self.identity, &mut self.rng);
            let kind = KyberPreKeyKind::OneTime;
            ready(
                self.kyber_pre_keys
                    .store_kyber_pre_key(id.into(), kyber, kind),
            );
        }
    }

    /// Keeps `keys`, also those that a message has used up.
    pub fn keep_keys(&self, keys: &Keys) {
        let Keys {
            pre_key,
            signed,
            kyber,
        } = keys.clone();
        ready(self.pre_keys.store_pre_key(pre_key.id(), pre_key));
        ready(
            self.signed_pre_keys
                .store_signed_pre_key(signed.id(), signed),
        );
        let kind = KyberPreKeyKind::OneTime;
        ready(
            self.kyber_pre_keys
                .store_kyber_pre_key(kyber.id(), kyber, kind),
        );
    }

    /// The bundle of `keys`.
    pub fn bundle(&self, keys: &Keys) -> PreKeyBundle {
        PreKeyBundle {
            registration_id: 1,
            device_id: self.address.device_id(),
            pre_key: Some(PreKey {
                id: keys.pre_key.id(),
                public_key: keys.pre_key.public_key().unwrap(),
            }),
            signed_pre_key: keys.signed.public_view().unwrap(),
            kyber_pre_key: keys.kyber.public_view().unwrap(),
            identity_key: *self.identity.identity_key(),
        }
    }

    /// Starts a session with `peer`.
    pub fn start(&mut self, peer: &ProtocolAddress, bundle: &PreKeyBundle) {
        let builder = SessionBuilder::new(&self.sessions, &self.identities, &self.address, peer);
        ready(builder.process_bundle(bundle, NOW, &mut self.rng));
    }

    /// Encrypts [`PLAINTEXT`].
    pub fn encrypt(&mut self, peer: &ProtocolAddress) -> CiphertextMessage {
        let cipher = SessionCipher::new(&self.sessions, &self.identities, &self.address, peer);
        ready(cipher.encrypt(&PLAINTEXT, NOW, &mut self.rng))
    }

    /// Encrypts [`PLAINTEXT`] and copies the bytes out.
    pub fn send(&mut self, peer: &ProtocolAddress) -> Envelope {
        let message = self.encrypt(peer);
        let kind = message.message_type();
        Envelope {
            kind,
            bytes: message.serialized().to_vec(),
        }
    }

    /// Parses and decrypts.
    pub fn receive(&mut self, peer: &ProtocolAddress, envelope: &Envelope) -> Vec<u8> {
        let message = CiphertextMessage::deserialize(envelope.kind, &envelope.bytes).unwrap();
        let cipher = SessionCipher::new(&self.sessions, &self.identities, &self.address, peer);
        let stores = PreKeyStores {
            pre_keys: &self.pre_keys,
            signed_pre_keys: &self.signed_pre_keys,
            kyber_pre_keys: &self.kyber_pre_keys,
        };
        ready(cipher.decrypt(&message, stores, &mut self.rng))
    }

    /// A copy of the record of the sessions with `peer`.
    pub fn session(&self, peer: &ProtocolAddress) -> SessionRecord {
        ready(self.sessions.load_session(peer)).unwrap()
    }

    /// Puts a record in place.
    pub fn set_session(&self, peer: &ProtocolAddress, record: &SessionRecord) {
        ready(self.sessions.store_session(peer, record.clone()));
    }

    /// Forgets all sessions with `peer`.
    pub fn forget_session(&self, peer: &ProtocolAddress) {
        ready(self.sessions.delete_session(peer));
    }
}

/// Pre-keys of one bundle.
#[derive(Clone)]
pub struct Keys {
    pre_key: PreKeyRecord,
    signed: SignedPreKeyRecord,
    kyber: KyberPreKeyRecord,
}

/// Alice and Bob, who have a session.
pub struct Conversation {
    /// Who began.
    pub alice: Party,
    /// Who was there.
    pub bob: Party,
    /// How many messages of a ping-pong there were.
    messages: u64,
}

impl Conversation {
    /// A conversation that has run for 200 rounds.
    pub fn settled() -> Self {
        let mut alice = Party::new("alice");
        let mut bob = Party::new("bob");
        let keys = bob.keys();
        bob.keep_keys(&keys);
        alice.start(&bob.address, &bob.bundle(&keys));
        let mut conversation = Self::of(alice, bob);
        conversation.rounds(ROUNDS);
        conversation
    }

    fn of(alice: Party, bob: Party) -> Self {
        Self {
            alice,
            bob,
            messages: 0,
        }
    }

    /// Another conversation that begins where a snapshot was taken, Bob having received last.
    pub fn starting_at(snapshot: &Snapshot) -> Self {
        let mut conversation = Self::of(Party::new("alice"), Party::new("bob"));
        conversation.go_to(snapshot);
        conversation.messages = 1;
        conversation
    }

    /// The next message of a ping-pong.
    pub fn message(&mut self) {
        match self.messages % 2 {
            0 => self.one_way(),
            _ => self.answer(),
        }
        self.messages += 1;
    }

    /// One message each way, so many times.
    pub fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.one_way();
            self.answer();
        }
    }

    /// One message from Alice to Bob.
    pub fn one_way(&mut self) {
        let envelope = self.alice.send(&self.bob.address);
        self.bob.receive(&self.alice.address, &envelope);
    }

    /// One message from Bob to Alice.
    pub fn answer(&mut self) {
        let envelope = self.bob.send(&self.alice.address);
        self.alice.receive(&self.bob.address, &envelope);
    }

    /// Alice sends messages that do not arrive.
    pub fn lose(&mut self, count: usize) {
        for _ in 0..count {
            self.alice.encrypt(&self.bob.address);
        }
    }

    /// What both hold now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            alice: self.alice.session(&self.bob.address),
            bob: self.bob.session(&self.alice.address),
        }
    }

    /// What both hold at `count` points that are seven rounds apart, so that all that the post-quantum
    /// ratchet does comes up. Alice has sent last: what follows from her is on a chain that is known.
    pub fn snapshots(&mut self, count: usize) -> Vec<Snapshot> {
        let next = |_| {
            self.rounds(7);
            self.one_way();
            let snapshot = self.snapshot();
            self.answer();
            snapshot
        };
        (0..count).map(next).collect()
    }

    /// Goes back to a snapshot.
    pub fn go_to(&self, snapshot: &Snapshot) {
        self.alice.set_session(&self.bob.address, &snapshot.alice);
        self.bob.set_session(&self.alice.address, &snapshot.bob);
    }
}

/// The records of both sides.
#[derive(Clone)]
pub struct Snapshot {
    /// Alice's.
    pub alice: SessionRecord,
    /// Bob's.
    pub bob: SessionRecord,
}

/// The outcome of a future over stores that never wait.
pub(crate) fn ready<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.unwrap(),
        Poll::Pending => panic!("these stores never wait"),
    }
}
