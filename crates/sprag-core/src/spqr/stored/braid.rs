//! The stored form of the braid: one of eleven alternatives, told apart by their field numbers.
//!
//! They are all built alike: a core with epoch, authenticator and up to three byte strings, beside
//! it at most one encoder and one decoder. [`Layout`] says which of these an alternative has and in
//! which fields.

use std::sync::Arc;

use super::{
    super::{
        Error,
        authenticator::Authenticator,
        braid::{Braid, Pending, Phase},
        kem,
        secret::Secret,
    },
    coders::{DecoderFields, EncoderFields, StoredDecoder, StoredEncoder},
    reader::{Fields, Value},
    secret,
    writer::{Record, Sink},
};

/// What an alternative has beside epoch and authenticator.
#[derive(Clone, Copy, Default)]
struct Layout {
    /// Byte strings in the core, in the fields from 3 on.
    parts: usize,
    /// Field of the encoder.
    encoder: Option<u32>,
    /// Field of the decoder.
    decoder: Option<u32>,
}

impl Layout {
    /// Of the alternative with this field number.
    const fn of(number: u32) -> Option<Self> {
        let (parts, encoder, decoder) = match number {
            1 => (0, None, None),
            2 => (2, Some(2), None),
            3 => (1, Some(2), Some(3)),
            4 => (2, Some(2), None),
            // Field 2 is left out.
            5 => (2, None, Some(3)),
            6 => (0, None, Some(2)),
            7 => (1, None, Some(2)),
            8 => (3, Some(2), Some(3)),
            9 => (3, Some(2), None),
            10 => (3, None, Some(2)),
            11 => (0, Some(2), None),
            _ => return None,
        };
        Some(Self {
            parts,
            encoder,
            decoder,
        })
    }
}

/// The alternatives. If several are given the last one counts; the same one again is merged.
#[derive(Default)]
pub(super) struct BraidFields<'a> {
    number: u32,
    alternative: AlternativeFields<'a>,
}

impl<'a> Fields<'a> for BraidFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        let Some(layout) = Layout::of(number) else {
            return Ok(());
        };
        if self.number != number {
            let alternative = AlternativeFields {
                layout,
                ..AlternativeFields::default()
            };
            *self = Self {
                number,
                alternative,
            };
        }
        self.alternative.merge(value.bytes()?)
    }
}

#[derive(Default)]
struct AlternativeFields<'a> {
    layout: Layout,
    core: Option<CoreFields<'a>>,
    encoder: Option<EncoderFields<'a>>,
    decoder: Option<DecoderFields<'a>>,
}

impl<'a> Fields<'a> for AlternativeFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        if number == 1 {
            let core = self.core.get_or_insert_with(|| CoreFields {
                known: self.layout.parts,
                ..CoreFields::default()
            });
            return core.merge(value.bytes()?);
        }
        if Some(number) == self.layout.encoder {
            return Fields::merge_into(&mut self.encoder, value);
        }
        if Some(number) == self.layout.decoder {
            return Fields::merge_into(&mut self.decoder, value);
        }
        Ok(())
    }
}

#[derive(Default)]
struct CoreFields<'a> {
    /// How many byte strings this alternative has.
    known: usize,
    epoch: u64,
    authenticator: Option<AuthenticatorFields<'a>>,
    parts: [&'a [u8]; 3],
}

impl<'a> Fields<'a> for CoreFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.epoch = value.uint64()?,
            2 => Fields::merge_into(&mut self.authenticator, value)?,
            _ => {
                let known = &mut self.parts[..self.known];
                if let Some(part) = (number as usize)
                    .checked_sub(3)
                    .and_then(|i| known.get_mut(i))
                {
                    *part = value.bytes()?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct AuthenticatorFields<'a> {
    root_key: &'a [u8],
    mac_key: &'a [u8],
}

impl<'a> Fields<'a> for AuthenticatorFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.root_key = value.bytes()?,
            2 => self.mac_key = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl TryFrom<BraidFields<'_>> for Braid {
    type Error = Error;

    fn try_from(fields: BraidFields<'_>) -> Result<Self, Error> {
        let mut alternative = fields.alternative;
        let core = alternative.core.take();
        let core = core.ok_or(Error::StateDecode("the braid's core is missing"))?;
        let authenticator = core.authenticator.unwrap_or_default();
        Ok(Self {
            epoch: core.epoch,
            authenticator: Authenticator::restore(
                secret(authenticator.root_key)?,
                secret(authenticator.mac_key)?,
            ),
            phase: phase(fields.number, core.parts, alternative)?,
        })
    }
}

fn phase(number: u32, parts: [&[u8]; 3], fields: AlternativeFields<'_>) -> Result<Phase, Error> {
    let (encoder, decoder) = (fields.encoder, fields.decoder);
    let [first, second, third] = parts;
    Ok(match number {
        1 => Phase::NoKeyPair,
        2 => Phase::SendingHeader {
            key: key_with_vector(second, first)?,
            header: EncoderFields::restore(encoder)?,
        },
        3 => Phase::SendingVector {
            key: key(first)?,
            vector: EncoderFields::restore(encoder)?,
            ct1: DecoderFields::restore(decoder)?,
        },
        4 => Phase::SendingVectorWithAck {
            key: key(first)?,
            ct1: Arc::new(array(second)?),
            vector: EncoderFields::restore(encoder)?,
        },
        5 => Phase::CollectingCt2 {
            key: key(first)?,
            ct1: Arc::new(array(second)?),
            ct2: DecoderFields::restore(decoder)?,
        },
        6 => Phase::CollectingHeader {
            header: DecoderFields::restore(decoder)?,
        },
        7 => Phase::HasHeader {
            header: array(first)?,
            vector: DecoderFields::restore(decoder)?,
        },
        8 => Phase::SendingCt1 {
            header: array(first)?,
            pending: pending(second, third)?,
            chunks: EncoderFields::restore(encoder)?,
            vector: DecoderFields::restore(decoder)?,
        },
        9 => Phase::HasVector {
            pending: pending(first, third)?,
            vector: Arc::new(array(second)?),
            chunks: EncoderFields::restore(encoder)?,
        },
        10 => Phase::Ct1Acknowledged {
            header: array(first)?,
            pending: pending(second, third)?,
            vector: DecoderFields::restore(decoder)?,
        },
        11 => Phase::SendingCt2 {
            ct2: EncoderFields::restore(encoder)?,
        },
        _ => return Err(Error::StateDecode("unknown state of the braid")),
    })
}

fn key(bytes: &[u8]) -> Result<kem::DecapsulationKey, Error> {
    kem::DecapsulationKey::restore(bytes).ok_or(WRONG_LENGTH)
}

/// A key beside which the encapsulation vector is stored once more.
fn key_with_vector(bytes: &[u8], vector: &[u8]) -> Result<kem::DecapsulationKey, Error> {
    let key = key(bytes)?;
    if key.vector() != vector {
        return Err(Error::StateDecode("the two halves of a key pair differ"));
    }
    Ok(key)
}

fn pending(state: &[u8], ct1: &[u8]) -> Result<Pending, Error> {
    Ok(Pending {
        state: Secret::shared(state).ok_or(WRONG_LENGTH)?,
        ct1: Arc::new(array(ct1)?),
    })
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| WRONG_LENGTH)
}

const WRONG_LENGTH: Error = Error::StateDecode("KEM data of the wrong length");

/// A braid as it is stored.
pub(super) struct StoredBraid<'a> {
    number: u32,
    alternative: StoredAlternative<'a>,
}

struct StoredAlternative<'a> {
    layout: Layout,
    core: StoredCore<'a>,
    encoder: Option<StoredEncoder<'a>>,
    decoder: Option<StoredDecoder<'a>>,
}

struct StoredCore<'a> {
    braid: &'a Braid,
    parts: [&'a [u8]; 3],
}

impl<'a> StoredBraid<'a> {
    pub(super) fn new(braid: &'a Braid) -> Self {
        const NONE: &[u8] = &[];
        let number = number(&braid.phase);
        let (parts, encoder, decoder): ([&[u8]; 3], _, _) = match &braid.phase {
            Phase::NoKeyPair => ([NONE; 3], None, None),
            Phase::SendingHeader { key, header } => (
                [key.vector(), key.as_bytes(), NONE],
                Some(header.into()),
                None,
            ),
            Phase::SendingVector { key, vector, ct1 } => (
                [key.as_bytes(), NONE, NONE],
                Some(vector.into()),
                Some(ct1.into()),
            ),
            Phase::SendingVectorWithAck { key, ct1, vector } => (
                [key.as_bytes(), ct1.as_slice(), NONE],
                Some(vector.into()),
                None,
            ),
            Phase::CollectingCt2 { key, ct1, ct2 } => (
                [key.as_bytes(), ct1.as_slice(), NONE],
                None,
                Some(ct2.into()),
            ),
            Phase::CollectingHeader { header } => ([NONE; 3], None, Some(header.into())),
            Phase::HasHeader { header, vector } => {
                ([header, NONE, NONE], None, Some(vector.into()))
            }
            Phase::SendingCt1 {
                header,
                pending,
                chunks,
                vector,
            } => (
                [header, pending.state.as_bytes(), pending.ct1.as_slice()],
                Some(chunks.into()),
                Some(vector.into()),
            ),
            Phase::HasVector {
                pending,
                vector,
                chunks,
            } => (
                [
                    pending.state.as_bytes(),
                    vector.as_slice(),
                    pending.ct1.as_slice(),
                ],
                Some(chunks.into()),
                None,
            ),
            Phase::Ct1Acknowledged {
                header,
                pending,
                vector,
            } => (
                [header, pending.state.as_bytes(), pending.ct1.as_slice()],
                None,
                Some(vector.into()),
            ),
            Phase::SendingCt2 { ct2 } => ([NONE; 3], Some(ct2.into()), None),
        };
        Self {
            number,
            alternative: StoredAlternative {
                layout: Layout::of(number).unwrap_or_default(),
                core: StoredCore { braid, parts },
                encoder,
                decoder,
            },
        }
    }
}

/// The field number of a phase.
pub(in super::super) const fn number(phase: &Phase) -> u32 {
    match phase {
        Phase::NoKeyPair => 1,
        Phase::SendingHeader { .. } => 2,
        Phase::SendingVector { .. } => 3,
        Phase::SendingVectorWithAck { .. } => 4,
        Phase::CollectingCt2 { .. } => 5,
        Phase::CollectingHeader { .. } => 6,
        Phase::HasHeader { .. } => 7,
        Phase::SendingCt1 { .. } => 8,
        Phase::HasVector { .. } => 9,
        Phase::Ct1Acknowledged { .. } => 10,
        Phase::SendingCt2 { .. } => 11,
    }
}

impl Record for StoredBraid<'_> {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.message(self.number, &self.alternative);
    }
}

impl Record for StoredAlternative<'_> {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.message(1, &self.core);
        if let Some((number, encoder)) = self.layout.encoder.zip(self.encoder.as_ref()) {
            sink.message(number, encoder);
        }
        if let Some((number, decoder)) = self.layout.decoder.zip(self.decoder.as_ref()) {
            sink.message(number, decoder);
        }
    }
}

impl Record for StoredCore<'_> {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.braid.epoch);
        sink.message(2, &self.braid.authenticator);
        for (number, part) in (3..).zip(self.parts) {
            sink.bytes(number, part);
        }
    }
}

impl Record for Authenticator {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.bytes(1, self.root_key().as_bytes());
        sink.bytes(2, self.mac_key().as_bytes());
    }
}
