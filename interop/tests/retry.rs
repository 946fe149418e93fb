//! A message that cannot be decrypted, and what follows: between an account of ours and the official client, each as the
//! one who could not read.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde::Deserialize;
use serde_json::json;
use sprag::vault::MemoryVault;
use sprag::{
    Account, DurableStore, EnvelopeType, PreKeyBundle, ProtocolAddress, RetryAssessment,
    SessionStore as _, Timestamp,
    backend::MemoryBackend,
    protocol::{
        curve::PublicKey,
        message::{CiphertextMessage, DecryptionErrorMessage, PlaintextContent},
    },
};
use sprag_interop::{
    Address, Blob, BundleRequest, Envelope, FailureKind, Implementation as _, Official, Party, Peer,
};

const SENT: u64 = 1_750_000_000_123;

/// What the official client reads in a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    serialized: Blob,
    timestamp: u64,
    device_id: u32,
    ratchet_key: Option<Blob>,
}

/// Alice is an account of ours, Bob is the official client's.
struct Pair {
    alice: Account<MemoryBackend>,
    official: Official,
    bob: Box<dyn Party>,
}

fn now() -> u64 {
    Timestamp::from(std::time::SystemTime::now()).as_millis()
}

impl Pair {
    /// Both have spoken.
    async fn talking() -> Self {
        let official = Official::start().unwrap();
        let bob = Address::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 2);
        let bob = official.create(&bob, 200, None).unwrap();
        let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new())
            .await
            .unwrap();
        let alice = ProtocolAddress::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1).unwrap();
        let alice = Account::create(store, alice).await.unwrap();
        let mut pair = Self {
            alice,
            official,
            bob,
        };
        pair.renew_from_alice().await;
        pair.bob_hears(b"hello").await;
        pair.alice_hears(b"hello, too").await;
        pair
    }

    fn peer(&self) -> &Peer {
        self.official.peer()
    }

    fn bobs_address(&self) -> ProtocolAddress {
        let address = self.bob.address();
        ProtocolAddress::new(&address.name, address.device).unwrap()
    }

    fn alices_address(&self) -> Address {
        let address = self.alice.address();
        Address::new(address.name(), address.device_id().into())
    }

    /// Alice starts a session from a fresh bundle of Bob's.
    async fn renew_from_alice(&mut self) {
        let bundle = self.bob.bundle(BundleRequest::FULL, now()).unwrap();
        let bundle = PreKeyBundle::try_from(&bundle).unwrap();
        let bob = self.bobs_address();
        self.alice.start_session(&bob, &bundle).await.unwrap();
    }

    async fn encrypt_to_bob(&self, text: &[u8]) -> Envelope {
        let sent = self.alice.send(&self.bobs_address(), text).await.unwrap();
        Envelope {
            kind: sent.message_type as u8,
            body: Blob(sent.bytes.to_vec()),
        }
    }

    async fn bob_hears(&mut self, text: &[u8]) {
        let envelope = self.encrypt_to_bob(text).await;
        let alice = self.alices_address();
        assert_eq!(self.bob.decrypt(&alice, &envelope).unwrap(), text);
    }

    async fn alice_hears(&mut self, text: &[u8]) {
        let alice = self.alices_address();
        let envelope = self.bob.encrypt(&alice, text, now()).unwrap();
        let delivery = self.receive(&envelope).await.unwrap();
        assert_eq!(delivery.plaintext, text);
    }

    async fn receive(&self, envelope: &Envelope) -> Result<sprag::Delivery, sprag::Error> {
        let kind = EnvelopeType::from_number(envelope.kind).unwrap();
        let bob = self.bobs_address();
        self.alice.receive(&bob, kind, &envelope.body).await
    }

    /// Whether the key is the one that the session of this party's current chain sends with, as the official client and
    /// as we find it in the record.
    fn matches(&self, record: &[u8], key: &[u8]) -> bool {
        let body = json!({ "record": Blob::from(record), "key": Blob::from(key) });
        let theirs: bool = self
            .peer()
            .request("current_ratchet_key_matches", body)
            .unwrap();
        let record = sprag::SessionRecord::deserialize(record).unwrap();
        let key = PublicKey::deserialize(key).unwrap();
        assert_eq!(record.current_ratchet_key_matches(&key).unwrap(), theirs);
        theirs
    }

    async fn alices_record(&self) -> Vec<u8> {
        let alice = self.alice.store().begin(self.alice.address());
        let record = alice.load_session(&self.bobs_address()).await.unwrap();
        record.unwrap().serialize().to_vec()
    }
}

/// What the official client makes of a failed message of ours: type 8 and the bytes.
fn request_of_theirs(peer: &Peer, original: &Envelope, device: u32) -> (Request, Envelope) {
    let body = json!({
        "original": original.body,
        "type": original.kind,
        "timestamp": SENT,
        "deviceId": device,
    });
    let request: Request = peer.request("decryption_error", body).unwrap();
    let body = json!({ "decryptionError": request.serialized });
    let sent = peer.request("plaintext_content", body).unwrap();
    (request, sent)
}

/// What an account of ours makes of a failed message of theirs.
fn request_of_ours(original: &Envelope, device: u32) -> (DecryptionErrorMessage, Envelope) {
    let time = Timestamp::from_millis(SENT);
    let (bytes, kind) = (&original.body, original.kind);
    let request = DecryptionErrorMessage::for_original(bytes, kind, time, device).unwrap();
    let sent = CiphertextMessage::from(PlaintextContent::from(&request));
    let sent = Envelope {
        kind: sent.message_type() as u8,
        body: Blob::from(sent.serialized()),
    };
    (request, sent)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(test);
}

/// Bob has lost his session; Alice renews it.
#[test]
fn the_official_client_could_not_read() {
    run(async {
        let mut pair = Pair::talking().await;
        let (alice, bob) = (pair.alices_address(), pair.bobs_address());
        pair.bob.delete_session(&alice).unwrap();
        let lost = pair.encrypt_to_bob(b"lost").await;
        let failure = pair.bob.decrypt(&alice, &lost).unwrap_err();
        assert_eq!(failure.kind, FailureKind::SessionNotFound);

        let (request, sent) = request_of_theirs(pair.peer(), &lost, alice.device);
        assert_eq!(sent.kind, EnvelopeType::Plaintext as u8);
        let content = PlaintextContent::deserialize(&sent.body).unwrap();
        let read = DecryptionErrorMessage::extract_from_body(content.body()).unwrap();
        assert_eq!(read.serialized(), &*request.serialized);
        assert_eq!(read.timestamp().as_millis(), SENT);
        assert_eq!(read.device_id(), 1);
        let key = read.ratchet_key().unwrap().serialize();
        assert_eq!(request.ratchet_key.as_deref(), Some(&key[..]));
        // We would have said the same.
        assert_eq!(request_of_ours(&lost, 1).1, sent);

        let found = pair.alice.assess_retry(&bob, &read).await.unwrap();
        assert_eq!(found, RetryAssessment::SessionBroken);
        assert!(pair.matches(&pair.alices_record().await, &key));
        assert!(pair.alice.archive_session(&bob).await.unwrap());
        assert!(!pair.matches(&pair.alices_record().await, &key));
        let found = pair.alice.assess_retry(&bob, &read).await.unwrap();
        assert_eq!(found, RetryAssessment::SessionMovedOn);

        pair.renew_from_alice().await;
        pair.bob_hears(b"lost").await;
        pair.alice_hears(b"found").await;
        assert!(!pair.matches(&pair.alices_record().await, &key));
    });
}

/// Alice has lost her session; the official client renews it.
#[test]
fn an_account_could_not_read() {
    run(async {
        let mut pair = Pair::talking().await;
        let (alice, bob) = (pair.alices_address(), pair.bobs_address());
        assert!(pair.alice.delete_session(&bob).await.unwrap());
        let lost = pair.bob.encrypt(&alice, b"lost", now()).unwrap();
        let error = pair.receive(&lost).await.unwrap_err();
        assert_eq!(error.code(), "no-session");

        let (request, sent) = request_of_ours(&lost, bob.device_id().into());
        let body = json!({ "body": sent.body });
        let read: Request = pair.peer().request("read_plaintext_content", body).unwrap();
        assert_eq!(&*read.serialized, request.serialized());
        assert_eq!((read.timestamp, read.device_id), (SENT, 2));
        let key = read.ratchet_key.unwrap();
        assert_eq!(request_of_theirs(pair.peer(), &lost, 2).1, sent);

        let record = pair.bob.session(&alice).unwrap().unwrap();
        assert!(pair.matches(&record, &key));
        pair.bob.archive_session(&alice).unwrap();
        let record = pair.bob.session(&alice).unwrap().unwrap();
        assert!(!pair.matches(&record, &key));

        let bundle = (&pair.alice.bundle().await.unwrap()).into();
        pair.bob.process_bundle(&alice, &bundle, now()).unwrap();
        pair.alice_hears(b"lost").await;
        pair.bob_hears(b"found").await;
        let record = pair.bob.session(&alice).unwrap().unwrap();
        assert!(!pair.matches(&record, &key));
    });
}

/// Group messages name no ratchet key, and requests for other devices are left to them.
#[test]
fn requests_about_something_else() {
    run(async {
        let pair = Pair::talking().await;
        let bob = pair.bobs_address();
        for (device, kind, expected) in [
            (1, 7, RetryAssessment::SenderKey),
            (2, 7, RetryAssessment::OtherDevice),
            (0, 7, RetryAssessment::OtherDevice),
        ] {
            let original = Envelope {
                kind,
                body: Blob::from(&b"not looked at"[..]),
            };
            let (request, sent) = request_of_theirs(pair.peer(), &original, device);
            assert!(request.ratchet_key.is_none());
            assert_eq!(request_of_ours(&original, device).1, sent);
            let read = DecryptionErrorMessage::deserialize(&request.serialized).unwrap();
            let found = pair.alice.assess_retry(&bob, &read).await.unwrap();
            assert_eq!(found, expected);
        }
    });
}
