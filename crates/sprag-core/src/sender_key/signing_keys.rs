//! The keys under which a chain's messages are signed. Source: sheet 06 section 5, sheet 01 section 4.

use std::sync::OnceLock;

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, skip_field},
};
use rand_core::CryptoRng;

use crate::{
    curve::{KeyPair, PrivateKey, PublicKey, SIGNATURE_LENGTH, SigningPoint, Verifier},
    message::SenderKeyMessage,
    record::{Field, put_bytes, put_bytes_len},
};

/// Both keys, or only the public one. Keys stay as they were stored until they are used: damage shows
/// then.
#[derive(Clone, Default)]
pub(super) struct SigningKeys {
    public: Field<{ PublicKey::LENGTH }>,
    /// Empty on the receiving side.
    private: Field<{ PrivateKey::LENGTH }>,
    /// Found by the first signature, for those that follow.
    point: OnceLock<SigningPoint>,
    /// The same for verifying: `None` if the key is no point of the curve.
    verifier: OnceLock<Option<Verifier>>,
}

impl SigningKeys {
    /// Our own.
    pub(super) fn sending(pair: &KeyPair) -> Self {
        Self {
            private: (*pair.private_key.serialize()).into(),
            ..Self::receiving(&pair.public_key)
        }
    }

    /// Those of somebody else.
    pub(super) fn receiving(public: &PublicKey) -> Self {
        Self {
            public: public.serialize().into(),
            ..Self::default()
        }
    }

    /// `None` if it is damaged.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        PublicKey::deserialize(&self.public).ok()
    }

    /// `None` if it is damaged, or not ours.
    pub(super) fn private_key(&self) -> Option<PrivateKey> {
        PrivateKey::deserialize(&self.private).ok()
    }

    /// Signs with `private`, which is ours. Draws 64 bytes.
    pub(super) fn sign<R: CryptoRng + ?Sized>(
        &self,
        private: &PrivateKey,
        content: &[u8],
        rng: &mut R,
    ) -> [u8; SIGNATURE_LENGTH] {
        let point = self.point.get_or_init(|| private.signing_point());
        private.sign_at(point, &[content], rng)
    }

    /// Whether `message` is signed by `public`, which is ours.
    pub(super) fn verify(&self, public: &PublicKey, message: &SenderKeyMessage) -> bool {
        let verifier = self.verifier.get_or_init(|| public.verifier());
        verifier
            .as_ref()
            .is_some_and(|verifier| message.verify_signature_with(verifier))
    }
}

impl Message for SigningKeys {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_bytes(1, &self.public, buf);
        put_bytes(2, &self.private, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => self.public.merge(wire_type, buf, ctx),
            2 => self.private.merge(wire_type, buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        put_bytes_len(1, &self.public) + put_bytes_len(2, &self.private)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
