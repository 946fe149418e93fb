//! The server that hands out our keys, as the upkeep sees it.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;
use sprag_core::{
    address::DeviceId,
    bundle::{KyberPreKey, PreKey, SignedPreKey},
    identity::IdentityKey,
    pre_key::{KyberPreKeyId, SignedPreKeyId},
};

/// Where our public keys are published. The application implements it over its own protocol.
///
/// What a server must do beside, or first messages fail: it hands out each one-time key once, so it does not take one again
/// that it has handed out; and it forgets the one-time keys before when it gets new ones, because we keep their private halves for
/// a while only.
#[async_trait]
pub trait KeyServer: Send + Sync {
    /// What the server holds of this device.
    ///
    /// # Errors
    /// The server could not be asked. Nothing is done then.
    async fn counts(&self) -> Result<KeyCounts, KeyServerError>;

    /// Publishes keys: the signed pre-key and the last-resort Kyber pre-key take the place of those before, and so do the one-time keys
    /// of a sort if there are any.
    ///
    /// After an error, or if the process died meanwhile, the same keys may be published again; keys whose ids are there
    /// already are the same keys.
    ///
    /// # Errors
    /// They may be published or not.
    async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError>;
}

/// What the server holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// How many one-time EC pre-keys are left.
    pub pre_keys: usize,
    /// How many one-time Kyber pre-keys are left.
    pub kyber_pre_keys: usize,
    /// The signed pre-key.
    pub signed_pre_key: Held<SignedPreKeyId>,
    /// The last-resort Kyber pre-key.
    pub last_resort: Held<KyberPreKeyId>,
}

/// A key that the server hands out again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held<Id> {
    /// The server does not say; it is believed to have what it was given.
    #[default]
    Unknown,
    /// It has none. It gets the current one.
    Nothing,
    /// It has this one. If it is not the current one it gets that.
    Key(Id),
}

/// The public keys of a device, for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUpload {
    /// The device's registration id.
    pub registration_id: u32,
    /// The device's number.
    pub device_id: DeviceId,
    /// The account's identity, which has signed what is signed.
    pub identity_key: IdentityKey,
    /// The current signed pre-key.
    pub signed_pre_key: SignedPreKey,
    /// The current last-resort Kyber pre-key.
    pub last_resort: KyberPreKey,
    /// New one-time EC pre-keys, perhaps none.
    pub pre_keys: Vec<PreKey>,
    /// New one-time Kyber pre-keys, perhaps none.
    pub kyber_pre_keys: Vec<KyberPreKey>,
}

/// The server could not do what it was asked. It keeps the application's own error as its source.
#[derive(Debug)]
pub struct KeyServerError(Box<dyn StdError + Send + Sync>);

impl KeyServerError {
    /// The server failed because of `source`.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for KeyServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key server failed: {}", self.0)
    }
}

impl StdError for KeyServerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

#[async_trait]
impl<T: KeyServer + ?Sized> KeyServer for Arc<T> {
    async fn counts(&self) -> Result<KeyCounts, KeyServerError> {
        (**self).counts().await
    }

    async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError> {
        (**self).upload(upload).await
    }
}
