//! What a vault keeps.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// A root secret: 32 random bytes, wiped on drop. `Debug` does not print them.
///
/// They lie in a place of their own, so that moving the secret leaves no copy of them behind.
#[derive(Clone)]
pub struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// A fresh secret.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        rng.fill_bytes(&mut **bytes);
        Self(bytes)
    }

    /// The secret with these bytes, as a vault kept them.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(Zeroizing::new(*bytes)))
    }

    /// The 32 bytes. Whoever has them reads everything that was sealed under them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
