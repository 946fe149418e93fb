//! How a record's bytes lie in the backend.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format of the frame: 0, nothing is sealed |
//! | 2 | length of the name, big-endian |
//! | | the name in the clear, from which the record's key was hashed |
//! | | the payload |
//!
//! This module alone knows the frame: sealing adds a format here, whose associated data are account, kind,
//! key, version and format.

use bytes::Bytes;

/// Name and payload are in the clear.
const CLEAR: u8 = 0;

/// Puts a record into its frame. Names are far shorter than 64 KiB: see [`fits`].
pub(crate) fn close(name: &[u8], payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(3 + name.len() + payload.len());
    bytes.push(CLEAR);
    bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(payload);
    bytes.into()
}

/// Whether a name is short enough for a frame.
pub(crate) fn fits(name: &[u8]) -> bool {
    name.len() <= usize::from(u16::MAX)
}

/// The payload of the record that must have this name. `None` if it is damaged, or another record.
pub(crate) fn open(bytes: &Bytes, name: &[u8]) -> Option<Bytes> {
    let (found, payload) = split(bytes)?;
    (found == name).then_some(payload)
}

/// Name and payload of a record met in a scan.
pub(crate) fn split(bytes: &Bytes) -> Option<(Bytes, Bytes)> {
    let [CLEAR, high, low, ..] = bytes[..] else {
        return None;
    };
    let start = 3 + usize::from(u16::from_be_bytes([high, low]));
    (start <= bytes.len()).then(|| (bytes.slice(3..start), bytes.slice(start..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_opens_under_its_name_only() {
        let bytes = close(b"name", b"payload");
        assert_eq!(open(&bytes, b"name").as_deref(), Some(&b"payload"[..]));
        assert_eq!(open(&bytes, b"nam"), None);
        assert_eq!(open(&bytes, b"other"), None);
        assert_eq!(open(&close(b"", b""), b"").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn damaged_frames_do_not_open() {
        let bytes = close(b"name", b"");
        for length in 0..bytes.len() {
            assert_eq!(split(&bytes.slice(..length)), None, "{length} bytes");
        }
        let mut unknown = bytes.to_vec();
        unknown[0] = 1;
        assert_eq!(split(&unknown.into()), None);
    }
}
