//! One session's state. Source: sheet 02 section 2.1.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, skip_field},
};

use super::chain::Chain;
use crate::{
    curve::PublicKey,
    error::ProtocolError,
    identity::IdentityKey,
    pre_key::{KyberPreKeyId, PreKeyId, SignedPreKeyId},
    record::{
        ChainKey, Field, bytes_len, message_len, put_bytes, put_bytes_len, put_header, put_u32,
        put_u32_len,
    },
    spqr,
    time::Timestamp,
};

/// How long a session that the peer has not answered may be used for sending.
const MAX_UNACKNOWLEDGED_AGE_MILLIS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How many receiver chains a session keeps.
const MAX_RECEIVER_CHAINS: usize = 5;

/// A session. What was stored damaged stays as it was until it is used.
#[derive(Clone, Default)]
pub(super) struct SessionState {
    pub(super) stored_version: u32,
    pub(super) local_identity: Field<33>,
    pub(super) remote_identity: Field<33>,
    pub(super) root_key: Field<32>,
    pub(super) previous_counter: u32,
    pub(super) sender_chain: Option<Chain>,
    /// Oldest first. Each in a place of its own: a list that grows or shrinks would leave copies of keys behind.
    pub(super) receiver_chains: Vec<Arc<Chain>>,
    pub(super) pending_pre_key: Option<PendingPreKey>,
    pub(super) remote_registration_id: u32,
    pub(super) local_registration_id: u32,
    pub(super) alice_base_key: Field<33>,
    pub(super) pending_kyber_pre_key: Option<PendingKyberPreKey>,
    pub(super) pq_ratchet: PqRatchet,
}

impl SessionState {
    /// 2 (for a stored 0), 3 or 4.
    pub(super) fn version(&self) -> u32 {
        if self.stored_version == 0 {
            2
        } else {
            self.stored_version
        }
    }

    pub(super) fn local_identity(&self) -> Result<IdentityKey, ProtocolError> {
        parse_identity(&self.local_identity)
    }

    pub(super) fn remote_identity(&self) -> Result<IdentityKey, ProtocolError> {
        parse_identity(&self.remote_identity)
    }

    pub(super) fn root_key(&self) -> Result<&[u8], ProtocolError> {
        if self.root_key.len() == 32 {
            Ok(&self.root_key)
        } else {
            Err(ProtocolError::InvalidSessionStructure(
                "the root key is damaged",
            ))
        }
    }

    /// No more is sent on our chain. Its ratchet key stays, for the peer's next chain.
    pub(super) fn end_sending(&mut self) {
        if let Some(chain) = &mut self.sender_chain {
            chain.set_chain_key(ChainKey::new(u32::MAX, &[0; 32]));
        }
    }

    pub(super) fn sender_chain(&self) -> Result<&Chain, ProtocolError> {
        self.sender_chain
            .as_ref()
            .ok_or(ProtocolError::InvalidSessionStructure(
                "there is no sender chain",
            ))
    }

    /// The receiver chain of `ratchet_key`. A chain whose key is damaged is passed over.
    pub(super) fn receiver_chain(&self, ratchet_key: &PublicKey) -> Option<usize> {
        self.receiver_chains
            .iter()
            .position(|chain| chain.is_of(ratchet_key))
    }

    /// Adds the newest receiver chain, dropping the oldest beyond the limit.
    pub(super) fn add_receiver_chain(&mut self, chain: Chain) {
        self.receiver_chains.push(Arc::new(chain));
        let surplus = self
            .receiver_chains
            .len()
            .saturating_sub(MAX_RECEIVER_CHAINS);
        self.receiver_chains.drain(..surplus);
    }

    /// Whether the peer never answered and the session has become too old for sending.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        self.pending_pre_key.as_ref().is_some_and(|pending| {
            let since = pending.timestamp_secs.saturating_mul(1000);
            since.saturating_add(MAX_UNACKNOWLEDGED_AGE_MILLIS) < now.as_millis()
        })
    }

    /// From now on messages are plain ones: the peer has answered, or the session was archived.
    pub(super) fn clear_pending(&mut self) {
        self.pending_pre_key = None;
        self.pending_kyber_pre_key = None;
    }
}

fn parse_identity(bytes: &[u8]) -> Result<IdentityKey, ProtocolError> {
    IdentityKey::deserialize(bytes)
        .map_err(|_| ProtocolError::InvalidSessionStructure("an identity key is damaged"))
}

impl fmt::Debug for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionState")
            .field("version", &self.version())
            .field("pending", &self.pending_pre_key.is_some())
            .field("receiver_chains", &self.receiver_chains.len())
            .finish_non_exhaustive()
    }
}

impl Message for SessionState {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        put_u32(1, self.stored_version, buf);
        put_bytes(2, &self.local_identity, buf);
        put_bytes(3, &self.remote_identity, buf);
        put_bytes(4, &self.root_key, buf);
        put_u32(5, self.previous_counter, buf);
        if let Some(chain) = &self.sender_chain {
            encoding::message::encode(6, chain, buf);
        }
        for chain in &self.receiver_chains {
            encoding::message::encode(7, &**chain, buf);
        }
        if let Some(pending) = &self.pending_pre_key {
            encoding::message::encode(9, pending, buf);
        }
        put_u32(10, self.remote_registration_id, buf);
        put_u32(11, self.local_registration_id, buf);
        put_bytes(13, &self.alice_base_key, buf);
        if let Some(pending) = &self.pending_kyber_pre_key {
            encoding::message::encode(14, pending, buf);
        }
        self.pq_ratchet.encode_field(15, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::uint32::merge(wire_type, &mut self.stored_version, buf, ctx),
            2 => self.local_identity.merge(wire_type, buf, ctx),
            3 => self.remote_identity.merge(wire_type, buf, ctx),
            4 => self.root_key.merge(wire_type, buf, ctx),
            5 => encoding::uint32::merge(wire_type, &mut self.previous_counter, buf, ctx),
            6 => {
                let chain = self.sender_chain.get_or_insert_default();
                encoding::message::merge(wire_type, chain, buf, ctx)
            }
            7 => {
                let mut chain = Chain::default();
                encoding::message::merge(wire_type, &mut chain, buf, ctx)?;
                self.receiver_chains.push(Arc::new(chain));
                Ok(())
            }
            9 => {
                let pending = self.pending_pre_key.get_or_insert_default();
                encoding::message::merge(wire_type, pending, buf, ctx)
            }
            10 => encoding::uint32::merge(wire_type, &mut self.remote_registration_id, buf, ctx),
            11 => encoding::uint32::merge(wire_type, &mut self.local_registration_id, buf, ctx),
            13 => self.alice_base_key.merge(wire_type, buf, ctx),
            14 => {
                let pending = self.pending_kyber_pre_key.get_or_insert_default();
                encoding::message::merge(wire_type, pending, buf, ctx)
            }
            15 => {
                let mut encoded = Bytes::new();
                encoding::bytes::merge(wire_type, &mut encoded, buf, ctx)?;
                self.pq_ratchet = PqRatchet::Encoded(encoded);
                Ok(())
            }
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let chains = self.receiver_chains.iter();
        let chains = chains.map(|chain| message_len(7, &**chain));
        put_u32_len(1, self.stored_version)
            + put_bytes_len(2, &self.local_identity)
            + put_bytes_len(3, &self.remote_identity)
            + put_bytes_len(4, &self.root_key)
            + put_u32_len(5, self.previous_counter)
            + self
                .sender_chain
                .as_ref()
                .map_or(0, |chain| message_len(6, chain))
            + chains.sum::<usize>()
            + self
                .pending_pre_key
                .as_ref()
                .map_or(0, |pending| message_len(9, pending))
            + put_u32_len(10, self.remote_registration_id)
            + put_u32_len(11, self.local_registration_id)
            + put_bytes_len(13, &self.alice_base_key)
            + self
                .pending_kyber_pre_key
                .as_ref()
                .map_or(0, |pending| message_len(14, pending))
            + self.pq_ratchet.field_len(15)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The post-quantum ratchet's state: encoded as it was stored until a step needs it.
#[derive(Clone)]
pub(super) enum PqRatchet {
    Encoded(Bytes),
    Decoded(spqr::State),
}

impl Default for PqRatchet {
    fn default() -> Self {
        Self::Encoded(Bytes::new())
    }
}

impl PqRatchet {
    /// Whether there is none: its stored form is empty.
    pub(super) fn is_off(&self) -> bool {
        match self {
            Self::Encoded(bytes) => bytes.is_empty(),
            Self::Decoded(state) => state.is_off(),
        }
    }

    /// A copy of the state to work on.
    pub(super) fn to_state(&self) -> Result<spqr::State, spqr::Error> {
        match self {
            Self::Encoded(bytes) => spqr::State::decode(bytes),
            Self::Decoded(state) => Ok(state.clone()),
        }
    }

    fn encode_field(&self, tag: u32, buf: &mut impl BufMut) {
        match self {
            Self::Encoded(bytes) => put_bytes(tag, bytes, buf),
            Self::Decoded(state) if state.is_off() => {}
            Self::Decoded(state) => {
                put_header(tag, state.encoded_len(), buf);
                state.encode_into(buf);
            }
        }
    }

    fn field_len(&self, tag: u32) -> usize {
        if self.is_off() {
            return 0;
        }
        match self {
            Self::Encoded(bytes) => bytes_len(tag, bytes.len()),
            Self::Decoded(state) => bytes_len(tag, state.encoded_len()),
        }
    }
}

/// What outgoing messages repeat until the peer answers.
#[derive(Clone, Message)]
pub(super) struct PendingPreKey {
    #[prost(uint32, optional, tag = "1")]
    stored_pre_key_id: Option<u32>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) base_key: Vec<u8>,
    /// The bits of an unsigned id.
    #[prost(int32, tag = "3")]
    stored_signed_pre_key_id: i32,
    #[prost(uint64, tag = "4")]
    timestamp_secs: u64,
}

impl PendingPreKey {
    pub(super) fn new(
        pre_key_id: Option<PreKeyId>,
        signed_pre_key_id: SignedPreKeyId,
        base_key: &PublicKey,
        now: Timestamp,
    ) -> Self {
        Self {
            stored_pre_key_id: pre_key_id.map(u32::from),
            base_key: base_key.serialize().to_vec(),
            stored_signed_pre_key_id: u32::from(signed_pre_key_id).cast_signed(),
            timestamp_secs: now.as_secs(),
        }
    }

    pub(super) fn pre_key_id(&self) -> Option<PreKeyId> {
        self.stored_pre_key_id.map(PreKeyId::from)
    }

    pub(super) fn signed_pre_key_id(&self) -> SignedPreKeyId {
        self.stored_signed_pre_key_id.cast_unsigned().into()
    }
}

/// The Kyber half of [`PendingPreKey`].
#[derive(Clone, Message)]
pub(super) struct PendingKyberPreKey {
    #[prost(uint32, tag = "1")]
    stored_id: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) ciphertext: Bytes,
}

impl PendingKyberPreKey {
    pub(super) fn new(id: KyberPreKeyId, ciphertext: Vec<u8>) -> Self {
        Self {
            stored_id: id.into(),
            ciphertext: ciphertext.into(),
        }
    }

    pub(super) fn id(&self) -> KyberPreKeyId {
        self.stored_id.into()
    }
}
