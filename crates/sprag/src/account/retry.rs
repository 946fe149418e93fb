//! What to do when a peer could not decrypt a message. Source: sheet 08 section 4.
//!
//! The peer says so in a [`DecryptionErrorMessage`], which by itself proves nothing about who made it. All that it can
//! bring about here is a look at the session, and then, if the application agrees, a new session and the same message
//! again.

use sprag_core::{address::ProtocolAddress, message::DecryptionErrorMessage};

use super::Account;
use crate::{Error, SessionStore, backend::Backend};

/// What became of a message that a peer could not decrypt, as [`Account::assess_retry`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryAssessment {
    /// Another device of ours sent the message. Do nothing.
    OtherDevice,
    /// It was a message to a group. [Give](Account::group_distribute) the peer our sender key again, and send it the
    /// message in a session.
    SenderKey,
    /// It was sent with the ratchet key that we still send with, so the peer cannot follow the session. Put it
    /// [aside](Account::archive_session), start one from a fresh bundle, and send the message again in that.
    SessionBroken,
    /// The session has moved on since, or there is a new one or none. Send the message again in the session that
    /// there is; start one only if there is no [usable](Account::has_usable_session) one.
    SessionMovedOn,
}

impl<B: Backend> Account<B> {
    /// Tells what to do about `request`, with which `requester` says that it could not decrypt a message of
    /// ours. Nothing is changed; the application decides, and knows by the request's
    /// [timestamp](DecryptionErrorMessage::timestamp) which message to send again: under another
    /// [key](crate::Outgoing::key), if it has one, because the one before stands for the envelope that failed.
    ///
    /// Whoever can send in the requester's name can make us renew a session, over and over. Limit how often you do
    /// that for one peer, or take requests only out of [sealed messages](Self::open_sealed), whose sender is proven.
    ///
    /// # Errors
    /// `invalid-session`: the session is damaged; start a new one. Otherwise what the storage reports.
    ///
    /// ```
    /// use sprag::{
    ///     Account, DurableStore, ProtocolAddress, RetryAssessment, Timestamp, backend::MemoryBackend, vault::MemoryVault,
    ///     protocol::message::{DecryptionErrorMessage, PlaintextContent},
    /// };
    ///
    /// # async fn example() -> Result<(), sprag::Error> {
    /// # let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
    /// # let alice = Account::create(store.clone(), ProtocolAddress::new("alice", 1)?).await?;
    /// # let bob = Account::create(store, ProtocolAddress::new("bob", 1)?).await?;
    /// # alice.start_session(bob.address(), &bob.bundle().await?).await?;
    /// # let sent = alice.send(bob.address(), b"hello").await?;
    /// # bob.receive(alice.address(), sent.message_type, &sent.bytes).await?;
    /// # let sent = bob.send(alice.address(), b"hello").await?;
    /// # alice.receive(bob.address(), sent.message_type, &sent.bytes).await?;
    /// // Bob has lost his session with Alice.
    /// bob.delete_session(alice.address()).await?;
    ///
    /// // So he cannot read what she sends. When it was sent travels beside it.
    /// let envelope = alice.send(bob.address(), b"are you there?").await?;
    /// let sent_at = Timestamp::from(std::time::SystemTime::now());
    /// let (kind, bytes) = (envelope.message_type, &envelope.bytes);
    /// let error = bob.receive(alice.address(), kind, bytes).await.unwrap_err();
    /// assert_eq!(error.code(), "no-session");
    ///
    /// // He says so, in the clear: message type 8.
    /// let device = u32::from(alice.address().device_id());
    /// let request = DecryptionErrorMessage::for_original(bytes, kind as u8, sent_at, device)?;
    /// let answer = PlaintextContent::from(&request);
    ///
    /// // Alice looks what it was.
    /// let answer = PlaintextContent::deserialize(answer.serialized())?;
    /// let request = DecryptionErrorMessage::extract_from_body(answer.body())?;
    /// let found = alice.assess_retry(bob.address(), &request).await?;
    /// assert_eq!(found, RetryAssessment::SessionBroken);
    ///
    /// // Nothing more goes out in that session. With a fresh bundle of Bob's from the server, she sends the message
    /// // again: the one of `request.timestamp()`.
    /// assert!(alice.archive_session(bob.address()).await?);
    /// alice.start_session(bob.address(), &bob.bundle().await?).await?;
    /// let again = alice.send(bob.address(), b"are you there?").await?;
    /// let delivery = bob.receive(alice.address(), again.message_type, &again.bytes).await?;
    /// assert_eq!(delivery.plaintext, "are you there?");
    ///
    /// // The same request once more, late: there is nothing to do.
    /// let found = alice.assess_retry(bob.address(), &request).await?;
    /// assert_eq!(found, RetryAssessment::SessionMovedOn);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub async fn assess_retry(
        &self,
        requester: &ProtocolAddress,
        request: &DecryptionErrorMessage,
    ) -> Result<RetryAssessment, Error> {
        if request.device_id() != u32::from(self.address.device_id()) {
            return Ok(RetryAssessment::OtherDevice);
        }
        let Some(key) = request.ratchet_key() else {
            return Ok(RetryAssessment::SenderKey);
        };
        self.run(|tx| async move {
            let current = match tx.load_session(requester).await? {
                Some(record) => record.current_ratchet_key_matches(key)?,
                None => false,
            };
            Ok(if current {
                RetryAssessment::SessionBroken
            } else {
                RetryAssessment::SessionMovedOn
            })
        })
        .await
    }
}
