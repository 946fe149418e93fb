//! What a vault file holds, as it is written before it is sealed. All numbers are big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | revision, one more with each change |
//! | 4 | number of secrets |
//! | 1, n, 32 for each | its name, after the name's length, and the secret |
//! | 4 | number of anchors |
//! | 1, n, 8 for each | its name, after the name's length, and the number |

use std::collections::BTreeMap;

use sprag::vault::{Secret, check_name};
use zeroize::Zeroizing;

/// Everything in a vault file.
#[derive(Default)]
pub(super) struct Content {
    pub(super) revision: u64,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) anchors: BTreeMap<String, u64>,
}

impl Content {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // In one piece from the beginning: growing would leave copies of secrets behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.length()));
        bytes.extend(self.revision.to_be_bytes());
        bytes.extend(count(self.secrets.len()));
        for (name, secret) in &self.secrets {
            write_name(&mut bytes, name);
            bytes.extend(secret.as_bytes());
        }
        bytes.extend(count(self.anchors.len()));
        for (name, anchor) in &self.anchors {
            write_name(&mut bytes, name);
            bytes.extend(anchor.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let mut content = Self {
            revision: u64::from_be_bytes(*take(rest)?),
            ..Self::default()
        };
        for _ in 0..u32::from_be_bytes(*take(rest)?) {
            let name = read_name(rest)?;
            let secret = Secret::from_bytes(take(rest)?);
            content.secrets.insert(name, secret);
        }
        for _ in 0..u32::from_be_bytes(*take(rest)?) {
            let name = read_name(rest)?;
            let anchor = u64::from_be_bytes(*take(rest)?);
            content.anchors.insert(name, anchor);
        }
        bytes.is_empty().then_some(content)
    }

    fn length(&self) -> usize {
        let secrets = self.secrets.keys().map(|name| 1 + name.len() + 32);
        let anchors = self.anchors.keys().map(|name| 1 + name.len() + 8);
        8 + 4 + 4 + secrets.chain(anchors).sum::<usize>()
    }
}

/// A file has room for far fewer than 2^32.
fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// Names are checked before they get here, and have no more than 96 bytes.
fn write_name(bytes: &mut Vec<u8>, name: &str) {
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend(name.as_bytes());
}

fn read_name(rest: &mut &[u8]) -> Option<String> {
    let [length] = *take(rest)?;
    let (name, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    let name = str::from_utf8(name).ok()?;
    check_name(name).ok()?;
    Some(name.to_owned())
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comes_back(
            revision: u64,
            secrets in prop::collection::btree_map("[a-z0-9.-]{1,96}", any::<[u8; 32]>(), 0..5),
            anchors in prop::collection::btree_map("[a-z0-9.-]{1,96}", any::<u64>(), 0..5),
        ) {
            let content = Content {
                revision,
                secrets: secrets.iter().map(|(name, bytes)| (name.clone(), Secret::from_bytes(bytes))).collect(),
                anchors: anchors.clone(),
            };
            let bytes = content.encode();
            prop_assert_eq!(bytes.len(), content.length());
            let read = Content::decode(&bytes).unwrap();
            prop_assert_eq!(read.revision, revision);
            prop_assert!(read.secrets.iter().map(|(name, secret)| (name, secret.as_bytes())).eq(&secrets));
            prop_assert_eq!(read.anchors, anchors);
            prop_assert!(Content::decode(&bytes[1..]).is_none());
            prop_assert!(Content::decode(&[&bytes[..], &[0]].concat()).is_none());
        }

        #[test]
        fn anything_else_is_refused_without_a_panic(bytes: Vec<u8>) {
            if let Some(content) = Content::decode(&bytes) {
                prop_assert_eq!(content.length(), bytes.len());
            }
        }
    }
}
