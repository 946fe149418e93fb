//! A member of groups, whoever implements it.

use sprag::Uuid;

use crate::{Address, Failure};

/// A member of groups: an address and its store of sender keys. Sender keys travel as they are; that they belong into
/// sessions is not the point here. A group is its distribution id.
pub trait Member {
    /// The member's own address.
    fn address(&self) -> &Address;

    /// The member's sender key as it is now, made if there is none.
    fn distribute(&mut self, group: Uuid) -> Result<Vec<u8>, Failure>;

    /// A new sender key in place of the one that was.
    fn renew(&mut self, group: Uuid) -> Result<Vec<u8>, Failure>;

    /// Takes the sender key of `sender`.
    fn join(&mut self, sender: &Address, key: &[u8]) -> Result<(), Failure>;

    /// Encrypts for all who have the member's sender key.
    fn encrypt(&mut self, group: Uuid, plaintext: &[u8]) -> Result<Vec<u8>, Failure>;

    /// Decrypts a message of `sender`.
    fn decrypt(&mut self, sender: &Address, message: &[u8]) -> Result<Vec<u8>, Failure>;

    /// The serialised sender-key record of `sender`, if there is one.
    fn sender_key(&mut self, sender: &Address, group: Uuid) -> Result<Option<Vec<u8>>, Failure>;

    /// Puts a serialised record in place.
    fn set_sender_key(
        &mut self,
        sender: &Address,
        group: Uuid,
        record: &[u8],
    ) -> Result<(), Failure>;
}
