//! A sending or receiving chain. Source: sheet 02 sections 2.2 and 2.3, sheet 04 section 5.

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, skip_field},
};

use super::skipped::SkippedKey;
use crate::{
    curve::{KeyPair, PublicKey},
    error::ProtocolError,
    record::{ChainKey, Field, SkippedKeys, message_len, put_bytes, put_bytes_len},
};

/// One chain. Keys stay as they were stored until they are used: damage shows then.
#[derive(Clone, Default)]
pub(super) struct Chain {
    ratchet_public: Field<33>,
    /// Empty in receiver chains.
    ratchet_private: Field<32>,
    chain_key: Option<ChainKey>,
    skipped: SkippedKeys<SkippedKey>,
}

impl Chain {
    /// Our own sending chain.
    pub(super) fn sending(ratchet_key: &KeyPair, key: &[u8; 32]) -> Self {
        Self {
            ratchet_private: (*ratchet_key.private_key.serialize()).into(),
            ..Self::receiving(&ratchet_key.public_key, key)
        }
    }

    /// A chain that the peer sends on.
    pub(super) fn receiving(ratchet_key: &PublicKey, key: &[u8; 32]) -> Self {
        Self {
            ratchet_public: ratchet_key.serialize().into(),
            chain_key: Some(ChainKey::new(0, key)),
            ..Self::default()
        }
    }

    pub(super) fn ratchet_key(&self) -> Result<PublicKey, ProtocolError> {
        PublicKey::deserialize(&self.ratchet_public)
            .map_err(|_| ProtocolError::InvalidSessionStructure("a ratchet key is damaged"))
    }

    /// Whether this is the chain of `ratchet_key`; of none if its key is damaged. Like parsing, this
    /// looks at 33 bytes.
    pub(super) fn is_of(&self, ratchet_key: &PublicKey) -> bool {
        self.ratchet_public.starts_with(&ratchet_key.serialize())
    }

    pub(super) fn ratchet_key_pair(&self) -> Result<KeyPair, ProtocolError> {
        KeyPair::from_halves(&self.ratchet_public, &self.ratchet_private)
            .map_err(|_| ProtocolError::InvalidSessionStructure("a ratchet key is damaged"))
    }

    pub(super) fn chain_key(&self) -> Result<&ChainKey, ProtocolError> {
        match &self.chain_key {
            Some(chain_key) if chain_key.key().len() == 32 => Ok(chain_key),
            _ => Err(ProtocolError::InvalidSessionStructure(
                "a chain key is damaged",
            )),
        }
    }

    pub(super) fn set_chain_key(&mut self, chain_key: ChainKey) {
        self.chain_key = Some(chain_key);
    }

    pub(super) fn skipped(&self) -> &SkippedKeys<SkippedKey> {
        &self.skipped
    }

    pub(super) fn skipped_mut(&mut self) -> &mut SkippedKeys<SkippedKey> {
        &mut self.skipped
    }
}

impl Message for Chain {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_bytes(1, &self.ratchet_public, buf);
        put_bytes(2, &self.ratchet_private, buf);
        if let Some(chain_key) = &self.chain_key {
            encoding::message::encode(3, &chain_key.0, buf);
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
            1 => self.ratchet_public.merge(wire_type, buf, ctx),
            2 => self.ratchet_private.merge(wire_type, buf, ctx),
            3 => {
                let chain_key = self.chain_key.get_or_insert_default();
                encoding::message::merge(wire_type, &mut chain_key.0, buf, ctx)
            }
            4 => {
                self.skipped
                    .push_older(SkippedKey::decode(wire_type, buf, ctx)?);
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
                .map_or(0, |key| message_len(3, &key.0))
            + keys.sum::<usize>()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
