//! A member that moves between two implementations as it goes, with all its records.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sprag::{Uuid, protocol::message::SenderKeyDistributionMessage};
use sprag_interop::{Address, Failure, Member};

/// At home in two implementations by turns: every operation may find what the other one left.
pub(crate) struct Wanderer {
    homes: [Box<dyn Member>; 2],
    here: usize,
    /// Whose records there are.
    known: Vec<(Address, Uuid)>,
    rng: StdRng,
}

impl Wanderer {
    pub(crate) fn between(homes: [Box<dyn Member>; 2], seed: u64) -> Self {
        Self {
            homes,
            here: 0,
            known: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    fn note(&mut self, sender: &Address, group: Uuid) {
        let entry = (sender.clone(), group);
        if !self.known.contains(&entry) {
            self.known.push(entry);
        }
    }

    /// Where the next operation takes place.
    fn home(&mut self) -> Result<&mut dyn Member, Failure> {
        if self.rng.random_ratio(1, 5) {
            let there = 1 - self.here;
            for (sender, group) in &self.known {
                let record = self.homes[self.here].sender_key(sender, *group)?;
                let record = record.expect("what was kept is there");
                self.homes[there].set_sender_key(sender, *group, &record)?;
                let again = self.homes[there].sender_key(sender, *group)?;
                assert!(again == Some(record), "the record was changed by moving");
            }
            self.here = there;
        }
        Ok(&mut *self.homes[self.here])
    }
}

impl Member for Wanderer {
    fn address(&self) -> &Address {
        self.homes[0].address()
    }

    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let key = self.home()?.distribute(group)?;
        self.note(&self.address().clone(), group);
        Ok(key)
    }

    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let key = self.home()?.renew(group)?;
        self.note(&self.address().clone(), group);
        Ok(key)
    }

    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure> {
        self.home()?.join(sender, key)?;
        let group = SenderKeyDistributionMessage::deserialize(key)?.distribution_id();
        self.note(sender, group);
        Ok(())
    }

    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        self.home()?.encrypt(group, plaintext)
    }

    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure> {
        self.home()?.decrypt(sender, message)
    }

    fn sender_key(&mut self, sender: &Address, group: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        self.homes[self.here].sender_key(sender, group)
    }

    fn set_sender_key(
        &mut self,
        sender: &Address,
        group: Uuid,
        record: &[u8],
    ) -> Result<(), Failure> {
        self.homes[self.here].set_sender_key(sender, group, record)?;
        self.note(sender, group);
        Ok(())
    }
}
