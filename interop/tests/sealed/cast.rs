//! Who takes part: the service that certifies, our ciphers over stores in memory, and the official client.

use rand::rng;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sprag::{
    CiphertextMessage, Error, InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore,
    InMemoryPreKeyStore, InMemorySessionStore, InMemorySignedPreKeyStore, KyberPreKeyKind,
    KyberPreKeyStore as _, PreKeyBundle, PreKeyStore as _, PreKeyStores, ProtocolAddress,
    SealedSessionCipher, SealedTrust, Sealing, SessionBuilder, SessionCipher,
    SignedPreKeyStore as _, Timestamp,
    protocol::{
        bundle::PreKey,
        curve::{KeyPair, PublicKey},
        identity::{IdentityKey, IdentityKeyPair},
        pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
        sealed_sender::{
            OwnIds, SenderCertificate, SenderDetails, ServerCertificate,
            UnidentifiedSenderMessageContent,
        },
        service_id::ServiceId,
    },
};
use sprag_interop::{Address, Blob, Bundle, Peer, PeerError, START};
use tokio::runtime::Builder;

pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(work)
}

pub(crate) fn address(name: &str, device: u32) -> ProtocolAddress {
    ProtocolAddress::new(name, device).unwrap()
}

fn plain(address: &ProtocolAddress) -> Address {
    Address::new(address.name(), address.device_id().into())
}

fn now() -> Timestamp {
    Timestamp::from_millis(START)
}

/// The service: its root and its server's key are ours, the server's certificate is the client's.
pub(crate) struct Service {
    root: KeyPair,
    server_key: KeyPair,
    server: ServerCertificate,
}

impl Service {
    pub(crate) const EXPIRATION: u64 = START + 1000;

    pub(crate) fn new(peer: &Peer) -> Self {
        let (root, server_key) = (KeyPair::generate(&mut rng()), KeyPair::generate(&mut rng()));
        let body = json!({
            "keyId": 7,
            "key": Blob::from(&server_key.public_key.serialize()[..]),
            "root": Blob::from(&root.private_key.serialize()[..]),
        });
        let server: Blob = peer.request("issue_server_certificate", body).unwrap();
        let server = ServerCertificate::deserialize(&server).unwrap();
        let ours =
            ServerCertificate::issue(7, server_key.public_key, &root.private_key, &mut rng());
        assert_eq!(server.certificate(), ours.certificate());
        Self {
            root,
            server_key,
            server,
        }
    }

    pub(crate) fn root(&self) -> PublicKey {
        self.root.public_key
    }

    pub(crate) fn issue(
        &self,
        sender: &ProtocolAddress,
        e164: Option<&str>,
        key: &IdentityKey,
        expiration: u64,
    ) -> SenderCertificate {
        let details = SenderDetails {
            uuid: sender.name(),
            e164,
            device_id: sender.device_id(),
            identity_key: *key,
            expiration: Timestamp::from_millis(expiration),
        };
        let key = &self.server_key.private_key;
        SenderCertificate::issue(details, &self.server, key, &mut rng())
    }

    pub(crate) fn issue_by_client(
        &self,
        peer: &Peer,
        name: &str,
        device: u32,
        e164: Option<&str>,
        key: &IdentityKey,
        expiration: u64,
    ) -> SenderCertificate {
        let body = json!({
            "server": Blob::from(self.server.serialized()),
            "serverKey": Blob::from(&self.server_key.private_key.serialize()[..]),
            "address": Address::new(name, device),
            "e164": e164,
            "key": Blob::from(&key.serialize()[..]),
            "expiration": expiration,
        });
        let certificate: Blob = peer.request("issue_sender_certificate", body).unwrap();
        SenderCertificate::deserialize(&certificate).unwrap()
    }

    pub(crate) fn certify_ours(&self, party: &Ours) -> SenderCertificate {
        let key = party.identity.identity_key();
        self.issue(&party.address, None, key, Self::EXPIRATION)
    }

    pub(crate) fn certify_theirs(
        &self,
        peer: &Peer,
        party: &Theirs<'_>,
        e164: Option<&str>,
    ) -> SenderCertificate {
        let (name, device) = (party.address.name(), party.address.device_id().into());
        let key = party.identity_key();
        self.issue_by_client(peer, name, device, e164, &key, Self::EXPIRATION)
    }
}

/// One of ours.
pub(crate) struct Ours {
    pub(crate) address: ProtocolAddress,
    pub(crate) identity: IdentityKeyPair,
    sessions: InMemorySessionStore,
    identities: InMemoryIdentityKeyStore,
    pre_keys: InMemoryPreKeyStore,
    signed_pre_keys: InMemorySignedPreKeyStore,
    kyber_pre_keys: InMemoryKyberPreKeyStore,
}

impl Ours {
    pub(crate) fn new(name: &str, device: u32, identity: Option<IdentityKeyPair>) -> Self {
        let identity = identity.unwrap_or_else(|| IdentityKeyPair::generate(&mut rng()));
        Self {
            address: address(name, device),
            identities: InMemoryIdentityKeyStore::new(identity.clone(), 0x3f00 + device),
            identity,
            sessions: InMemorySessionStore::new(),
            pre_keys: InMemoryPreKeyStore::new(),
            signed_pre_keys: InMemorySignedPreKeyStore::new(),
            kyber_pre_keys: InMemoryKyberPreKeyStore::new(),
        }
    }

    pub(crate) fn own(&self) -> OwnIds<'_> {
        OwnIds {
            address: &self.address,
            e164: None,
        }
    }

    pub(crate) fn bundle(&self) -> Bundle {
        let mut rng = rng();
        let pre_key = PreKeyRecord::generate(1.into(), &mut rng);
        let signed = SignedPreKeyRecord::generate(1.into(), now(), &self.identity, &mut rng);
        let kyber = KyberPreKeyRecord::generate(1.into(), now(), &self.identity, &mut rng);
        let bundle = PreKeyBundle {
            registration_id: 0x3f00 + u32::from(self.address.device_id()),
            device_id: self.address.device_id(),
            pre_key: Some(PreKey {
                id: pre_key.id(),
                public_key: pre_key.public_key().unwrap(),
            }),
            signed_pre_key: signed.public_view().unwrap(),
            kyber_pre_key: kyber.public_view().unwrap(),
            identity_key: *self.identity.identity_key(),
        };
        wait(async {
            self.pre_keys.store_pre_key(1.into(), pre_key).await?;
            self.signed_pre_keys
                .store_signed_pre_key(1.into(), signed)
                .await?;
            self.kyber_pre_keys
                .store_kyber_pre_key(1.into(), kyber, KyberPreKeyKind::OneTime)
                .await
        })
        .unwrap();
        (&bundle).into()
    }

    pub(crate) fn start_with(&self, remote: &ProtocolAddress, bundle: &Bundle) {
        let bundle = bundle.try_into().unwrap();
        let builder = SessionBuilder::new(&self.sessions, &self.identities, &self.address, remote);
        wait(builder.process_bundle(&bundle, now(), &mut rng())).unwrap();
    }

    pub(crate) fn encrypt(&self, remote: &ProtocolAddress, text: &[u8]) -> CiphertextMessage {
        let cipher = SessionCipher::new(&self.sessions, &self.identities, &self.address, remote);
        wait(cipher.encrypt(text, now(), &mut rng())).unwrap()
    }

    fn cipher(&self) -> SealedSessionCipher<'_> {
        SealedSessionCipher::new(&self.sessions, &self.identities, &self.address)
    }

    fn pre_key_stores(&self) -> PreKeyStores<'_> {
        PreKeyStores {
            pre_keys: &self.pre_keys,
            signed_pre_keys: &self.signed_pre_keys,
            kyber_pre_keys: &self.kyber_pre_keys,
        }
    }

    pub(crate) fn seal(
        &self,
        remote: &ProtocolAddress,
        text: &[u8],
        sealing: Sealing<'_>,
    ) -> Vec<u8> {
        wait(
            self.cipher()
                .encrypt(remote, text, sealing, now(), &mut rng()),
        )
        .unwrap()
    }

    pub(crate) fn seal_for_many(
        &self,
        content: &UnidentifiedSenderMessageContent,
        recipients: &[&ProtocolAddress],
        excluded: &[ServiceId],
    ) -> Vec<u8> {
        let recipients: Vec<_> = recipients.iter().map(|&device| device.clone()).collect();
        let cipher = self.cipher();
        wait(cipher.seal_for_many(content, &recipients, excluded, &mut rng())).unwrap()
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Result<UnidentifiedSenderMessageContent, Error> {
        wait(self.cipher().open(sealed))
    }

    pub(crate) fn unseal(
        &self,
        sealed: &[u8],
        root: PublicKey,
        at: u64,
    ) -> Result<sprag::Unsealed, Error> {
        let (roots, at) = ([root], Timestamp::from_millis(at));
        let trust = SealedTrust::new(&roots);
        let pre_keys = self.pre_key_stores();
        wait(
            self.cipher()
                .decrypt(sealed, trust, pre_keys, at, &mut rng()),
        )
    }

    /// Reads an open message, so that the session goes on.
    pub(crate) fn read_answer(&self, from: &Theirs<'_>) {
        let body = json!({ "remote": plain(&self.address), "plaintext": Blob::from(&b"back"[..]), "now": START });
        let sent: Value = from.ask("encrypt", body);
        let bytes: Blob = serde_json::from_value(sent["body"].clone()).unwrap();
        let message = sprag::protocol::message::SignalMessage::deserialize(&bytes).unwrap();
        let message = CiphertextMessage::Signal(message);
        let remote = &from.address;
        let cipher = SessionCipher::new(&self.sessions, &self.identities, &self.address, remote);
        let read = wait(cipher.decrypt(&message, self.pre_key_stores(), &mut rng()));
        assert_eq!(read.unwrap(), b"back");
    }
}

/// One of the client's.
pub(crate) struct Theirs<'a> {
    peer: &'a Peer,
    party: String,
    pub(crate) address: ProtocolAddress,
}

impl<'a> Theirs<'a> {
    pub(crate) fn new(peer: &'a Peer, name: &str, device: u32, identity: Option<&Blob>) -> Self {
        let party = peer.fresh_name();
        let address = address(name, device);
        let body = json!({
            "address": plain(&address),
            "registrationId": 100 + device,
            "identityKeyPair": identity,
        });
        peer.request_of::<()>(&party, "create", body).unwrap();
        Self {
            peer,
            party,
            address,
        }
    }

    pub(crate) fn try_ask<T: DeserializeOwned>(
        &self,
        op: &str,
        body: Value,
    ) -> Result<T, PeerError> {
        self.peer.request_of(&self.party, op, body)
    }

    pub(crate) fn ask<T: DeserializeOwned>(&self, op: &str, body: Value) -> T {
        self.try_ask(op, body).unwrap()
    }

    /// The stored form of its identity, for another device of the account.
    pub(crate) fn identity_record(&self) -> Blob {
        let state: Value = self.ask("state", json!({}));
        serde_json::from_value(state["identityKeyPair"].clone()).unwrap()
    }

    pub(crate) fn identity_key(&self) -> IdentityKey {
        let pair = IdentityKeyPair::deserialize(&self.identity_record()).unwrap();
        *pair.identity_key()
    }

    pub(crate) fn bundle(&self) -> Bundle {
        let body =
            json!({ "oneTimePreKey": true, "lastResort": false, "rotate": false, "now": START });
        self.ask("make_bundle", body)
    }

    pub(crate) fn start_with(&self, remote: &ProtocolAddress, bundle: &Bundle) {
        let body = json!({ "remote": plain(remote), "bundle": bundle, "now": START });
        self.ask::<()>("process_bundle", body);
    }

    pub(crate) fn seal(
        &self,
        remote: &ProtocolAddress,
        text: &[u8],
        certificate: &SenderCertificate,
        hint: u32,
        group_id: Option<&[u8]>,
    ) -> Vec<u8> {
        let body = json!({
            "remote": plain(remote),
            "plaintext": Blob::from(text),
            "now": START,
            "certificate": Blob::from(certificate.serialized()),
            "hint": hint,
            "groupId": group_id.map(Blob::from),
        });
        self.ask::<Blob>("seal", body).0
    }

    pub(crate) fn seal_for_many(
        &self,
        text: &[u8],
        recipients: &[&ProtocolAddress],
        excluded: &[ServiceId],
        certificate: &SenderCertificate,
    ) -> Vec<u8> {
        let recipients: Vec<_> = recipients.iter().map(|device| plain(device)).collect();
        let excluded: Vec<_> = excluded.iter().map(ToString::to_string).collect();
        let body = json!({
            "group": super::GROUP,
            "plaintext": Blob::from(text),
            "recipients": recipients,
            "excluded": excluded,
            "certificate": Blob::from(certificate.serialized()),
            "hint": 1,
            "groupId": Blob::from(&b"group"[..]),
        });
        self.ask::<Blob>("seal_for_many", body).0
    }

    pub(crate) fn unseal(
        &self,
        sealed: &[u8],
        root: PublicKey,
        now: u64,
    ) -> Result<Unsealed, PeerError> {
        let body = json!({
            "body": Blob::from(sealed),
            "root": Blob::from(&root.serialize()[..]),
            "now": now,
            "e164": null,
        });
        self.try_ask("unseal", body)
    }

    pub(crate) fn group_join(&self, sender: &ProtocolAddress, body: &Blob) {
        let body = json!({ "sender": plain(sender), "key": body });
        self.ask::<()>("group_join", body);
    }

    pub(crate) fn group_message(&self, text: &[u8]) -> Vec<u8> {
        let body = json!({ "group": super::GROUP, "plaintext": Blob::from(text) });
        self.ask::<Blob>("group_encrypt", body).0
    }

    pub(crate) fn group_decrypt(&self, sender: &ProtocolAddress, body: &Blob) -> Vec<u8> {
        let body = json!({ "sender": plain(sender), "body": body });
        self.ask::<Blob>("group_decrypt", body).0
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContentOpened {
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) contents: Blob,
    pub(crate) hint: u32,
    pub(crate) group_id: Option<Blob>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Unsealed {
    pub(crate) plaintext: Blob,
    pub(crate) sender: Address,
    pub(crate) e164: Option<String>,
}

/// What the client cuts.
#[derive(Deserialize)]
pub(crate) struct Cut {
    pub(crate) recipients: Vec<CutRecipient>,
    pub(crate) excluded: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CutRecipient {
    pub(crate) service_id: String,
    pub(crate) devices: Vec<u32>,
    pub(crate) registration_ids: Vec<u32>,
    pub(crate) body: Blob,
}

impl Cut {
    pub(crate) fn for_name(&self, name: &str) -> Vec<u8> {
        let of_name = |recipient: &&CutRecipient| recipient.service_id == name;
        self.recipients.iter().find(of_name).unwrap().body.to_vec()
    }
}
