//! Conformance of vaults: contracts that every [`Vault`] must keep, and [a vault](shared) for tests of stores.
//!
//! Each contract is an async function over a [`Fixture`] that panics, and says what is wrong, if the contract is
//! broken. Two macros make ordinary tests of them, one for each:
//!
//! * [`vault_suite!`](crate::vault_suite): what every vault must do through one handle;
//! * [`durable_vault_suite!`](crate::durable_vault_suite): what must hold when a vault is opened again, and
//!   through several handles at once.
//!
//! ```
//! use sprag::vault::MemoryVault;
//! use sprag_testkit::vault::Fixture;
//!
//! async fn fixture() -> Fixture {
//!     let vault = MemoryVault::new();
//!     Fixture::reopening(move || {
//!         let vault = vault.clone();
//!         async move { vault }
//!     })
//!     .await
//! }
//!
//! sprag_testkit::vault_suite!(fixture);
//! sprag_testkit::durable_vault_suite!(fixture);
//! # fn main() {}
//! ```
//!
//! A vault that takes what it needs from the environment, such as the address of a bus, is tested in a process that is
//! started for it: `vault_suite!(fixture, around: in_a_session)` has `in_a_session(name, contract)` called with the
//! name of the test and a function that does it. `Session` is a keychain to be used so on Linux.

pub mod anchors;
pub mod durable;
mod faulty;
mod sample;
pub mod secrets;
#[cfg(target_os = "linux")]
mod session;

use std::{
    any::Any,
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use sprag::vault::{MemoryVault, Vault};

pub use self::faulty::{FaultyVault, VaultFault};
#[cfg(target_os = "linux")]
pub use self::session::Session;

/// A fresh, empty vault for one contract.
pub struct Fixture {
    vault: Arc<dyn Vault>,
    open: Option<Opener>,
    kept: Vec<Box<dyn Any + Send>>,
}

type Opener = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Vault>> + Send>> + Send>;

impl Fixture {
    /// A vault with one handle.
    #[must_use]
    pub fn new(vault: impl Vault) -> Self {
        Self {
            vault: Arc::new(vault),
            open: None,
            kept: Vec::new(),
        }
    }

    /// A vault that can be opened again: each call of `open` makes another handle on the same secrets. Needed for the
    /// durable suite.
    pub async fn reopening<F, Fut, V>(open: F) -> Self
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = V> + Send + 'static,
        V: Vault,
    {
        let open: Opener = Box::new(move || {
            let opening = open();
            Box::pin(async move { Arc::new(opening.await) as Arc<dyn Vault> })
        });
        Self {
            vault: open().await,
            open: Some(open),
            kept: Vec::new(),
        }
    }

    /// Keeps something alive as long as the fixture, for instance the folder that the vault lies in.
    #[must_use]
    pub fn keeping(mut self, resource: impl Any + Send) -> Self {
        self.kept.push(Box::new(resource));
        self
    }

    /// The first handle.
    pub(crate) fn vault(&self) -> &Arc<dyn Vault> {
        &self.vault
    }

    /// Another handle, while the first one is open.
    pub(crate) async fn second(&self) -> Arc<dyn Vault> {
        let open = self.open.as_ref();
        open.expect("this suite needs a fixture made by Fixture::reopening")().await
    }

    /// Gives up the first handle, as a process does that ends, and opens the vault again.
    pub(crate) async fn reopened(self) -> Self {
        let Self { vault, open, kept } = self;
        drop(vault);
        let open = open.expect("this suite needs a fixture made by Fixture::reopening");
        Self {
            vault: open().await,
            open: Some(open),
            kept,
        }
    }
}

/// Runs one contract on a fresh fixture, as the macros do. The runtime has several threads, so that what is
/// spawned really runs at once; a contract that hangs for two minutes has failed.
///
/// # Panics
/// If the contract is broken.
pub fn run<M, MFut, C, CFut>(make: M, contract: C)
where
    M: FnOnce() -> MFut,
    MFut: Future<Output = Fixture>,
    C: FnOnce(Fixture) -> CFut,
    CFut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let contract = async { contract(make().await).await };
        let finished = tokio::time::timeout(Duration::from_secs(120), contract).await;
        assert!(finished.is_ok(), "the vault does not answer");
    });
}

/// One vault in memory for all stores of this process, so that each can be opened again: what tests of a sealed store
/// need.
pub fn shared() -> MemoryVault {
    static VAULT: LazyLock<MemoryVault> = LazyLock::new(MemoryVault::new);
    VAULT.clone()
}

/// Makes a test of each contract that holds for every vault; see [`secrets`](crate::vault::secrets) and
/// [`anchors`](crate::vault::anchors).
///
/// The argument is an `async fn() -> Fixture` that makes an empty vault.
#[macro_export]
macro_rules! vault_suite {
    ($fixture:path $(, around: $around:path)?) => {
        $crate::__vault_contract_tests! { $fixture, [$($around)?], secrets:
            the_kind_is_short
            an_unknown_secret_is_none
            a_secret_comes_back
            secrets_of_all_bytes_come_back
            secrets_of_names_are_apart
            names_of_every_form_are_taken
            what_is_no_name_is_refused
            a_secret_is_never_replaced
            a_destroyed_secret_is_gone
            destroying_nothing_is_fine
            secrets_created_at_once_are_all_kept
            one_of_many_creates_of_a_name_wins
            a_call_that_is_dropped_is_done_or_not
        }
        $crate::__vault_contract_tests! { $fixture, [$($around)?], anchors:
            an_anchor_begins_at_zero
            an_anchor_rises
            an_anchor_is_never_lowered
            an_anchor_takes_every_number
            anchors_of_names_are_apart
            anchors_and_secrets_are_apart
            an_anchor_raised_at_once_ends_at_the_highest
        }
    };
}

/// Makes a test of each contract on a vault that is opened again, or several times at once; see
/// [`durable`](crate::vault::durable).
///
/// The argument is an `async fn() -> Fixture` that uses
/// [`Fixture::reopening`](crate::vault::Fixture::reopening).
#[macro_export]
macro_rules! durable_vault_suite {
    ($fixture:path $(, around: $around:path)?) => {
        $crate::__vault_contract_tests! { $fixture, [$($around)?], durable:
            secrets_survive
            a_destroyed_secret_stays_gone
            anchors_survive
            the_kind_stays
            what_one_handle_does_the_other_sees
            a_secret_is_not_replaced_through_another_handle
            secrets_created_through_two_handles_are_all_kept
            an_anchor_raised_through_many_handles_is_never_lowered
            dropping_a_handle_leaves_the_others
        }
    };
}

/// One `#[test]` for each named contract of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! __vault_contract_tests {
    ($fixture:path, [], $module:ident: $($contract:ident)*) => {
        $(
            #[test]
            fn $contract() {
                $crate::vault::run($fixture, $crate::vault::$module::$contract);
            }
        )*
    };
    ($fixture:path, [$around:path], $module:ident: $($contract:ident)*) => {
        $(
            #[test]
            fn $contract() {
                $around(stringify!($contract), || {
                    $crate::vault::run($fixture, $crate::vault::$module::$contract);
                });
            }
        )*
    };
}
