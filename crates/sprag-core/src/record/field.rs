//! A bytes field of a stored record that has one right length. What was stored damaged stays as it
//! was until it is used. Source: sheet 02, introduction.

use std::ops::Deref;

use bytes::Bytes;
use prost::{
    DecodeError,
    bytes::Buf,
    encoding::{self, DecodeContext, WireType},
};
use zeroize::Zeroize;

/// The bytes of a field that should be `N` long: in place if they are, since a record is copied for
/// every message. Erased on drop, secret or not; `Clone` for the copies of a record.
#[derive(Clone, Default)]
pub(crate) enum Field<const N: usize> {
    #[default]
    Absent,
    Whole([u8; N]),
    Odd(Vec<u8>),
}

impl<const N: usize> Field<N> {
    /// Reads the field, in place of what was there.
    pub(crate) fn merge(
        &mut self,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut stored = Bytes::new();
        encoding::bytes::merge(wire_type, &mut stored, buf, ctx)?;
        *self = Self::from(&stored[..]);
        Ok(())
    }
}

impl<const N: usize> From<&[u8]> for Field<N> {
    fn from(bytes: &[u8]) -> Self {
        match <[u8; N]>::try_from(bytes) {
            Ok(bytes) => Self::Whole(bytes),
            Err(_) => Self::Odd(bytes.to_vec()),
        }
    }
}

impl<const N: usize> From<[u8; N]> for Field<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self::Whole(bytes)
    }
}

impl<const N: usize> Deref for Field<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Absent => &[],
            Self::Whole(bytes) => bytes,
            Self::Odd(bytes) => bytes,
        }
    }
}

impl<const N: usize> Drop for Field<N> {
    fn drop(&mut self) {
        match self {
            Self::Absent => {}
            // As a slice, in one go: an array would be erased byte by byte.
            Self::Whole(bytes) => bytes.as_mut_slice().zeroize(),
            Self::Odd(bytes) => erase(bytes),
        }
    }
}

/// Apart, so that erasing what is in place stays the two instructions that it is.
#[cold]
fn erase(bytes: &mut Vec<u8>) {
    bytes.zeroize();
}
