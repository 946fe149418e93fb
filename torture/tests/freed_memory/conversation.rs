//! Alice and Bob talk, in a session, in a group and without telling the server who sends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chacha20::ChaCha20Rng;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sprag::{
    Account, DurableStore, Envelope, Environment, Error, IdentityKeyStore, KyberPreKeyStore,
    PreKeyBundle, PreKeyStore, ProtocolAddress, SealedTrust, Sealing, SenderKeyStore, SessionStore,
    SignedPreKeyStore, StoreOptions, Timestamp, Uuid,
    backend::Backend,
    protocol::{
        curve::{KeyPair, PrivateKey, PublicKey},
        identity::{IdentityKey, IdentityKeyPair},
        message::SenderKeyDistributionMessage,
        sealed_sender::{
            SealedSenderMultiRecipientMessage, SenderCertificate, SenderDetails, ServerCertificate,
        },
    },
};
use sprag_torture::vault::{Change, RecordedVault};

use crate::{messages::PreKeys, secrets::Secrets};

/// So many that the post-quantum ratchet agrees on a secret, and then Bob makes the next key pair.
pub(crate) const ROUNDS: usize = 26;

/// Not in memory that could be given back.
pub(crate) const THERE: &[u8] = b"a plaintext of Alice's that nobody else may read";
pub(crate) const BACK: &[u8] = b"and the answer to it by Bob, as secret as that";

const GROUP: Uuid = Uuid::from_bytes([7; 16]);

/// So many seeds are given out in a step with its surroundings, at most.
const LATEST: u64 = 8;

/// So many bytes are drawn before a key, at most.
const MOST_DRAWN: usize = 256;

/// Alice and Bob talk; `learning` is told their secrets after each step. Gives the last message.
pub(crate) async fn tell<B: Backend + Clone>(
    backend: B,
    mut learning: Option<&mut Secrets>,
) -> Vec<u8> {
    let vault = RecordedVault::default();
    let environment = Repeated::default();
    let open = || {
        let options = StoreOptions::new().environment(environment.clone());
        options.open(backend.clone(), vault.clone())
    };
    let store = open().await.unwrap();
    for number in [1, 2] {
        Account::create_with_identity(store.clone(), address(number), identity(number), 1)
            .await
            .unwrap();
    }
    let mut pair = Pair::open(&store, &environment, learning.take()).await;
    pair.start().await;
    pair.share_sender_key(false).await;
    for round in 0..ROUNDS {
        pair.round().await;
        if round % 4 == 0 {
            pair.round_in_group().await;
            pair.round_sealed().await;
        }
    }
    pair.share_sender_key(true).await;
    assert!(store.new_epoch().await.unwrap().forgotten);
    learning = pair.learning.take();
    drop((pair, store));
    let store = open().await.unwrap();
    let mut pair = Pair::open(&store, &environment, learning.take()).await;
    pair.round_in_group().await;
    let last = pair.round().await;
    if let Some(secrets) = &mut pair.learning {
        for change in vault.changes() {
            if let Change::Create(_, root) = change {
                secrets.add("root of the vault", root.as_bytes());
            }
        }
    }
    last
}

fn address(number: u64) -> ProtocolAddress {
    let name = Uuid::from_bytes([number as u8; 16]).to_string();
    ProtocolAddress::new(&name, 1).unwrap()
}

fn identity(number: u64) -> IdentityKeyPair {
    IdentityKeyPair::generate(&mut StdRng::seed_from_u64(number))
}

/// Alice's, and whose signature vouches for it.
fn certificate() -> (SenderCertificate, PublicKey) {
    let mut rng = StdRng::seed_from_u64(3);
    let (root, server_key) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    let server = ServerCertificate::issue(1, server_key.public_key, &root.private_key, &mut rng);
    let alice = address(1);
    let details = SenderDetails {
        uuid: alice.name(),
        e164: None,
        device_id: alice.device_id(),
        identity_key: *identity(1).identity_key(),
        expiration: Timestamp::from_millis(u64::MAX),
    };
    let issued = SenderCertificate::issue(details, &server, &server_key.private_key, &mut rng);
    (issued, root.public_key)
}

struct Pair<'a, B: Backend> {
    alice: Account<B>,
    bob: Account<B>,
    environment: &'a Repeated,
    learning: Option<&'a mut Secrets>,
}

impl<'a, B: Backend> Pair<'a, B> {
    async fn open(
        store: &DurableStore<B>,
        environment: &'a Repeated,
        learning: Option<&'a mut Secrets>,
    ) -> Self {
        let open = |number| Account::open(store.clone(), address(number));
        Self {
            alice: open(1).await.unwrap(),
            bob: open(2).await.unwrap(),
            environment,
            learning,
        }
    }

    /// The session, from the first message to the first answer.
    async fn start(&mut self) {
        let bundle = self.bob.bundle().await.unwrap();
        let pre_keys = match self.learning {
            Some(_) => Some(pre_keys(&self.bob, &bundle).await),
            None => None,
        };
        let (alice, bob) = (&self.alice, self.bob.address());
        alice.start_session(bob, &bundle).await.unwrap();
        self.learn().await;
        let first = self.send(THERE).await;
        if let (Some(secrets), Some(pre_keys)) = (&mut self.learning, &pre_keys) {
            let base_key = secrets.add_handshake(&first, &identity(2), pre_keys);
            let private = self.environment.private_key(&base_key);
            secrets.add("private base key", &*private.serialize());
        }
        self.deliver(&first).await;
    }

    /// Two messages there, of which the first comes late, and two back. Gives the last one.
    async fn round(&mut self) -> Vec<u8> {
        let late = self.send(THERE).await;
        self.exchange(THERE).await;
        self.answer().await;
        self.deliver(&late).await;
        self.answer().await
    }

    async fn exchange(&mut self, text: &[u8]) {
        let envelope = self.send(text).await;
        self.deliver(&envelope).await;
    }

    async fn send(&mut self, text: &[u8]) -> Envelope {
        let envelope = self.alice.send(self.bob.address(), text).await.unwrap();
        if let Some(secrets) = &mut self.learning {
            let identities = [identity(1), identity(2)];
            secrets.add_envelope(0, identities.each_ref().map(public), &envelope);
        }
        self.learn().await;
        envelope
    }

    async fn deliver(&mut self, envelope: &Envelope) {
        let delivery = self
            .bob
            .receive(self.alice.address(), envelope.message_type, &envelope.bytes)
            .await
            .unwrap();
        assert!(delivery.plaintext == THERE);
        self.alice.sent(envelope.id).await.unwrap();
        self.bob.done(delivery.id).await.unwrap();
        self.learn().await;
    }

    async fn answer(&mut self) -> Vec<u8> {
        let (alice, bob) = (&self.alice, &self.bob);
        let envelope = bob.send(alice.address(), BACK).await.unwrap();
        if let Some(secrets) = &mut self.learning {
            let identities = [identity(2), identity(1)];
            secrets.add_envelope(1, identities.each_ref().map(public), &envelope);
        }
        self.learn().await;
        let (alice, bob) = (&self.alice, &self.bob);
        let delivery = alice
            .receive(bob.address(), envelope.message_type, &envelope.bytes)
            .await
            .unwrap();
        assert!(delivery.plaintext == BACK);
        bob.sent(envelope.id).await.unwrap();
        alice.done(delivery.id).await.unwrap();
        self.learn().await;
        envelope.bytes.to_vec()
    }

    /// Alice's sender key, or a new one, goes to Bob in the session.
    async fn share_sender_key(&mut self, anew: bool) {
        let (alice, bob) = (&self.alice, &self.bob);
        let key = match anew {
            true => alice.group_renew(GROUP).await,
            false => alice.group_distribute(GROUP).await,
        };
        let key = key.unwrap();
        let envelope = alice.send(bob.address(), key.serialized()).await.unwrap();
        let delivery = bob
            .receive(alice.address(), envelope.message_type, &envelope.bytes)
            .await
            .unwrap();
        let key = SenderKeyDistributionMessage::deserialize(&delivery.plaintext).unwrap();
        bob.group_join(alice.address(), &key).await.unwrap();
        alice.sent(envelope.id).await.unwrap();
        bob.done(delivery.id).await.unwrap();
        self.learn().await;
    }

    /// Two messages to the group, of which the first comes late.
    async fn round_in_group(&mut self) {
        let late = self.group_send().await;
        let envelope = self.group_send().await;
        for envelope in [envelope, late] {
            let (alice, bob) = (&self.alice, &self.bob);
            let received = bob.group_receive(alice.address(), &envelope.bytes);
            let delivery = received.await.unwrap();
            assert!(delivery.plaintext == THERE);
            alice.sent(envelope.id).await.unwrap();
            bob.done(delivery.id).await.unwrap();
            self.learn().await;
        }
    }

    async fn group_send(&mut self) -> Envelope {
        let envelope = self.alice.group_send(GROUP, THERE).await.unwrap();
        if let Some(secrets) = &mut self.learning {
            let identities = [identity(1), identity(2)];
            secrets.add_envelope(0, identities.each_ref().map(public), &envelope);
        }
        self.learn().await;
        envelope
    }

    /// A message in the session and one to the group, both without telling who sends.
    async fn round_sealed(&mut self) {
        let (certificate, root) = certificate();
        let sealing = Sealing::new(&certificate);
        let (alice, bob) = (&self.alice, self.bob.address());
        let envelope = alice.send_sealed(bob, sealing, THERE).await.unwrap();
        if let Some(secrets) = &mut self.learning {
            let (bytes, from) = (&envelope.bytes, identity(1));
            let ephemeral = secrets.add_sealed(bytes, public(&from), &identity(2));
            let private = self.environment.private_key(&ephemeral);
            secrets.add("ephemeral key of sealed sender", &*private.serialize());
        }
        self.open_sealed(&envelope, &envelope.bytes, root).await;

        let (alice, bob) = (&self.alice, self.bob.address());
        let to = [bob.clone()];
        let sent = alice.group_send_sealed(GROUP, &to, &[], sealing, THERE);
        let envelope = sent.await.unwrap();
        let sent = SealedSenderMultiRecipientMessage::parse(&envelope.bytes).unwrap();
        let bytes = sent.message_for_single_recipient().unwrap();
        if let Some(secrets) = &mut self.learning {
            secrets.add_sealed_for_many(&bytes, public(&identity(1)), &identity(2));
        }
        self.open_sealed(&envelope, &bytes, root).await;
    }

    async fn open_sealed(&mut self, envelope: &Envelope, bytes: &[u8], root: PublicKey) {
        let roots = [root];
        let received = self.bob.receive_sealed(bytes, SealedTrust::new(&roots));
        let delivery = received.await.unwrap();
        assert!(delivery.plaintext == THERE);
        self.alice.sent(envelope.id).await.unwrap();
        self.bob.done(delivery.id).await.unwrap();
        self.learn().await;
    }

    async fn learn(&mut self) {
        let Some(secrets) = &mut self.learning else {
            return;
        };
        for (one, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let store = one.store().begin(one.address());
            let identity = store.identity_key_pair().await.unwrap();
            secrets.add("identity key", &*identity.private_key().serialize());
            if let Some(session) = store.load_session(other.address()).await.unwrap() {
                secrets.add_session(&session.serialize());
            }
            let sender = self.alice.address();
            if let Some(key) = store.load_sender_key(sender, GROUP).await.unwrap() {
                secrets.add_sender_key(&key.serialize());
            }
        }
    }
}

fn public(identity: &IdentityKeyPair) -> &IdentityKey {
    identity.identity_key()
}

/// The private halves of a bundle.
async fn pre_keys<B: Backend>(account: &Account<B>, bundle: &PreKeyBundle) -> PreKeys {
    let store = account.store().begin(account.address());
    let one_time = bundle.pre_key.as_ref().unwrap().id;
    let (signed, kyber) = (bundle.signed_pre_key.id, bundle.kyber_pre_key.id);
    PreKeys {
        one_time: store.load_pre_key(one_time).await.unwrap().unwrap(),
        signed: store.load_signed_pre_key(signed).await.unwrap().unwrap(),
        kyber: store.load_kyber_pre_key(kyber).await.unwrap().unwrap(),
    }
}

/// The same seeds each time.
#[derive(Clone, Default)]
struct Repeated(Arc<AtomicU64>);

impl Environment for Repeated {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_768_478_400_000)
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Ok(())
    }
}

impl Repeated {
    /// The private half of a key that was drawn by one of the latest steps.
    fn private_key(&self, public: &PublicKey) -> PrivateKey {
        let next = self.0.load(Ordering::Relaxed);
        let mut drawn = (next.saturating_sub(LATEST)..next).flat_map(|number| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            let mut bytes = vec![0; MOST_DRAWN];
            ChaCha20Rng::from_seed(seed).fill_bytes(&mut bytes);
            let keys = bytes.windows(32).step_by(4).map(PrivateKey::deserialize);
            keys.collect::<Result<Vec<_>, _>>().unwrap()
        });
        drawn.find(|key| key.public_key() == *public).unwrap()
    }
}
