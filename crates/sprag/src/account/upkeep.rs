//! The upkeep of our pre-keys: what the [planner](crate::upkeep) asks for, one commit for each step.
//!
//! Every step looks again, in its own commit, whether what it was planned for still stands, so that several may be at it, and
//! may be done again after a crash.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sprag_core::{bundle::PreKey, pre_key::KyberPreKeyId, time::Timestamp};
use tracing::{debug, info};

use super::{
    Account,
    keys::{load_inventory, make_keys, name, names, put_inventory},
};
use crate::{
    Error, Event, KyberPreKeyStore, PreKeyStore, SignedPreKeyStore, Transaction,
    backend::{Backend, Kind},
    durable::{Turn, names::Name, value::OwnIdentity},
    upkeep::{
        self, Action, Generation, Inventory, KeyRange, KeyServer, KeySort, KeyUpload, Policy,
        ServerView,
    },
};

const OPERATION: &str = "upkeep";

/// How many keys, or uses of a key, are deleted by one commit.
const AT_ONCE: u32 = 200;

/// What a handle knows of the keys without looking.
#[derive(Default)]
pub(super) struct Hints(Mutex<Known>);

#[derive(Clone, Copy, Default)]
struct Known {
    /// Until when it need not look whether something may be sent.
    good_until: Option<Timestamp>,
    /// Whether a one-time key was used up since the last upkeep.
    keys_were_used: bool,
}

/// What is told before an action is performed. The first keys of an account replace none.
fn before(action: &Action) -> Vec<Event> {
    let Action::Generate(generations) = action else {
        return Vec::new();
    };
    let replaces = |one_time| {
        let mut replaced = generations.iter().filter(|made| made.after.is_some());
        replaced.any(|made| made.sort.is_one_time() == one_time)
    };
    let few = replaces(true).then_some(Event::KeysLow);
    let due = replaces(false).then_some(Event::RotationDue);
    few.into_iter().chain(due).collect()
}

/// What is told after it.
fn after(action: &Action) -> Vec<Event> {
    match action {
        Action::Confirm(keys) if keys.iter().any(|keys| !keys.sort.is_one_time()) => {
            vec![Event::RotationDone]
        }
        _ => Vec::new(),
    }
}

impl Hints {
    /// A message arrived with which a session began.
    pub(super) fn keys_were_used(&self) {
        self.known().keys_were_used = true;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Backend> Account<B> {
    /// Looks after our pre-keys by another [`Policy`] than the usual one.
    #[must_use]
    pub fn with_key_policy(mut self, policy: Policy) -> Self {
        self.key_policy = policy;
        self
    }

    /// Makes, publishes, replaces and deletes pre-keys as far as it is time to; see [`upkeep`](crate::upkeep). Answers
    /// what was done.
    ///
    /// Call it at the start and whenever it [is due](Self::upkeep_is_due). It may fail, be cancelled or die at any moment, and
    /// several may run at once: the next call goes on where things stand.
    ///
    /// # Errors
    /// `key-server-failed`: try again later. Otherwise what the storage reports. What was done before stays done.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn upkeep<S: KeyServer + ?Sized>(&self, server: &S) -> Result<Vec<Action>, Error> {
        let mut done = Vec::new();
        let each = |action: &Action| done.push(action.clone());
        self.upkeep_observed(server, each).await?;
        Ok(done)
    }

    /// [`upkeep`](Self::upkeep) that tells of each step when it is done, for a progress bar.
    ///
    /// # Errors
    /// As for [`upkeep`](Self::upkeep).
    pub async fn upkeep_observed<S: KeyServer + ?Sized>(
        &self,
        server: &S,
        mut done: impl FnMut(&Action) + Send,
    ) -> Result<(), Error> {
        let mut view = ServerView::new(server.counts().await?);
        while let Some(action) = self.next_action(Some(&view)).await? {
            self.tell(before(&action));
            self.perform(server, &mut view, &action).await?;
            info!(%action, "done");
            self.tell(after(&action));
            done(&action);
        }
        self.note_check().await
    }

    fn tell(&self, events: Vec<Event>) {
        for event in events {
            self.store.events().emit(self.id, event);
        }
    }

    /// What [`upkeep`](Self::upkeep) would do now.
    ///
    /// # Errors
    /// As for [`upkeep`](Self::upkeep). Nothing is changed.
    pub async fn upkeep_plan<S: KeyServer + ?Sized>(
        &self,
        server: &S,
    ) -> Result<Vec<Action>, Error> {
        let counts = server.counts().await?;
        let inventory = self.key_inventory().await?;
        let now = self.store.environment().now();
        Ok(upkeep::plan(
            &inventory,
            Some(&counts),
            now,
            &self.key_policy,
        ))
    }

    /// Whether it is time for the [upkeep](Self::upkeep): it was not done for 12 hours, the clock went back, or a message was received
    /// here with which a session began, so that the server may be low on one-time keys.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn upkeep_is_due(&self) -> Result<bool, Error> {
        if self.hints.known().keys_were_used {
            return Ok(true);
        }
        let inventory = self.key_inventory().await?;
        let now = self.store.environment().now();
        Ok(inventory.check_is_due(now, &self.key_policy))
    }

    /// The pre-keys that we have made and hold, by batch.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn key_inventory(&self) -> Result<Inventory, Error> {
        // One record, which is whole at any moment: there is nothing to validate.
        load_inventory(&self.store.begin(&self.address)).await
    }

    /// Refuses to go on with keys that peers have been given for too long. An account that never published any is not
    /// concerned.
    pub(super) async fn require_current_keys(&self) -> Result<(), Error> {
        let now = self.store.environment().now();
        let good_until = self.hints.known().good_until;
        if good_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        let good_until = self.key_inventory().await?.good_until(&self.key_policy);
        if good_until.is_some_and(|until| until <= now) {
            return Err(Error::KeysTooOld);
        }
        let look_again = now.saturating_add(self.key_policy.check_every);
        self.hints.known().good_until = Some(good_until.unwrap_or(look_again));
        Ok(())
    }

    /// Deletes what no server is needed for.
    pub(super) async fn tidy_keys(&self) -> Result<(), Error> {
        loop {
            match self.next_action(None).await? {
                None => return Ok(()),
                Some(Action::MarkStale(keys)) => self.mark_stale(&keys).await?,
                Some(Action::Delete(keys)) => self.delete_keys(keys).await?,
                Some(_) => return Ok(()),
            }
        }
    }

    pub(super) async fn key_turn(&self) -> Turn<'_> {
        self.store.turn(&self.id, Name::Keys).await
    }

    async fn next_action(&self, server: Option<&ServerView>) -> Result<Option<Action>, Error> {
        let inventory = self.key_inventory().await?;
        let now = self.store.environment().now();
        Ok(upkeep::next(&inventory, server, now, &self.key_policy))
    }

    async fn perform<S: KeyServer + ?Sized>(
        &self,
        server: &S,
        view: &mut ServerView,
        action: &Action,
    ) -> Result<(), Error> {
        match action {
            Action::Generate(generations) => self.generate(generations).await,
            Action::Publish(keys) => self.publish(server, view, keys).await,
            Action::Confirm(keys) => {
                let confirm = |inventory: &mut Inventory, _| inventory.confirm(keys);
                self.change_inventory(confirm).await
            }
            Action::MarkStale(keys) => self.mark_stale(keys).await,
            Action::Delete(keys) => self.delete_keys(*keys).await,
        }
    }

    /// Makes keys and persists them with their batches, in one commit.
    async fn generate(&self, generations: &[Generation]) -> Result<(), Error> {
        let _turn = self.key_turn().await;
        self.run(|tx| async move {
            let identity = self.own(&tx, |own| own.key_pair.clone()).await?;
            let mut inventory = load_inventory(&tx).await?;
            let mut rng = tx.rng()?;
            for made in generations {
                if inventory.newest(made.sort).map(|batch| batch.keys) != made.after {
                    debug!(sort = %made.sort, "somebody else has made keys");
                    continue;
                }
                let keys = make_keys(&tx, made.sort, made.count, &identity, &mut rng).await?;
                inventory.add(keys, tx.now());
            }
            put_inventory(&tx, inventory).await
        })
        .await
    }

    async fn publish<S: KeyServer + ?Sized>(
        &self,
        server: &S,
        view: &mut ServerView,
        keys: &[KeyRange],
    ) -> Result<(), Error> {
        let prepared = self.run(|tx| async move { self.upload(&tx, keys).await });
        let Some((upload, inventory)) = prepared.await? else {
            return Ok(());
        };
        server.upload(&upload).await?;
        let count = |keys: usize| u32::try_from(keys).unwrap_or(u32::MAX);
        let counts = [
            (KeySort::PreKey, count(upload.pre_keys.len())),
            (KeySort::KyberPreKey, count(upload.kyber_pre_keys.len())),
        ];
        view.took(keys, counts, &inventory);
        Ok(())
    }

    /// The public halves of `keys`, as far as they are there: who has used one has got it already. With them the current
    /// signed keys; `None` if one of these is lost, in which case its batch is forgotten, so that another one is made.
    async fn upload(
        &self,
        tx: &Transaction<B>,
        keys: &[KeyRange],
    ) -> Result<Option<(KeyUpload, Inventory)>, Error> {
        let mut inventory = load_inventory(tx).await?;
        let newest = |sort| inventory.newest(sort).map(|batch| batch.keys);
        let (Some(signed), Some(last)) =
            (newest(KeySort::SignedPreKey), newest(KeySort::LastResort))
        else {
            return Ok(None);
        };
        let signed_pre_key = tx.load_signed_pre_key(signed.first.into()).await?;
        let last_resort = tx.load_kyber_pre_key(last.first.into()).await?;
        let (Some(signed_pre_key), Some(last_resort)) = (&signed_pre_key, &last_resort) else {
            for (keys, is_lost) in [
                (signed, signed_pre_key.is_none()),
                (last, last_resort.is_none()),
            ] {
                inventory.delete(&keys, u32::from(is_lost));
            }
            put_inventory(tx, inventory).await?;
            return Ok(None);
        };
        let own = |own: &OwnIdentity| (own.registration_id, *own.key_pair.identity_key());
        let (registration_id, identity_key) = self.own(tx, own).await?;
        let mut upload = KeyUpload {
            registration_id,
            device_id: self.address.device_id(),
            identity_key,
            signed_pre_key: signed_pre_key.public_view()?,
            last_resort: last_resort.public_view()?,
            pre_keys: Vec::new(),
            kyber_pre_keys: Vec::new(),
        };
        for keys in keys.iter().filter(|keys| keys.sort.is_one_time()) {
            self.add_one_time_keys(tx, keys, &mut upload).await?;
        }
        Ok(Some((upload, inventory)))
    }

    async fn add_one_time_keys(
        &self,
        tx: &Transaction<B>,
        keys: &KeyRange,
        upload: &mut KeyUpload,
    ) -> Result<(), Error> {
        tx.prefetch(OPERATION, &names(keys)).await?;
        for id in keys.ids() {
            match keys.sort {
                KeySort::PreKey => {
                    if let Some(record) = tx.load_pre_key(id.into()).await? {
                        upload.pre_keys.push(PreKey {
                            id: record.id(),
                            public_key: record.public_key()?,
                        });
                    }
                }
                _ => {
                    if let Some(record) = tx.load_kyber_pre_key(id.into()).await? {
                        upload.kyber_pre_keys.push(record.public_view()?);
                    }
                }
            }
        }
        Ok(())
    }

    async fn mark_stale(&self, keys: &[KeyRange]) -> Result<(), Error> {
        let mark = |inventory: &mut Inventory, now| inventory.mark_stale(keys, now);
        self.change_inventory(mark).await
    }

    async fn change_inventory(
        &self,
        change: impl Fn(&mut Inventory, Timestamp),
    ) -> Result<(), Error> {
        let change = &change;
        self.run(|tx| async move {
            let mut inventory = load_inventory(&tx).await?;
            change(&mut inventory, tx.now());
            put_inventory(&tx, inventory).await
        })
        .await
    }

    /// Deletes keys, if their time is over still. Their batch goes last.
    async fn delete_keys(&self, mut keys: KeyRange) -> Result<(), Error> {
        if keys.sort == KeySort::LastResort {
            // Nobody adds a use once the key is gone.
            if !self.delete_some(&keys, 0).await? {
                return Ok(());
            }
            self.delete_uses(keys.first.into()).await?;
        }
        while keys.count > 0 {
            let count = keys.count.min(AT_ONCE);
            if !self.delete_some(&keys, count).await? {
                return Ok(());
            }
            keys = keys.without_first(count);
        }
        Ok(())
    }

    /// Deletes the first `count` keys and takes them off their batch; of 0 it deletes one and leaves the batch. Answers whether their
    /// time was over.
    async fn delete_some(&self, keys: &KeyRange, count: u32) -> Result<bool, Error> {
        self.run(|tx| async move {
            let mut inventory = load_inventory(&tx).await?;
            if !inventory.is_expired(keys, tx.now(), &self.key_policy) {
                return Ok(false);
            }
            let ids = keys.ids().take(count.max(1) as usize);
            let names: Vec<_> = ids.map(|id| name(keys.sort, id)).collect();
            tx.prefetch(OPERATION, &names).await?;
            for name in names {
                tx.remove(OPERATION, name).await?;
            }
            if count > 0 {
                inventory.delete(keys, count);
                put_inventory(&tx, inventory).await?;
            }
            Ok(true)
        })
        .await
    }

    /// Forgets what a last-resort key was used for.
    async fn delete_uses(&self, id: KyberPreKeyId) -> Result<(), Error> {
        let mut uses = Vec::new();
        let each = |name: &[u8], _| {
            let name = Name::kyber_use(name)?;
            uses.extend(name.is_use_of(id).then_some(name));
            Some(())
        };
        self.store.scan(&self.id, Kind::KyberUse, each).await?;
        for uses in uses.chunks(AT_ONCE as usize) {
            self.run(|tx| async move {
                tx.prefetch(OPERATION, uses).await?;
                for name in uses {
                    tx.remove(OPERATION, *name).await?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Notes that nothing more is to be done, unless that was noted not long ago.
    async fn note_check(&self) -> Result<(), Error> {
        let often = self.key_policy.check_every / 12;
        let good_until = self
            .run(|tx| async move {
                let mut inventory = load_inventory(&tx).await?;
                let now = tx.now();
                let good_until = inventory.good_until(&self.key_policy);
                let known =
                    |checked: Timestamp| checked <= now && now < checked.saturating_add(often);
                if !inventory.checked.is_some_and(known) {
                    inventory.checked = Some(now);
                    put_inventory(&tx, inventory).await?;
                }
                Ok(good_until)
            })
            .await?;
        *self.hints.known() = Known {
            good_until,
            keys_were_used: false,
        };
        Ok(())
    }
}
