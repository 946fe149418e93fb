//! Our protocol core as a [`Member`].

use rand::rngs::ThreadRng;
use sprag::Uuid;
use sprag_core::{
    error::ProtocolError,
    message::{SenderKeyDistributionMessage, SenderKeyMessage},
    sender_key::SenderKeyRecord,
};

use super::{Sprag, put};
use crate::{Address, Failure, Member};

impl Sprag {
    /// A new member of groups.
    pub fn member(&self, address: &Address) -> Result<Box<dyn Member>, Failure> {
        Ok(Box::new(CoreMember {
            address: address.clone(),
            records: Vec::new(),
            rng: rand::rng(),
        }))
    }
}

struct CoreMember {
    address: Address,
    records: Vec<((Address, Uuid), SenderKeyRecord)>,
    rng: ThreadRng,
}

impl CoreMember {
    fn find(&self, sender: &Address, group: Uuid) -> Option<SenderKeyRecord> {
        let mut records = self.records.iter();
        let found = records.find(|((known, id), _)| (known, *id) == (sender, group));
        found.map(|(_, record)| record.clone())
    }

    fn require(&self, sender: &Address, group: Uuid) -> Result<SenderKeyRecord, ProtocolError> {
        let record = self.find(sender, group);
        record.ok_or(ProtocolError::NoSenderKey(group))
    }

    fn keep(&mut self, sender: &Address, group: Uuid, record: SenderKeyRecord) {
        put(&mut self.records, &(sender.clone(), group), record);
    }
}

impl Member for CoreMember {
    fn address(&self) -> &Address {
        &self.address
    }

    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        match self.find(&self.address, group) {
            Some(record) => {
                let message = record.create_distribution_message(group)?;
                Ok(message.serialized().to_vec())
            }
            None => self.renew(group),
        }
    }

    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let record = SenderKeyRecord::generate(&mut self.rng);
        let message = record.create_distribution_message(group)?;
        self.keep(&self.address.clone(), group, record);
        Ok(message.serialized().to_vec())
    }

    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure> {
        let message = SenderKeyDistributionMessage::deserialize(key)?;
        let group = message.distribution_id();
        let mut record = self.find(sender, group).unwrap_or_default();
        record.process_distribution_message(&message);
        self.keep(sender, group, record);
        Ok(())
    }

    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut record = self.require(&self.address, group)?;
        let message = record.encrypt(group, plaintext, &mut self.rng)?;
        self.keep(&self.address.clone(), group, record);
        Ok(message.serialized().to_vec())
    }

    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let message = SenderKeyMessage::deserialize(message)?;
        let group = message.distribution_id();
        let mut record = self.require(sender, group)?;
        let plaintext = record.decrypt(&message)?;
        self.keep(sender, group, record);
        Ok(plaintext)
    }

    fn sender_key(&mut self, sender: &Address, group: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        let record = self.find(sender, group);
        Ok(record.map(|record| record.serialize().to_vec()))
    }

    fn set_sender_key(
        &mut self,
        sender: &Address,
        group: Uuid,
        record: &[u8],
    ) -> Result<(), Failure> {
        self.keep(sender, group, SenderKeyRecord::deserialize(record)?);
        Ok(())
    }
}
