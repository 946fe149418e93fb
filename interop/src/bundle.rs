//! Pre-key bundles as they pass between parties.

use serde::{Deserialize, Serialize};

use crate::Blob;

/// What a party hands out so that others can start a session with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// The owner's registration id.
    pub registration_id: u32,
    /// The owner's device id.
    pub device: u32,
    /// The owner's identity key, 33 bytes.
    pub identity_key: Blob,
    /// A one-time pre-key, if one is offered.
    pub pre_key: Option<PublicPreKey>,
    /// The signed pre-key.
    pub signed_pre_key: SignedPublicPreKey,
    /// The Kyber pre-key, one-time or last-resort.
    pub kyber_pre_key: SignedPublicPreKey,
}

/// The public half of a one-time pre-key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicPreKey {
    /// The pre-key id.
    pub id: u32,
    /// The public key with its type byte.
    pub public_key: Blob,
}

/// The public half of a signed pre-key or of a Kyber pre-key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedPublicPreKey {
    /// The pre-key id.
    pub id: u32,
    /// The public key with its type byte.
    pub public_key: Blob,
    /// The owner's signature over the public key, 64 bytes.
    pub signature: Blob,
}

/// What a bundle is to be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleRequest {
    /// Offer a fresh one-time pre-key.
    pub one_time_pre_key: bool,
    /// Which kind of Kyber pre-key to offer.
    pub kyber: KyberKind,
    /// Make a fresh signed pre-key even if there is one.
    pub rotate: bool,
}

/// The two kinds of Kyber pre-keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KyberKind {
    /// A fresh one, gone after one use.
    OneTime,
    /// The one that stays, made when there is none yet.
    LastResort,
}

impl BundleRequest {
    /// All one-time keys: what a well-stocked server hands out.
    pub const FULL: Self = Self {
        one_time_pre_key: true,
        kyber: KyberKind::OneTime,
        rotate: false,
    };

    /// No one-time key of either kind: what a server hands out when it has run dry.
    pub const BARE: Self = Self {
        one_time_pre_key: false,
        kyber: KyberKind::LastResort,
        rotate: false,
    };
}
