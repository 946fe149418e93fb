//! The state of the ratchet and its two steps (sheet 05, section 1).

use core::{cmp::Ordering, fmt};
use std::sync::Arc;

use prost::bytes::BufMut;
use rand_core::CryptoRng;

use super::{
    Error, MessageKey,
    braid::{Braid, EpochSecret},
    chain::Chain,
    message::{self, Payload, Prefix},
    secret::Secret,
    stored,
};

/// One party's post-quantum ratchet with one peer.
///
/// Cloning costs one reference count. The secrets in it erase themselves when the last state that
/// shares them is dropped, and `Debug` shows none of them. `Clone` is there so that a session can
/// work on a copy of itself and replace itself by the copy only if the whole step succeeds; two
/// states that go on from one copy would use the same keys twice.
#[derive(Clone)]
pub struct State(Option<Arc<Active>>);

/// The state of version 1.
#[derive(Clone)]
pub(super) struct Active {
    /// There until the first message of the peer is accepted.
    pub(super) negotiation: Option<Negotiation>,
    /// Made by the first message that has a key.
    pub(super) chain: Option<Chain>,
    pub(super) braid: Braid,
}

/// What the chain will be started with, and how far the peer may fall back.
#[derive(Clone)]
pub(super) struct Negotiation {
    pub(super) auth_key: Secret<32>,
    pub(super) direction: Direction,
    pub(super) min_version: Version,
    pub(super) params: ChainParams,
}

/// Which way a party sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This party is the initiator of the session, Alice.
    AliceToBob,
    /// This party is the responder, Bob.
    BobToAlice,
}

/// Versions of the ratchet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Off: empty state, empty messages, no keys.
    V0,
    /// What this module implements.
    V1,
}

/// Limits of the key chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainParams {
    max_jump: u32,
    max_out_of_order_keys: u32,
}

/// How [`State::recv_by`] treats a message of another version than the state's (sheet 05, section
/// 1.3).
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRule {
    /// That of libsignal 0.103, which sessions follow: a message of a later version gives its key
    /// as long as nothing was agreed on, and is refused afterwards.
    Strict,
    /// That of SPQR 1.5.3: a message of a later version is ignored. It would let whoever can alter
    /// a message take the post-quantum key out of it, and serves only to replay what was recorded
    /// with that release.
    Lenient,
}

/// What a message gets from the ratchet when it is sent.
#[derive(Debug)]
pub struct Sent {
    /// The post-quantum part of the message: 4 to 52 bytes, or empty if the ratchet is off.
    pub message: Vec<u8>,
    /// The message's key. None if the ratchet is off, or if the peer may be without a post-quantum
    /// ratchet and has not been heard yet.
    pub key: Option<MessageKey>,
}

impl State {
    /// The state after the handshake.
    ///
    /// `auth_key` is the third part of what PQXDH derives. `min_version` is the lowest version to
    /// which the peer may fall back with its first message; with [`Version::V0`] a session can end
    /// up without post-quantum protection. If `version` is [`Version::V0`], the ratchet is off.
    #[must_use]
    pub fn initial(
        direction: Direction,
        version: Version,
        min_version: Version,
        auth_key: &[u8; 32],
        params: ChainParams,
    ) -> Self {
        if version == Version::V0 {
            return Self::off();
        }
        let auth_key = Secret::from(*auth_key);
        Self::on(Active {
            braid: Braid::new(direction, &auth_key),
            chain: None,
            negotiation: Some(Negotiation {
                auth_key,
                direction,
                min_version,
                params,
            }),
        })
    }

    /// The state of a session without post-quantum ratchet.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Reads a stored state (sheet 05, section 9). Nothing, and a state that says so, is
    /// [`Self::off`]. Unknown fields are dropped.
    ///
    /// # Errors
    /// [`Error::StateDecode`] if this is not a state that a conforming implementation writes.
    pub fn decode(stored: &[u8]) -> Result<Self, Error> {
        Ok(stored::decode(stored)?.map_or(Self::off(), Self::on))
    }

    /// The stored state: secret, 118 bytes in a fresh session, about 4.5 KB on average, and 36 more
    /// for every skipped key.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(self.encoded_len());
        self.encode_into(&mut stored);
        stored
    }

    /// Appends the stored state to `out`, [`Self::encoded_len`] bytes. A vector should have room for
    /// them, since growing would leave a copy of the secrets in it behind.
    pub fn encode_into(&self, out: &mut impl BufMut) {
        if let Some(active) = &self.0 {
            stored::encode(active, out);
        }
    }

    /// Length of the stored state in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.0.as_deref().map_or(0, stored::encoded_len)
    }

    /// Whether the ratchet is off: the stored state is empty, messages have no post-quantum part
    /// and no key.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Field number of the braid's state in the stored form (1 to 11); None if the ratchet is off.
    #[doc(hidden)]
    #[must_use]
    pub fn phase(&self) -> Option<u32> {
        let active = self.0.as_deref()?;
        Some(stored::phase_number(&active.braid.phase))
    }

    /// Prepares a message: advances the ratchet and gives the message's post-quantum part and key.
    ///
    /// Draws 64 bytes when it makes a key pair, 32 when it encapsulates, otherwise none.
    ///
    /// # Errors
    /// Any of [`Error`], all of which mean that the state is damaged: it does not fit together, or a
    /// chain has given its last key.
    pub fn send<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<Sent, Error> {
        let Some(mut next) = self.0.clone() else {
            return Ok(Sent {
                message: Vec::new(),
                key: None,
            });
        };
        let sent = Arc::make_mut(&mut next).send(rng)?;
        self.0 = Some(next);
        Ok(sent)
    }

    /// Takes in the post-quantum part of a message, which is empty if the message has none, and
    /// gives the message's key.
    ///
    /// The part is not authenticated by itself: the new state may be kept only after the message
    /// has been authenticated with the key. No key means that the message has none, and is then to
    /// be authenticated without.
    ///
    /// # Errors
    /// [`Error::StateDecode`] and [`Error::ChainNotAvailable`] if the state is damaged; everything
    /// else means that the message is a duplicate, too old, forged, or of a version that was not
    /// agreed on.
    pub fn recv(&mut self, message: &[u8]) -> Result<Option<MessageKey>, Error> {
        self.recv_by(VersionRule::Strict, message)
    }

    /// [`Self::recv`] under another rule for versions.
    ///
    /// # Errors
    /// As [`Self::recv`].
    #[doc(hidden)]
    pub fn recv_by(
        &mut self,
        rule: VersionRule,
        message: &[u8],
    ) -> Result<Option<MessageKey>, Error> {
        // A copy of what stays shared with the old state: changing it makes it this step's own.
        let Some(mut next) = self.0.clone() else {
            rule.check_prefix(message)?;
            return Ok(None);
        };
        let key = match rule.treatment(message, next.negotiation.as_ref())? {
            Treatment::Ignore => return Ok(None),
            Treatment::TurnOff => {
                *self = Self::off();
                return Ok(None);
            }
            Treatment::KeyOnly(prefix) => Arc::make_mut(&mut next).receive_key_only(prefix)?,
            Treatment::Normal => {
                let (prefix, rest) = Prefix::parse(message)?;
                let payload = Payload::parse(rest)?;
                Arc::make_mut(&mut next).receive(prefix, &payload)?
            }
        };
        self.0 = Some(next);
        Ok(key)
    }

    fn on(active: Active) -> Self {
        Self(Some(Arc::new(active)))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut state = f.debug_struct("State");
        if let Some(active) = &self.0 {
            state
                .field("epoch", &active.braid.epoch)
                .field("phase", &stored::phase_number(&active.braid.phase));
        }
        state.finish_non_exhaustive()
    }
}

/// What a party with a post-quantum ratchet does with a message, by the message's version.
enum Treatment {
    /// Nothing; that is a success.
    Ignore,
    /// The peer has no post-quantum ratchet, and need not have one.
    TurnOff,
    /// Give the key that the prefix names, and look at nothing else.
    KeyOnly(Prefix),
    /// It is of this version.
    Normal,
}

impl VersionRule {
    fn treatment(
        self,
        message: &[u8],
        negotiation: Option<&Negotiation>,
    ) -> Result<Treatment, Error> {
        let prefix = self.check_prefix(message)?;
        // No message counts as one of version 0.
        let version = message.first().copied().unwrap_or(0);
        match (version.cmp(&message::VERSION), negotiation) {
            (Ordering::Equal, _) => Ok(Treatment::Normal),
            (Ordering::Greater, negotiation) => match (prefix, negotiation) {
                (None, _) => Ok(Treatment::Ignore),
                (Some(prefix), Some(_)) => Ok(Treatment::KeyOnly(prefix)),
                (Some(_), None) => Err(Error::VersionMismatch),
            },
            (Ordering::Less, Some(open)) if open.min_version == Version::V0 => {
                Ok(Treatment::TurnOff)
            }
            (Ordering::Less, None) if self == Self::Lenient => Err(Error::VersionMismatch),
            (Ordering::Less, _) => Err(Error::MinimumVersion),
        }
    }

    /// The prefix of a message, which under the strict rule every message that is not empty must
    /// have.
    fn check_prefix(self, message: &[u8]) -> Result<Option<Prefix>, Error> {
        match (self, message) {
            (Self::Strict, [_, ..]) => Ok(Some(Prefix::parse(message)?.0)),
            (Self::Strict, []) | (Self::Lenient, _) => Ok(None),
        }
    }
}

/// Steps on a copy of the state, which is thrown away if they fail.
impl Active {
    fn send<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<Sent, Error> {
        let (payload, secret) = self.braid.send(rng);
        let epoch = self.braid.epoch;
        let keyless = self.chain.is_none()
            && self
                .negotiation
                .as_ref()
                .is_some_and(|negotiation| negotiation.min_version == Version::V0);
        if keyless {
            if secret.is_some() {
                // The secret of an epoch comes out long after the first message came in.
                return Err(Error::StateDecode("an epoch's secret came out of turn"));
            }
            return Ok(Sent {
                message: payload.encode(epoch, 0),
                key: None,
            });
        }
        let chain = self.chain_with(secret)?;
        let (index, key) = chain.send_key(chain_epoch(epoch)?)?;
        Ok(Sent {
            message: payload.encode(epoch, index),
            key: Some(key),
        })
    }

    fn receive(&mut self, prefix: Prefix, payload: &Payload) -> Result<Option<MessageKey>, Error> {
        let secret = self.braid.receive(prefix.epoch, payload)?;
        let chain = self.chain_with(secret)?;
        let key = if prefix.epoch == 1 && prefix.index == 0 {
            // The peer does not know yet whether this side has a post-quantum ratchet.
            None
        } else {
            Some(chain.receive_key(chain_epoch(prefix.epoch)?, prefix.index)?)
        };
        self.negotiation = None;
        Ok(key)
    }

    /// Gives the key of a message of which only the prefix can be read.
    fn receive_key_only(&mut self, prefix: Prefix) -> Result<Option<MessageKey>, Error> {
        let chain = self.chain_with(None)?;
        match prefix.index {
            0 => Ok(None),
            index => chain.receive_key(0, index).map(Some),
        }
    }

    /// The chain, started if it was not, and with the epoch whose secret has just come out.
    fn chain_with(&mut self, secret: Option<EpochSecret>) -> Result<&mut Chain, Error> {
        let chain = match (&mut self.chain, &self.negotiation) {
            (Some(chain), _) => chain,
            (none, Some(start)) => {
                none.insert(Chain::new(start.direction, &start.auth_key, start.params))
            }
            (None, None) => return Err(Error::ChainNotAvailable),
        };
        if let Some(EpochSecret { epoch, secret }) = secret {
            chain.add_epoch(epoch, &secret)?;
        }
        Ok(chain)
    }
}

/// The chain epoch that protects messages of a braid's epoch.
fn chain_epoch(braid_epoch: u64) -> Result<u64, Error> {
    braid_epoch
        .checked_sub(1)
        .ok_or(Error::EpochOutOfRange(braid_epoch))
}

impl ChainParams {
    /// The usual limits: jumps of 25 000, 2 000 skipped keys.
    pub const DEFAULT: Self = Self {
        max_jump: 25_000,
        max_out_of_order_keys: 2_000,
    };

    /// Limits: how far the index of a received message may lie ahead of the last one, and how many
    /// keys that were passed over are kept for messages that come late. Zero stands for the usual
    /// value, in the stored form too.
    #[must_use]
    pub const fn new(max_jump: u32, max_out_of_order_keys: u32) -> Self {
        const fn or_default(value: u32, default: u32) -> u32 {
            match value {
                0 => default,
                value => value,
            }
        }
        Self {
            max_jump: or_default(max_jump, Self::DEFAULT.max_jump),
            max_out_of_order_keys: or_default(
                max_out_of_order_keys,
                Self::DEFAULT.max_out_of_order_keys,
            ),
        }
    }

    /// The limits of a session with oneself, which may jump as far as it likes. Jumps of more than
    /// 2^20 are refused all the same: one message could otherwise cost hours of work.
    #[must_use]
    pub const fn with_self() -> Self {
        Self::new(u32::MAX, 0)
    }

    /// How far a received message may lie ahead.
    #[must_use]
    pub const fn max_jump(&self) -> u32 {
        self.max_jump
    }

    /// How many skipped keys are kept.
    #[must_use]
    pub const fn max_out_of_order_keys(&self) -> u32 {
        self.max_out_of_order_keys
    }
}

impl Default for ChainParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}
