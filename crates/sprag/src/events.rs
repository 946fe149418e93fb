//! What happens in a store, told to whoever wants to know.
//!
//! An event is told only after the commit that made it true, never for an attempt that was given up. Nobody waits for
//! a subscriber: one that is too slow misses events, and is told so. An event is a hint; what is true stands in the store.

use sprag_core::address::ProtocolAddress;
use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};
use tracing::debug;

use crate::backend::{AccountId, Kind};

/// How many events wait for a slow subscriber.
const WAITING: usize = 256;

/// Something has happened. Events name peers, and never carry a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Another identity than before is known of the peer now.
    IdentityChanged {
        /// Under which it was seen.
        address: ProtocolAddress,
    },
    /// Somebody has used another identity under our own name. It was ignored.
    OwnIdentityContested {
        /// Under which it was seen.
        address: ProtocolAddress,
    },
    /// The server has few one-time pre-keys left; [upkeep](crate::Account::upkeep) makes new ones.
    KeysLow,
    /// The signed pre-keys are to be replaced; upkeep begins with it.
    RotationDue,
    /// New signed pre-keys are published.
    RotationDone,
    /// A session was put aside; nothing more is sent in it.
    SessionArchived {
        /// With whom.
        address: ProtocolAddress,
    },
    /// An operation found other records at its commit than it went by, and is done once more: somebody else was faster, or
    /// a message that was taken for new was not.
    ConflictRetried,
    /// A record cannot be read.
    DamagedRecord {
        /// What it is about.
        kind: Kind,
    },
    /// The subscriber was too slow, and events are lost. Of all in the store, also if it asks for one account's.
    Missed {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// The stable short code of this event.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IdentityChanged { .. } => "identity-changed",
            Self::OwnIdentityContested { .. } => "own-identity-contested",
            Self::KeysLow => "keys-low",
            Self::RotationDue => "rotation-due",
            Self::RotationDone => "rotation-done",
            Self::SessionArchived { .. } => "session-archived",
            Self::ConflictRetried => "conflict-retried",
            Self::DamagedRecord { .. } => "damaged-record",
            Self::Missed { .. } => "missed",
        }
    }
}

type Told = (AccountId, Event);

/// A subscription, from when it was made on.
///
/// ```
/// use sprag::{Account, DurableStore, Event, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
///
/// # async fn example() -> Result<(), sprag::Error> {
/// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
/// # let bob = Account::create(store.clone(), ProtocolAddress::new("bob", 1)?).await?;
/// let alice = Account::create(store, ProtocolAddress::new("alice", 1)?).await?;
/// let mut events = alice.events();
///
/// // In a task of its own:
/// let watch = async move {
///     while let Some(event) = events.next().await {
///         match event {
///             Event::IdentityChanged { address } => println!("{address} has a new identity"),
///             Event::SessionArchived { address } => return Some(address),
///             Event::Missed { .. } => println!("look at all identities again"),
///             _ => {}
///         }
///     }
///     None // The store is closed.
/// };
///
/// alice.start_session(bob.address(), &bob.bundle().await?).await?;
/// alice.archive_session(bob.address()).await?;
/// assert_eq!(watch.await.as_ref(), Some(bob.address()));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Told>,
    /// Whose events are asked for; `None`: everybody's.
    account: Option<AccountId>,
}

impl Events {
    /// Waits for the next event. `None` once all handles on the store are gone. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(told) if self.wants(&told) => return Some(told.1),
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => return Some(Event::Missed { count }),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.try_recv() {
                Ok(told) if self.wants(&told) => return Some(told.1),
                Ok(_) => {}
                Err(TryRecvError::Lagged(count)) => return Some(Event::Missed { count }),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    /// What is about the store as a whole is everybody's.
    fn wants(&self, (account, _): &Told) -> bool {
        let wanted = |wanted: AccountId| *account == wanted || *account == AccountId::STORE;
        self.account.is_none_or(wanted)
    }
}

/// Where events are told.
pub(crate) struct Hub(broadcast::Sender<Told>);

impl Hub {
    pub(crate) fn subscribe(&self, account: Option<AccountId>) -> Events {
        Events {
            receiver: self.0.subscribe(),
            account,
        }
    }

    /// Tells what has happened to `account`, or to the store as a whole ([`AccountId::STORE`]).
    pub(crate) fn emit(&self, account: AccountId, event: Event) {
        debug!(event = event.code(), "something has happened");
        // Nobody may be listening.
        let _ = self.0.send((account, event));
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: AccountId = AccountId::from_bytes([1; 16]);
    const TWO: AccountId = AccountId::from_bytes([2; 16]);

    #[tokio::test]
    async fn everybody_hears_what_is_for_him_from_when_he_listens() {
        let hub = Hub::default();
        hub.emit(ONE, Event::KeysLow);
        let (mut one, mut all) = (hub.subscribe(Some(ONE)), hub.subscribe(None));
        hub.emit(TWO, Event::RotationDue);
        hub.emit(ONE, Event::RotationDone);
        hub.emit(AccountId::STORE, Event::ConflictRetried);
        for expected in [Event::RotationDone, Event::ConflictRetried] {
            assert_eq!(one.next().await, Some(expected));
        }
        for expected in [Event::RotationDue, Event::RotationDone] {
            assert_eq!(all.try_next(), Some(expected));
        }
        drop(hub);
        assert_eq!(all.next().await, Some(Event::ConflictRetried));
        assert_eq!((one.next().await, all.next().await), (None, None));
        assert_eq!(one.try_next(), None);
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_that_he_has_missed_some() {
        let hub = Hub::default();
        let mut slow = hub.subscribe(Some(ONE));
        for _ in 0..WAITING + 3 {
            hub.emit(ONE, Event::KeysLow);
        }
        assert_eq!(slow.next().await, Some(Event::Missed { count: 3 }));
        for _ in 0..WAITING {
            assert_eq!(slow.next().await, Some(Event::KeysLow));
        }
        assert_eq!(slow.try_next(), None);
    }
}
