//! Key derivation (sheet 05, section 3): HKDF-SHA-256 under the labels of the deployed protocol.
//!
//! The labels are part of the protocol, byte for byte; note the two blanks in [`CHAIN_START`].

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac, digest::FixedOutput};
use sha2::Sha256;

use super::secret::Secret;

pub(super) type HmacSha256 = Hmac<Sha256>;

const CHAIN_START: &[u8] = b"Signal PQ Ratchet V1 Chain  Start";
const CHAIN_ADD_EPOCH: &[u8] = b"Signal PQ Ratchet V1 Chain Add Epoch";
const CHAIN_NEXT: &[u8] = b"Signal PQ Ratchet V1 Chain Next";
const EPOCH_SECRET: &[u8] = b"Signal_PQCKA_V1_MLKEM768:SCKA Key";
const AUTHENTICATOR_UPDATE: &[u8] = b"Signal_PQCKA_V1_MLKEM768:Authenticator Update";

/// Next root, seed of Alice's sending direction, seed of Bob's: the start of chain epoch 0.
pub(super) fn chain_start(auth_key: &Secret<32>) -> [Secret<32>; 3] {
    derive(zero_salted(), &[auth_key], &[CHAIN_START])
}

/// The same three values for the next chain epoch, from the root and an epoch's secret.
pub(super) fn chain_add_epoch(root: &Secret<32>, epoch_secret: &Secret<32>) -> [Secret<32>; 3] {
    derive(keyed(root.as_bytes()), &[epoch_secret], &[CHAIN_ADD_EPOCH])
}

/// Next chain secret, and the message key at `counter`.
pub(super) fn chain_next(next: &Secret<32>, counter: u32) -> [Secret<32>; 2] {
    derive(
        zero_salted(),
        &[next],
        &[&counter.to_be_bytes(), CHAIN_NEXT],
    )
}

/// Only the next chain secret, at two thirds of the cost of [`chain_next`].
pub(super) fn chain_skip(next: &Secret<32>, counter: u32) -> Secret<32> {
    let [next] = derive(
        zero_salted(),
        &[next],
        &[&counter.to_be_bytes(), CHAIN_NEXT],
    );
    next
}

/// The secret that `epoch` contributes to the chain, from the KEM's shared secret.
pub(super) fn epoch_secret(shared_secret: &Secret<32>, epoch: u64) -> Secret<32> {
    let info = [EPOCH_SECRET, &epoch.to_be_bytes()];
    let [secret] = derive(zero_salted(), &[shared_secret], &info);
    secret
}

/// Next root key and MAC key of the authenticator.
pub(super) fn authenticator_update(
    root: &Secret<32>,
    material: &Secret<32>,
    epoch: u64,
) -> [Secret<32>; 2] {
    let info = [AUTHENTICATOR_UPDATE, &epoch.to_be_bytes()];
    derive(zero_salted(), &[root, material], &info)
}

/// HMAC-SHA-256 keyed with `key`.
pub(super) fn keyed(key: &[u8; 32]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// HMAC keyed with 32 zero bytes, the salt of nearly every derivation; made once.
fn zero_salted() -> HmacSha256 {
    static ZERO_SALTED: LazyLock<HmacSha256> = LazyLock::new(|| keyed(&[0; 32]));
    ZERO_SALTED.clone()
}

/// HKDF (RFC 5869) with `K` times 32 bytes of output: extracts from the parts of `material` under
/// the salt that `salted` is keyed with, expands with the parts of `info`. Written out here because
/// the salt's half of the work can then be kept, and because every block of the output is a secret
/// of its own.
fn derive<const K: usize>(
    mut salted: HmacSha256,
    material: &[&Secret<32>],
    info: &[&[u8]],
) -> [Secret<32>; K] {
    for part in material {
        salted.update(part.as_bytes());
    }
    let extracted = keyed(finish(salted).as_bytes());
    let mut output = [const { Secret::zero() }; K];
    let mut previous: &[u8] = &[];
    for (block, counter) in output.iter_mut().zip(1..) {
        let mut mac = extracted.clone();
        mac.update(previous);
        for part in info {
            mac.update(part);
        }
        mac.update(&[counter]);
        mac.finalize_into(block.as_mut_bytes().into());
        previous = block.as_bytes();
    }
    output
}

/// Like finalizing, but straight into memory that erases itself.
fn finish(mac: HmacSha256) -> Secret<32> {
    let mut tag = Secret::zero();
    mac.finalize_into(tag.as_mut_bytes().into());
    tag
}

#[cfg(test)]
mod tests {
    use hkdf::Hkdf;

    use super::*;

    #[test]
    fn derivation_is_hkdf() {
        let (root, secret) = (Secret::from([3; 32]), Secret::from([5; 32]));
        let mut expected = [[0; 32]; 3];
        Hkdf::<Sha256>::new(Some(root.as_bytes()), secret.as_bytes())
            .expand(CHAIN_ADD_EPOCH, expected.as_flattened_mut())
            .expect("96 bytes can be had");
        let derived = chain_add_epoch(&root, &secret);
        assert_eq!(derived.each_ref().map(|key| *key.as_bytes()), expected);

        Hkdf::<Sha256>::new(None, secret.as_bytes())
            .expand(CHAIN_START, expected.as_flattened_mut())
            .expect("96 bytes can be had");
        let derived = chain_start(&secret);
        assert_eq!(derived.each_ref().map(|key| *key.as_bytes()), expected);
    }

    #[test]
    fn skipping_gives_what_the_full_step_gives() {
        let secret = Secret::from([5; 32]);
        for counter in [1, 2, u32::MAX] {
            let [next, _] = chain_next(&secret, counter);
            assert_eq!(chain_skip(&secret, counter).as_bytes(), next.as_bytes());
        }
    }
}
