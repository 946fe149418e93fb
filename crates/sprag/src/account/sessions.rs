//! The sessions with peers and their devices.

use sprag_core::{
    address::ProtocolAddress, bundle::PreKeyBundle, session::SenderChainRequirements,
};

use super::{Account, Tx, peers::Peers};
use crate::{
    Error, Event, SessionBuilder, SessionStore, Transaction, backend::Backend, durable::names::Name,
};

impl<B: Backend> Account<B> {
    /// Starts a session with `peer` from its bundle. It takes the place of the one before, however
    /// healthy that was.
    ///
    /// # Errors
    /// `untrusted-identity`: the bundle's identity is not the one known, or that one is not approved;
    /// [`approve_identity`](Self::approve_identity) if the user agrees. `invalid-signature` or
    /// another [`Error::Protocol`]: the bundle is not fit. Otherwise what the storage reports.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn start_session(
        &self,
        peer: &ProtocolAddress,
        bundle: &PreKeyBundle,
    ) -> Result<(), Error> {
        let _turn = self.turn(peer).await;
        let step = |tx: Tx<B>| async move {
            let names = [
                Name::Session(peer),
                self.identity_name(peer),
                Name::Account,
                Name::Devices(peer.name()),
            ];
            tx.prefetch("load_session", &names).await?;
            let peers = Peers::starting(&tx);
            SessionBuilder::new(&tx, &peers, &self.address, peer)
                .process_bundle(bundle, tx.now(), &mut tx.rng()?)
                .await?;
            match peers.changed() {
                Some(_) => self.identity_changed(&tx, peer).await,
                None => Ok(()),
            }
        };
        let started = self.run(step).await;
        self.report_refusal(peer, &started);
        started
    }

    /// Whether there is a session with `peer` that can be used for sending now. If there is none, fetch a
    /// bundle and [start one](Self::start_session).
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn has_usable_session(&self, peer: &ProtocolAddress) -> Result<bool, Error> {
        let everything = SenderChainRequirements::default();
        self.run(|tx| async move {
            let record = tx.load_session(peer).await?;
            let now = tx.now();
            Ok(record.is_some_and(|record| record.has_usable_sender_chain(now, everything)))
        })
        .await
    }

    /// The devices of `name` that there are session records for, in ascending order.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn devices(&self, name: &str) -> Result<Vec<ProtocolAddress>, Error> {
        self.run(|tx| async move { self.devices_in(&tx, name).await })
            .await
    }

    /// Puts the current session with `peer` aside: what was sent in it can still be read, but nothing more is sent in
    /// it. Answers whether there was one. For the next message [start a session](Self::start_session).
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn archive_session(&self, peer: &ProtocolAddress) -> Result<bool, Error> {
        let _turn = self.turn(peer).await;
        self.run(|tx| async move { self.archive_in(&tx, peer).await })
            .await
    }

    /// Forgets all sessions with `peer`, archived ones too: nothing that was sent in them can be read any more.
    /// The identity that the peer is known by stays. Answers whether there were any.
    ///
    /// # Errors
    /// What the storage reports.
    pub async fn delete_session(&self, peer: &ProtocolAddress) -> Result<bool, Error> {
        let _turn = self.turn(peer).await;
        self.run(|tx| async move {
            let were_there = tx.contains_session(peer).await?;
            tx.delete_session(peer).await?;
            Ok(were_there)
        })
        .await
    }

    pub(super) async fn archive_in(
        &self,
        tx: &Transaction<B>,
        peer: &ProtocolAddress,
    ) -> Result<bool, Error> {
        let Some(mut record) = tx.load_session(peer).await? else {
            return Ok(false);
        };
        let had_current = record.has_current_state();
        if had_current {
            record.archive_current_state();
            tx.store_session(peer, record).await?;
            tx.note(Event::SessionArchived {
                address: peer.clone(),
            });
        }
        Ok(had_current)
    }

    pub(super) async fn devices_in(
        &self,
        tx: &Transaction<B>,
        name: &str,
    ) -> Result<Vec<ProtocolAddress>, Error> {
        let devices = tx.sub_device_sessions(name).await?;
        let addresses = devices
            .into_iter()
            .map(|device| ProtocolAddress::new(name, device.into()));
        Ok(addresses.collect::<Result<_, _>>()?)
    }
}
