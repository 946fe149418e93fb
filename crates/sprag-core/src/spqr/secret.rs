//! Byte strings that must not outlive their use.

use core::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes: erased when dropped, silent in `Debug`, not comparable.
///
/// It is `Clone` because a step of the ratchet works on a copy of the state and replaces the
/// state by the copy only if it succeeds; each copy erases itself.
#[derive(Clone)]
pub(super) struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// All zero, to be filled in place.
    pub(super) const fn zero() -> Self {
        Self([0; N])
    }

    /// A copy of `bytes` if these are exactly `N`.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zero();
        if bytes.len() != N {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// Like [`Self::from_slice`], but written straight into shared memory: a large secret leaves
    /// no trace on the stack.
    pub(super) fn shared(bytes: &[u8]) -> Option<Arc<Self>> {
        if bytes.len() != N {
            return None;
        }
        let mut secret = Arc::new(Self::zero());
        Arc::make_mut(&mut secret).0.copy_from_slice(bytes);
        Some(secret)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(super) const fn as_mut_bytes(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> From<[u8; N]> for Secret<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        // As a slice: an array would be erased byte by byte, each behind a barrier of its own.
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The 32-byte key that the post-quantum ratchet contributes to one message.
///
/// It is mixed into the keys of that message (sheet 05, section 10) and used for nothing else.
/// Erased when dropped; not `Clone`, because a message key is used once.
pub struct MessageKey(Secret<32>);

impl MessageKey {
    pub(super) const fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey(..)")
    }
}
