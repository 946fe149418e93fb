//! What stored records are made of. Source: sheet 02, introduction.
//!
//! Protobuf is read into and written from typed state directly. Whatever was stored stays as it was,
//! damaged or not, until a step changes it.

mod field;
mod numbered_key;
mod skipped;
mod wire;

use bytes::Bytes;
use zeroize::Zeroizing;

pub(crate) use field::Field;
pub(crate) use numbered_key::{ChainKey, NumberedKey};
pub(crate) use skipped::{Numbered, Place, SkippedKeys};
pub(crate) use wire::{
    bytes_len, message_len, put_bytes, put_bytes_len, put_header, put_u32, put_u32_len,
};

/// Shared bytes that are erased when the last of those who share them is dropped.
pub(crate) fn secret_bytes(bytes: Vec<u8>) -> Bytes {
    Bytes::from_owner(Zeroizing::new(bytes))
}
