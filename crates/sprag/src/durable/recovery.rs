//! What can be saved of a store that was put back to an earlier state.
//!
//! Since that state was current its keys were used: messages were sent in its sessions, and one-time keys were handed
//! out and consumed. So identity and trust stay, and whatever is used once only goes:
//!
//! | what | what becomes of it |
//! |---|---|
//! | our identity, the identities of peers | stay |
//! | sessions | put aside, nothing is sent in them any more; what is under way can still be read |
//! | one-time pre-keys, EC and Kyber | dropped |
//! | signed pre-keys, Kyber pre-keys of last resort | stay: others may start sessions with them |
//! | our own sender keys | dropped; those of others stay |
//! | where ids of pre-keys are counted | dropped: chosen anew, at random |
//! | which pre-keys there are | one-time keys are forgotten, all others are to be replaced |
//! | outbox, inbox | stay: a recipient tells what arrives twice |

use std::sync::Arc;

use super::{
    DurableStore, Slot, StoreOptions, frame, generation,
    names::{self, Name},
    value::Value,
};
use crate::{
    Error, KyberPreKeyKind, SessionStore, StoreError, Transaction,
    backend::{AccountId, Backend, Kind, RecordKey},
    vault::Vault,
};

const OPERATION: &str = "recover";

/// What [`StoreOptions::recover`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How many sessions were put aside: start new ones.
    pub sessions: u64,
    /// How many one-time pre-keys of both sorts were dropped: publish new ones.
    pub pre_keys: u64,
    /// How many sender keys of our own were dropped: distribute new ones.
    pub sender_keys: u64,
    /// How many records are damaged and were left as they are.
    pub damaged: u64,
}

impl StoreOptions {
    /// Opens a store that was put back to an earlier state ([`Error::RolledBack`]), after everything in it
    /// that must not be used twice was dropped or put aside. It is the current one from then on; an error on the way changes
    /// nothing of that, and recovering again goes on.
    ///
    /// Before it answers nobody else may have the store open. Afterwards publish new pre-keys, and start a new session with
    /// whom there is something to be sent to. Messages that others sent since that state may be lost: they have
    /// to send them again.
    ///
    /// # Errors
    /// As for [`open`](Self::open). [`Error::RolledBack`] again if the copy is from an epoch whose root is destroyed: then
    /// nobody can read it.
    pub async fn recover<B: Backend>(
        self,
        backend: B,
        vault: impl Vault,
    ) -> Result<(DurableStore<B>, Recovery), Error> {
        let vault = Arc::new(vault);
        let store = self.open_at_any_generation(backend, Some(vault)).await?;
        let mut recovery = Recovery::default();
        let mut after = None;
        loop {
            let (header, page) = store.walk(after.as_ref()).await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            for (key, record) in page {
                if !is_concerned(&key) {
                    continue;
                }
                match frame::split(&header.seals, &key, &record) {
                    Some((name, _)) => store.recover_record(&key, &name, &mut recovery).await?,
                    None => recovery.damaged += 1,
                }
            }
        }
        generation::overtake(&store).await?;
        Ok((store, recovery))
    }
}

fn is_concerned(key: &RecordKey) -> bool {
    matches!(
        key.kind(),
        Kind::Session
            | Kind::PreKey
            | Kind::KyberPreKey
            | Kind::SenderKey
            | Kind::Counter
            | Kind::Account
    )
}

impl<B: Backend> DurableStore<B> {
    async fn recover_record(
        &self,
        key: &RecordKey,
        name: &[u8],
        recovery: &mut Recovery,
    ) -> Result<(), Error> {
        let step = |tx: Arc<Transaction<B>>| async move {
            let changed = match key.kind() {
                Kind::Session => put_aside(&tx, name).await,
                Kind::SenderKey => self.drop_own_sender_key(&tx, key.account(), name).await,
                Kind::Account => replace_keys(&tx, name).await,
                kind => drop_one(&tx, kind, name).await,
            };
            Ok(changed?)
        };
        match self.run_as(*key.account(), step).await {
            Ok(true) => match key.kind() {
                Kind::Session => recovery.sessions += 1,
                Kind::PreKey | Kind::KyberPreKey => recovery.pre_keys += 1,
                Kind::SenderKey => recovery.sender_keys += 1,
                _ => {}
            },
            Ok(false) => {}
            Err(Error::Store(error)) if error.is_tampered() => recovery.damaged += 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn drop_own_sender_key(
        &self,
        tx: &Transaction<B>,
        account: &AccountId,
        name: &[u8],
    ) -> Result<bool, StoreError> {
        match names::sender_key(name) {
            Some((group, sender)) if self.account_id(&sender) == *account => {
                tx.remove(OPERATION, Name::SenderKey(&sender, group)).await
            }
            _ => Ok(false),
        }
    }
}

/// Whether there was a session that could be sent in.
async fn put_aside<B: Backend>(tx: &Transaction<B>, name: &[u8]) -> Result<bool, StoreError> {
    let Some(peer) = names::address(name) else {
        return Ok(false);
    };
    let Some(mut record) = tx.load_session(&peer).await? else {
        return Ok(false);
    };
    let had_current = record.has_current_state();
    record.archive_and_end_sending();
    tx.store_session(&peer, record).await?;
    Ok(had_current)
}

/// Has all pre-keys replaced, of whatever the server has now.
async fn replace_keys<B: Backend>(tx: &Transaction<B>, name: &[u8]) -> Result<bool, StoreError> {
    if name != Name::Keys.bytes() {
        return Ok(false);
    }
    let now = tx.now();
    let start_over = |slot: &mut Slot| {
        if let Some(Value::Keys(inventory)) = slot.value() {
            let mut inventory = inventory.clone();
            inventory.start_over(now);
            slot.put(Value::Keys(inventory));
        }
    };
    tx.update(OPERATION, Name::Keys, start_over).await?;
    Ok(true)
}

/// Drops a record if it is for one use.
async fn drop_one<B: Backend>(
    tx: &Transaction<B>,
    kind: Kind,
    name: &[u8],
) -> Result<bool, StoreError> {
    let id = || Some(u32::from_be_bytes(name.try_into().ok()?));
    let found = match (kind, name) {
        (Kind::PreKey, _) => id().map(|id| Name::PreKey(id.into())),
        (Kind::KyberPreKey, _) => id().map(|id| Name::KyberPreKey(id.into())),
        (Kind::Counter, [kind]) => Kind::from_code(*kind).map(Name::Counter),
        _ => None,
    };
    let Some(found) = found else {
        return Ok(false);
    };
    let stays = tx.get(OPERATION, found, |value| {
        matches!(
            value,
            Some(Value::KyberPreKey(_, KyberPreKeyKind::LastResort))
        )
    });
    if stays.await? {
        return Ok(false);
    }
    tx.remove(OPERATION, found).await
}
