//! Pre-keys that look after themselves: made, published, replaced and deleted in time.
//!
//! A recipient publishes public keys so that peers can write while it is away. The protocol uses them up and asks that
//! they be replaced, but says neither when nor how; this is the part that most often goes wrong. It is done by
//! [`Account::upkeep`](crate::Account::upkeep): a [planner](plan()) says what is to be done next, from the
//! [inventory](Inventory) of the keys that there are, from what the [server](KeyServer) holds, from the time and a
//! [`Policy`]; each step is one commit, and afterwards the planner is asked again.
//!
//! | step | what |
//! |---|---|
//! | [generate](Action::Generate) | keys are made and persisted |
//! | [publish](Action::Publish) | the server is given their public halves |
//! | [confirm](Action::Confirm) | it is noted that the server has them |
//! | [mark stale](Action::MarkStale) | it is noted since when newer ones are in their place |
//! | [delete](Action::Delete) | their time is over |
//!
//! Whatever fails in between, and wherever a crash falls: keys are durable before they are published, the same keys are published again if nobody
//! knows whether they were, and nothing is deleted that a message on its way may need, within the times of the policy.
//!
//! ```
//! use std::sync::Mutex;
//! use async_trait::async_trait;
//! use sprag::{
//!     Account, DurableStore, ProtocolAddress, backend::MemoryBackend,
//!     upkeep::{Held, KeyCounts, KeyServer, KeyServerError, KeyUpload}, vault::MemoryVault,
//! };
//!
//! /// A server that only remembers. Yours sends requests.
//! #[derive(Default)]
//! struct Server(Mutex<Vec<KeyUpload>>);
//!
//! #[async_trait]
//! impl KeyServer for Server {
//!     async fn counts(&self) -> Result<KeyCounts, KeyServerError> {
//!         let uploads = self.0.lock().map_err(|_| KeyServerError::new("the server is down"))?;
//!         Ok(KeyCounts {
//!             pre_keys: uploads.iter().map(|upload| upload.pre_keys.len()).rfind(|count| *count > 0).unwrap_or(0),
//!             kyber_pre_keys: uploads.iter().map(|upload| upload.kyber_pre_keys.len()).rfind(|count| *count > 0).unwrap_or(0),
//!             signed_pre_key: uploads.last().map_or(Held::Nothing, |upload| Held::Key(upload.signed_pre_key.id)),
//!             last_resort: uploads.last().map_or(Held::Nothing, |upload| Held::Key(upload.last_resort.id)),
//!         })
//!     }
//!
//!     async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError> {
//!         let mut uploads = self.0.lock().map_err(|_| KeyServerError::new("the server is down"))?;
//!         uploads.push(upload.clone());
//!         Ok(())
//!     }
//! }
//!
//! # async fn example() -> Result<(), sprag::Error> {
//! let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await?;
//! let alice = Account::open_or_create(store, ProtocolAddress::new("alice", 1)?).await?;
//! let server = Server::default();
//!
//! // At the start, every now and then, and after each message with which a session began.
//! if alice.upkeep_is_due().await? {
//!     alice.upkeep(&server).await?;
//! }
//! assert!(!alice.upkeep_is_due().await?);
//! let counts = server.counts().await.expect("it is up");
//! assert_eq!((counts.pre_keys, counts.kyber_pre_keys), (100, 100));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! An account whose bundles go from hand to hand needs no server: [`Account::bundle`](crate::Account::bundle) makes keys as they are
//! asked for, and does the rest of this by the way.

mod inventory;
#[cfg(test)]
mod model;
mod plan;
mod policy;
mod server;
#[cfg(test)]
mod tests;

pub use self::{
    inventory::{Batch, Inventory, KeyRange, KeySort},
    plan::{Action, Generation, plan},
    policy::Policy,
    server::{Held, KeyCounts, KeyServer, KeyServerError, KeyUpload},
};
pub(crate) use self::{
    inventory::{MAX_ID, advance},
    plan::{ServerView, next},
};
