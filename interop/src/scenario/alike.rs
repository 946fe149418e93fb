//! Damaged messages, on which both implementations must agree: in what they refuse and why, and in what they read.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Blob, Broken, BundleRequest, Conversation, Envelope, Opinion, Side, conversation::ensure,
};

const DAMAGES: u32 = 150;

/// First messages and plain ones, damaged in every way: bits changed, parts cut out, doubled or mixed up, types exchanged.
pub fn damaged_messages(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut read = 0;
    for request in [BundleRequest::FULL, BundleRequest::BARE] {
        talk.start(Side::Left, request)?;
        let first = talk.send(Side::Left)?;
        let second = talk.send(Side::Left)?;
        read += compare(
            talk,
            Side::Left,
            [&first.envelope, &second.envelope],
            &mut rng,
        )?;
        talk.deliver(&second)?;
        read += compare(
            talk,
            Side::Left,
            [&first.envelope, &second.envelope],
            &mut rng,
        )?;
        let reply = talk.send(Side::Right)?;
        read += compare(
            talk,
            Side::Right,
            [&reply.envelope, &first.envelope],
            &mut rng,
        )?;
        talk.deliver(&reply)?;
        talk.deliver(&first)?;
    }
    // Changes that nothing authenticates by design are among the damages.
    ensure(read > 0, || "not one damaged message was read".into())
}

/// Damages the first of two messages in many ways, with parts of the second. Counts what was read all the same.
fn compare(
    talk: &mut Conversation<'_>,
    from: Side,
    [message, other]: [&Envelope; 2],
    rng: &mut StdRng,
) -> Result<u32, Broken> {
    let mut read = 0;
    for _ in 0..DAMAGES {
        let (damage, damaged) = damage(message, other, rng);
        let [left, right] = talk.opinions(from, &damaged)?;
        read += u32::from(left.is_ok());
        ensure(left == right, || {
            let [left, right] = [left, right].map(describe);
            format!(
                "{damaged:?} from the {from:?}, {damage}: {left} by the left's implementation, {right} by the right's"
            )
        })?;
    }
    Ok(read)
}

fn describe(opinion: Opinion) -> String {
    match opinion {
        Ok(plaintext) => format!("{} bytes read", plaintext.len()),
        Err(kind) => format!("{kind:?}"),
    }
}

fn damage(message: &Envelope, other: &Envelope, rng: &mut StdRng) -> (String, Envelope) {
    let bytes = &message.body.0;
    let at = rng.random_range(0..bytes.len());
    let length = rng.random_range(1..20).min(bytes.len() - at);
    let near_an_end = [
        rng.random_range(0..120),
        bytes.len() - rng.random_range(1..1600).min(bytes.len()),
    ][rng.random_range(0..2)]
    .min(bytes.len() - 1);
    let with = |bytes: Vec<u8>| Envelope {
        kind: message.kind,
        body: Blob(bytes),
    };
    match rng.random_range(0..8) {
        0..3 => {
            let bit = near_an_end * 8 + rng.random_range(0..8);
            (format!("bit {bit} changed"), message.with_bit_flipped(bit))
        }
        3 => {
            let mut bytes = bytes.clone();
            bytes[near_an_end] = rng.random();
            (format!("byte {near_an_end} replaced"), with(bytes))
        }
        4 => {
            let mut bytes = bytes.clone();
            bytes.drain(at..at + length);
            (format!("{length} bytes cut out at {at}"), with(bytes))
        }
        5 => {
            let part = bytes[at..at + length].to_vec();
            let mut bytes = bytes.clone();
            bytes.splice(near_an_end..near_an_end, part);
            (
                format!("{length} bytes from {at} doubled at {near_an_end}"),
                with(bytes),
            )
        }
        6 => {
            let rest = other.body.0.get(at..).unwrap_or_default();
            let bytes = [&bytes[..at], rest].concat();
            (format!("another message from {at} on"), with(bytes))
        }
        _ => {
            let kind = Envelope::PLAIN + Envelope::PRE_KEY - message.kind;
            let body = Blob::from(&bytes[..bytes.len() - rng.random_range(0..2) * length]);
            ("the other type".into(), Envelope { kind, body })
        }
    }
}
