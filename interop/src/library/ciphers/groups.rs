//! `GroupCipher` over a store of one's own, as a [`Member`].

use sprag::{
    GroupCipher, InMemorySenderKeyStore, ProtocolAddress, SenderKeyStore as _, Uuid,
    protocol::{
        message::{SenderKeyDistributionMessage, SenderKeyMessage},
        sender_key::SenderKeyRecord,
    },
};

use super::{SpragCiphers, wait};
use crate::{Address, Failure, Member, sprag::parse_address};

impl SpragCiphers {
    /// A new member of groups.
    pub fn member(&self, address: &Address) -> Result<Box<dyn Member>, Failure> {
        Ok(Box::new(CipherMember {
            address: address.clone(),
            local: parse_address(address)?,
            store: InMemorySenderKeyStore::new(),
        }))
    }
}

struct CipherMember {
    address: Address,
    local: ProtocolAddress,
    store: InMemorySenderKeyStore,
}

impl CipherMember {
    fn cipher(&self) -> GroupCipher<'_> {
        GroupCipher::new(&self.store, &self.local)
    }
}

impl Member for CipherMember {
    fn address(&self) -> &Address {
        &self.address
    }

    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let (cipher, mut rng) = (self.cipher(), rand::rng());
        let key = wait(async { Ok(cipher.create_distribution_message(group, &mut rng).await?) });
        Ok(key?.serialized().to_vec())
    }

    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let (cipher, mut rng) = (self.cipher(), rand::rng());
        let key = wait(async { Ok(cipher.renew(group, &mut rng).await?) });
        Ok(key?.serialized().to_vec())
    }

    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure> {
        let key = SenderKeyDistributionMessage::deserialize(key)?;
        let (cipher, sender) = (self.cipher(), parse_address(sender)?);
        wait(async { Ok(cipher.process_distribution_message(&sender, &key).await?) })
    }

    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let (cipher, mut rng) = (self.cipher(), rand::rng());
        let message = wait(async { Ok(cipher.encrypt(group, plaintext, &mut rng).await?) });
        Ok(message?.serialized().to_vec())
    }

    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let message = SenderKeyMessage::deserialize(message)?;
        let (cipher, sender) = (self.cipher(), parse_address(sender)?);
        wait(async { Ok(cipher.decrypt(&sender, &message).await?) })
    }

    fn sender_key(&mut self, sender: &Address, group: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        let sender = parse_address(sender)?;
        let record = wait(async { Ok(self.store.load_sender_key(&sender, group).await?) });
        Ok(record?.map(|record| record.serialize().to_vec()))
    }

    fn set_sender_key(
        &mut self,
        sender: &Address,
        group: Uuid,
        record: &[u8],
    ) -> Result<(), Failure> {
        let (sender, record) = (
            parse_address(sender)?,
            SenderKeyRecord::deserialize(record)?,
        );
        wait(async { Ok(self.store.store_sender_key(&sender, group, record).await?) })
    }
}
