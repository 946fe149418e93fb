//! Version 2: content sealed once, whose secret each recipient gets sealed for itself. Source: sheet 07 section 6.
//!
//! Everything follows from one secret M: the ephemeral key pair and the content's key. So whoever recovers M can check
//! that the ephemeral key is the right one, and a changed message is noticed before anything of it is read.

use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce, aead::Aead};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{UnidentifiedSenderMessageContent, VERSION_2, invalid};
use crate::{
    curve::{KeyPair, PrivateKey, PublicKey},
    error::ProtocolError,
    identity::{IdentityKey, IdentityKeyPair},
    kdf, stack,
};

const LABEL_EPHEMERAL: &[u8] = b"Sealed Sender v2: r (2023-08)";
const LABEL_CONTENT: &[u8] = b"Sealed Sender v2: K";
const LABEL_RECIPIENT: &[u8] = b"Sealed Sender v2: DH";
const LABEL_SENDER: &[u8] = b"Sealed Sender v2: DH-sender";

const SECRET_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
/// Length of what a recipient gets for itself: the sealed secret, and the sender's authentication.
pub(super) const KEY_MATERIAL_LENGTH: usize = SECRET_LENGTH + TAG_LENGTH;
/// Length of the ephemeral key, which travels without its type byte.
pub(super) const EPHEMERAL_LENGTH: usize = 32;

/// A content sealed in version 2, ready to be addressed to one recipient or to many.
pub struct SealedContent {
    /// M: whoever has it can open the content.
    secret: Zeroizing<[u8; SECRET_LENGTH]>,
    ephemeral: KeyPair,
    ciphertext: Vec<u8>,
}

impl SealedContent {
    /// Seals `content`. Draws 32 bytes.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidArgument`] for a content of more than 64 GiB.
    pub fn new<R: CryptoRng + ?Sized>(
        content: &UnidentifiedSenderMessageContent,
        rng: &mut R,
    ) -> Result<Self, ProtocolError> {
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        rng.fill_bytes(&mut *secret);
        stack::erasing(|| {
            let ciphertext = content_cipher(&secret)
                .encrypt(&Nonce::default(), content.serialized())
                .map_err(|_| ProtocolError::InvalidArgument("the content is too long"))?;
            Ok(Self {
                ephemeral: ephemeral(&secret)?,
                secret,
                ciphertext,
            })
        })
    }

    /// The message for `recipient` alone, as [`open`](super::open) takes it.
    ///
    /// That `sender` is whom the content's certificate names is not checked here; the recipient does it.
    ///
    /// # Errors
    /// [`ProtocolError::Key`] if an agreement gives zero: the recipient's key is unfit.
    pub fn for_one(
        &self,
        sender: &IdentityKeyPair,
        recipient: &IdentityKey,
    ) -> Result<Vec<u8>, ProtocolError> {
        let key_material = self.key_material(sender, recipient)?;
        Ok([
            &[VERSION_2][..],
            &key_material,
            &self.shared_part().concat(),
        ]
        .concat())
    }

    /// What only `recipient` gets.
    pub(super) fn key_material(
        &self,
        sender: &IdentityKeyPair,
        recipient: &IdentityKey,
    ) -> Result<[u8; KEY_MATERIAL_LENGTH], ProtocolError> {
        stack::erasing(|| self.seal_secret(sender, recipient))
    }

    fn seal_secret(
        &self,
        sender: &IdentityKeyPair,
        recipient: &IdentityKey,
    ) -> Result<[u8; KEY_MATERIAL_LENGTH], ProtocolError> {
        let (ephemeral, to) = (&self.ephemeral, recipient.public_key());
        let agreement = ephemeral.private_key.agree(to)?;
        let mask = recipient_mask(&agreement, &ephemeral.public_key, recipient);
        let sealed_secret = xor(&self.secret, &mask);
        let agreement = sender.private_key().agree(to)?;
        let parties = [sender.identity_key(), recipient];
        let tag = sender_tag(&agreement, &ephemeral.public_key, &sealed_secret, parties);

        let mut material = [0; KEY_MATERIAL_LENGTH];
        material[..SECRET_LENGTH].copy_from_slice(&*sealed_secret);
        material[SECRET_LENGTH..].copy_from_slice(&*tag);
        Ok(material)
    }

    /// What all recipients get.
    pub(super) fn shared_part(&self) -> [&[u8]; 2] {
        [self.ephemeral.public_key.raw_bytes(), &self.ciphertext]
    }
}

/// Opens what follows the first byte.
pub(super) fn open(
    body: &[u8],
    recipient: &IdentityKeyPair,
) -> Result<UnidentifiedSenderMessageContent, ProtocolError> {
    let malformed = ProtocolError::InvalidProtobufEncoding;
    let (sealed_secret, rest) = body.split_first_chunk().ok_or(malformed.clone())?;
    let (tag, rest) = rest
        .split_first_chunk::<TAG_LENGTH>()
        .ok_or(malformed.clone())?;
    let (ephemeral_key, ciphertext) = rest
        .split_first_chunk::<EPHEMERAL_LENGTH>()
        .ok_or(malformed)?;
    let ephemeral_key = PublicKey::from_raw_bytes(ephemeral_key)?;

    let agreement = recipient.private_key().agree(&ephemeral_key)?;
    let mask = recipient_mask(&agreement, &ephemeral_key, recipient.identity_key());
    let secret = xor(sealed_secret, &mask);
    if ephemeral(&secret)?.public_key != ephemeral_key {
        return Err(invalid("the ephemeral key is not the right one"));
    }
    let content = content_cipher(&secret)
        .decrypt(&Nonce::default(), ciphertext)
        .map_err(|_| invalid("the content does not open"))?;
    let content = UnidentifiedSenderMessageContent::from_bytes(content.into())?;

    let sender = content.sender_certificate().key();
    let agreement = recipient.private_key().agree(sender.public_key())?;
    let parties = [sender, recipient.identity_key()];
    let expected = sender_tag(&agreement, &ephemeral_key, sealed_secret, parties);
    if expected.ct_eq(tag).into() {
        Ok(content)
    } else {
        Err(invalid(
            "the certificate is not of the one who sealed the message",
        ))
    }
}

/// e and E.
fn ephemeral(secret: &[u8; SECRET_LENGTH]) -> Result<KeyPair, ProtocolError> {
    let key = kdf::hkdf::<32>(None, secret, LABEL_EPHEMERAL);
    Ok(PrivateKey::deserialize(&*key)?.into())
}

/// The cipher under K. Its nonce is always zero: each key seals one content.
fn content_cipher(secret: &[u8; SECRET_LENGTH]) -> Aes256GcmSiv {
    let key = kdf::hkdf::<32>(None, secret, LABEL_CONTENT);
    Aes256GcmSiv::new((&*key).into())
}

/// What hides M from all but `recipient`.
fn recipient_mask(
    agreement: &[u8; 32],
    ephemeral: &PublicKey,
    recipient: &IdentityKey,
) -> Zeroizing<[u8; SECRET_LENGTH]> {
    let input = [
        agreement,
        &ephemeral.serialize()[..],
        &recipient.serialize(),
    ]
    .concat();
    kdf::hkdf(None, &Zeroizing::new(input), LABEL_RECIPIENT)
}

/// What only sender and recipient can compute.
fn sender_tag(
    agreement: &[u8; 32],
    ephemeral: &PublicKey,
    sealed_secret: &[u8; SECRET_LENGTH],
    [sender, recipient]: [&IdentityKey; 2],
) -> Zeroizing<[u8; TAG_LENGTH]> {
    let input = [
        agreement,
        &ephemeral.serialize()[..],
        sealed_secret,
        &sender.serialize(),
        &recipient.serialize(),
    ];
    kdf::hkdf(None, &Zeroizing::new(input.concat()), LABEL_SENDER)
}

fn xor(a: &[u8; SECRET_LENGTH], b: &[u8; SECRET_LENGTH]) -> Zeroizing<[u8; SECRET_LENGTH]> {
    let mut result = Zeroizing::new(*a);
    result.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    result
}
