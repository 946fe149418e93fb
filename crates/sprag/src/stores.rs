//! The six stores that the protocol asks for state. Source: sheet 04 section 7, sheet 09.
//!
//! Implement them over whatever you have and mix them freely: sessions in your database, the identity
//! in the system's keychain. No operation asks for a store that it does not need:
//!
//! | operation | session | identity | pre-key | signed | Kyber | sender key |
//! |---|---|---|---|---|---|---|
//! | encrypt, decrypt in an existing session | yes | yes | | | | |
//! | start a session from a bundle | yes | yes | | | | |
//! | decrypt a pre-key message | yes | yes | yes | yes | yes | |
//! | group messaging: distribute, take and renew sender keys, encrypt, decrypt | | | | | | yes |
//! | seal a message that is encrypted already, open a sealed one | | yes | | | | |
//! | seal one for many | yes | yes | | | | |
//!
//! What every implementation must hold:
//!
//! 1. What a call stored is found by every later call, and is on disk when the call returns if it is to
//!    survive a crash. A store that answers from memory and writes later repeats message keys.
//! 2. `load_*` answers `None` where there is nothing. An error means that the store could not tell.
//! 3. A record comes back as it was stored. Keep [`serialize`](crate::SessionRecord::serialize)d
//!    bytes, or the value itself.
//! 4. An address is a name *and* a device; names are compared byte by byte.
//!
//! An operation is several calls, and these traits know no transaction: between the load and the store
//! of one operation no other operation with the same address (in a group: sender and distribution) may run,
//! nor may two first messages that use the same pre-keys. [`SessionCipher`](crate::SessionCipher) says what
//! a crash between two calls does.
//! A [`Transaction`](crate::Transaction) of a durable store implements all six traits and has neither
//! problem.
//!
//! The conformance kit in `sprag-testkit` tells whether your stores are right.

/// Implements a trait for everything that leads to an implementation.
macro_rules! implement_for_pointers {
    ($name:ident { $($methods:tt)* }) => {
        $crate::stores::implement_for_pointers!(@pointer $name, &T, { $($methods)* });
        $crate::stores::implement_for_pointers!(@pointer $name, std::sync::Arc<T>, { $($methods)* });
        $crate::stores::implement_for_pointers!(@pointer $name, Box<T>, { $($methods)* });
    };
    (@pointer $name:ident, $pointer:ty, {
        $(async fn $method:ident(&self $(, $argument:ident: $type:ty)*) -> $output:ty;)*
    }) => {
        #[async_trait::async_trait]
        impl<T: $name + ?Sized> $name for $pointer {
            $(async fn $method(&self $(, $argument: $type)*) -> Result<$output, $crate::StoreError> {
                (**self).$method($($argument),*).await
            })*
        }
    };
}
pub(crate) use implement_for_pointers;

mod error;
mod identity;
mod kyber_pre_key;
mod memory;
mod pre_key;
mod sender_key;
mod session;
mod signed_pre_key;

pub use self::error::StoreError;
pub use self::identity::{Direction, IdentityChange, IdentityKeyStore};
pub use self::kyber_pre_key::{KyberPreKeyKind, KyberPreKeyStore, KyberPreKeyUse};
pub use self::memory::{
    InMemoryIdentityKeyStore, InMemoryKyberPreKeyStore, InMemoryPreKeyStore,
    InMemorySenderKeyStore, InMemorySessionStore, InMemorySignedPreKeyStore,
};
pub use self::pre_key::PreKeyStore;
pub use self::sender_key::SenderKeyStore;
pub use self::session::SessionStore;
pub use self::signed_pre_key::SignedPreKeyStore;
