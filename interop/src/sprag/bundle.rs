//! Bundles, from the form in which they travel into the core's and back.

use sprag_core::{
    address::DeviceId,
    bundle::{KyberPreKey, PreKey, PreKeyBundle, SignedPreKey},
    curve::PublicKey,
    error::{KeyError, ProtocolError},
    identity::IdentityKey,
    kem,
};

use crate::{Bundle, PublicPreKey, SignedPublicPreKey};

pub(crate) fn parse(bundle: &Bundle) -> Result<PreKeyBundle, ProtocolError> {
    let Bundle {
        signed_pre_key: signed,
        kyber_pre_key: kyber,
        ..
    } = bundle;
    let pre_key = bundle.pre_key.as_ref().map(parse_pre_key);
    Ok(PreKeyBundle {
        registration_id: bundle.registration_id,
        device_id: DeviceId::new(bundle.device)
            .ok_or(ProtocolError::InvalidArgument("the bundle's device id"))?,
        pre_key: pre_key.transpose()?,
        signed_pre_key: SignedPreKey {
            id: signed.id.into(),
            public_key: PublicKey::deserialize(&signed.public_key)?,
            signature: signed.signature.to_vec(),
        },
        kyber_pre_key: KyberPreKey {
            id: kyber.id.into(),
            public_key: kem::PublicKey::deserialize(&kyber.public_key)?,
            signature: kyber.signature.to_vec(),
        },
        identity_key: IdentityKey::deserialize(&bundle.identity_key)?,
    })
}

pub(crate) fn present(bundle: &PreKeyBundle) -> Bundle {
    let PreKeyBundle {
        signed_pre_key: signed,
        kyber_pre_key: kyber,
        ..
    } = bundle;
    Bundle {
        registration_id: bundle.registration_id,
        device: bundle.device_id.into(),
        identity_key: bundle.identity_key.serialize().as_slice().into(),
        pre_key: bundle.pre_key.as_ref().map(|key| PublicPreKey {
            id: key.id.into(),
            public_key: key.public_key.serialize().as_slice().into(),
        }),
        signed_pre_key: SignedPublicPreKey {
            id: signed.id.into(),
            public_key: signed.public_key.serialize().as_slice().into(),
            signature: signed.signature.as_slice().into(),
        },
        kyber_pre_key: SignedPublicPreKey {
            id: kyber.id.into(),
            public_key: kyber.public_key.serialize().into(),
            signature: kyber.signature.as_slice().into(),
        },
    }
}

/// For accounts and cores that a test holds itself.
impl TryFrom<&Bundle> for PreKeyBundle {
    type Error = ProtocolError;

    fn try_from(bundle: &Bundle) -> Result<Self, ProtocolError> {
        parse(bundle)
    }
}

/// For accounts and cores that a test holds itself.
impl From<&PreKeyBundle> for Bundle {
    fn from(bundle: &PreKeyBundle) -> Self {
        present(bundle)
    }
}

fn parse_pre_key(key: &PublicPreKey) -> Result<PreKey, KeyError> {
    Ok(PreKey {
        id: key.id.into(),
        public_key: PublicKey::deserialize(&key.public_key)?,
    })
}
