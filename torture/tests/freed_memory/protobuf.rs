//! Fields of a protobuf message that is known to be sound. Source: sheet 02 section 0.

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The byte strings of one field, but for empty ones.
pub(crate) fn bytes(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(number, field)| match field {
        Field::Bytes(value) if number == wanted && !value.is_empty() => Some(value),
        _ => None,
    })
}

/// The number in one field; zero if it is left out.
pub(crate) fn number(message: &[u8], wanted: u64) -> u64 {
    let numbers = fields(message).filter_map(|(number, field)| match field {
        Field::Number(value) if number == wanted => Some(value),
        _ => None,
    });
    numbers.last().unwrap_or(0)
}

/// The only field of a message in which one of several messages can be: its number and the message.
pub(crate) fn alternative(message: &[u8]) -> Option<(u64, &[u8])> {
    fields(message).find_map(|(number, field)| match field {
        Field::Bytes(value) => Some((number, value)),
        _ => None,
    })
}

fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let tag = varint(&mut rest);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)),
            2 => {
                let length = varint(&mut rest) as usize;
                Field::Bytes(take(&mut rest, length))
            }
            fixed => {
                take(&mut rest, if fixed == 1 { 8 } else { 4 });
                Field::Other
            }
        };
        Some((tag >> 3, field))
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(length);
    *rest = after;
    taken
}

/// A number of seven bits a byte, least first.
pub(crate) fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let first = take(bytes, 1)[0];
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
