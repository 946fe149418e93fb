//! The official client as a [`Member`].

use serde_json::json;
use sprag::Uuid;

use super::{Official, OfficialParty};
use crate::{Address, Blob, Failure, Member};

impl Official {
    /// A new member of groups.
    pub fn member(&self, address: &Address) -> Result<Box<dyn Member>, Failure> {
        let body = json!({ "address": address, "registrationId": 1, "identityKeyPair": null });
        Ok(Box::new(self.admit(address, "create", body)?))
    }
}

impl Member for OfficialParty {
    fn address(&self) -> &Address {
        &self.address
    }

    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let body = json!({ "group": group.to_string() });
        Ok(self.ask::<Blob>("group_distribute", body)?.0)
    }

    /// As the client wants it: the record is removed, and another one made.
    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let (group_text, own) = (group.to_string(), &self.address);
        let body = json!({ "sender": own, "group": group_text, "record": null });
        self.ask::<()>("set_sender_key", body)?;
        self.distribute(group)
    }

    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure> {
        let body = json!({ "sender": sender, "key": Blob::from(key) });
        self.ask("group_join", body)
    }

    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let body = json!({ "group": group.to_string(), "plaintext": Blob::from(plaintext) });
        Ok(self.ask::<Blob>("group_encrypt", body)?.0)
    }

    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let body = json!({ "sender": sender, "body": Blob::from(message) });
        Ok(self.ask::<Blob>("group_decrypt", body)?.0)
    }

    fn sender_key(&mut self, sender: &Address, group: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        let body = json!({ "sender": sender, "group": group.to_string() });
        let record = self.ask::<Option<Blob>>("sender_key", body)?;
        Ok(record.map(|record| record.0))
    }

    fn set_sender_key(
        &mut self,
        sender: &Address,
        group: Uuid,
        record: &[u8],
    ) -> Result<(), Failure> {
        let group = group.to_string();
        let body = json!({ "sender": sender, "group": group, "record": Blob::from(record) });
        self.ask("set_sender_key", body)
    }
}
