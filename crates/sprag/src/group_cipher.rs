//! Encrypting once for all members of a group, over the store of sender keys. Source: sheet 06 section 7.
//!
//! Every operation loads one record, computes, and stores it last, if at all.

use rand_core::CryptoRng;
use sprag_core::{
    ProtocolError,
    address::ProtocolAddress,
    message::{SenderKeyDistributionMessage, SenderKeyMessage},
    sender_key::SenderKeyRecord,
};
use uuid::Uuid;

use crate::{Error, SenderKeyStore};

/// Encrypts for groups and decrypts what their members send.
///
/// A *distribution* is a list of receivers under a UUID. Each sender has a key of its own in it, and hands
/// it to every receiver [in a distribution message](Self::create_distribution_message), which travels in
/// the session between the two. After that one [`encrypt`](Self::encrypt) serves all of them.
///
/// What this does not do: there is no ratchet between members, so whoever has a sender key reads all that
/// follows. When a member leaves, every other one has to [`renew`](Self::renew) its own key and hand it to
/// those that stay.
///
/// Operations with one sender and distribution must not overlap: between the load and the store of one, the
/// other would see the old key, and use it again. Over a [`Transaction`](crate::Transaction) they may, and the one
/// that comes second is run again.
///
/// Each operation writes one record, so it takes effect whole or not at all. A crash after
/// [`decrypt`](Self::decrypt) stored the record loses the plaintext: only an inbox kept by the same commit
/// can help there, which is what [`Account`](crate::Account) has.
///
/// ```
/// use rand::rngs::SysRng;
/// use rand_core::UnwrapErr;
/// use sprag::{
///     GroupCipher, InMemorySenderKeyStore, ProtocolAddress,
///     protocol::message::{SenderKeyDistributionMessage, SenderKeyMessage},
/// };
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut rng = UnwrapErr(SysRng);
/// let (alice, bob) = (ProtocolAddress::new("alice", 1)?, ProtocolAddress::new("bob", 1)?);
/// let friends = uuid::uuid!("d1d1d1d1-7000-11eb-b32a-33b8a8a487a6");
///
/// // Alice hands out her sender key, to each member in the session with it (not shown).
/// let alice_keys = InMemorySenderKeyStore::new();
/// let from_alice = GroupCipher::new(&alice_keys, &alice);
/// let key = from_alice.create_distribution_message(friends, &mut rng).await?;
///
/// // Bob takes it.
/// let bob_keys = InMemorySenderKeyStore::new();
/// let group = GroupCipher::new(&bob_keys, &bob);
/// let key = SenderKeyDistributionMessage::deserialize(key.serialized())?;
/// group.process_distribution_message(&alice, &key).await?;
///
/// // One message for all.
/// let message = from_alice.encrypt(friends, b"hello, all", &mut rng).await?;
/// let message = SenderKeyMessage::deserialize(message.serialized())?;
/// assert_eq!(group.decrypt(&alice, &message).await?, b"hello, all");
///
/// // Bob is removed: without the new key, he cannot read on.
/// from_alice.renew(friends, &mut rng).await?;
/// let message = from_alice.encrypt(friends, b"just us", &mut rng).await?;
/// assert_eq!(group.decrypt(&alice, &message).await.unwrap_err().code(), "no-sender-key");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct GroupCipher<'a> {
    sender_keys: &'a dyn SenderKeyStore,
    local: &'a ProtocolAddress,
}

impl<'a> GroupCipher<'a> {
    /// A cipher for us, `local`, in all groups.
    pub fn new(sender_keys: &'a dyn SenderKeyStore, local: &'a ProtocolAddress) -> Self {
        Self { sender_keys, local }
    }

    /// Our sender key for a new member of `distribution_id`: with it all later messages can be read, none
    /// before. The first call makes the key; others repeat it as it is by then, and store nothing.
    ///
    /// The message is secret. Send it in the session with the member.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidSenderKeySession`] if the stored key is damaged; otherwise what the store
    /// reports.
    pub async fn create_distribution_message<R: CryptoRng + ?Sized>(
        &self,
        distribution_id: Uuid,
        rng: &mut R,
    ) -> Result<SenderKeyDistributionMessage, Error> {
        match self.load(self.local, distribution_id).await? {
            Some(record) => Ok(record.create_distribution_message(distribution_id)?),
            None => self.renew(distribution_id, rng).await,
        }
    }

    /// Replaces our sender key of `distribution_id`, so that members who do not get the new one cannot read
    /// what is sent from now on. Gives the message to hand to those that stay, in the session with each.
    ///
    /// # Errors
    /// What the store reports.
    pub async fn renew<R: CryptoRng + ?Sized>(
        &self,
        distribution_id: Uuid,
        rng: &mut R,
    ) -> Result<SenderKeyDistributionMessage, Error> {
        let record = SenderKeyRecord::generate(rng);
        let message = record.create_distribution_message(distribution_id)?;
        self.store(self.local, distribution_id, record).await?;
        Ok(message)
    }

    /// Takes the sender key of `sender`. That it came from there is not checked here: pass the address of
    /// the session that it was decrypted in. A key that is known already is neither rewound nor advanced.
    ///
    /// # Errors
    /// What the store reports.
    pub async fn process_distribution_message(
        &self,
        sender: &ProtocolAddress,
        message: &SenderKeyDistributionMessage,
    ) -> Result<(), Error> {
        let id = message.distribution_id();
        let mut record = self.load(sender, id).await?.unwrap_or_default();
        record.process_distribution_message(message);
        self.store(sender, id, record).await
    }

    /// Encrypts for all who have our sender key of `distribution_id`.
    ///
    /// The record is stored by the last call, before the message is returned. If that call fails or the
    /// future is dropped, no message comes out: encrypt again.
    ///
    /// # Errors
    /// [`ProtocolError::NoSenderKey`] before the first
    /// [distribution message](Self::create_distribution_message); [`ProtocolError::SenderKeyUsedUp`] after
    /// four billion messages; [`ProtocolError::InvalidSenderKeySession`] if the stored key is damaged.
    /// Nothing is stored then. Otherwise what the store reports.
    pub async fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        distribution_id: Uuid,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<SenderKeyMessage, Error> {
        let mut record = self.require(self.local, distribution_id).await?;
        let message = record.encrypt(distribution_id, plaintext, rng)?;
        self.store(self.local, distribution_id, record).await?;
        Ok(message)
    }

    /// Decrypts a message of `sender`.
    ///
    /// # Errors
    /// [`ProtocolError::NoSenderKey`] if the sender's key is not known: ask for it.
    /// [`ProtocolError::SignatureValidationFailed`] for a forged message.
    /// [`ProtocolError::DuplicatedMessage`] for one that was read before, or sent before the key was handed
    /// to us: drop it. [`ProtocolError::InvalidMessage`], [`ProtocolError::UnrecognizedMessageVersion`],
    /// [`ProtocolError::SenderKeyUsedUp`], [`ProtocolError::InvalidSenderKeySession`]. Nothing is stored
    /// then. Otherwise what the store reports.
    pub async fn decrypt(
        &self,
        sender: &ProtocolAddress,
        message: &SenderKeyMessage,
    ) -> Result<Vec<u8>, Error> {
        let id = message.distribution_id();
        let mut record = self.require(sender, id).await?;
        let plaintext = record.decrypt(message)?;
        self.store(sender, id, record).await?;
        Ok(plaintext)
    }

    async fn load(
        &self,
        sender: &ProtocolAddress,
        id: Uuid,
    ) -> Result<Option<SenderKeyRecord>, Error> {
        Ok(self.sender_keys.load_sender_key(sender, id).await?)
    }

    async fn require(&self, sender: &ProtocolAddress, id: Uuid) -> Result<SenderKeyRecord, Error> {
        let record = self.load(sender, id).await?;
        record.ok_or_else(|| ProtocolError::NoSenderKey(id).into())
    }

    async fn store(
        &self,
        sender: &ProtocolAddress,
        id: Uuid,
        record: SenderKeyRecord,
    ) -> Result<(), Error> {
        let stored = self.sender_keys.store_sender_key(sender, id, record);
        Ok(stored.await?)
    }
}
