//! What the application does with the store itself, and how it takes an error.

use rand::RngExt;
use sprag::Error;
use sprag::backend::Backend;

use super::{Teller, open};
use crate::key_server::policy;
use crate::ledger::Mark;
use crate::order::To;
use crate::post::Way;

impl Teller {
    /// Opens the account anew, and makes it if there is none.
    pub(super) async fn reopen(&mut self) {
        if let Some(account) = self.account.take() {
            let closed = account.store().close().await;
            self.mark(Mark::Closed(closed.is_ok()));
            self.tolerate(closed).await;
        }
        loop {
            match open(&self.path, self.vault.clone(), self.rng.random()).await {
                Ok(account) => {
                    let account = account.with_key_policy(policy());
                    let identity = account.identity_key().await;
                    if let Some(identity) = self.tolerate(identity).await {
                        self.mark(Mark::Created(identity));
                        self.account = Some(account);
                        return;
                    }
                }
                Err(error) => self.tolerate(Err(error)).await.unwrap_or(()),
            }
        }
    }

    /// The process is killed when it has written a message to a peer and not synced it. Whoever opens the store then finds
    /// it, and may send it.
    pub(super) async fn killed(&mut self, to: To, keyed: bool) {
        if !self.is_killed {
            return self.write_to(to).await;
        }
        let order = self.order_with_key(to, keyed);
        self.diary.folder.kill();
        let sent = self.send(&order).await;
        assert!(sent.is_err(), "it was released and not synced");
        if let Some(account) = self.account.take() {
            // This only stops the threads: it is over.
            let _ = account.store().close().await;
        }
        self.mark(Mark::Closed(false));
        self.diary.folder.revive();
        self.reopen().await;
        let found = !keyed && self.look_for(&order).await;
        self.inherited += usize::from(found);
        self.make_sure(&order, found).await;
    }

    pub(super) async fn new_epoch(&mut self) {
        if self.vault.is_none() {
            return;
        }
        let changed = self.account().store().new_epoch().await;
        self.tolerate(changed).await;
    }

    /// A message to a peer while the store is sealed anew.
    pub(super) async fn new_epoch_meanwhile(&mut self, peer: usize, way: Way) {
        let order = self.order(To::Peer(peer, way));
        let change = async {
            match self.vault {
                Some(_) => self.account().store().new_epoch().await.map(drop),
                None => Ok(()),
            }
        };
        let (sent, changed) = tokio::join!(self.send(&order), change);
        let sent = self.keep(&order, sent).await;
        // An error that both got has been dealt with.
        if sent.is_some() {
            self.tolerate(changed).await;
        }
        self.make_sure(&order, sent.is_some()).await;
    }

    pub(super) async fn finish_the_epoch(&mut self) {
        let done = self.account().store().upkeep().await;
        self.tolerate(done).await;
    }

    pub(super) async fn empty_the_log(&mut self) {
        let done = self.account().store().backend().checkpoint().await;
        self.tolerate(done.map_err(Error::from)).await;
    }

    /// Another program moves the log into the file, so that the next commit begins the log anew.
    pub(super) fn move_the_log(&self) {
        let other = rusqlite::Connection::open(&self.path).unwrap();
        let moved = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        assert!(moved.is_ok() || self.diary.folder.heal() > 0);
    }

    /// Takes an error for what it is if the disk gave reason, and opens the store anew if that is called for.
    pub(super) async fn tolerate<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        let error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.failures += 1;
        let codes = [
            "outcome-unknown",
            "store-io",
            "store-poisoned",
            "store-full",
        ];
        assert!(codes.contains(&error.code()), "{error}");
        if let Some(account) = &self.account
            && ["outcome-unknown", "store-poisoned"].contains(&error.code())
        {
            let refused = account.identity_key().await;
            let code = refused.err().map(|error| error.code());
            assert_eq!(code, Some("store-poisoned"), "after {error}");
        }
        self.diary.folder.heal();
        if let Some(account) = self.account.take() {
            // Whatever it says, it is over.
            let closed = account.store().close().await;
            self.mark(Mark::Closed(closed.is_ok()));
            Box::pin(self.reopen()).await;
        }
        None
    }
}
