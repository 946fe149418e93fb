//! A party that changes its implementation as it goes.

use std::rc::Rc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Address, Bundle, BundleRequest, Envelope, Failure, FailureKind, Implementation, Party,
    PartyState,
};

/// An implementation whose parties live now in one, now in another of several implementations: before an operation, at
/// random but repeatably, the whole state is taken out of the one and put into the next. The state must come through
/// byte for byte.
pub struct Wandering {
    homes: Rc<Vec<Box<dyn Implementation>>>,
    name: String,
    seed: u64,
}

impl Wandering {
    /// Parties that start in the first of `homes` and then move among all of them.
    pub fn among(homes: Vec<Box<dyn Implementation>>, seed: u64) -> Self {
        let names: Vec<&str> = homes.iter().map(|home| home.name()).collect();
        Self {
            name: format!("wandering among {}", names.join(" and ")),
            homes: Rc::new(homes),
            seed,
        }
    }

    fn first(&self) -> Result<&dyn Implementation, Failure> {
        let home = self.homes.first();
        home.map(AsRef::as_ref)
            .ok_or_else(|| Failure::new(FailureKind::Other, "nowhere to live"))
    }

    fn settle(&self, party: Box<dyn Party>) -> Box<dyn Party> {
        Box::new(Wanderer {
            address: party.address().clone(),
            party,
            homes: Rc::clone(&self.homes),
            home: 0,
            rng: StdRng::seed_from_u64(self.seed),
        })
    }
}

impl Implementation for Wandering {
    fn name(&self) -> &str {
        &self.name
    }

    fn create(
        &self,
        address: &Address,
        registration_id: u32,
        identity_key_pair: Option<&[u8]>,
    ) -> Result<Box<dyn Party>, Failure> {
        let home = self.first()?;
        let party = home.create(address, registration_id, identity_key_pair)?;
        Ok(self.settle(party))
    }

    fn restore(&self, state: &PartyState) -> Result<Box<dyn Party>, Failure> {
        Ok(self.settle(self.first()?.restore(state)?))
    }
}

struct Wanderer {
    address: Address,
    party: Box<dyn Party>,
    homes: Rc<Vec<Box<dyn Implementation>>>,
    home: usize,
    rng: StdRng,
}

impl Wanderer {
    /// The party, after it has perhaps moved.
    fn here(&mut self) -> Result<&mut dyn Party, Failure> {
        if self.rng.random_ratio(1, 3) {
            self.move_on()?;
        }
        Ok(self.party.as_mut())
    }

    fn move_on(&mut self) -> Result<(), Failure> {
        self.home = (self.home + 1) % self.homes.len();
        let before = self.party.state()?;
        let mut moved = self.homes[self.home].restore(&before)?;
        if moved.state()? != before {
            let text = format!("{} changed the state", self.homes[self.home].name());
            return Err(Failure::new(FailureKind::Other, text));
        }
        self.party = moved;
        Ok(())
    }
}

impl Party for Wanderer {
    fn address(&self) -> &Address {
        &self.address
    }

    fn bundle(&mut self, request: BundleRequest, now: u64) -> Result<Bundle, Failure> {
        self.here()?.bundle(request, now)
    }

    fn process_bundle(
        &mut self,
        remote: &Address,
        bundle: &Bundle,
        now: u64,
    ) -> Result<(), Failure> {
        self.here()?.process_bundle(remote, bundle, now)
    }

    fn encrypt(
        &mut self,
        remote: &Address,
        plaintext: &[u8],
        now: u64,
    ) -> Result<Envelope, Failure> {
        self.here()?.encrypt(remote, plaintext, now)
    }

    fn decrypt(&mut self, remote: &Address, envelope: &Envelope) -> Result<Vec<u8>, Failure> {
        self.here()?.decrypt(remote, envelope)
    }

    fn has_usable_sender_chain(&mut self, remote: &Address, now: u64) -> Result<bool, Failure> {
        self.here()?.has_usable_sender_chain(remote, now)
    }

    fn session(&mut self, remote: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.party.session(remote)
    }

    fn set_session(&mut self, remote: &Address, record: &[u8]) -> Result<(), Failure> {
        self.here()?.set_session(remote, record)
    }

    fn archive_session(&mut self, remote: &Address) -> Result<(), Failure> {
        self.here()?.archive_session(remote)
    }

    fn delete_session(&mut self, remote: &Address) -> Result<(), Failure> {
        self.here()?.delete_session(remote)
    }

    fn trust(&mut self, remote: &Address, identity_key: &[u8]) -> Result<(), Failure> {
        self.here()?.trust(remote, identity_key)
    }

    fn state(&mut self) -> Result<PartyState, Failure> {
        self.party.state()
    }
}
