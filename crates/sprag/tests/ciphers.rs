//! Sessions over the six stores: which calls are made, in which order, and what a failure of each leaves.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use sprag::vault::MemoryVault;
use sprag::{
    Account, CiphertextMessage, DurableStore, Error, IdentityKeyStore, InMemorySessionStore,
    KyberPreKeyKind, KyberPreKeyStore, PreKeyBundle, PreKeyStore, ProtocolAddress, ProtocolError,
    SessionStore, SignedPreKeyStore, Timestamp,
    backend::MemoryBackend,
    protocol::{
        identity::IdentityKeyPair,
        message::{DecryptionErrorMessage, PlaintextContent},
    },
};
use sprag_testkit::stores::{FaultyStores, Peer, StoreFault, StoreSet};

use KyberPreKeyKind::{LastResort, OneTime};

/// Alice over sound stores, Bob over stores that can fail.
struct Pair {
    alice: Peer,
    bob: Peer,
    faults: FaultyStores,
}

impl Pair {
    fn new() -> Self {
        let alice = Peer::new("alice");
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        let faults = FaultyStores::new(StoreSet::in_memory(identity, 7));
        let bob = Peer::over("bob", StoreSet::all_in(Arc::new(faults.clone())));
        Self { alice, bob, faults }
    }

    /// Alice and Bob have both spoken.
    async fn talking() -> Self {
        let pair = Self::new();
        let bundle = pair.bob.bundle(true, OneTime).await.unwrap();
        let message = pair.first_message(&bundle).await;
        pair.bob_reads(&message).await.unwrap();
        let answer = pair.bob_says(b"hi").await.unwrap();
        let read = pair.alice.decrypt(&pair.bob.address, &answer).await;
        assert_eq!(read.unwrap(), b"hi");
        let _ = pair.faults.take_log();
        pair
    }

    async fn first_message(&self, bundle: &PreKeyBundle) -> CiphertextMessage {
        self.alice.start(&self.bob.address, bundle).await.unwrap();
        self.alice_says(b"first").await
    }

    async fn alice_says(&self, plaintext: &[u8]) -> CiphertextMessage {
        let message = self.alice.encrypt(&self.bob.address, plaintext).await;
        let _ = self.faults.take_log();
        message.unwrap()
    }

    async fn bob_says(&self, plaintext: &[u8]) -> Result<CiphertextMessage, Error> {
        self.bob.encrypt(&self.alice.address, plaintext).await
    }

    async fn bob_reads(&self, message: &CiphertextMessage) -> Result<Vec<u8>, Error> {
        self.bob.decrypt(&self.alice.address, message).await
    }

    async fn session_bytes(&self) -> Option<Vec<u8>> {
        let sessions = &self.faults.inner().sessions;
        let record = sessions.load_session(&self.alice.address).await.unwrap();
        record.map(|record| record.serialize().to_vec())
    }
}

fn code<T>(outcome: Result<T, Error>) -> &'static str {
    outcome.err().map_or("no error", |error| error.code())
}

mod order_of_calls {
    use super::*;

    #[tokio::test]
    async fn of_a_bundle() {
        let pair = Pair::new();
        let bundle = pair.alice.bundle(true, OneTime).await.unwrap();
        pair.bob.start(&pair.alice.address, &bundle).await.unwrap();
        assert_eq!(
            pair.faults.take_log(),
            [
                "is_trusted_identity alice.1 sending",
                "load_session alice.1",
                "identity_key_pair",
                "local_registration_id",
                "save_identity alice.1",
                "store_session alice.1",
            ]
        );
    }

    #[tokio::test]
    async fn of_an_encryption() {
        let pair = Pair::talking().await;
        pair.bob_says(b"").await.unwrap();
        assert_eq!(
            pair.faults.take_log(),
            [
                "load_session alice.1",
                "is_trusted_identity alice.1 sending",
                "save_identity alice.1",
                "store_session alice.1",
            ]
        );
    }

    #[tokio::test]
    async fn of_a_decryption() {
        let pair = Pair::talking().await;
        let message = pair.alice_says(b"").await;
        pair.bob_reads(&message).await.unwrap();
        assert_eq!(
            pair.faults.take_log(),
            [
                "load_session alice.1",
                "is_trusted_identity alice.1 receiving",
                "save_identity alice.1",
                "store_session alice.1",
            ]
        );
    }

    /// Reads as libsignal has them; one more write than it has.
    #[tokio::test]
    async fn of_a_first_message() {
        for with_one_time_pre_key in [true, false] {
            let pair = Pair::new();
            let bundle = pair.bob.bundle(with_one_time_pre_key, OneTime).await;
            let bundle = bundle.unwrap();
            let message = pair.first_message(&bundle).await;
            pair.bob_reads(&message).await.unwrap();
            let (signed, kyber) = (bundle.signed_pre_key.id, bundle.kyber_pre_key.id);
            let one_time = bundle.pre_key.map(|pre_key| pre_key.id);
            let mut expected = vec![
                "load_session alice.1".to_owned(),
                "is_trusted_identity alice.1 receiving".to_owned(),
                format!("load_signed_pre_key {signed}"),
                format!("load_kyber_pre_key {kyber}"),
            ];
            expected.extend(one_time.map(|id| format!("load_pre_key {id}")));
            expected.extend([
                "identity_key_pair".to_owned(),
                "local_registration_id".to_owned(),
                "save_identity alice.1".to_owned(),
                "store_session alice.1".to_owned(),
                format!("mark_kyber_pre_key_used {kyber} {signed}"),
            ]);
            expected.extend(one_time.map(|id| format!("remove_pre_key {id}")));
            expected.push("store_session alice.1".to_owned());
            assert_eq!(pair.faults.take_log(), expected);
        }
    }

    #[tokio::test]
    async fn of_a_pre_key_message_in_a_known_session() {
        let pair = Pair::new();
        let bundle = pair.bob.bundle(true, OneTime).await.unwrap();
        let first = pair.first_message(&bundle).await;
        let second = pair.alice_says(b"second").await;
        pair.bob_reads(&first).await.unwrap();
        let _ = pair.faults.take_log();
        assert_eq!(pair.bob_reads(&second).await.unwrap(), b"second");
        let expected = [
            "load_session alice.1",
            "is_trusted_identity alice.1 receiving",
            "save_identity alice.1",
            "store_session alice.1",
        ];
        assert_eq!(pair.faults.take_log(), expected);

        assert_eq!(code(pair.bob_reads(&second).await), "duplicate-message");
        assert_eq!(pair.faults.take_log(), expected[..2]);
    }

    #[tokio::test]
    async fn before_a_failure() {
        let pair = Pair::new();
        assert_eq!(code(pair.bob_says(b"").await), "no-session");
        assert_eq!(pair.faults.take_log(), ["load_session alice.1"]);

        let mut bundle = pair.alice.bundle(true, OneTime).await.unwrap();
        bundle.signed_pre_key.signature[0] ^= 1;
        let outcome = pair.bob.start(&pair.alice.address, &bundle).await;
        assert_eq!(code(outcome), "invalid-signature");
        assert_eq!(
            pair.faults.take_log(),
            ["is_trusted_identity alice.1 sending"]
        );

        let pair = Pair::talking().await;
        let message = pair.alice_says(b"").await;
        pair.bob_reads(&message).await.unwrap();
        let _ = pair.faults.take_log();
        assert_eq!(code(pair.bob_reads(&message).await), "duplicate-message");
        assert_eq!(pair.faults.take_log(), ["load_session alice.1"]);
    }
}

mod a_failing_store {
    use super::*;

    const BOTH: [StoreFault; 2] = [StoreFault::Before, StoreFault::After];

    /// Fails every call of a first message in turn, and delivers it again. Only the last call may have
    /// taken effect without a plaintext.
    #[tokio::test]
    async fn leaves_a_first_message_readable() {
        for (one_time, kyber) in [(true, OneTime), (true, LastResort), (false, LastResort)] {
            for fault in BOTH {
                for nth in 1.. {
                    let pair = Pair::new();
                    let bundle = pair.bob.bundle(one_time, kyber).await.unwrap();
                    let message = pair.first_message(&bundle).await;
                    let context = format!("{fault:?} call {nth}, {one_time}, {kyber:?}");

                    pair.faults.inject(nth, fault);
                    let outcome = pair.bob_reads(&message).await;
                    let log = pair.faults.take_log();
                    if log.len() < nth {
                        assert_eq!(outcome.unwrap(), b"first", "{context}");
                        break;
                    }
                    assert_eq!(code(outcome), "injected-fault", "{context}");

                    let again = pair.bob_reads(&message).await;
                    let is_last = log.len() == log_length(one_time);
                    if is_last && fault == StoreFault::After {
                        assert_eq!(code(again), "duplicate-message", "{context}");
                    } else {
                        assert_eq!(again.unwrap(), b"first", "{context}");
                    }
                    assert_eq!(code(pair.bob_reads(&message).await), "duplicate-message");
                    assert_pre_keys_are_gone(&pair, kyber).await;
                    assert_conversation_goes_on(&pair).await;
                }
            }
        }
    }

    fn log_length(one_time: bool) -> usize {
        if one_time { 12 } else { 10 }
    }

    async fn assert_pre_keys_are_gone(pair: &Pair, kyber: KyberPreKeyKind) {
        let stores = pair.faults.inner();
        assert_eq!(stores.pre_keys.pre_key_ids().await.unwrap(), []);
        let left = stores.kyber_pre_keys.kyber_pre_key_ids().await.unwrap();
        assert_eq!(left.len(), usize::from(kyber == LastResort));
    }

    async fn assert_conversation_goes_on(pair: &Pair) {
        for round in 0..3_u8 {
            let message = pair.bob_says(&[round]).await.unwrap();
            let read = pair.alice.decrypt(&pair.bob.address, &message).await;
            assert_eq!(read.unwrap(), [round]);
            let message = pair.alice_says(&[round, 1]).await;
            assert_eq!(pair.bob_reads(&message).await.unwrap(), [round, 1]);
        }
    }

    /// The first message was lost for good after it was half accepted; a later one does as well.
    #[tokio::test]
    async fn leaves_later_messages_of_an_accepted_session_readable() {
        for nth in 9..=12 {
            let pair = Pair::new();
            let bundle = pair.bob.bundle(true, OneTime).await.unwrap();
            let first = pair.first_message(&bundle).await;
            let second = pair.alice_says(b"second").await;
            pair.faults.inject(nth, StoreFault::Before);
            assert_eq!(code(pair.bob_reads(&first).await), "injected-fault");
            assert_eq!(pair.bob_reads(&second).await.unwrap(), b"second");
            assert_pre_keys_are_gone(&pair, OneTime).await;
            assert_eq!(pair.bob_reads(&first).await.unwrap(), b"first");
            assert_conversation_goes_on(&pair).await;
        }
    }

    #[tokio::test]
    async fn leaves_a_plain_message_readable() {
        for fault in BOTH {
            for nth in 1..=4 {
                let pair = Pair::talking().await;
                let message = pair.alice_says(b"again").await;
                pair.faults.inject(nth, fault);
                assert_eq!(code(pair.bob_reads(&message).await), "injected-fault");
                let again = pair.bob_reads(&message).await;
                if nth == 4 && fault == StoreFault::After {
                    assert_eq!(code(again), "duplicate-message");
                } else {
                    assert_eq!(again.unwrap(), b"again", "{fault:?} call {nth}");
                }
                assert_conversation_goes_on(&pair).await;
            }
        }
    }

    #[tokio::test]
    async fn does_not_break_sending() {
        for fault in BOTH {
            for nth in 1..=4 {
                let pair = Pair::talking().await;
                pair.faults.inject(nth, fault);
                assert_eq!(code(pair.bob_says(b"lost").await), "injected-fault");
                assert_conversation_goes_on(&pair).await;
            }
        }
    }

    #[tokio::test]
    async fn leaves_the_old_session_when_a_new_one_does_not_start() {
        for fault in BOTH {
            for nth in 1..=6 {
                let pair = Pair::talking().await;
                let before = pair.session_bytes().await;
                let bundle = pair.alice.bundle(true, OneTime).await.unwrap();
                pair.faults.inject(nth, fault);
                let outcome = pair.bob.start(&pair.alice.address, &bundle).await;
                assert_eq!(code(outcome), "injected-fault");
                if nth < 6 || fault == StoreFault::Before {
                    assert_eq!(pair.session_bytes().await, before);
                }
                assert_conversation_goes_on(&pair).await;
            }
        }
    }
}

/// The session that is there when an old first message is replayed stays as it is.
#[tokio::test]
async fn a_replay_does_not_touch_another_session() {
    let pair = Pair::new();
    let bundle = pair.bob.bundle(false, LastResort).await.unwrap();
    let recorded = pair.first_message(&bundle).await;
    pair.bob_reads(&recorded).await.unwrap();
    let sessions = &pair.bob.stores.sessions;
    sessions.delete_session(&pair.alice.address).await.unwrap();
    let bundle = pair.bob.bundle(false, LastResort).await.unwrap();
    let first = pair.first_message(&bundle).await;
    pair.bob_reads(&first).await.unwrap();

    let before = pair.session_bytes().await;
    let outcome = pair.bob_reads(&recorded).await;
    assert!(
        matches!(
            outcome,
            Err(Error::Protocol(ProtocolError::InvalidMessage {
                message_type: 3,
                reason: "reused base key"
            }))
        ),
        "{outcome:?}"
    );
    assert_eq!(pair.session_bytes().await, before);
}

/// Nothing is stored for a stranger, and the message is readable once the stranger is approved.
#[tokio::test]
async fn an_untrusted_peer_changes_nothing() {
    for established in [false, true] {
        let pair = if established {
            Pair::talking().await
        } else {
            Pair::new()
        };
        let identities = pair.faults.inner().identities.clone();
        let alice = pair.alice.stores.identities.identity_key_pair().await;
        let known = *alice.unwrap().identity_key();
        let other = *IdentityKeyPair::generate(&mut rand::rng()).identity_key();

        let message = if established {
            pair.alice_says(b"first").await
        } else {
            let bundle = pair.bob.bundle(true, OneTime).await.unwrap();
            pair.first_message(&bundle).await
        };
        let address = &pair.alice.address;
        identities.save_identity(address, &other).await.unwrap();
        let before = pair.session_bytes().await;
        assert_eq!(code(pair.bob_reads(&message).await), "untrusted-identity");
        if established {
            assert_eq!(code(pair.bob_says(b"").await), "untrusted-identity");
        }
        let bundle = pair.alice.bundle(true, OneTime).await.unwrap();
        let outcome = pair.bob.start(address, &bundle).await;
        assert_eq!(code(outcome), "untrusted-identity");
        assert_eq!(pair.session_bytes().await, before);
        let saved = identities.load_identity(address).await.unwrap();
        assert_eq!(saved, Some(other));

        identities.save_identity(address, &known).await.unwrap();
        assert_eq!(pair.bob_reads(&message).await.unwrap(), b"first");
    }
}

/// The store that lacks a pre-key decides the error: signed first, then Kyber, then one-time.
#[tokio::test]
async fn a_missing_pre_key_is_named() {
    let pair = Pair::new();
    let bundle = pair.bob.bundle(true, OneTime).await.unwrap();
    let message = pair.first_message(&bundle).await;
    let stores = &pair.bob.stores;
    let one_time = bundle.pre_key.unwrap().id;
    stores.pre_keys.remove_pre_key(one_time).await.unwrap();
    assert_eq!(code(pair.bob_reads(&message).await), "invalid-pre-key-id");
    let (kyber, id) = (&stores.kyber_pre_keys, bundle.kyber_pre_key.id);
    kyber.remove_kyber_pre_key(id).await.unwrap();
    assert_eq!(
        code(pair.bob_reads(&message).await),
        "invalid-kyber-pre-key-id"
    );
    let (signed, id) = (&stores.signed_pre_keys, bundle.signed_pre_key.id);
    signed.remove_signed_pre_key(id).await.unwrap();
    assert_eq!(
        code(pair.bob_reads(&message).await),
        "invalid-signed-pre-key-id"
    );
    assert_eq!(pair.session_bytes().await, None);
}

/// Messages to groups and those in the clear are refused before a store is asked.
#[tokio::test]
async fn messages_of_other_kinds_are_no_messages_between_two() {
    let pair = Pair::talking().await;
    let time = Timestamp::from_millis(1);
    let request = DecryptionErrorMessage::for_original(b"", 7, time, 1).unwrap();
    let message = CiphertextMessage::from(PlaintextContent::from(&request));
    assert_eq!(code(pair.bob_reads(&message).await), "invalid-argument");
    assert!(pair.faults.take_log().is_empty());
}

/// Addresses that are service ids are bound to the first message.
#[tokio::test]
async fn a_first_message_to_another_address_is_refused() {
    let alice = Peer::new("9d0652a3-dcc3-4d11-975f-74d61598733f");
    let mut bob = Peer::new("e80f7bbe-5b94-471e-bd8c-2173654ea3d1");
    let bundle = bob.bundle(true, OneTime).await.unwrap();
    alice.start(&bob.address, &bundle).await.unwrap();
    let message = alice.encrypt(&bob.address, b"for bob").await.unwrap();

    let own = bob.address.clone();
    bob.address = ProtocolAddress::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 1).unwrap();
    let outcome = bob.decrypt(&alice.address, &message).await;
    assert_eq!(code(outcome), "invalid-message");
    bob.address = own;
    let stranger = ProtocolAddress::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 2).unwrap();
    let outcome = bob.decrypt(&stranger, &message).await;
    assert_eq!(code(outcome), "invalid-message");
    assert_eq!(
        bob.decrypt(&alice.address, &message).await.unwrap(),
        b"for bob"
    );
}

/// Sessions here, the identity there, pre-keys elsewhere.
#[tokio::test]
async fn stores_of_different_makes_mix() {
    let address = ProtocolAddress::new("bob", 1).unwrap();
    let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new())
        .await
        .unwrap();
    let account = Account::create(store.clone(), address.clone()).await;
    let own = account.unwrap().identity_key().await.unwrap();
    let other = StoreSet::in_memory(IdentityKeyPair::generate(&mut rand::rng()), 9);
    let stores = StoreSet {
        sessions: Arc::new(InMemorySessionStore::new()),
        identities: Arc::new(store.begin(&address)),
        signed_pre_keys: Arc::new(store.begin(&address)),
        ..other
    };
    let (alice, bob) = (Peer::new("alice"), Peer::over("bob", stores));
    let bundle = bob.bundle(true, LastResort).await.unwrap();
    assert_eq!(bundle.identity_key, own);
    alice.start(&bob.address, &bundle).await.unwrap();
    for round in 0..4_u8 {
        let message = alice.encrypt(&bob.address, &[round]).await.unwrap();
        let read = bob.decrypt(&alice.address, &message).await;
        assert_eq!(read.unwrap(), [round]);
        let message = bob.encrypt(&alice.address, &[round]).await.unwrap();
        let read = alice.decrypt(&bob.address, &message).await;
        assert_eq!(read.unwrap(), [round]);
    }
}
