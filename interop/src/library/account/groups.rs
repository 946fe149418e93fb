//! `Account` over SQLite as a [`Member`]. As in sessions, what waits in outbox and inbox must be there after an
//! interruption.

use sprag::{
    SenderKeyStore as _, Uuid,
    protocol::{
        identity::IdentityKeyPair, message::SenderKeyDistributionMessage,
        sender_key::SenderKeyRecord,
    },
};

use super::{AccountParty, SpragAccount, broken, wait};
use crate::{Address, Failure, Member, sprag::parse_address};

impl SpragAccount {
    /// A new member of groups.
    pub fn member(&self, address: &Address) -> Result<Box<dyn Member>, Failure> {
        let identity = IdentityKeyPair::generate(&mut rand::rng());
        Ok(Box::new(wait(AccountParty::create(address, identity, 1))?))
    }
}

impl AccountParty {
    async fn send_to_group(&mut self, group: Uuid, text: &[u8]) -> Result<Vec<u8>, Failure> {
        let envelope = self.account.group_send(group, text).await?;
        if self.interrupt().await? && self.account.outbox_pending().await? != [envelope.clone()] {
            return Err(broken("the outbox is not as it was"));
        }
        if !self.account.sent(envelope.id).await? {
            return Err(broken("the envelope was not in the outbox"));
        }
        Ok(envelope.bytes.to_vec())
    }

    async fn receive_in_group(
        &mut self,
        sender: &Address,
        message: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let sender = &parse_address(sender)?;
        let delivery = self.account.group_receive(sender, message).await?;
        if self.interrupt().await? {
            let again = self.account.group_receive(sender, message).await?;
            if again != delivery || self.account.inbox_pending().await? != [again] {
                return Err(broken("the inbox is not as it was"));
            }
        }
        if !self.account.done(delivery.id).await? {
            return Err(broken("the plaintext was not in the inbox"));
        }
        Ok(delivery.plaintext.to_vec())
    }
}

impl Member for AccountParty {
    fn address(&self) -> &Address {
        &self.address
    }

    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let key = wait(async { Ok(self.account.group_distribute(group).await?) });
        Ok(key?.serialized().to_vec())
    }

    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure> {
        let key = wait(async { Ok(self.account.group_renew(group).await?) });
        Ok(key?.serialized().to_vec())
    }

    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure> {
        let key = SenderKeyDistributionMessage::deserialize(key)?;
        let sender = parse_address(sender)?;
        wait(async { Ok(self.account.group_join(&sender, &key).await?) })
    }

    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        wait(self.send_to_group(group, plaintext))
    }

    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure> {
        wait(self.receive_in_group(sender, message))
    }

    fn sender_key(&mut self, sender: &Address, group: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        let sender = parse_address(sender)?;
        wait(async {
            let transaction = self.begin();
            let record = transaction.load_sender_key(&sender, group).await?;
            transaction.validate().await?;
            Ok(record.map(|record| record.serialize().to_vec()))
        })
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
        wait(async {
            let transaction = self.begin();
            transaction.store_sender_key(&sender, group, record).await?;
            Ok(transaction.commit().await?)
        })
    }
}
