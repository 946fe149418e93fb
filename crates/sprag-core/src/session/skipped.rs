//! What is kept of a message that a chain skipped. Source: sheet 02 section 2.4, sheet 04 section 5.

use bytes::Bytes;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, encode_key, encode_varint},
};
use zeroize::Zeroizing;

use crate::{
    error::ProtocolError,
    ratchet::MessageKeys,
    record::{Numbered, put_bytes, put_bytes_len, put_u32, put_u32_len},
};

/// Bytes that are erased on drop.
type SecretBytes = Zeroizing<Vec<u8>>;

/// What is kept of a skipped message's keys.
#[derive(Clone)]
pub(super) struct SkippedKey {
    index: u32,
    material: Material,
}

#[derive(Clone)]
enum Material {
    /// The seed: all that can be kept before the message brings its post-quantum key.
    Seed(Zeroizing<[u8; 32]>),
    /// A stored seed of another length.
    OddSeed(SecretBytes),
    /// Final keys, as old sessions without a post-quantum ratchet hold them.
    Final(Box<FinalKeys>),
}

#[derive(Clone)]
struct FinalKeys {
    cipher_key: SecretBytes,
    mac_key: SecretBytes,
    iv: SecretBytes,
}

impl SkippedKey {
    pub(super) fn seed(index: u32, seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            index,
            material: Material::Seed(seed),
        }
    }

    /// The message's keys; `pq_key` is what the post-quantum ratchet gave for the message.
    pub(super) fn message_keys(
        &self,
        pq_key: Option<&[u8; 32]>,
    ) -> Result<MessageKeys, ProtocolError> {
        match &self.material {
            Material::Seed(seed) => Ok(MessageKeys::derive(&seed[..], pq_key)),
            Material::OddSeed(seed) => Ok(MessageKeys::derive(seed, pq_key)),
            Material::Final(keys) if pq_key.is_none() => {
                MessageKeys::from_stored(&keys.cipher_key, &keys.mac_key, &keys.iv).ok_or(
                    ProtocolError::InvalidSessionStructure("a message key is damaged"),
                )
            }
            Material::Final(_) => Err(ProtocolError::InvalidSessionStructure(
                "an old message key cannot be mixed with a post-quantum key",
            )),
        }
    }

    fn fields(&self) -> [(u32, &[u8]); 3] {
        match &self.material {
            Material::Seed(seed) => [(5, &seed[..]), (5, &[]), (5, &[])],
            Material::OddSeed(seed) => [(5, seed), (5, &[]), (5, &[])],
            Material::Final(keys) => [(2, &keys.cipher_key), (3, &keys.mac_key), (4, &keys.iv)],
        }
    }

    fn content_len(&self) -> usize {
        let fields = self.fields().map(|(tag, value)| put_bytes_len(tag, value));
        put_u32_len(1, self.index) + fields.iter().sum::<usize>()
    }

    pub(super) fn decode(
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<Self, DecodeError> {
        let mut stored = StoredMessageKey::default();
        encoding::message::merge(wire_type, &mut stored, buf, ctx)?;
        Ok(stored.into())
    }

    pub(super) fn field_len(&self, tag: u32) -> usize {
        let content = self.content_len();
        encoding::key_len(tag) + encoding::encoded_len_varint(content as u64) + content
    }

    pub(super) fn encode_field(&self, tag: u32, buf: &mut impl BufMut) {
        encode_key(tag, WireType::LengthDelimited, buf);
        encode_varint(self.content_len() as u64, buf);
        put_u32(1, self.index, buf);
        self.fields()
            .iter()
            .for_each(|(tag, value)| put_bytes(*tag, value, buf));
    }
}

impl Numbered for SkippedKey {
    fn index(&self) -> u32 {
        self.index
    }
}

impl From<StoredMessageKey> for SkippedKey {
    fn from(stored: StoredMessageKey) -> Self {
        let secret = |bytes: &Bytes| Zeroizing::new(bytes.to_vec());
        let material = match <&[u8; 32]>::try_from(&stored.seed[..]) {
            Ok(seed) => Material::Seed(Zeroizing::new(*seed)),
            Err(_) if !stored.seed.is_empty() => Material::OddSeed(secret(&stored.seed)),
            Err(_) => Material::Final(Box::new(FinalKeys {
                cipher_key: secret(&stored.cipher_key),
                mac_key: secret(&stored.mac_key),
                iv: secret(&stored.iv),
            })),
        };
        Self {
            index: stored.index,
            material,
        }
    }
}

#[derive(Message)]
#[prost(skip_debug)]
struct StoredMessageKey {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(bytes = "bytes", tag = "2")]
    cipher_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    mac_key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    iv: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    seed: Bytes,
}
