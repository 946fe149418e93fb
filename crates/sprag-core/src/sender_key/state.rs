//! One chain of a sender: where it is, whose signature its messages bear, and the seeds of those that
//! were skipped. Source: sheet 06 section 5.

use std::{fmt, sync::Arc};

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, skip_field},
};

use super::signing_keys::SigningKeys;
use crate::{
    curve::PublicKey,
    message::VERSION_SENDER_KEY,
    record::{ChainKey, NumberedKey, SkippedKeys, message_len, put_u32, put_u32_len},
};

/// A chain. What was stored damaged stays as it was until it is used.
#[derive(Clone, Default)]
pub(super) struct SenderKeyState {
    chain_id: u32,
    pub(super) chain_key: Option<ChainKey>,
    /// Never changed, so that copies share what was made ready.
    signing_keys: Option<Arc<SigningKeys>>,
    /// Seeds, stored oldest first.
    pub(super) skipped: SkippedKeys<NumberedKey>,
    stored_version: u32,
}

impl SenderKeyState {
    pub(super) fn new(
        version: u8,
        chain_id: u32,
        chain_key: ChainKey,
        signing_keys: SigningKeys,
    ) -> Self {
        Self {
            chain_id,
            chain_key: Some(chain_key),
            signing_keys: Some(Arc::new(signing_keys)),
            skipped: SkippedKeys::default(),
            stored_version: version.into(),
        }
    }

    pub(super) fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// 3 (also for a stored 0) in all chains that were not altered.
    pub(super) fn version(&self) -> u32 {
        if self.stored_version == 0 {
            VERSION_SENDER_KEY.into()
        } else {
            self.stored_version
        }
    }

    /// The signing keys with the public one; `None` if that is damaged.
    pub(super) fn verifying_key(&self) -> Option<(&SigningKeys, PublicKey)> {
        let keys = self.signing_keys()?;
        Some((keys, keys.public_key()?))
    }

    pub(super) fn signing_keys(&self) -> Option<&SigningKeys> {
        self.signing_keys.as_deref()
    }

    /// Whether both are the same chain, signed by the same key. If that is damaged they are not.
    pub(super) fn is_same_chain(&self, other: &Self) -> bool {
        let key = |state: &Self| Some(state.verifying_key()?.1);
        let signed_alike = key(self).is_some_and(|ours| key(other) == Some(ours));
        self.chain_id == other.chain_id && signed_alike
    }
}

impl fmt::Debug for SenderKeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderKeyState")
            .field("chain_id", &self.chain_id)
            .field("iteration", &self.chain_key.as_ref().map(ChainKey::index))
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl Message for SenderKeyState {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_u32(1, self.chain_id, buf);
        if let Some(chain_key) = &self.chain_key {
            encoding::message::encode(2, &chain_key.0, buf);
        }
        if let Some(keys) = self.signing_keys() {
            encoding::message::encode(3, keys, buf);
        }
        let seeds = self.skipped.newest_first().rev();
        seeds.for_each(|seed| encoding::message::encode(4, seed, buf));
        put_u32(5, self.stored_version, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::uint32::merge(wire_type, &mut self.chain_id, buf, ctx),
            2 => {
                let chain_key = self.chain_key.get_or_insert_default();
                encoding::message::merge(wire_type, &mut chain_key.0, buf, ctx)
            }
            3 => {
                let keys = Arc::make_mut(self.signing_keys.get_or_insert_default());
                encoding::message::merge(wire_type, keys, buf, ctx)
            }
            4 => {
                let mut seed = NumberedKey::default();
                encoding::message::merge(wire_type, &mut seed, buf, ctx)?;
                self.skipped.push_newer(seed);
                Ok(())
            }
            5 => encoding::uint32::merge(wire_type, &mut self.stored_version, buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let seeds = self.skipped.newest_first().map(|seed| message_len(4, seed));
        let chain_key = self.chain_key.as_ref();
        put_u32_len(1, self.chain_id)
            + chain_key.map_or(0, |chain_key| message_len(2, &chain_key.0))
            + self.signing_keys().map_or(0, |keys| message_len(3, keys))
            + seeds.sum::<usize>()
            + put_u32_len(5, self.stored_version)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
