//! Version 1: for one recipient. Source: sheet 07 section 5.
//!
//! An ephemeral key hides the sender's identity key; that key then hides the content. Each layer is AES-256-CTR under
//! a key of its own with a MAC of 10 bytes.

use aes::Aes256;
use bytes::Bytes;
use ctr::{
    Ctr32BE,
    cipher::{KeyIvInit, StreamCipher},
};
use prost::Message;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{UnidentifiedSenderMessageContent, VERSION_1, invalid};
use crate::{
    curve::{KeyPair, PublicKey},
    error::ProtocolError,
    identity::{IdentityKey, IdentityKeyPair},
    kdf, stack,
};

/// What goes before the two keys in the first salt.
const SALT_LABEL: &[u8] = b"UnidentifiedDelivery";

const MAC_LENGTH: usize = 10;

/// Seals `content` for `recipient`, in version 1. Draws 32 bytes.
///
/// That `sender` is whom the content's certificate names is not checked here; the recipient does it.
///
/// # Errors
/// [`ProtocolError::Key`] if an agreement gives zero: the recipient's key is unfit.
pub fn seal<R: CryptoRng + ?Sized>(
    content: &UnidentifiedSenderMessageContent,
    sender: &IdentityKeyPair,
    recipient: &IdentityKey,
    rng: &mut R,
) -> Result<Vec<u8>, ProtocolError> {
    stack::erasing(|| seal_both_layers(content, sender, recipient, rng))
}

fn seal_both_layers<R: CryptoRng + ?Sized>(
    content: &UnidentifiedSenderMessageContent,
    sender: &IdentityKeyPair,
    recipient: &IdentityKey,
    rng: &mut R,
) -> Result<Vec<u8>, ProtocolError> {
    let ephemeral = KeyPair::generate(rng);
    let agreement = ephemeral.private_key.agree(recipient.public_key())?;
    let outer = Keys::of_ephemeral(&agreement, recipient, &ephemeral.public_key);
    let encrypted_static = outer.seal(&sender.identity_key().serialize());
    let agreement = sender.private_key().agree(recipient.public_key())?;
    let inner = Keys::of_sender(&agreement, &outer.chain, &encrypted_static);
    let wire = Wire {
        ephemeral_public: Some(Bytes::copy_from_slice(&ephemeral.public_key.serialize())),
        encrypted_static: Some(encrypted_static.into()),
        encrypted_message: Some(inner.seal(content.serialized()).into()),
    };
    let mut sealed = Vec::with_capacity(1 + wire.encoded_len());
    sealed.push(VERSION_1);
    wire.encode_raw(&mut sealed);
    Ok(sealed)
}

/// Opens what follows the first byte.
pub(super) fn open(
    body: &[u8],
    recipient: &IdentityKeyPair,
) -> Result<UnidentifiedSenderMessageContent, ProtocolError> {
    let wire = Wire::decode(body)?;
    let (Some(ephemeral), Some(encrypted_static), Some(encrypted_message)) = (
        wire.ephemeral_public,
        wire.encrypted_static,
        wire.encrypted_message,
    ) else {
        return Err(ProtocolError::InvalidProtobufEncoding);
    };
    let ephemeral = PublicKey::deserialize(&ephemeral)?;

    let agreement = recipient.private_key().agree(&ephemeral)?;
    let outer = Keys::of_ephemeral(&agreement, recipient.identity_key(), &ephemeral);
    let sender = outer
        .open(&encrypted_static)
        .ok_or(invalid("the sender's key does not open"))?;
    let agreement = recipient
        .private_key()
        .agree(&PublicKey::deserialize(&sender)?)?;
    let content = Keys::of_sender(&agreement, &outer.chain, &encrypted_static)
        .open(&encrypted_message)
        .ok_or(invalid("the content does not open"))?;

    let content = UnidentifiedSenderMessageContent::from_bytes(content.into())?;
    let certified = content.sender_certificate().key().serialize();
    if sender.ct_eq(&certified).into() {
        Ok(content)
    } else {
        Err(invalid(
            "the certificate is not of the one who sealed the message",
        ))
    }
}

/// The keys of one layer.
struct Keys {
    chain: Zeroizing<[u8; 32]>,
    cipher_key: Zeroizing<[u8; 32]>,
    mac_key: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// Those that hide the sender's identity key.
    fn of_ephemeral(agreement: &[u8; 32], recipient: &IdentityKey, ephemeral: &PublicKey) -> Self {
        let salt = [SALT_LABEL, &recipient.serialize(), &ephemeral.serialize()].concat();
        Self::derive(&salt, agreement)
    }

    /// Those that hide the content.
    fn of_sender(agreement: &[u8; 32], chain: &[u8; 32], encrypted_static: &[u8]) -> Self {
        let salt = Zeroizing::new([chain, encrypted_static].concat());
        Self::derive(&salt, agreement)
    }

    fn derive(salt: &[u8], agreement: &[u8; 32]) -> Self {
        let derived = kdf::hkdf::<96>(Some(salt), agreement, &[]);
        Self {
            chain: kdf::part::<0, 96>(&derived),
            cipher_key: kdf::part::<32, 96>(&derived),
            mac_key: kdf::part::<64, 96>(&derived),
        }
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plaintext.len() + MAC_LENGTH);
        sealed.extend_from_slice(plaintext);
        self.apply_cipher(&mut sealed);
        let mac = kdf::hmac(&*self.mac_key, &[&sealed]);
        sealed.extend_from_slice(&mac[..MAC_LENGTH]);
        sealed
    }

    /// `None` unless the MAC is right.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, mac) = sealed.split_at(sealed.len().checked_sub(MAC_LENGTH)?);
        let expected = kdf::hmac(&*self.mac_key, &[ciphertext]);
        if !bool::from(expected[..MAC_LENGTH].ct_eq(mac)) {
            return None;
        }
        let mut plaintext = ciphertext.to_vec();
        self.apply_cipher(&mut plaintext);
        Some(plaintext)
    }

    /// AES-256-CTR from a counter of zero: each key is used once.
    fn apply_cipher(&self, bytes: &mut [u8]) {
        let key = (&*self.cipher_key).into();
        Ctr32BE::<Aes256>::new(key, &[0; 16].into()).apply_keystream(bytes);
    }
}

#[derive(Clone, Message)]
struct Wire {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ephemeral_public: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    encrypted_static: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    encrypted_message: Option<Bytes>,
}
