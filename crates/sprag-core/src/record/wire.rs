//! Writing protobuf fields straight from typed state: scalars and bytes of default value are left
//! out. Source: sheet 02, introduction.

use prost::{
    Message,
    bytes::BufMut,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len, uint32},
};

pub(crate) fn put_bytes(tag: u32, value: &[u8], buf: &mut impl BufMut) {
    if !value.is_empty() {
        put_header(tag, value.len(), buf);
        buf.put_slice(value);
    }
}

/// Tag and length of a bytes field whose value of `length` bytes the caller puts.
pub(crate) fn put_header(tag: u32, length: usize, buf: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, buf);
    encode_varint(length as u64, buf);
}

/// Length of a bytes field with a value of `length` bytes, default value or not.
pub(crate) fn bytes_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

/// Length of what [`put_bytes`] writes.
pub(crate) fn put_bytes_len(tag: u32, value: &[u8]) -> usize {
    if value.is_empty() {
        0
    } else {
        bytes_len(tag, value.len())
    }
}

pub(crate) fn put_u32(tag: u32, value: u32, buf: &mut impl BufMut) {
    if value != 0 {
        uint32::encode(tag, &value, buf);
    }
}

pub(crate) fn put_u32_len(tag: u32, value: u32) -> usize {
    if value == 0 {
        0
    } else {
        uint32::encoded_len(tag, &value)
    }
}

pub(crate) fn message_len(tag: u32, value: &impl Message) -> usize {
    prost::encoding::message::encoded_len(tag, value)
}
