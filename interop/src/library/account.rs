//! Accounts over SQLite, each in a file of its own, opened anew again and again.

mod groups;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sprag::StoreOptions;
use sprag::vault::MemoryVault;
use sprag::{
    Account, CiphertextMessage, DurableStore, EnvelopeType, Environment, Error, ProtocolAddress,
    ProtocolError, SessionRecord, SessionStore as _, System, Timestamp, Transaction,
    backend::Backend as _,
    protocol::identity::{IdentityKey, IdentityKeyPair},
};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use tempfile::TempDir;

use super::{
    ledger::Ledger,
    parse_message,
    stores::{Stores, broken},
    wait,
};
use crate::{
    Address, Bundle, BundleRequest, Envelope, Failure, Implementation, Party, PartyState,
    sprag::{bundle, parse_address},
};

type OnSqlite = Account<SqliteBackend>;

/// `Account` over SQLite.
#[derive(Clone, Copy, Debug)]
pub struct SpragAccount;

impl Implementation for SpragAccount {
    fn name(&self) -> &str {
        "sprag's account"
    }

    fn create(
        &self,
        address: &Address,
        registration_id: u32,
        identity_key_pair: Option<&[u8]>,
    ) -> Result<Box<dyn Party>, Failure> {
        let identity = match identity_key_pair {
            Some(record) => IdentityKeyPair::deserialize(record)?,
            None => IdentityKeyPair::generate(&mut rand::rng()),
        };
        let party = AccountParty::create(address, identity, registration_id);
        Ok(Box::new(wait(party)?))
    }

    fn restore(&self, state: &PartyState) -> Result<Box<dyn Party>, Failure> {
        let party = wait(async {
            let identity = IdentityKeyPair::deserialize(&state.identity_key_pair)?;
            let mut party =
                AccountParty::create(&state.address, identity, state.registration_id).await?;
            party.move_in(state).await?;
            Ok(party)
        });
        Ok(Box::new(party?))
    }
}

struct AccountParty {
    account: OnSqlite,
    address: Address,
    local: ProtocolAddress,
    clock: Clock,
    vault: MemoryVault,
    ledger: Ledger,
    /// Decides when the store is opened anew.
    rng: StdRng,
    folder: TempDir,
}

impl AccountParty {
    async fn create(
        address: &Address,
        identity: IdentityKeyPair,
        registration_id: u32,
    ) -> Result<Self, Failure> {
        let folder = folder().map_err(|error| broken(&error.to_string()))?;
        let (local, clock) = (parse_address(address)?, Clock::default());
        let vault = MemoryVault::new();
        let store = open(folder.path(), &clock, &vault).await?;
        let account =
            OnSqlite::create_with_identity(store, local.clone(), identity, registration_id);
        Ok(Self {
            account: account.await?,
            address: address.clone(),
            local,
            clock,
            vault,
            ledger: Ledger::default(),
            rng: StdRng::seed_from_u64(1),
            folder,
        })
    }

    /// Everything but the identity comes in one transaction.
    async fn move_in(&mut self, state: &PartyState) -> Result<(), Failure> {
        let transaction = self.begin();
        self.ledger = Stores::all_in(&transaction).move_in(state).await?;
        Ok(transaction.commit().await?)
    }

    fn begin(&self) -> Transaction<SqliteBackend> {
        self.account.store().begin(&self.local)
    }

    /// Now and then opens the store anew, as if the process had ended: in good order, or of a sudden. Tells whether it did.
    async fn interrupt(&mut self) -> Result<bool, Failure> {
        if !self.rng.random_ratio(1, 8) {
            return Ok(false);
        }
        if self.rng.random_ratio(1, 2) {
            self.account.store().close().await?;
        } else {
            // What was acknowledged would be durable only a moment after the handle is dropped, when the next one is in use.
            let made_durable = self.account.store().backend().checkpoint().await;
            made_durable.map_err(Error::from)?;
        }
        let store = open(self.folder.path(), &self.clock, &self.vault).await?;
        self.account = OnSqlite::open(store, self.local.clone()).await?;
        Ok(true)
    }

    async fn make_bundle(&self, request: BundleRequest) -> Result<Bundle, Failure> {
        if request == BundleRequest::FULL {
            return Ok(bundle::present(&self.account.bundle().await?));
        }
        let transaction = self.begin();
        let (now, mut rng) = (transaction.now(), transaction.rng()?);
        let made = Stores::all_in(&transaction)
            .make_bundle(&self.local, &self.ledger, request, now, &mut rng)
            .await?;
        transaction.commit().await?;
        Ok(bundle::present(&made))
    }

    /// An envelope that was not yet known to be sent is still in the outbox after an interruption.
    async fn send(&mut self, peer: &ProtocolAddress, text: &[u8]) -> Result<Envelope, Failure> {
        let envelope = self.account.send(peer, text).await?;
        if self.interrupt().await? && self.account.outbox_pending().await? != [envelope.clone()] {
            return Err(broken("the outbox is not as it was"));
        }
        if !self.account.sent(envelope.id).await? {
            return Err(broken("the envelope was not in the outbox"));
        }
        Ok(Envelope {
            kind: envelope.message_type as u8,
            body: envelope.bytes.as_ref().into(),
        })
    }

    /// A plaintext that nobody is known to have is still in the inbox after an interruption, and the message gives it
    /// again.
    async fn receive(
        &mut self,
        peer: &ProtocolAddress,
        kind: EnvelopeType,
        body: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let delivery = self.account.receive(peer, kind, body).await?;
        if self.interrupt().await? {
            let again = self.account.receive(peer, kind, body).await?;
            if again != delivery || self.account.inbox_pending().await? != [again] {
                return Err(broken("the inbox is not as it was"));
            }
        }
        if !self.account.done(delivery.id).await? {
            return Err(broken("the plaintext was not in the inbox"));
        }
        Ok(delivery.plaintext.to_vec())
    }

    /// An account receives from somebody who has taken a peer's place, and says so; a [`Party`] refuses.
    async fn refuse_strangers(
        &self,
        peer: &ProtocolAddress,
        message: &CiphertextMessage,
    ) -> Result<(), Failure> {
        let known = self.account.identity(peer).await?;
        match (message, known) {
            (CiphertextMessage::PreKey(message), Some(known))
                if *message.identity_key() != known =>
            {
                Err(ProtocolError::UntrustedIdentity(peer.clone()).into())
            }
            _ => Ok(()),
        }
    }

    async fn read_state(&self) -> Result<PartyState, Failure> {
        let transaction = self.begin();
        let stores = Stores::all_in(&transaction);
        let state = stores.state(&self.address, &self.ledger).await?;
        transaction.validate().await?;
        // In a transaction that is forgotten.
        stores.audit(&self.ledger).await?;
        let status = self.account.status().await?;
        if (status.outbox, status.inbox) != (0, 0) {
            return Err(broken("something was left behind in the outbox or inbox"));
        }
        Ok(state)
    }
}

impl Party for AccountParty {
    fn address(&self) -> &Address {
        &self.address
    }

    fn bundle(&mut self, request: BundleRequest, now: u64) -> Result<Bundle, Failure> {
        self.clock.set(now);
        let made = wait(async {
            self.interrupt().await?;
            self.make_bundle(request).await
        })?;
        self.ledger.hand_out(&made, request);
        Ok(made)
    }

    fn process_bundle(
        &mut self,
        remote: &Address,
        bundle: &Bundle,
        now: u64,
    ) -> Result<(), Failure> {
        self.clock.set(now);
        let (peer, bundle) = (parse_address(remote)?, bundle::parse(bundle)?);
        self.ledger.meet(remote);
        wait(async {
            self.interrupt().await?;
            Ok(self.account.start_session(&peer, &bundle).await?)
        })
    }

    fn encrypt(
        &mut self,
        remote: &Address,
        plaintext: &[u8],
        now: u64,
    ) -> Result<Envelope, Failure> {
        self.clock.set(now);
        let peer = parse_address(remote)?;
        wait(self.send(&peer, plaintext))
    }

    fn decrypt(&mut self, remote: &Address, envelope: &Envelope) -> Result<Vec<u8>, Failure> {
        let peer = parse_address(remote)?;
        let message = parse_message(envelope)?;
        let kind = message.message_type().into();
        wait(self.refuse_strangers(&peer, &message))?;
        let plaintext = wait(self.receive(&peer, kind, &envelope.body))?;
        self.ledger.meet(remote);
        self.ledger.was_read(&message);
        Ok(plaintext)
    }

    fn has_usable_sender_chain(&mut self, remote: &Address, now: u64) -> Result<bool, Failure> {
        self.clock.set(now);
        let peer = parse_address(remote)?;
        wait(async { Ok(self.account.has_usable_session(&peer).await?) })
    }

    fn session(&mut self, remote: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let peer = parse_address(remote)?;
        let record = wait(async { Ok(self.begin().load_session(&peer).await?) })?;
        Ok(record.map(|record| record.serialize().to_vec()))
    }

    fn set_session(&mut self, remote: &Address, record: &[u8]) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        let record = SessionRecord::deserialize(record)?;
        self.ledger.meet(remote);
        wait(async {
            let transaction = self.begin();
            transaction.store_session(&peer, record).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn archive_session(&mut self, remote: &Address) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        wait(async {
            let transaction = self.begin();
            Stores::all_in(&transaction).archive_session(&peer).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn delete_session(&mut self, remote: &Address) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        wait(async {
            let transaction = self.begin();
            transaction.delete_session(&peer).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn trust(&mut self, remote: &Address, identity_key: &[u8]) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        let key = IdentityKey::deserialize(identity_key)?;
        self.ledger.meet(remote);
        wait(async {
            self.account.approve_identity(&peer, &key).await?;
            Ok(())
        })
    }

    fn state(&mut self) -> Result<PartyState, Failure> {
        wait(self.read_state())
    }
}

impl Drop for AccountParty {
    fn drop(&mut self) {
        // What cannot be closed goes with the folder all the same.
        let _ = wait(async { Ok(self.account.store().close().await?) });
    }
}

/// A folder whose files are in memory, if the system has such: nothing here is to outlive a power cut.
fn folder() -> io::Result<TempDir> {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())
}

async fn open(
    folder: &Path,
    clock: &Clock,
    vault: &MemoryVault,
) -> Result<DurableStore<SqliteBackend>, Error> {
    let options = SqliteOptions::file(folder.join("sprag.db"));
    StoreOptions::new()
        .environment(clock.clone())
        .open(options.open().await?, vault.clone())
        .await
}

/// The scenario's time, and true randomness.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Environment for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn seed(&self, seed: &mut [u8; 32]) -> Result<(), Error> {
        System.seed(seed)
    }
}
