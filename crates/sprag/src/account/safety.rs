//! Safety numbers: what two people compare to know that nobody stands between them. Source: sheet 08
//! section 1.

use sprag_core::{
    address::ProtocolAddress,
    fingerprint::Fingerprint,
    identity::IdentityKey,
    service_id::{ServiceId, ServiceIdKind},
};

use super::Account;
use crate::{Error, IdentityKeyStore, backend::Backend, durable::names::Name};

impl<B: Backend> Account<B> {
    /// The safety number between us and `peer`, made from the two identities, so that it changes when one of
    /// them does. Both people see the same; let them compare it, or scan each other's code.
    ///
    /// If both names are account ids (ACI service ids), it is the one that Signal's applications show:
    /// version 2, over the two UUIDs. Otherwise it is of version 1, over the two names. Devices do not matter.
    ///
    /// # Errors
    /// `unknown-identity`: nothing was exchanged with the peer yet. Otherwise what the storage reports.
    ///
    /// ```
    /// # use sprag::{Account, DurableStore, ProtocolAddress, backend::MemoryBackend, vault::MemoryVault};
    /// # async fn example() -> Result<(), sprag::Error> {
    /// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
    /// # let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
    /// # let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
    /// # alice.start_session(bob.address(), &bob.bundle().await?).await?;
    /// # let sent = alice.send(bob.address(), b"hello").await?;
    /// # bob.receive(alice.address(), sent.message_type, &sent.bytes).await?;
    /// let at_alice = alice.safety_number(bob.address()).await?;
    /// let at_bob = bob.safety_number(alice.address()).await?;
    /// assert_eq!(at_alice.displayable(), at_bob.displayable());
    ///
    /// // What Bob's screen shows as a QR code, and Alice's camera reads.
    /// let code = at_bob.scannable();
    /// assert!(at_alice.scannable().compare(code.as_bytes()).map_err(sprag::ProtocolError::from)?);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub async fn safety_number(&self, peer: &ProtocolAddress) -> Result<Fingerprint, Error> {
        let (ours, theirs) = self
            .run(|tx| async move {
                let names = [Name::Account, self.identity_name(peer)];
                tx.prefetch("load_identity", &names).await?;
                let ours = self.own(&tx, |own| *own.key_pair.identity_key()).await?;
                let theirs = tx.load_identity(peer).await?;
                Ok((
                    ours,
                    theirs.ok_or_else(|| Error::UnknownIdentity(peer.clone()))?,
                ))
            })
            .await?;
        fingerprint((&self.address, &ours), (peer, &theirs))
    }
}

fn fingerprint(
    (us, our_key): (&ProtocolAddress, &IdentityKey),
    (peer, their_key): (&ProtocolAddress, &IdentityKey),
) -> Result<Fingerprint, Error> {
    let of = |version, us: &[u8], peer: &[u8]| {
        let iterations = Fingerprint::ITERATIONS;
        Fingerprint::new(iterations, version, us, our_key, peer, their_key)
    };
    let fingerprint = match (account_id(us), account_id(peer)) {
        (Some(us), Some(peer)) => of(2, us.uuid().as_bytes(), peer.uuid().as_bytes()),
        _ => of(1, us.name().as_bytes(), peer.name().as_bytes()),
    };
    Ok(fingerprint.map_err(sprag_core::ProtocolError::from)?)
}

fn account_id(address: &ProtocolAddress) -> Option<ServiceId> {
    address
        .service_id()
        .filter(|id| id.kind() == ServiceIdKind::Aci)
}
