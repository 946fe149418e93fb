//! Key derivation (sheet 05, section 3): HKDF-SHA-256 under the labels of the deployed protocol.
//!
//! The labels are part of the protocol, byte for byte; note the two blanks in [`CHAIN_START`].

use std::sync::LazyLock;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Secret;

pub(super) type HmacSha256 = Hmac<Sha256>;

const CHAIN_START: &[u8] = b"Signal PQ Ratchet V1 Chain  Start";
const CHAIN_ADD_EPOCH: &[u8] = b"Signal PQ Ratchet V1 Chain Add Epoch";
const CHAIN_NEXT: &[u8] = b"Signal PQ Ratchet V1 Chain Next";
const EPOCH_SECRET: &[u8] = b"Signal_PQCKA_V1_MLKEM768:SCKA Key";
const AUTHENTICATOR_UPDATE: &[u8] = b"Signal_PQCKA_V1_MLKEM768:Authenticator Update";

/// Next root, seed of Alice's sending direction, seed of Bob's: the start of chain epoch 0.
pub(super) fn chain_start(auth_key: &Secret<32>) -> Secret<96> {
    derive(zero_salted(), &[auth_key.as_bytes()], &[CHAIN_START])
}

/// The same three values for the next chain epoch, from the root and an epoch's secret.
pub(super) fn chain_add_epoch(root: &Secret<32>, epoch_secret: &Secret<32>) -> Secret<96> {
    derive(
        keyed(root.as_bytes()),
        &[epoch_secret.as_bytes()],
        &[CHAIN_ADD_EPOCH],
    )
}

/// Next chain secret and message key at `counter`.
pub(super) fn chain_next(next: &Secret<32>, counter: u32) -> Secret<64> {
    derive(
        zero_salted(),
        &[next.as_bytes()],
        &[&counter.to_be_bytes(), CHAIN_NEXT],
    )
}

/// Only the next chain secret: the first half of [`chain_next`], at two thirds of its cost.
pub(super) fn chain_skip(next: &Secret<32>, counter: u32) -> Secret<32> {
    derive(
        zero_salted(),
        &[next.as_bytes()],
        &[&counter.to_be_bytes(), CHAIN_NEXT],
    )
}

/// The secret that `epoch` contributes to the chain, from the KEM's shared secret.
pub(super) fn epoch_secret(shared_secret: &Secret<32>, epoch: u64) -> Secret<32> {
    derive(
        zero_salted(),
        &[shared_secret.as_bytes()],
        &[EPOCH_SECRET, &epoch.to_be_bytes()],
    )
}

/// Next root key and MAC key of the authenticator.
pub(super) fn authenticator_update(
    root: &Secret<32>,
    material: &Secret<32>,
    epoch: u64,
) -> Secret<64> {
    derive(
        zero_salted(),
        &[root.as_bytes(), material.as_bytes()],
        &[AUTHENTICATOR_UPDATE, &epoch.to_be_bytes()],
    )
}

/// HMAC-SHA-256 keyed with `key`.
pub(super) fn keyed(key: &[u8; 32]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// HMAC keyed with 32 zero bytes, the salt of nearly every derivation, made once.
fn zero_salted() -> HmacSha256 {
    static ZERO_SALTED: LazyLock<HmacSha256> = LazyLock::new(|| keyed(&[0; 32]));
    ZERO_SALTED.clone()
}

/// HKDF: extracts from the parts of `material` under `salted`, expands with the parts of `info`.
fn derive<const N: usize>(mut salted: HmacSha256, material: &[&[u8]], info: &[&[u8]]) -> Secret<N> {
    for part in material {
        salted.update(part);
    }
    let extracted = Secret::<32>::from(<[u8; 32]>::from(salted.finalize().into_bytes()));
    let mut output = Secret::zero();
    Hkdf::<Sha256>::from_prk(extracted.as_bytes())
        .expect("an extracted key is as long as the hash")
        .expand_multi_info(info, output.as_mut_bytes())
        .expect("no output here is longer than 255 hashes");
    output
}
