//! Sealing: what encrypts records under the root of an epoch.
//!
//! | what | how |
//! |---|---|
//! | key of an epoch | HKDF-SHA-256 of its root, salt: the store's id, info: `Sprag sealed records 1` |
//! | cipher | AES-256-GCM-SIV |
//! | nonce, 12 bytes | the record's version (8, big-endian), then zeros |
//! | associated data | the frame's first five bytes, kind (1), account (16), version (8), key |
//!
//! A version never recurs for a key under one epoch, so a nonce is used twice only for two records whose
//! random versions are alike; the cipher forgives that, all the more as their associated data differ.

use std::sync::Arc;

use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce, Tag, aead::AeadInOut};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    backend::{RecordKey, Version},
    vault::Secret,
};

/// How many bytes a sealed text is longer than what is in it.
pub(super) const TAG: usize = 16;

/// How the records of a store are kept.
pub(crate) enum Seals {
    /// In clear text.
    Clear,
    /// Sealed, each under one of these epochs: ascending, one at least. The last one is written under.
    Sealed(Vec<Arc<Seal>>),
}

impl Seals {
    /// What new records are sealed with; `None` if they are not.
    pub(super) fn writing(&self) -> Option<&Arc<Seal>> {
        self.all().last()
    }

    /// What opens the records of an epoch.
    pub(super) fn of(&self, epoch: u32) -> Option<&Arc<Seal>> {
        self.all().iter().find(|seal| seal.epoch == epoch)
    }

    pub(super) fn all(&self) -> &[Arc<Seal>] {
        match self {
            Self::Clear => &[],
            Self::Sealed(seals) => seals,
        }
    }
}

/// The key of one epoch. Wiped on drop; no `Debug`.
pub(crate) struct Seal {
    pub(super) epoch: u32,
    cipher: Aes256GcmSiv,
}

impl Seal {
    pub(super) fn new(epoch: u32, root: &Secret, store_id: &[u8; 16]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(store_id), root.as_bytes())
            .expand(b"Sprag sealed records 1", &mut *key)
            .expect("32 bytes are not too long");
        let cipher = Aes256GcmSiv::new((&*key).into());
        Self { epoch, cipher }
    }

    /// Encrypts `text` where it lies. `about` is bound to it.
    pub(super) fn seal(&self, version: Version, about: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce(version), about, text.into())
            .expect("no record has 64 GiB");
        tag.into()
    }

    /// Decrypts `text` where it lies. `None` if it was altered, or is about something else.
    pub(super) fn open(
        &self,
        version: Version,
        about: &[u8],
        text: &mut [u8],
        tag: [u8; TAG],
    ) -> Option<()> {
        self.cipher
            .decrypt_inout_detached(&nonce(version), about, text.into(), &Tag::from(tag))
            .ok()
    }
}

/// What a record's text is bound to, after what is particular to its frame.
pub(super) fn about(frame: &[u8], key: &RecordKey, version: Version) -> Vec<u8> {
    [
        frame,
        &[key.kind().code()],
        key.account().as_bytes(),
        &version.number().to_be_bytes(),
        key.key(),
    ]
    .concat()
}

fn nonce(version: Version) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&version.number().to_be_bytes());
    nonce.into()
}
