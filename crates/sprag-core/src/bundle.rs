//! Pre-key bundles: what a server hands out so that a session can start. Source: sheet 02 section
//! 6, sheet 03 section 4.

use crate::{
    address::DeviceId,
    curve,
    error::ProtocolError,
    identity::IdentityKey,
    kem,
    pre_key::{KyberPreKeyId, PreKeyId, SignedPreKeyId},
};

/// The public half of a one-time EC pre-key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreKey {
    /// Its id.
    pub id: PreKeyId,
    /// The key.
    pub public_key: curve::PublicKey,
}

/// The public half of a signed EC pre-key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPreKey {
    /// Its id.
    pub id: SignedPreKeyId,
    /// The key.
    pub public_key: curve::PublicKey,
    /// The identity's signature of the 33 serialised bytes.
    pub signature: Vec<u8>,
}

/// The public half of a Kyber pre-key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KyberPreKey {
    /// Its id.
    pub id: KyberPreKeyId,
    /// The key.
    pub public_key: kem::PublicKey,
    /// The identity's signature of the 1569 serialised bytes.
    pub signature: Vec<u8>,
}

/// Everything needed to start a session with a device that is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreKeyBundle {
    /// The device's registration id.
    pub registration_id: u32,
    /// The device's number. The protocol does not compare it with the address used.
    pub device_id: DeviceId,
    /// A one-time EC pre-key, if the server had one left.
    pub pre_key: Option<PreKey>,
    /// The current signed EC pre-key.
    pub signed_pre_key: SignedPreKey,
    /// A Kyber pre-key, one-time or last-resort.
    pub kyber_pre_key: KyberPreKey,
    /// The account's identity.
    pub identity_key: IdentityKey,
}

impl PreKeyBundle {
    /// Checks both signatures. Only a bundle that was verified can start a session.
    ///
    /// # Errors
    /// [`ProtocolError::SignatureValidationFailed`]: the bundle is forged or damaged.
    pub fn verify(&self) -> Result<VerifiedBundle<'_>, ProtocolError> {
        let signed = &self.signed_pre_key;
        let kyber = &self.kyber_pre_key;
        let valid = self
            .identity_key
            .public_key()
            .verifier()
            .is_some_and(|key| {
                key.verify(&[&signed.public_key.serialize()], &signed.signature)
                    && key.verify(&[&kyber.public_key.serialize()], &kyber.signature)
            });
        if valid {
            Ok(VerifiedBundle(self))
        } else {
            Err(ProtocolError::SignatureValidationFailed)
        }
    }
}

/// A bundle whose signatures are those of its identity. Whether that identity is the right one is
/// for the application to decide.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedBundle<'a>(&'a PreKeyBundle);

impl VerifiedBundle<'_> {
    /// The bundle.
    pub fn bundle(&self) -> &PreKeyBundle {
        self.0
    }
}
