//! What an application gives to be sent, and how it is sent only once.

use std::{fmt, time::Duration};

use bytes::Bytes;
use rand_core::CryptoRng;

use super::{Account, Envelope, EnvelopeType, OutboxId, Recipient};
use crate::{
    Error, Transaction,
    backend::{Backend, Kind},
    durable::{
        Slot,
        names::Name,
        value::{Posted, Value},
    },
};

/// How long a key is remembered after its envelope was sent, unless something else is asked for.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A text to send. Bytes and strings are taken as they are; with a [key](Self::key) they are sent only
/// once.
///
/// ```
/// use sprag::{Account, DurableStore, Outgoing, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
/// # let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
/// # let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
/// # alice.start_session(bob.address(), &bob.bundle().await?).await?;
/// # let bob = bob.address();
/// let text = Outgoing::new(b"Your order has left.").key(b"order 17 left");
/// let envelope = alice.send(bob, text).await?;
/// // The process died before it knew, or a queue delivered the job twice:
/// assert_eq!(alice.send(bob, text).await?, envelope);
/// alice.sent(envelope.id).await?;
/// assert_eq!(alice.send(bob, text).await?, envelope);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    pub(super) plaintext: &'a [u8],
    key: Option<&'a [u8]>,
    kept_for: Duration,
}

impl<'a> Outgoing<'a> {
    /// A text to send.
    pub fn new(plaintext: &'a [u8]) -> Self {
        Self {
            plaintext,
            key: None,
            kept_for: KEPT_FOR,
        }
    }

    /// Sends it only once under this key, which the application chooses: while the envelope waits in the outbox,
    /// and for 24 hours after it was [sent](Account::sent), the same key gives the same envelope again
    /// instead of encrypting once more.
    ///
    /// A key belongs to its account and recipient, a device or a group: for another recipient the same key is another one.
    /// The text is not compared, since nothing of it is kept. The same key for the same recipient once sealed and once
    /// not is an error (`key-reused`).
    #[must_use]
    pub fn key(self, key: &'a [u8]) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// How long the key is remembered after the envelope was sent; the envelope itself, not the text,
    /// stays in the store for as long. It counts by the system's clock.
    ///
    /// Let it be longer than anybody may take to repeat himself. Afterwards the key is free for another envelope, which
    /// has the same id, so a [`sent`](Account::sent) that is said once more so late would be taken for this one.
    #[must_use]
    pub fn kept_for(self, kept_for: Duration) -> Self {
        Self { kept_for, ..self }
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(plaintext: &'a [u8]) -> Self {
        Self::new(plaintext)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    fn from(plaintext: &'a [u8; N]) -> Self {
        Self::new(plaintext)
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<'a> {
    fn from(plaintext: &'a Vec<u8>) -> Self {
        Self::new(plaintext)
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(plaintext: &'a str) -> Self {
        Self::new(plaintext.as_bytes())
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    fn from(plaintext: &'a String) -> Self {
        Self::new(plaintext.as_bytes())
    }
}

/// Prints the length of the text only, and nothing of the key.
impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("plaintext", &format_args!("{} bytes", self.plaintext.len()))
            .field("has_key", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Account<B> {
    /// The id under which the envelope of `outgoing` is going to wait, or does: random without a key.
    pub(super) fn outbox_id<R: CryptoRng + ?Sized>(
        &self,
        outgoing: &Outgoing<'_>,
        recipient: &Recipient,
        rng: &mut R,
    ) -> OutboxId {
        match outgoing.key {
            None => OutboxId::random(rng),
            Some(key) => self.store.header().names.outbox(&self.id, key, recipient),
        }
    }

    /// The envelope that the key of `outgoing` made before, if that is remembered.
    ///
    /// That there is none is taken for granted at first; the commit finds out. A key that was used for what is `sealed` now
    /// and was not then, or the other way round, is refused: one must not pass for the other.
    pub(super) async fn posted_before(
        &self,
        tx: &Transaction<B>,
        id: OutboxId,
        sealed: bool,
    ) -> Result<Option<Envelope>, Error> {
        let now = tx.now();
        let known = tx.get("load_envelope", Name::Outbox(id), |value| match value {
            Some(Value::Outbox(posted)) if !posted.is_forgotten(now) => {
                Some(Envelope::new(id, posted))
            }
            _ => None,
        });
        let known = known.await?;
        let same = |envelope: &Envelope| (envelope.message_type == EnvelopeType::Sealed) == sealed;
        if known.as_ref().is_none_or(same) {
            Ok(known)
        } else {
            Err(Error::KeyReused)
        }
    }

    /// Puts the envelope into the outbox.
    pub(super) async fn post(
        &self,
        tx: &Transaction<B>,
        id: OutboxId,
        outgoing: &Outgoing<'_>,
        recipient: Recipient,
        message_type: EnvelopeType,
        bytes: Bytes,
    ) -> Result<Envelope, Error> {
        let posted = Posted {
            created: tx.now(),
            recipient,
            message_type,
            bytes,
            kept_for: outgoing.key.map(|_| outgoing.kept_for),
            sent: None,
        };
        let envelope = Envelope::new(id, &posted);
        let posted = Value::Outbox(posted);
        tx.put("store_envelope", Name::Outbox(id), posted).await?;
        Ok(envelope)
    }

    /// Forgets the keys whose time is over, at most once an hour.
    pub(super) async fn sweep_outbox(&self) -> Result<(), Error> {
        let now = self.store.environment().now();
        if !self.store.sweep_is_due(self.id, now) {
            return Ok(());
        }
        let mut forgotten = Vec::new();
        let each = |name: &[u8], payload| {
            if Posted::decode(payload)?.is_forgotten(now) {
                forgotten.push(OutboxId::from_bytes(name.try_into().ok()?));
            }
            Some(())
        };
        self.store.scan(&self.id, Kind::Outbox, each).await?;
        for ids in forgotten.chunks(SWEPT_AT_ONCE) {
            self.run(|tx| async move {
                let names: Vec<_> = ids.iter().copied().map(Name::Outbox).collect();
                tx.prefetch(SWEEP, &names).await?;
                for name in names {
                    let forget = |slot: &mut Slot| match slot.value() {
                        Some(Value::Outbox(posted)) if posted.is_forgotten(now) => slot.remove(),
                        _ => {}
                    };
                    tx.update(SWEEP, name, forget).await?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

const SWEEP: &str = "sweep_outbox";

/// How many records are removed by one commit.
const SWEPT_AT_ONCE: usize = 256;
