//! What is secret in stored records, and what follows from it for each message. Sources: sheets 02 to 07.
//!
//! Whatever is derived here is checked against something that the peer sees, or it would be looked for in vain.

use std::collections::{HashMap, HashSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sprag::protocol::{
    crypto::hkdf,
    curve::{PrivateKey, PublicKey},
};

use crate::protobuf::{self, bytes, number};

/// Secrets and what they are called.
#[derive(Default)]
pub(crate) struct Secrets {
    list: Vec<(&'static str, Vec<u8>)>,
    known: HashSet<Vec<u8>>,
    /// By the public ratchet key and the number of the message.
    pub(super) chain_keys: HashMap<(Vec<u8>, u64), Vec<u8>>,
    /// By the chain's id and the number of the message.
    pub(super) sender_chain_keys: HashMap<(u64, u64), Vec<u8>>,
    /// What a message's key is made of: by who sends (0 is who started the session), epoch and number.
    pub(super) quantum_chain_keys: HashMap<(u64, u64, u64), Vec<u8>>,
    /// Roots of the post-quantum chain by epoch.
    quantum_roots: HashMap<u64, Vec<u8>>,
}

impl Secrets {
    pub(crate) fn add(&mut self, sort: &'static str, secret: &[u8]) {
        if self.known.insert(secret.to_vec()) {
            self.list.push((sort, secret.to_vec()));
        }
    }

    pub(crate) fn knows(&self, secret: &[u8]) -> bool {
        self.known.contains(secret)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.list.iter().map(|(sort, secret)| (*sort, &**secret))
    }

    pub(crate) fn count(&self, sort: &str) -> usize {
        self.iter().filter(|(found, _)| *found == sort).count()
    }

    /// The secrets in a session record (sheet 02 section 2).
    pub(crate) fn add_session(&mut self, record: &[u8]) {
        for session in bytes(record, 1) {
            bytes(session, 4).for_each(|root| self.add("root key", root));
            for chain in bytes(session, 6).chain(bytes(session, 7)) {
                bytes(chain, 2).for_each(|key| self.add("private ratchet key", key));
                for chain_key in bytes(chain, 3) {
                    for key in bytes(chain_key, 2) {
                        self.add("chain key", key);
                        let of = bytes(chain, 1).next().unwrap().to_vec();
                        let counter = number(chain_key, 1);
                        self.chain_keys.insert((of, counter), key.to_vec());
                    }
                }
                for skipped in bytes(chain, 4) {
                    bytes(skipped, 5).for_each(|seed| self.add("seed of a message key", seed));
                }
            }
            self.add_agreement(session);
            bytes(session, 15).for_each(|state| self.add_quantum_ratchet(state));
        }
    }

    /// What the newest root key was made of: our ratchet key's agreement with the peer's newest (sheet 04 section 4).
    fn add_agreement(&mut self, session: &[u8]) {
        let own = bytes(session, 6).flat_map(|chain| bytes(chain, 2)).next();
        let theirs = bytes(session, 7).last();
        if let (Some(own), Some(theirs)) = (own, theirs) {
            let theirs = PublicKey::deserialize(bytes(theirs, 1).next().unwrap()).unwrap();
            let own = PrivateKey::deserialize(own).unwrap();
            self.add("agreement of ratchet keys", &*own.agree(&theirs).unwrap());
        }
    }

    /// Those in the state of the post-quantum ratchet (sheet 05 section 9).
    fn add_quantum_ratchet(&mut self, state: &[u8]) {
        for key in bytes(state, 1).flat_map(|negotiation| bytes(negotiation, 1)) {
            self.add("post-quantum handshake key", key);
            let start = hkdf(96, key, b"Signal PQ Ratchet V1 Chain  Start", None).unwrap();
            self.add_quantum_root(0, &start[..32]);
            for (sender, key) in [(0, &start[32..64]), (1, &start[64..])] {
                self.add_quantum_chain_key((sender, 0, 0), key);
            }
        }
        bytes(state, 2).for_each(|chain| self.add_quantum_chain(chain));
        for (phase, braid) in bytes(state, 3).filter_map(protobuf::alternative) {
            bytes(braid, 1).for_each(|core| self.add_braid(phase, core));
        }
    }

    fn add_quantum_chain(&mut self, chain: &[u8]) {
        let (own, current) = (number(chain, 1), number(chain, 2));
        bytes(chain, 4).for_each(|root| self.add_quantum_root(current, root));
        let links: Vec<_> = bytes(chain, 3).collect();
        for (age, link) in (0..).zip(links.iter().rev()) {
            for (field, sender) in [(1, own), (2, 1 - own)] {
                for ratchet in bytes(link, field) {
                    for key in bytes(ratchet, 2) {
                        let place = (sender, current - age, number(ratchet, 1));
                        self.add_quantum_chain_key(place, key);
                    }
                    for skipped in bytes(ratchet, 3).flat_map(|skipped| skipped.chunks_exact(36)) {
                        self.add("post-quantum message key", &skipped[4..]);
                    }
                }
            }
        }
    }

    fn add_quantum_root(&mut self, epoch: u64, root: &[u8]) {
        self.add("post-quantum root", root);
        self.quantum_roots.insert(epoch, root.to_vec());
    }

    fn add_quantum_chain_key(&mut self, place: (u64, u64, u64), key: &[u8]) {
        self.add("post-quantum chain key", key);
        self.quantum_chain_keys.insert(place, key.to_vec());
    }

    /// What the key agreement of an epoch needs, without its public parts (sheet 05 sections 6 and 7).
    fn add_braid(&mut self, phase: u64, core: &[u8]) {
        for authenticator in bytes(core, 2) {
            for key in bytes(authenticator, 1).chain(bytes(authenticator, 2)) {
                self.add("post-quantum authenticator", key);
            }
        }
        let decapsulation_key = match phase {
            2 => 4,
            3..=5 => 3,
            _ => 0,
        };
        for key in bytes(core, decapsulation_key) {
            self.add("decapsulation key", &key[..1152]);
            self.add("decapsulation key", &key[2368..]);
        }
        let (header, encapsulation) = match phase {
            8 | 10 => (3, 4),
            9 => (0, 3),
            _ => (0, 0),
        };
        for state in bytes(core, encapsulation) {
            // Between them is the error, whose numbers are so small that they occur elsewhere, too.
            self.add("encapsulation state", &state[..1536]);
            self.add("encapsulation state", &state[2048..]);
            for header in bytes(core, header) {
                self.add_epoch_secret(number(core, 1), header, &state[2048..]);
            }
        }
    }

    /// The secret of an encapsulation, and what an epoch has of it (sheet 05 sections 4 and 6).
    fn add_epoch_secret(&mut self, epoch: u64, header: &[u8], random: &[u8]) {
        let shared = libcrux_sha3::sha512(&[random, &header[32..]].concat());
        let label = [
            &b"Signal_PQCKA_V1_MLKEM768:SCKA Key"[..],
            &epoch.to_be_bytes(),
        ];
        let secret = hkdf(32, &shared[..32], &label.concat(), None).unwrap();
        let (before, after) = (
            &self.quantum_roots[&(epoch - 1)],
            &self.quantum_roots[&epoch],
        );
        let label = b"Signal PQ Ratchet V1 Chain Add Epoch";
        let next = hkdf(96, &secret, label, Some(before)).unwrap();
        assert!(next[..32] == **after, "the epoch's secret is another");
        self.add("secret of an encapsulation", &shared[..32]);
        self.add("secret of an epoch", &secret);
    }

    /// The secrets in a record of sender keys (sheet 06 section 5).
    pub(crate) fn add_sender_key(&mut self, record: &[u8]) {
        for state in bytes(record, 1) {
            for chain_key in bytes(state, 2) {
                for key in bytes(chain_key, 2) {
                    self.add("sender chain key", key);
                    let place = (number(state, 1), number(chain_key, 1));
                    self.sender_chain_keys.insert(place, key.to_vec());
                }
            }
            let signing = bytes(state, 3).flat_map(|keys| bytes(keys, 2));
            signing.for_each(|key| self.add("private signing key", key));
            let skipped = bytes(state, 4).flat_map(|seed| bytes(seed, 2));
            skipped.for_each(|seed| self.add("seed of a group message", seed));
        }
    }
}

pub(crate) fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
