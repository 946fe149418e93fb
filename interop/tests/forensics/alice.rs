//! Our end of the conversation: an account in a sealed store, or the naive store.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sprag::{
    Account, CiphertextMessage, EnvelopeType, IdentityKeyStore, KyberPreKeyStore, PreKeyBundle,
    PreKeyStore, ProtocolAddress, SessionBuilder, SessionCipher, SessionStore, SignedPreKeyStore,
    StoreOptions, Timestamp,
    protocol::identity::IdentityKeyPair,
    vault::{Secret, Vault, VaultError},
};
use sprag_interop::{Blob, Envelope};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

use crate::{
    rows::Recorder,
    secrets::{Secrets, Sort},
};

const PASSPHRASE: &str = "correct horse battery staple";

pub(crate) const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
pub(crate) const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";

pub(crate) fn address(name: &str) -> ProtocolAddress {
    ProtocolAddress::new(name, 1).unwrap()
}

/// What the conversation needs of us.
pub(crate) trait Alice {
    async fn start(&self, bundle: &PreKeyBundle);
    async fn send(&self, text: &[u8]) -> Envelope;
    async fn receive(&self, envelope: &Envelope) -> Vec<u8>;
    /// The secrets that we have now.
    async fn tell(&self, secrets: &mut Secrets);
}

/// An account. Its log is not emptied by itself, so that everything stays in it.
pub(crate) struct Sealed {
    pub(crate) account: Account<Recorder>,
    vault: Arc<Watched>,
    folder: TempDir,
}

/// The store in a folder, as it is.
pub(crate) async fn open(folder: &Path) -> SqliteBackend {
    let options = SqliteOptions::file(folder.join("sprag.db"));
    options
        .truncate_log_every(Duration::MAX)
        .open()
        .await
        .unwrap()
}

impl Sealed {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let cheap = Cost::new(8, 1, 1).unwrap();
        let path = folder.path().join("sprag.vault");
        let inner = PassphraseVault::create_with_cost(path, PASSPHRASE, cheap);
        let vault = Arc::new(Watched {
            inner: inner.await.unwrap(),
            roots: Mutex::default(),
        });
        let backend = Recorder::new(open(folder.path()).await);
        let store = StoreOptions::new().open(backend, Arc::clone(&vault)).await;
        let account = Account::create(store.unwrap(), address(ALICE)).await;
        Self {
            account: account.unwrap(),
            vault,
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn vault(&self) -> Arc<Watched> {
        Arc::clone(&self.vault)
    }

    pub(crate) fn thief(&self) -> Thief {
        Thief(self.vault())
    }

    /// What only the vault may know.
    pub(crate) fn roots(&self) -> Vec<Vec<u8>> {
        let mut roots = self.vault.roots.lock().unwrap().clone();
        roots.push(PASSPHRASE.into());
        roots
    }

    /// `Debug` of all that has a secret.
    pub(crate) async fn debug(&self) -> Vec<String> {
        let bundle = self.account.bundle().await.unwrap();
        let waiting = self.account.send(&address(BOB), b"waiting").await.unwrap();
        let store = self.account.store().begin(self.account.address());
        let id = bundle.pre_key.as_ref().unwrap().id;
        let signed = bundle.signed_pre_key.id;
        let kyber = bundle.kyber_pre_key.id;
        vec![
            format!("{waiting:?} {:?}", self.account.outbox_pending().await),
            format!("{:?}", self.account.inbox_pending().await),
            format!("{:?}", store.identity_key_pair().await.unwrap()),
            format!("{:?}", store.load_session(&address(BOB)).await.unwrap()),
            format!("{:?}", store.load_pre_key(id).await.unwrap()),
            format!("{:?}", store.load_signed_pre_key(signed).await.unwrap()),
            format!("{:?}", store.load_kyber_pre_key(kyber).await.unwrap()),
            format!(
                "{:?} {:?}",
                self.vault.inner,
                self.account.store().backend().commits()
            ),
            format!("{:?}", sprag_vault::Passphrase::from(PASSPHRASE)),
        ]
    }

    /// A bundle, and the private halves behind it.
    pub(crate) async fn bundle(&self, secrets: &mut Secrets) -> PreKeyBundle {
        let bundle = self.account.bundle().await.unwrap();
        let store = self.account.store().begin(self.account.address());
        let id = bundle.pre_key.as_ref().unwrap().id;
        let record = store.load_pre_key(id).await.unwrap().unwrap();
        secrets.add_private_key(Sort::PreKey, &record.serialize(), 3);
        let id = bundle.signed_pre_key.id;
        let record = store.load_signed_pre_key(id).await.unwrap().unwrap();
        secrets.add_private_key(Sort::PreKey, &record.serialize(), 3);
        let id = bundle.kyber_pre_key.id;
        let record = store.load_kyber_pre_key(id).await.unwrap().unwrap();
        secrets.add_private_key(Sort::PreKey, &record.serialize(), 3);
        bundle
    }
}

impl Alice for Sealed {
    async fn start(&self, bundle: &PreKeyBundle) {
        let bob = address(BOB);
        self.account.start_session(&bob, bundle).await.unwrap();
    }

    async fn send(&self, text: &[u8]) -> Envelope {
        let envelope = self.account.send(&address(BOB), text).await.unwrap();
        self.account.sent(envelope.id).await.unwrap();
        Envelope {
            kind: envelope.message_type as u8,
            body: Blob(envelope.bytes.to_vec()),
        }
    }

    async fn receive(&self, envelope: &Envelope) -> Vec<u8> {
        let kind = EnvelopeType::from_number(envelope.kind).unwrap();
        let delivery = self
            .account
            .receive(&address(BOB), kind, &envelope.body)
            .await
            .unwrap();
        self.account.done(delivery.id).await.unwrap();
        delivery.plaintext.to_vec()
    }

    async fn tell(&self, secrets: &mut Secrets) {
        let store = self.account.store().begin(self.account.address());
        let identity = store.identity_key_pair().await.unwrap();
        secrets.add_private_key(Sort::IdentityKey, &identity.serialize(), 2);
        let session = store.load_session(&address(BOB)).await.unwrap();
        secrets.add_session(&session.unwrap().serialize());
    }
}

/// The naive store, and an identity that is kept elsewhere.
pub(crate) struct Naive(sprag_benches::naive::Naive);

impl Naive {
    pub(crate) fn new(folder: &Path) -> Self {
        let database = sprag_benches::naive::Database::open(folder, "FULL");
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        Self(sprag_benches::naive::Naive::new(
            &database,
            ALICE.into(),
            &identity,
        ))
    }
}

fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}

impl Alice for Naive {
    async fn start(&self, bundle: &PreKeyBundle) {
        let (alice, bob, mut rng) = (address(ALICE), address(BOB), rand::rng());
        SessionBuilder::new(&self.0, &self.0, &alice, &bob)
            .process_bundle(bundle, now(), &mut rng)
            .await
            .unwrap();
    }

    async fn send(&self, text: &[u8]) -> Envelope {
        let (alice, bob, mut rng) = (address(ALICE), address(BOB), rand::rng());
        let cipher = SessionCipher::new(&self.0, &self.0, &alice, &bob);
        let message = cipher.encrypt(text, now(), &mut rng).await.unwrap();
        Envelope {
            kind: message.message_type() as u8,
            body: message.serialized().into(),
        }
    }

    async fn receive(&self, envelope: &Envelope) -> Vec<u8> {
        let (alice, bob, mut rng) = (address(ALICE), address(BOB), rand::rng());
        let kind = sprag::CiphertextMessageType::from_number(envelope.kind).unwrap();
        let CiphertextMessage::Signal(message) =
            CiphertextMessage::deserialize(kind, &envelope.body).unwrap()
        else {
            panic!("Bob answers");
        };
        let cipher = SessionCipher::new(&self.0, &self.0, &alice, &bob);
        cipher
            .decrypt_signal(&message, &mut rng)
            .await
            .unwrap()
            .to_vec()
    }

    async fn tell(&self, secrets: &mut Secrets) {
        let session = self.0.load_session(&address(BOB)).await.unwrap();
        secrets.add_session(&session.unwrap().serialize());
    }
}

/// A vault that tells what it was given.
pub(crate) struct Watched {
    inner: PassphraseVault,
    roots: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl Vault for Watched {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        self.roots.lock().unwrap().push(secret.as_bytes().to_vec());
        self.inner.create(name, secret).await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.inner.load(name).await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        self.inner.destroy(name).await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        self.inner.anchor(name).await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        self.inner.raise_anchor(name, value).await
    }
}

/// Whoever has got today's vault: it gives all that it has, and nothing is held against its anchors.
pub(crate) struct Thief(Arc<Watched>);

#[async_trait]
impl Vault for Thief {
    fn kind(&self) -> &str {
        self.0.kind()
    }

    async fn create(&self, _: &str, _: &Secret) -> Result<(), VaultError> {
        panic!("nothing is made")
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.0.load(name).await
    }

    async fn destroy(&self, _: &str) -> Result<(), VaultError> {
        panic!("nothing is destroyed")
    }

    async fn anchor(&self, _: &str) -> Result<u64, VaultError> {
        Ok(0)
    }

    async fn raise_anchor(&self, _: &str, _: u64) -> Result<(), VaultError> {
        Ok(())
    }
}

/// What is said to somebody who guesses.
pub(crate) async fn wrong_passphrase(folder: &Path) -> Vec<String> {
    let guess = PASSPHRASE.replace("horse", "mule");
    let path = folder.join("sprag.vault");
    let error = PassphraseVault::open(path, guess).await.err().unwrap();
    vec![format!("{error} {error:?}")]
}
