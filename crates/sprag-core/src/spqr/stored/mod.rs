//! The stored state (sheet 05, section 9): the protobuf blob in which libsignal keeps it.
//!
//! Written with ascending fields, without zeros, and with every submessage that is there even if
//! it is empty, so that the bytes are libsignal's own. Reading happens in two steps: first the
//! fields, borrowed and merged as protobuf demands, then the parts that the types require. What
//! cannot have been written by a conforming implementation is refused here, so that no later step
//! has to doubt its state.

mod braid;
mod coders;
mod reader;
mod writer;

use std::sync::Arc;

use super::{
    Active, ChainParams, Direction, Error, Negotiation, Version,
    chain::{Chain, Link, Ratchet},
    secret::Secret,
    skipped::{self, SkippedKeys},
};
pub(super) use braid::number as phase_number;

use braid::{BraidFields, StoredBraid};
use prost::bytes::BufMut;
use reader::{Fields, Value};
use writer::{Record, Sink, Writer};
#[cfg(feature = "hazmat")]
use {
    super::erasure::{Decoder, Encoder},
    coders::{StoredDecoder, StoredEncoder},
};

/// Reads a state; None if it says that the ratchet is off.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<Active>, Error> {
    let mut fields = StateFields::default();
    fields.merge(bytes)?;
    let Some(braid) = fields.braid else {
        return Ok(None);
    };
    Ok(Some(Active {
        negotiation: fields.negotiation.map(Negotiation::try_from).transpose()?,
        chain: fields.chain.map(Chain::try_from).transpose()?,
        braid: braid.try_into()?,
    }))
}

/// Appends a state to `out`.
pub(super) fn encode(state: &Active, out: &mut impl BufMut) {
    state.emit(&mut Writer(out));
}

/// Number of bytes that [`encode`] appends.
pub(super) fn encoded_len(state: &Active) -> usize {
    state.encoded_len()
}

/// A chain alone, as it is stored.
#[cfg(feature = "hazmat")]
pub(super) fn encode_chain(chain: &Chain) -> Vec<u8> {
    encode_alone(chain)
}

/// An encoder alone, as it is stored.
#[cfg(feature = "hazmat")]
pub(super) fn encode_encoder<const N: usize>(encoder: &Encoder<N>) -> Vec<u8> {
    encode_alone(&StoredEncoder::from(encoder))
}

/// A decoder alone, as it is stored.
#[cfg(feature = "hazmat")]
pub(super) fn encode_decoder<const N: usize>(decoder: &Decoder<N>) -> Vec<u8> {
    encode_alone(&StoredDecoder::from(decoder))
}

#[cfg(feature = "hazmat")]
fn encode_alone(record: &impl Record) -> Vec<u8> {
    let mut stored = Vec::with_capacity(record.encoded_len());
    record.emit(&mut Writer(&mut stored));
    stored
}

#[derive(Default)]
struct StateFields<'a> {
    negotiation: Option<NegotiationFields<'a>>,
    chain: Option<ChainFields<'a>>,
    braid: Option<BraidFields<'a>>,
}

impl<'a> Fields<'a> for StateFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => Fields::merge_into(&mut self.negotiation, value),
            2 => Fields::merge_into(&mut self.chain, value),
            3 => Fields::merge_into(&mut self.braid, value),
            _ => Ok(()),
        }
    }
}

impl Record for Active {
    fn emit<S: Sink>(&self, sink: &mut S) {
        if let Some(negotiation) = &self.negotiation {
            sink.message(1, negotiation);
        }
        if let Some(chain) = &self.chain {
            sink.message(2, chain);
        }
        sink.message(3, &StoredBraid::new(&self.braid));
    }
}

#[derive(Default)]
struct NegotiationFields<'a> {
    auth_key: &'a [u8],
    direction: u32,
    min_version: u32,
    params: Option<ChainParamsFields>,
}

impl<'a> Fields<'a> for NegotiationFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.auth_key = value.bytes()?,
            2 => self.direction = value.uint32()?,
            3 => self.min_version = value.uint32()?,
            4 => Fields::merge_into(&mut self.params, value)?,
            _ => {}
        }
        Ok(())
    }
}

impl TryFrom<NegotiationFields<'_>> for Negotiation {
    type Error = Error;

    fn try_from(fields: NegotiationFields<'_>) -> Result<Self, Error> {
        Ok(Self {
            auth_key: secret(fields.auth_key)?,
            direction: direction(fields.direction)?,
            min_version: match fields.min_version {
                0 => Version::V0,
                1 => Version::V1,
                _ => return Err(Error::StateDecode("unknown version")),
            },
            params: params(fields.params)?,
        })
    }
}

impl Record for Negotiation {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.bytes(1, self.auth_key.as_bytes());
        sink.uint(2, direction_number(self.direction));
        sink.uint(3, self.min_version as u64);
        sink.message(4, &self.params);
    }
}

#[derive(Default)]
struct ChainParamsFields {
    max_jump: u32,
    max_out_of_order_keys: u32,
}

impl<'a> Fields<'a> for ChainParamsFields {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.max_jump = value.uint32()?,
            2 => self.max_out_of_order_keys = value.uint32()?,
            _ => {}
        }
        Ok(())
    }
}

impl Record for ChainParams {
    fn emit<S: Sink>(&self, sink: &mut S) {
        let unless_default = |value: u32, default: u32| match value == default {
            true => 0,
            false => value.into(),
        };
        sink.uint(1, unless_default(self.max_jump(), Self::DEFAULT.max_jump()));
        sink.uint(
            2,
            unless_default(
                self.max_out_of_order_keys(),
                Self::DEFAULT.max_out_of_order_keys(),
            ),
        );
    }
}

#[derive(Default)]
struct ChainFields<'a> {
    direction: u32,
    current_epoch: u64,
    links: Vec<LinkFields<'a>>,
    next_root: &'a [u8],
    send_epoch: u64,
    params: Option<ChainParamsFields>,
}

impl<'a> Fields<'a> for ChainFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.direction = value.uint32()?,
            2 => self.current_epoch = value.uint64()?,
            3 => {
                let mut link = LinkFields::default();
                link.merge(value.bytes()?)?;
                self.links.push(link);
            }
            4 => self.next_root = value.bytes()?,
            5 => self.send_epoch = value.uint64()?,
            6 => Fields::merge_into(&mut self.params, value)?,
            _ => {}
        }
        Ok(())
    }
}

impl TryFrom<ChainFields<'_>> for Chain {
    type Error = Error;

    fn try_from(fields: ChainFields<'_>) -> Result<Self, Error> {
        let links = fields.links.into_iter().map(Link::try_from);
        Ok(Self {
            direction: direction(fields.direction)?,
            params: params(fields.params)?,
            current_epoch: fields.current_epoch,
            send_epoch: fields.send_epoch,
            next_root: Arc::new(secret(fields.next_root)?),
            links: links.collect::<Result<_, _>>()?,
        })
    }
}

impl Record for Chain {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, direction_number(self.direction));
        sink.uint(2, self.current_epoch);
        for link in &self.links {
            sink.message(3, link);
        }
        sink.bytes(4, self.next_root.as_bytes());
        sink.uint(5, self.send_epoch);
        sink.message(6, &self.params);
    }
}

#[derive(Default)]
struct LinkFields<'a> {
    send: Option<RatchetFields<'a>>,
    recv: Option<RatchetFields<'a>>,
}

impl<'a> Fields<'a> for LinkFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => Fields::merge_into(&mut self.send, value),
            2 => Fields::merge_into(&mut self.recv, value),
            _ => Ok(()),
        }
    }
}

impl TryFrom<LinkFields<'_>> for Link {
    type Error = Error;

    fn try_from(fields: LinkFields<'_>) -> Result<Self, Error> {
        let missing = Error::StateDecode("a link lacks a direction");
        Ok(Self {
            send: fields.send.ok_or_else(|| missing.clone())?.try_into()?,
            recv: fields.recv.ok_or(missing)?.try_into()?,
        })
    }
}

impl Record for Link {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.message(1, &self.send);
        sink.message(2, &self.recv);
    }
}

#[derive(Default)]
struct RatchetFields<'a> {
    counter: u32,
    next: &'a [u8],
    skipped: &'a [u8],
}

impl<'a> Fields<'a> for RatchetFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.counter = value.uint32()?,
            2 => self.next = value.bytes()?,
            3 => self.skipped = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl TryFrom<RatchetFields<'_>> for Ratchet {
    type Error = Error;

    fn try_from(fields: RatchetFields<'_>) -> Result<Self, Error> {
        let next = match fields.next {
            [] => None,
            next => Some(secret(next)?),
        };
        Ok(Self {
            counter: fields.counter,
            next,
            skipped: SkippedKeys::restore(fields.skipped)
                .ok_or(Error::StateDecode("a skipped key is cut off"))?,
        })
    }
}

impl Record for Ratchet {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.counter.into());
        if let Some(next) = &self.next {
            sink.bytes(2, next.as_bytes());
        }
        let skipped = self.skipped.len();
        if skipped > 0 {
            sink.field(3, skipped * skipped::RECORD, |out| {
                self.skipped.for_each(|index, key| {
                    out.put(&index.to_be_bytes());
                    out.put(key);
                });
            });
        }
    }
}

fn secret(bytes: &[u8]) -> Result<Secret<32>, Error> {
    Secret::from_slice(bytes).ok_or(Error::StateDecode("a key is not 32 bytes long"))
}

fn params(fields: Option<ChainParamsFields>) -> Result<ChainParams, Error> {
    let fields = fields.ok_or(Error::StateDecode("the limits are missing"))?;
    Ok(ChainParams::new(
        fields.max_jump,
        fields.max_out_of_order_keys,
    ))
}

const fn direction(number: u32) -> Result<Direction, Error> {
    match number {
        0 => Ok(Direction::AliceToBob),
        1 => Ok(Direction::BobToAlice),
        _ => Err(Error::StateDecode("unknown direction")),
    }
}

const fn direction_number(direction: Direction) -> u64 {
    match direction {
        Direction::AliceToBob => 0,
        Direction::BobToAlice => 1,
    }
}

#[cfg(test)]
mod tests;
