//! The recorded unit vectors, for the tests beside the code.

#![allow(clippy::unwrap_used, clippy::panic)]

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The file of unit vectors.
pub(super) fn units() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/spqr.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The bytes that a hexadecimal string stands for.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Whether `value` stands for `bytes`, directly or by their hash.
pub(super) fn is(value: &Value, bytes: &[u8]) -> bool {
    match value.as_str().unwrap().strip_prefix("sha256:") {
        Some(hash) => hex::encode(Sha256::digest(bytes)) == hash,
        None => self::bytes(value) == bytes,
    }
}

/// The same as [`bytes`], as an array.
pub(super) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// A source of randomness that gives recorded bytes and panics when they are used up.
pub(super) struct Replay(Vec<u8>);

impl Replay {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl TryRng for Replay {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("whole byte strings are drawn only")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("whole byte strings are drawn only")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Replay {}
