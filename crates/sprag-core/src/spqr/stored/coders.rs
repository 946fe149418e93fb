//! The stored form of the erasure code's two halves.
//!
//! Both are stored by lane: sixteen byte strings of big-endian numbers.

use super::{
    super::{
        Error,
        erasure::{CHUNK, Chunk, Decoder, Encoder, Form},
        field::LANES,
    },
    reader::{Fields, Value},
    writer::{Record, Sink},
};

/// The most points that any decoder holds in a lane: those of the longest one, the vector's.
const MOST_POINTS: usize = Decoder::<36>::CAPACITY;

/// A repeated field that must be given once for every lane.
#[derive(Default)]
struct Lanes<'a> {
    lanes: [&'a [u8]; LANES],
    given: usize,
}

impl<'a> Lanes<'a> {
    fn push(&mut self, lane: &'a [u8]) {
        if let Some(place) = self.lanes.get_mut(self.given) {
            *place = lane;
        }
        self.given += 1;
    }

    fn all(&self) -> Result<&[&'a [u8]; LANES], Error> {
        match self.given {
            LANES => Ok(&self.lanes),
            _ => Err(Error::StateDecode("a coder without sixteen lanes")),
        }
    }
}

#[derive(Default)]
pub(super) struct EncoderFields<'a> {
    next: u32,
    points: Lanes<'a>,
    coefficients: Lanes<'a>,
}

impl<'a> Fields<'a> for EncoderFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.next = value.uint32()?,
            2 => self.points.push(value.bytes()?),
            3 => self.coefficients.push(value.bytes()?),
            _ => {}
        }
        Ok(())
    }
}

impl EncoderFields<'_> {
    pub(super) fn restore<const N: usize>(fields: Option<Self>) -> Result<Encoder<N>, Error> {
        let fields = fields.ok_or(Error::StateDecode("an encoder is missing"))?;
        let (form, lanes) = match (fields.points.given, fields.coefficients.given) {
            (_, 0) => (Form::Points, fields.points),
            (0, _) => (Form::Coefficients, fields.coefficients),
            _ => return Err(Error::StateDecode("an encoder of both forms")),
        };
        Encoder::restore(fields.next, form, lanes.all()?)
            .ok_or(Error::StateDecode("an encoder of another length"))
    }
}

/// An encoder as it is stored.
pub(super) struct StoredEncoder<'a> {
    next: u32,
    form: Form,
    lanes: &'a [u8],
}

impl<'a, const N: usize> From<&'a Encoder<N>> for StoredEncoder<'a> {
    fn from(encoder: &'a Encoder<N>) -> Self {
        Self {
            next: encoder.next_index(),
            form: encoder.form(),
            lanes: encoder.lanes(),
        }
    }
}

impl Record for StoredEncoder<'_> {
    fn emit<S: Sink>(&self, sink: &mut S) {
        let number = match self.form {
            Form::Points => 2,
            Form::Coefficients => 3,
        };
        let length = self.lanes.len() / LANES;
        sink.uint(1, self.next.into());
        sink.repeated(number, LANES, length, |lane, out| {
            out.put(&self.lanes[lane * length..][..length]);
        });
    }
}

#[derive(Default)]
pub(super) struct DecoderFields<'a> {
    elements: u32,
    lanes: Lanes<'a>,
    complete: bool,
}

impl<'a> Fields<'a> for DecoderFields<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Error> {
        match number {
            1 => self.elements = value.uint32()?,
            // The number of lanes, which is always the same.
            2 => {
                value.uint32()?;
            }
            3 => self.lanes.push(value.bytes()?),
            4 => self.complete = value.boolean()?,
            _ => {}
        }
        Ok(())
    }
}

impl DecoderFields<'_> {
    pub(super) fn restore<const N: usize>(fields: Option<Self>) -> Result<Decoder<N>, Error> {
        let fields = fields.ok_or(Error::StateDecode("a decoder is missing"))?;
        if fields.elements as usize != N * LANES {
            return Err(Error::StateDecode("a decoder of another length"));
        }
        if fields.complete {
            return Err(Error::StateDecode("a decoder that has been emptied"));
        }
        points(fields.lanes.all()?)
            .and_then(|chunks| Decoder::restore(chunks.into()))
            .ok_or(Error::StateDecode("a decoder with impossible points"))
    }
}

/// The points of all lanes put together to chunks; None if the lanes do not fit together.
fn points(lanes: &[&[u8]; LANES]) -> Option<Vec<Chunk>> {
    let empty = Chunk {
        index: 0,
        data: [0; CHUNK],
    };
    let mut chunks = vec![empty; lanes[0].len() / 4];
    for (lane, stored) in lanes.iter().enumerate() {
        let (points, rest) = stored.as_chunks::<4>();
        if points.len() != chunks.len() || !rest.is_empty() {
            return None;
        }
        for (chunk, [x_high, x_low, y @ ..]) in chunks.iter_mut().zip(points) {
            let index = u16::from_be_bytes([*x_high, *x_low]);
            if lane == 0 {
                chunk.index = index;
            } else if chunk.index != index {
                return None;
            }
            chunk.data[2 * lane..][..2].copy_from_slice(y);
        }
    }
    Some(chunks)
}

/// A decoder as it is stored.
pub(super) struct StoredDecoder<'a> {
    elements: usize,
    chunks: &'a [Chunk],
}

impl<'a, const N: usize> From<&'a Decoder<N>> for StoredDecoder<'a> {
    fn from(decoder: &'a Decoder<N>) -> Self {
        Self {
            elements: N * LANES,
            chunks: decoder.chunks(),
        }
    }
}

impl Record for StoredDecoder<'_> {
    fn emit<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.elements as u64);
        sink.uint(2, LANES as u64);
        sink.repeated(3, LANES, 4 * self.chunks.len(), |lane, out| {
            let mut points = [[0; 4]; MOST_POINTS];
            for (point, chunk) in points.iter_mut().zip(self.chunks) {
                let [x_high, x_low] = chunk.index.to_be_bytes();
                let (elements, _) = chunk.data.as_chunks::<2>();
                let [y_high, y_low] = elements[lane % LANES];
                *point = [x_high, x_low, y_high, y_low];
            }
            out.put(points[..self.chunks.len()].as_flattened());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixteen times the same lane.
    fn decoder_with(lane: &[u8], elements: u32) -> Result<Decoder<3>, Error> {
        let mut lanes = Lanes::default();
        (0..LANES).for_each(|_| lanes.push(lane));
        DecoderFields::restore(Some(DecoderFields {
            elements,
            lanes,
            complete: false,
        }))
    }

    #[test]
    fn an_encoder_that_does_not_fit_is_refused() {
        let lane = [0; 6];
        let fields = |points: usize, coefficients: usize| {
            let mut fields = EncoderFields::default();
            (0..points).for_each(|_| fields.points.push(&lane));
            (0..coefficients).for_each(|_| fields.coefficients.push(&lane));
            Some(fields)
        };
        assert!(EncoderFields::restore::<3>(fields(16, 0)).is_ok());
        assert!(EncoderFields::restore::<3>(fields(0, 16)).is_ok());
        for (points, coefficients) in [(0, 0), (15, 0), (17, 0), (16, 16), (1, 16)] {
            let restored = EncoderFields::restore::<3>(fields(points, coefficients));
            assert!(matches!(restored, Err(Error::StateDecode(_))));
        }
        assert!(EncoderFields::restore::<5>(fields(16, 0)).is_err());
        assert!(EncoderFields::restore::<3>(None).is_err());
    }

    #[test]
    fn a_decoder_that_does_not_fit_is_refused() {
        assert!(decoder_with(&[], 48).is_ok());
        assert!(decoder_with(&[0, 1, 7, 7, 0, 2, 7, 7], 48).is_ok());
        for (lane, elements) in [
            (&[][..], 80),
            (&[0, 1, 7], 48),
            // The same index twice, and out of order.
            (&[0, 1, 7, 7, 0, 1, 7, 7], 48),
            (&[0, 2, 7, 7, 0, 1, 7, 7], 48),
        ] {
            assert!(matches!(
                decoder_with(lane, elements),
                Err(Error::StateDecode(_))
            ));
        }
        let mut lanes = Lanes::default();
        (0..LANES).for_each(|_| lanes.push(&[0, 1, 7, 7]));
        lanes.lanes[9] = &[0, 2, 7, 7];
        let fields = DecoderFields {
            elements: 48,
            lanes,
            complete: false,
        };
        assert!(DecoderFields::restore::<3>(Some(fields)).is_err());
    }
}
