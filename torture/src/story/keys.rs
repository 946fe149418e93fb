//! Sessions, keys, and what the user says about those of others.

use rand::RngExt;
use sprag::protocol::identity::IdentityKeyPair;
use sprag::protocol::message::{DecryptionErrorMessage, PlaintextContent};
use sprag::{
    Envelope, EnvelopeType, Error, IdentityPolicy, IdentityTrust, RetryAssessment, Sealing,
    Timestamp,
};

use super::{NAME, Teller};
use crate::ledger::{Mark, Vouched};
use crate::order::To;
use crate::peer::{MEMBER, address};
use crate::post::{Way, group};
use crate::service::{certify, trust};

/// One whom the user has met, and the account never wrote to.
pub const ACQUAINTANCE: &str = "dave";

impl Teller {
    /// A new session with a peer.
    pub(super) async fn restart(&mut self, peer: usize) {
        let bundle = self.peers[peer].account.bundle().await.unwrap();
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
        let to = self.peers[peer].account.address().clone();
        self.mark(Mark::Starting(peer));
        loop {
            let started = self.account().start_session(&to, &bundle).await;
            if self.tolerate(started).await.is_some() {
                return self.mark(Mark::Started(peer));
            }
        }
    }

    /// A peer starts a session with the account, so that its next message uses up one-time keys.
    pub(super) async fn restart_by(&mut self, peer: usize) {
        let bundle = loop {
            let bundle = self.account().bundle().await;
            if let Some(bundle) = self.tolerate(bundle).await {
                break bundle;
            }
        };
        let account = &self.peers[peer].account;
        account
            .start_session(&address(NAME), &bundle)
            .await
            .unwrap();
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
        let way = self.way_in_session();
        self.mark(Mark::Starting(peer));
        self.write_from(peer, way).await;
        self.mark(Mark::Started(peer));
    }

    /// All sessions with a peer are forgotten, and one of the two starts anew.
    pub(super) async fn forget(&mut self, peer: usize) {
        let whom = self.peers[peer].account.address().clone();
        self.mark(Mark::Deleting(peer));
        loop {
            let deleted = self.account().delete_session(&whom).await;
            if self.tolerate(deleted).await.is_some() {
                break self.mark(Mark::Deleted(peer));
            }
        }
        if self.rng.random() {
            return self.restart_by(peer).await;
        }
        self.restart(peer).await;
        // So that the peer knows.
        self.write_to(To::Peer(peer, Way::Session)).await;
    }

    /// A peer says that it could not read the last message to it, and the account does as it is told to.
    pub(super) async fn retry(&mut self, peer: usize) {
        let Some(request) = self.request(peer) else {
            return;
        };
        let certificate = certify(&self.peers[peer].account).await.unwrap();
        let (sealing, request) = (Sealing::new(&certificate), PlaintextContent::from(&request));
        let request = { &self.peers[peer].account }
            .send_retry_request_sealed(&address(NAME), sealing, &request)
            .await
            .unwrap();
        let from = self.peers[peer].account.address().clone();
        let found = self.assess(&request).await;
        let Some(found) = self.tolerate(found).await else {
            return;
        };
        if found == RetryAssessment::SessionBroken {
            self.mark(Mark::Archiving(peer));
            loop {
                let archived = self.account().archive_session(&from).await;
                if self.tolerate(archived).await.is_some() {
                    break self.mark(Mark::Archived(peer));
                }
            }
            self.restart(peer).await;
        }
    }

    async fn assess(&self, request: &Envelope) -> Result<RetryAssessment, Error> {
        let opened = self.account().open_sealed(&request.bytes, trust()).await?;
        let content = PlaintextContent::deserialize(opened.content.contents())?;
        let request = DecryptionErrorMessage::extract_from_body(content.body())?;
        self.account().assess_retry(&opened.sender, &request).await
    }

    /// About the last message that is not sealed.
    fn request(&self, peer: usize) -> Option<DecryptionErrorMessage> {
        let marks = self.diary.marks();
        let envelope = marks.iter().rev().find_map(|mark| match mark {
            Mark::Released(to, envelope) if *to == peer => match envelope.message_type {
                EnvelopeType::Whisper | EnvelopeType::PreKey => Some(envelope),
                _ => None,
            },
            _ => None,
        })?;
        let (kind, sent_at) = (envelope.message_type as u8, Timestamp::from_millis(0));
        let request = DecryptionErrorMessage::for_original(&envelope.bytes, kind, sent_at, 1);
        Some(request.unwrap())
    }

    /// The member of the group gets the account's sender key: the one that there is, or another one.
    pub(super) async fn distribute(&mut self, renew: bool) {
        if renew {
            self.mark(Mark::Renewing);
        }
        loop {
            let key = match renew {
                true => self.account().group_renew(group()).await,
                false => self.account().group_distribute(group()).await,
            };
            if let Some(key) = self.tolerate(key).await {
                let peer = &self.peers[MEMBER];
                peer.account.group_join(&address(NAME), &key).await.unwrap();
                self.mark(Mark::Peer(MEMBER, peer.moment()));
                return self.mark(Mark::Distributed(key.chain_id()));
            }
        }
    }

    /// The account gets the member's.
    pub(super) async fn join(&mut self) {
        let peer = &self.peers[MEMBER];
        let key = peer.account.group_distribute(group()).await.unwrap();
        self.mark(Mark::Peer(MEMBER, peer.moment()));
        let from = peer.account.address().clone();
        loop {
            let joined = self.account().group_join(&from, &key).await;
            if self.tolerate(joined).await.is_some() {
                return self.mark(Mark::Joined);
            }
        }
    }

    pub(super) async fn bundle(&mut self) {
        let bundle = self.account().bundle().await;
        if let Some(bundle) = self.tolerate(bundle).await {
            self.mark(Mark::Bundle(Box::new(bundle)));
        }
    }

    /// Keys are made and published as far as it is time to.
    pub(super) async fn upkeep(&mut self) {
        let done = self.account().upkeep(&self.server).await;
        self.tolerate(done).await;
    }

    /// Nothing is sent to anybody who is not verified, and so to nobody, until something else is decided.
    pub(super) async fn decide(&mut self) {
        let usual = match self.rng.random() {
            true => IdentityPolicy::AlwaysTrust,
            false => IdentityPolicy::TrustOnFirstUse,
        };
        for policy in [IdentityPolicy::VerifiedOnly, usual] {
            self.mark(Mark::Deciding(policy));
            loop {
                let decided = self.account().set_identity_policy(policy).await;
                if self.tolerate(decided).await.is_some() {
                    break self.mark(Mark::Decided);
                }
            }
        }
    }

    /// Somebody has a new identity, and the user says that it is true, and perhaps compares it.
    pub(super) async fn vouch(&mut self) {
        let key = *IdentityKeyPair::generate(&mut self.rng).identity_key();
        let whose = address(ACQUAINTANCE);
        let trust = IdentityTrust::Unverified;
        self.mark(Mark::Vouching(Vouched { key, trust }));
        loop {
            let approved = self.account().approve_identity(&whose, &key).await;
            if self.tolerate(approved).await.is_some() {
                break self.mark(Mark::Vouched);
            }
        }
        if self.rng.random() {
            let trust = IdentityTrust::Verified;
            self.mark(Mark::Vouching(Vouched { key, trust }));
            loop {
                let verified = self.account().verify(&whose, &key).await;
                if self.tolerate(verified).await.is_some() {
                    break self.mark(Mark::Vouched);
                }
            }
        }
    }
}
