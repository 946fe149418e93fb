//! PQXDH: the key agreement that starts a session. Source: sheet 03 section 2.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    bundle::VerifiedBundle,
    curve::{KeyPair, PublicKey, SharedSecret},
    error::KeyError,
    identity::{IdentityKey, IdentityKeyPair},
    kdf::{hkdf, part},
    kem,
};

const LABEL: &[u8] = b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024";

/// What both sides derive.
pub(crate) struct SessionSecrets {
    /// RK0.
    pub(crate) root_key: Zeroizing<[u8; 32]>,
    /// CK0.
    pub(crate) chain_key: Zeroizing<[u8; 32]>,
    /// PQK, which the post-quantum ratchet starts from.
    pub(crate) pq_key: Zeroizing<[u8; 32]>,
}

/// The initiator's side: the secrets, and the ciphertext for the recipient. Draws 32 bytes.
pub(crate) fn initiate<R: CryptoRng + ?Sized>(
    bundle: &VerifiedBundle<'_>,
    identity: &IdentityKeyPair,
    base_key: &KeyPair,
    rng: &mut R,
) -> Result<(SessionSecrets, kem::Ciphertext), KeyError> {
    let bundle = bundle.bundle();
    let signed_pre_key = &bundle.signed_pre_key.public_key;
    let base_key = &base_key.private_key;
    let agreements = [
        identity.private_key().agree(signed_pre_key)?,
        base_key.agree(bundle.identity_key.public_key())?,
        base_key.agree(signed_pre_key)?,
    ];
    let one_time = match &bundle.pre_key {
        Some(pre_key) => Some(base_key.agree(&pre_key.public_key)?),
        None => None,
    };
    let (shared, ciphertext) = bundle.kyber_pre_key.public_key.encapsulate(rng);
    Ok((
        SessionSecrets::derive(&agreements, one_time.as_ref(), &shared),
        ciphertext,
    ))
}

/// The recipient's keys that a first message names.
pub(crate) struct Recipient<'a> {
    pub(crate) identity: &'a IdentityKeyPair,
    pub(crate) signed_pre_key: &'a KeyPair,
    pub(crate) pre_key: Option<&'a KeyPair>,
    pub(crate) kyber_pre_key: &'a kem::SecretKey,
}

/// The recipient's side.
pub(crate) fn accept(
    own: &Recipient<'_>,
    peer_identity: &IdentityKey,
    peer_base_key: &PublicKey,
    ciphertext: &kem::Ciphertext,
) -> Result<SessionSecrets, KeyError> {
    let signed_pre_key = &own.signed_pre_key.private_key;
    let agreements = [
        signed_pre_key.agree(peer_identity.public_key())?,
        own.identity.private_key().agree(peer_base_key)?,
        signed_pre_key.agree(peer_base_key)?,
    ];
    let one_time = match own.pre_key {
        Some(pre_key) => Some(pre_key.private_key.agree(peer_base_key)?),
        None => None,
    };
    let shared = own.kyber_pre_key.decapsulate(ciphertext)?;
    Ok(SessionSecrets::derive(
        &agreements,
        one_time.as_ref(),
        &shared,
    ))
}

impl SessionSecrets {
    fn derive(
        agreements: &[SharedSecret; 3],
        one_time: Option<&SharedSecret>,
        shared: &kem::SharedSecret,
    ) -> Self {
        let mut input = Zeroizing::new(Vec::with_capacity(6 * 32));
        input.extend_from_slice(&[0xff; 32]);
        for secret in agreements.iter().chain(one_time).chain([shared]) {
            input.extend_from_slice(&secret[..]);
        }
        Self::from_input(&input)
    }

    pub(crate) fn from_input(input: &[u8]) -> Self {
        let derived = hkdf::<96>(None, input, LABEL);
        Self {
            root_key: part::<0, 96>(&derived),
            chain_key: part::<32, 96>(&derived),
            pq_key: part::<64, 96>(&derived),
        }
    }
}
