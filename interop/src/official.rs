//! The official client as an [`Implementation`].

mod groups;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    Address, Blob, Bundle, BundleRequest, Envelope, Failure, FailureKind, Implementation,
    KyberKind, Party, PartyState, Peer, PeerError, Pooled,
};

/// The official client, in a process out of the pool. Its parties keep the process for as long as they live.
#[derive(Clone)]
pub struct Official {
    peer: Arc<Pooled>,
}

impl Official {
    /// The official client in a process of its own.
    pub fn start() -> Result<Self, PeerError> {
        let peer = Arc::new(Peer::lease()?);
        Ok(Self { peer })
    }

    /// The process.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    fn admit(
        &self,
        address: &Address,
        op: &str,
        mut body: Value,
    ) -> Result<OfficialParty, Failure> {
        let party = OfficialParty {
            peer: Arc::clone(&self.peer),
            name: self.peer.fresh_name(),
            address: address.clone(),
        };
        body["party"] = party.name.as_str().into();
        self.peer.request::<()>(op, body)?;
        Ok(party)
    }
}

impl Implementation for Official {
    fn name(&self) -> &str {
        "official"
    }

    fn create(
        &self,
        address: &Address,
        registration_id: u32,
        identity_key_pair: Option<&[u8]>,
    ) -> Result<Box<dyn Party>, Failure> {
        let body = json!({
            "address": address,
            "registrationId": registration_id,
            "identityKeyPair": identity_key_pair.map(Blob::from),
        });
        Ok(Box::new(self.admit(address, "create", body)?))
    }

    fn restore(&self, state: &PartyState) -> Result<Box<dyn Party>, Failure> {
        let body = json!({ "state": state });
        Ok(Box::new(self.admit(&state.address, "restore", body)?))
    }
}

struct OfficialParty {
    peer: Arc<Pooled>,
    name: String,
    address: Address,
}

impl OfficialParty {
    fn ask<T: DeserializeOwned>(&self, op: &str, body: Value) -> Result<T, Failure> {
        Ok(self.peer.request_of(&self.name, op, body)?)
    }
}

impl Party for OfficialParty {
    fn address(&self) -> &Address {
        &self.address
    }

    fn bundle(&mut self, request: BundleRequest, now: u64) -> Result<Bundle, Failure> {
        let body = json!({
            "oneTimePreKey": request.one_time_pre_key,
            "lastResort": request.kyber == KyberKind::LastResort,
            "rotate": request.rotate,
            "now": now,
        });
        self.ask("make_bundle", body)
    }

    fn process_bundle(
        &mut self,
        remote: &Address,
        bundle: &Bundle,
        now: u64,
    ) -> Result<(), Failure> {
        let body = json!({ "remote": remote, "bundle": bundle, "now": now });
        self.ask("process_bundle", body)
    }

    fn encrypt(
        &mut self,
        remote: &Address,
        plaintext: &[u8],
        now: u64,
    ) -> Result<Envelope, Failure> {
        let body = json!({ "remote": remote, "plaintext": Blob::from(plaintext), "now": now });
        self.ask("encrypt", body)
    }

    fn decrypt(&mut self, remote: &Address, envelope: &Envelope) -> Result<Vec<u8>, Failure> {
        let body = json!({ "remote": remote, "type": envelope.kind, "body": envelope.body });
        Ok(self.ask::<Blob>("decrypt", body)?.0)
    }

    fn has_usable_sender_chain(&mut self, remote: &Address, now: u64) -> Result<bool, Failure> {
        self.ask(
            "has_usable_sender_chain",
            json!({ "remote": remote, "now": now }),
        )
    }

    fn session(&mut self, remote: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let record = self.ask::<Option<Blob>>("session", json!({ "remote": remote }))?;
        Ok(record.map(|record| record.0))
    }

    fn set_session(&mut self, remote: &Address, record: &[u8]) -> Result<(), Failure> {
        let body = json!({ "remote": remote, "record": Blob::from(record) });
        self.ask("set_session", body)
    }

    fn archive_session(&mut self, remote: &Address) -> Result<(), Failure> {
        self.ask("archive_session", json!({ "remote": remote }))
    }

    fn delete_session(&mut self, remote: &Address) -> Result<(), Failure> {
        self.ask::<bool>("delete_session", json!({ "remote": remote }))?;
        Ok(())
    }

    fn trust(&mut self, remote: &Address, identity_key: &[u8]) -> Result<(), Failure> {
        let body = json!({ "remote": remote, "key": Blob::from(identity_key) });
        self.ask("trust", body)
    }

    fn state(&mut self) -> Result<PartyState, Failure> {
        self.ask("state", json!({}))
    }
}

impl Drop for OfficialParty {
    fn drop(&mut self) {
        // If the process is gone, so is the party.
        let _ = self
            .peer
            .request_of::<bool>(&self.name, "dismiss", json!({}));
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        let kind = match &error {
            PeerError::Client { code, message } => kind_of(code, message),
            _ => FailureKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

/// The client gives most refusals one code, so that only their words tell them apart.
fn kind_of(code: &str, message: &str) -> FailureKind {
    const BY_WORDS: [(&str, FailureKind); 15] = [
        ("reused base key", FailureKind::ReusedBaseKey),
        ("method call 'load", FailureKind::MissingPreKey),
        ("not found:", FailureKind::SessionNotFound),
        ("invalid signature detected", FailureKind::InvalidSignature),
        ("missing sender key state", FailureKind::NoSenderKey),
        ("invalid SenderKey message", FailureKind::InvalidMessage),
        ("invalid Whisper message", FailureKind::InvalidMessage),
        ("invalid PreKey message", FailureKind::InvalidMessage),
        ("protobuf encoding was invalid", FailureKind::Malformed),
        ("ciphertext ", FailureKind::Malformed),
        ("no key type identifier", FailureKind::Malformed),
        ("bad key", FailureKind::Malformed),
        ("bad KEM", FailureKind::Malformed),
        ("wrong KEM", FailureKind::Malformed),
        ("invalid key agreement", FailureKind::Malformed),
    ];
    match code {
        "DuplicatedMessage" => FailureKind::DuplicatedMessage,
        "InvalidSenderKeySession" => FailureKind::InvalidSenderKey,
        "UntrustedIdentity" => FailureKind::UntrustedIdentity,
        _ => BY_WORDS
            .iter()
            .find(|(words, _)| message.contains(words))
            .map_or(FailureKind::Other, |(_, kind)| *kind),
    }
}
