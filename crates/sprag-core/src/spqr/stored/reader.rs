//! Reading protobuf out of a borrowed slice.
//!
//! The generated decoders copy every field into memory of its own. A stored state is up to 8 KB of
//! which most are secrets: they go straight from the caller's slice into memory that erases
//! itself. Tags, varints and the skipping of unknown fields are prost's.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::super::Error;

/// The value of one field.
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a wire type that no field of the state has.
    Other,
}

impl<'a> Value<'a> {
    pub(super) const fn uint64(self) -> Result<u64, Error> {
        match self {
            Self::Varint(number) => Ok(number),
            Self::Bytes(_) | Self::Other => Err(Error::StateDecode("a field has another type")),
        }
    }

    /// The low 32 bits, as protobuf has it.
    pub(super) fn uint32(self) -> Result<u32, Error> {
        Ok(self.uint64()? as u32)
    }

    pub(super) fn boolean(self) -> Result<bool, Error> {
        Ok(self.uint64()? != 0)
    }

    pub(super) const fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Other => Err(Error::StateDecode("a field has another type")),
        }
    }
}

/// A message whose fields are read one by one. What is given several times: of a field the last
/// one counts, of a submessage all are merged.
pub(super) trait Fields<'a>: Default {
    /// Takes in one field. Unknown ones are let pass.
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error>;

    /// Takes in all fields of `bytes`.
    fn merge(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, value) = next(&mut rest).ok_or(MALFORMED)?;
            self.field(number, value)?;
        }
        Ok(())
    }

    /// Merges a submessage that may not have been there yet.
    fn merge_into(this: &mut Option<Self>, value: Value<'a>) -> Result<(), Error> {
        this.get_or_insert_default().merge(value.bytes()?)
    }
}

const MALFORMED: Error = Error::StateDecode("malformed protobuf");

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (number, wire_type) = decode_key(rest).ok()?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(decode_varint(rest).ok()?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        _ => {
            skip_field(wire_type, number, rest, DecodeContext::default()).ok()?;
            Value::Other
        }
    };
    Some((number, value))
}
