//! The ciphers over six stores of one's own: here the library's stores in memory.

mod groups;

use sprag::IdentityKeyStore as _;
use sprag::{
    InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore, InMemoryPreKeyStore, InMemorySessionStore,
    InMemorySignedPreKeyStore, PreKeyStores, ProtocolAddress, SessionBuilder, SessionCipher,
    SessionRecord, SessionStore as _, Timestamp,
    protocol::{
        identity::{IdentityKey, IdentityKeyPair},
        session::SenderChainRequirements,
    },
};

use super::{ledger::Ledger, parse_message, stores::Stores, wait};
use crate::{
    Address, Bundle, BundleRequest, Envelope, Failure, Implementation, Party, PartyState,
    sprag::{bundle, parse_address},
};

/// `SessionBuilder` and `SessionCipher` over six stores.
#[derive(Clone, Copy, Debug)]
pub struct SpragCiphers;

impl Implementation for SpragCiphers {
    fn name(&self) -> &str {
        "sprag's ciphers"
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
        Ok(Box::new(CipherParty::new(
            address,
            identity,
            registration_id,
        )?))
    }

    fn restore(&self, state: &PartyState) -> Result<Box<dyn Party>, Failure> {
        let identity = IdentityKeyPair::deserialize(&state.identity_key_pair)?;
        let mut party = CipherParty::new(&state.address, identity, state.registration_id)?;
        party.ledger = wait(party.stores().move_in(state))?;
        Ok(Box::new(party))
    }
}

struct CipherParty {
    address: Address,
    local: ProtocolAddress,
    sessions: InMemorySessionStore,
    identities: InMemoryIdentityKeyStore,
    pre_keys: InMemoryPreKeyStore,
    signed_pre_keys: InMemorySignedPreKeyStore,
    kyber_pre_keys: InMemoryKyberPreKeyStore,
    ledger: Ledger,
}

impl CipherParty {
    fn new(
        address: &Address,
        identity: IdentityKeyPair,
        registration_id: u32,
    ) -> Result<Self, Failure> {
        Ok(Self {
            address: address.clone(),
            local: parse_address(address)?,
            sessions: InMemorySessionStore::new(),
            identities: InMemoryIdentityKeyStore::new(identity, registration_id),
            pre_keys: InMemoryPreKeyStore::new(),
            signed_pre_keys: InMemorySignedPreKeyStore::new(),
            kyber_pre_keys: InMemoryKyberPreKeyStore::new(),
            ledger: Ledger::default(),
        })
    }

    fn stores(&self) -> Stores<'_> {
        Stores {
            sessions: &self.sessions,
            identities: &self.identities,
            pre_keys: PreKeyStores {
                pre_keys: &self.pre_keys,
                signed_pre_keys: &self.signed_pre_keys,
                kyber_pre_keys: &self.kyber_pre_keys,
            },
        }
    }

    fn cipher<'a>(&'a self, peer: &'a ProtocolAddress) -> SessionCipher<'a> {
        SessionCipher::new(&self.sessions, &self.identities, &self.local, peer)
    }
}

impl Party for CipherParty {
    fn address(&self) -> &Address {
        &self.address
    }

    fn bundle(&mut self, request: BundleRequest, now: u64) -> Result<Bundle, Failure> {
        let (now, mut rng) = (Timestamp::from_millis(now), rand::rng());
        let made = wait(async {
            let (stores, ledger) = (self.stores(), &self.ledger);
            stores
                .make_bundle(&self.local, ledger, request, now, &mut rng)
                .await
        });
        let made = bundle::present(&made?);
        self.ledger.hand_out(&made, request);
        Ok(made)
    }

    fn process_bundle(
        &mut self,
        remote: &Address,
        bundle: &Bundle,
        now: u64,
    ) -> Result<(), Failure> {
        let (peer, bundle) = (parse_address(remote)?, bundle::parse(bundle)?);
        self.ledger.meet(remote);
        let (now, mut rng) = (Timestamp::from_millis(now), rand::rng());
        wait(async {
            let (sessions, identities) = (&self.sessions, &self.identities);
            let builder = SessionBuilder::new(sessions, identities, &self.local, &peer);
            Ok(builder.process_bundle(&bundle, now, &mut rng).await?)
        })
    }

    fn encrypt(
        &mut self,
        remote: &Address,
        plaintext: &[u8],
        now: u64,
    ) -> Result<Envelope, Failure> {
        let peer = parse_address(remote)?;
        let (now, mut rng) = (Timestamp::from_millis(now), rand::rng());
        let message =
            wait(async { Ok(self.cipher(&peer).encrypt(plaintext, now, &mut rng).await?) })?;
        Ok(Envelope {
            kind: message.message_type() as u8,
            body: message.serialized().into(),
        })
    }

    fn decrypt(&mut self, remote: &Address, envelope: &Envelope) -> Result<Vec<u8>, Failure> {
        let (peer, mut rng) = (parse_address(remote)?, rand::rng());
        let message = parse_message(envelope)?;
        let pre_keys = self.stores().pre_keys;
        let plaintext = wait(async {
            let cipher = self.cipher(&peer);
            Ok(cipher.decrypt(&message, pre_keys, &mut rng).await?)
        })?;
        self.ledger.meet(remote);
        self.ledger.was_read(&message);
        Ok(plaintext)
    }

    fn has_usable_sender_chain(&mut self, remote: &Address, now: u64) -> Result<bool, Failure> {
        let (peer, now) = (parse_address(remote)?, Timestamp::from_millis(now));
        let record = wait(async { Ok(self.sessions.load_session(&peer).await?) })?;
        let all = SenderChainRequirements::default();
        Ok(record.is_some_and(|record| record.has_usable_sender_chain(now, all)))
    }

    fn session(&mut self, remote: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let peer = parse_address(remote)?;
        let record = wait(async { Ok(self.sessions.load_session(&peer).await?) })?;
        Ok(record.map(|record| record.serialize().to_vec()))
    }

    fn set_session(&mut self, remote: &Address, record: &[u8]) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        let record = SessionRecord::deserialize(record)?;
        self.ledger.meet(remote);
        wait(async { Ok(self.sessions.store_session(&peer, record).await?) })
    }

    fn archive_session(&mut self, remote: &Address) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        wait(self.stores().archive_session(&peer))
    }

    fn delete_session(&mut self, remote: &Address) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        wait(async { Ok(self.sessions.delete_session(&peer).await?) })
    }

    fn trust(&mut self, remote: &Address, identity_key: &[u8]) -> Result<(), Failure> {
        let peer = parse_address(remote)?;
        let key = IdentityKey::deserialize(identity_key)?;
        self.ledger.meet(remote);
        wait(async {
            self.identities.save_identity(&peer, &key).await?;
            Ok(())
        })
    }

    fn state(&mut self) -> Result<PartyState, Failure> {
        wait(self.stores().state(&self.address, &self.ledger))
    }
}
