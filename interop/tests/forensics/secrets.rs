//! Every secret of a conversation that somebody could look for.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::disk;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// Names of accounts and peers.
    Name,
    Plaintext,
    /// Our own.
    IdentityKey,
    /// Private halves of one-time and signed pre-keys, used up or not.
    PreKey,
    Root,
    ChainKey,
    /// Private ratchet keys.
    RatchetKey,
    /// What message keys are derived from: of every chain key, and of skipped messages.
    MessageKey,
    /// Whatever the post-quantum ratchet keeps.
    PostQuantum,
    /// The vault's roots and passphrase.
    Vault,
}

impl Sort {
    pub(crate) const ALL: [Self; 10] = [
        Self::Name,
        Self::Plaintext,
        Self::IdentityKey,
        Self::PreKey,
        Self::Root,
        Self::ChainKey,
        Self::RatchetKey,
        Self::MessageKey,
        Self::PostQuantum,
        Self::Vault,
    ];
}

#[derive(Clone, Default)]
pub(crate) struct Secrets(HashMap<Vec<u8>, Sort>);

impl Secrets {
    pub(crate) fn add(&mut self, sort: Sort, secret: &[u8]) {
        assert!(secret.len() >= 16, "{sort:?} is too short to be looked for");
        self.0.insert(secret.to_vec(), sort);
    }

    pub(crate) fn add_vault(&mut self, secrets: &[Vec<u8>]) {
        secrets
            .iter()
            .for_each(|secret| self.add(Sort::Vault, secret));
    }

    /// The private half in a record of an identity or a pre-key; `field` is where it stands.
    pub(crate) fn add_private_key(&mut self, sort: Sort, record: &[u8], field: u64) {
        let fields = fields(record).unwrap();
        let found = fields.into_iter().find(|(number, _)| *number == field);
        self.add(sort, found.unwrap().1);
    }

    /// Everything secret in a session record.
    pub(crate) fn add_session(&mut self, record: &[u8]) {
        for (_, session) in fields(record).unwrap() {
            for (number, value) in fields(session).unwrap() {
                match number {
                    4 => self.add(Sort::Root, value),
                    6 | 7 => self.add_chain(value),
                    15 => self.add_leaves(value),
                    _ => {}
                }
            }
        }
    }

    fn add_chain(&mut self, chain: &[u8]) {
        for (number, value) in fields(chain).unwrap() {
            match number {
                2 if !value.is_empty() => self.add(Sort::RatchetKey, value),
                3 => {
                    for (_, key) in of_number(value, 2) {
                        self.add(Sort::ChainKey, key);
                        self.add(Sort::MessageKey, &message_seed(key));
                    }
                }
                4 => {
                    for (_, seed) in of_number(value, 5) {
                        self.add(Sort::MessageKey, seed);
                    }
                }
                _ => {}
            }
        }
    }

    /// All byte strings of a message whose fields nobody need know.
    fn add_leaves(&mut self, bytes: &[u8]) {
        for (_, value) in fields(bytes).unwrap_or_default() {
            match fields(value) {
                Some(inner) if !inner.is_empty() => self.add_leaves(value),
                _ if value.len() >= 16 => self.add(Sort::PostQuantum, value),
                _ => {}
            }
        }
    }

    pub(crate) fn count(&self, sort: Sort) -> usize {
        self.0.values().filter(|found| **found == sort).count()
    }

    /// How many of one sort are among the others, too.
    pub(crate) fn shared_with(&self, others: &Self, sort: Sort) -> usize {
        let ours = self.0.iter().filter(|(_, found)| **found == sort);
        ours.filter(|(secret, _)| others.0.get(*secret) == Some(&sort))
            .count()
    }

    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend(
            others
                .0
                .iter()
                .map(|(secret, sort)| (secret.clone(), *sort)),
        );
    }

    pub(crate) fn one(&self, sort: Sort) -> &[u8] {
        let mut all = self.0.iter();
        all.find(|(_, found)| **found == sort).unwrap().0
    }

    pub(crate) fn forget_names(&mut self) {
        self.0.retain(|_, sort| *sort != Sort::Name);
    }

    /// Which are in a text: as they are, in hexadecimal, in base64, or as a list of numbers; the first 12 bytes will do.
    pub(crate) fn told(&self, text: &str) -> Vec<Sort> {
        let lower = text.to_lowercase();
        let is_told = |secret: &[u8]| {
            let start = &secret[..12];
            let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{start:?}");
            String::from_utf8(start.to_vec()).is_ok_and(|start| text.contains(&start))
                || lower.contains(&hex)
                || text.contains(&BASE64_STANDARD.encode(start))
                || text.contains(list.trim_end_matches(']'))
        };
        let told = self.0.iter().filter(|(secret, _)| is_told(secret));
        told.map(|(_, sort)| *sort).collect()
    }

    /// How many of each sort are in the files, wholly or in part.
    pub(crate) fn found_in(&self, files: &[Vec<u8>]) -> BTreeMap<Sort, usize> {
        let (secrets, sorts): (Vec<&Vec<u8>>, Vec<&Sort>) = self.0.iter().unzip();
        let found = disk::found(secrets.into_iter().map(Vec::as_slice), files);
        let mut counts = BTreeMap::new();
        for (sort, _) in sorts.into_iter().zip(found).filter(|(_, found)| *found) {
            *counts.entry(*sort).or_default() += 1;
        }
        counts
    }
}

/// Sheet 04 section 1.
fn message_seed(chain_key: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(chain_key).unwrap();
    mac.update(&[1]);
    mac.finalize().into_bytes().into()
}

fn of_number(message: &[u8], number: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let fields = fields(message).unwrap().into_iter();
    fields.filter(move |(found, value)| *found == number && !value.is_empty())
}

/// The byte strings among the fields of a protobuf message; `None` if it is none.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        match tag & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => bytes = bytes.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                found.push((tag >> 3, value));
                bytes = rest;
            }
            5 => bytes = bytes.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
