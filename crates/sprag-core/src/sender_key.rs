//! Sender-key records: what group messaging stores. Opaque here: stores keep them, groups will read
//! them.

use std::fmt;

use zeroize::Zeroizing;

/// The stored form of a sender key.
///
/// `Clone`, because stores hand out copies.
#[derive(Clone, PartialEq, Eq)]
pub struct SenderKeyRecord(Zeroizing<Vec<u8>>);

impl SenderKeyRecord {
    /// Takes the stored form as it is.
    pub fn deserialize(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The stored form.
    pub fn serialize(&self) -> Zeroizing<Vec<u8>> {
        self.0.clone()
    }
}

impl fmt::Debug for SenderKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SenderKeyRecord({} bytes)", self.0.len())
    }
}
