//! A sending or receiving chain and the keys of messages that it skipped. Source: sheet 02 sections
//! 2.2 to 2.4, sheet 04 section 5.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, encode_key, encode_varint, skip_field},
};
use zeroize::Zeroizing;

use super::wire::{put_bytes, put_bytes_len, put_u32, put_u32_len};
use crate::{
    curve::{KeyPair, PublicKey},
    error::ProtocolError,
    ratchet::{MessageKeys, message_key_seed, next_chain_key},
};

/// How many skipped keys a chain keeps.
const MAX_SKIPPED_KEYS: usize = 2000;

/// Bytes that are erased on drop.
pub(super) type SecretBytes = Zeroizing<Vec<u8>>;

/// One chain. Keys stay as they were stored until they are used: damage shows then.
#[derive(Clone, Default)]
pub(super) struct Chain {
    ratchet_public: Vec<u8>,
    /// Empty in receiver chains.
    ratchet_private: SecretBytes,
    chain_key: Option<ChainKey>,
    skipped: SkippedKeys,
}

impl Chain {
    /// Our own sending chain.
    pub(super) fn sending(ratchet_key: &KeyPair, key: &[u8; 32]) -> Self {
        Self {
            ratchet_private: Zeroizing::new(ratchet_key.private_key.serialize().to_vec()),
            ..Self::receiving(&ratchet_key.public_key, key)
        }
    }

    /// A chain that the peer sends on.
    pub(super) fn receiving(ratchet_key: &PublicKey, key: &[u8; 32]) -> Self {
        Self {
            ratchet_public: ratchet_key.serialize().to_vec(),
            chain_key: Some(ChainKey::new(0, key)),
            ..Self::default()
        }
    }

    pub(super) fn ratchet_key(&self) -> Result<PublicKey, ProtocolError> {
        PublicKey::deserialize(&self.ratchet_public)
            .map_err(|_| ProtocolError::InvalidSessionStructure("a ratchet key is damaged"))
    }

    pub(super) fn ratchet_key_pair(&self) -> Result<KeyPair, ProtocolError> {
        KeyPair::from_halves(&self.ratchet_public, &self.ratchet_private)
            .map_err(|_| ProtocolError::InvalidSessionStructure("a ratchet key is damaged"))
    }

    pub(super) fn chain_key(&self) -> Result<&ChainKey, ProtocolError> {
        match &self.chain_key {
            Some(chain_key) if chain_key.key.len() == 32 => Ok(chain_key),
            _ => Err(ProtocolError::InvalidSessionStructure(
                "a chain key is damaged",
            )),
        }
    }

    pub(super) fn set_chain_key(&mut self, chain_key: ChainKey) {
        self.chain_key = Some(chain_key);
    }

    pub(super) fn skipped(&self) -> &SkippedKeys {
        &self.skipped
    }

    pub(super) fn skipped_mut(&mut self) -> &mut SkippedKeys {
        &mut self.skipped
    }
}

impl Message for Chain {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_bytes(1, &self.ratchet_public, buf);
        put_bytes(2, &self.ratchet_private, buf);
        if let Some(chain_key) = &self.chain_key {
            encoding::message::encode(3, chain_key, buf);
        }
        self.skipped
            .newest_first()
            .for_each(|key| key.encode_field(4, buf));
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::bytes::merge(wire_type, &mut self.ratchet_public, buf, ctx),
            2 => encoding::bytes::merge(wire_type, &mut *self.ratchet_private, buf, ctx),
            3 => {
                let chain_key = self.chain_key.get_or_insert_default();
                encoding::message::merge(wire_type, chain_key, buf, ctx)
            }
            4 => {
                let mut key = StoredMessageKey::default();
                encoding::message::merge(wire_type, &mut key, buf, ctx)?;
                self.skipped.push_older(key.into());
                Ok(())
            }
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let keys = self.skipped.newest_first().map(|key| key.field_len(4));
        put_bytes_len(1, &self.ratchet_public)
            + put_bytes_len(2, &self.ratchet_private)
            + self
                .chain_key
                .as_ref()
                .map_or(0, |key| super::wire::message_len(3, key))
            + keys.sum::<usize>()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A chain key and the counter of the next message on its chain.
#[derive(Clone, Default)]
pub(super) struct ChainKey {
    index: u32,
    key: SecretBytes,
}

impl ChainKey {
    pub(super) fn new(index: u32, key: &[u8; 32]) -> Self {
        Self {
            index,
            key: Zeroizing::new(key.to_vec()),
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// The seed of this index's message keys.
    pub(super) fn seed(&self) -> Zeroizing<[u8; 32]> {
        message_key_seed(&self.key)
    }

    /// The key after this one; `None` at the end of the counter.
    pub(super) fn next(&self) -> Option<Self> {
        let index = self.index.checked_add(1)?;
        Some(Self::new(index, &next_chain_key(&self.key)))
    }

    /// Goes forward to `counter`, which is not behind: gives the key at `counter` and the keys
    /// skipped on the way, oldest first, as far as a chain keeps them.
    pub(super) fn skip_to(&self, counter: u32) -> (Self, Vec<SkippedKey>) {
        let first_kept = counter
            .saturating_sub(MAX_SKIPPED_KEYS as u32)
            .max(self.index);
        let mut skipped = Vec::with_capacity((counter - first_kept) as usize);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&self.key);
        for index in self.index..counter {
            if index >= first_kept {
                skipped.push(SkippedKey::seed(index, &message_key_seed(&key[..])));
            }
            key = next_chain_key(&key[..]);
        }
        (Self::new(counter, &key), skipped)
    }
}

impl Message for ChainKey {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_u32(1, self.index, buf);
        put_bytes(2, &self.key, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::uint32::merge(wire_type, &mut self.index, buf, ctx),
            2 => encoding::bytes::merge(wire_type, &mut *self.key, buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        put_u32_len(1, self.index) + put_bytes_len(2, &self.key)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The keys of skipped messages, shared between copies until one of them changes.
///
/// Our own lists ascend, so that a key is found by halving; a stored list may come in any order.
#[derive(Clone, Default)]
pub(super) struct SkippedKeys {
    /// Oldest first: the reverse of the stored order.
    keys: Arc<VecDeque<SkippedKey>>,
}

impl SkippedKeys {
    /// Where the key for `counter` is; if it is there several times, the newest.
    pub(super) fn position(&self, counter: u32) -> Option<usize> {
        match self.keys.binary_search_by_key(&counter, |key| key.index) {
            Ok(position) => Some(position),
            Err(_) => self.keys.iter().rposition(|key| key.index == counter),
        }
    }

    pub(super) fn get(&self, position: usize) -> Option<&SkippedKey> {
        self.keys.get(position)
    }

    pub(super) fn remove(&mut self, position: usize) {
        Arc::make_mut(&mut self.keys).remove(position);
    }

    /// Adds keys, oldest first, dropping the oldest beyond the limit.
    pub(super) fn extend(&mut self, keys: Vec<SkippedKey>) {
        if keys.is_empty() {
            return;
        }
        let all = Arc::make_mut(&mut self.keys);
        for key in keys {
            all.push_back(key);
            if all.len() > MAX_SKIPPED_KEYS {
                all.pop_front();
            }
        }
    }

    fn push_older(&mut self, key: SkippedKey) {
        Arc::make_mut(&mut self.keys).push_front(key);
    }

    fn newest_first(&self) -> impl Iterator<Item = &SkippedKey> {
        self.keys.iter().rev()
    }
}

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
    fn seed(index: u32, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            index,
            material: Material::Seed(seed.clone()),
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

    fn field_len(&self, tag: u32) -> usize {
        let content = self.content_len();
        encoding::key_len(tag) + encoding::encoded_len_varint(content as u64) + content
    }

    fn encode_field(&self, tag: u32, buf: &mut impl BufMut) {
        encode_key(tag, WireType::LengthDelimited, buf);
        encode_varint(self.content_len() as u64, buf);
        put_u32(1, self.index, buf);
        self.fields()
            .iter()
            .for_each(|(tag, value)| put_bytes(*tag, value, buf));
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
