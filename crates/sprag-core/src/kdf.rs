//! HKDF and HMAC over SHA-256, as every key schedule of the 1:1 protocol uses them. Source: sheet
//! 01 section 8.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac, digest::FixedOutput};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HKDF-SHA-256; no salt means 32 zero bytes.
pub(crate) fn hkdf<const LENGTH: usize>(
    salt: Option<&[u8]>,
    input: &[u8],
    info: &[u8],
) -> Zeroizing<[u8; LENGTH]> {
    let mut output = Zeroizing::new([0; LENGTH]);
    Hkdf::<Sha256>::new(salt, input)
        .expand(info, &mut *output)
        .expect("every output of the protocol is far below HKDF's limit of 8160 bytes");
    output
}

/// HMAC-SHA-256 keyed with `key`, for one message or, cloned, for several.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The MAC of what `mac` was given and `rest`, straight into memory that erases itself.
pub(crate) fn finish(mut mac: Hmac<Sha256>, rest: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut output = Zeroizing::new([0; 32]);
    mac.update(rest);
    mac.finalize_into((&mut *output).into());
    output
}

/// HMAC-SHA-256 over the joined parts.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    finish(mac, &[])
}

/// The part of `bytes` from `START`, which must hold 32 bytes there.
pub(crate) fn part<const START: usize, const LENGTH: usize>(
    bytes: &[u8; LENGTH],
) -> Zeroizing<[u8; 32]> {
    const { assert!(START + 32 <= LENGTH) }
    let mut part = Zeroizing::new([0; 32]);
    part.copy_from_slice(&bytes[START..START + 32]);
    part
}
