//! Conformance of backends: one suite of contracts that every [`Backend`] must pass;
//! [`FaultyBackend`], which makes a sound backend fail where a test wants it; and [`PassThrough`], to
//! write backends of which only a few calls differ from another's.
//!
//! Each contract is an async function over a [`Fixture`] that panics if the contract is broken.
//! Three macros make ordinary tests of them, one for each contract, so that a failure has a name:
//!
//! * [`backend_suite!`](crate::backend_suite): what every backend must do;
//! * [`durable_backend_suite!`](crate::durable_backend_suite): for backends that outlive the
//!   process;
//! * [`shared_backend_suite!`](crate::shared_backend_suite): for those that several handles may
//!   hold at once, as two processes hold one file or two hosts one server.
//!
//! ```
//! use sprag::backend::MemoryBackend;
//! use sprag_testkit::backend::Fixture;
//!
//! async fn fixture() -> Fixture {
//!     Fixture::new(MemoryBackend::new())
//! }
//!
//! sprag_testkit::backend_suite!(fixture);
//! # fn main() {}
//! ```

pub mod contracts;
pub mod durable;
mod faulty;
mod pass_through;
mod sample;
pub mod shared;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sprag::backend::Backend;

pub use self::faulty::{Call, Fault, FaultyBackend, Passed};
pub use self::pass_through::PassThrough;
#[doc(hidden)]
pub use self::pass_through::names;

/// A fresh, empty store for one contract.
pub struct Fixture {
    backend: Arc<dyn Backend>,
    open: Option<Opener>,
    kept: Vec<Box<dyn Any + Send>>,
}

type Opener = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Backend>> + Send>> + Send>;

impl Fixture {
    /// A store with one handle.
    #[must_use]
    pub fn new(backend: impl Backend) -> Self {
        Self {
            backend: Arc::new(backend),
            open: None,
            kept: Vec::new(),
        }
    }

    /// A store that can be opened again: each call of `open` makes another handle on the same
    /// records. Needed for the durable and shared suites.
    pub async fn reopening<F, Fut, B>(open: F) -> Self
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = B> + Send + 'static,
        B: Backend,
    {
        let open: Opener = Box::new(move || {
            let opening = open();
            Box::pin(async move { Arc::new(opening.await) as Arc<dyn Backend> })
        });
        Self {
            backend: open().await,
            open: Some(open),
            kept: Vec::new(),
        }
    }

    /// Keeps something alive as long as the fixture, for instance the folder that the store lies
    /// in.
    #[must_use]
    pub fn keeping(mut self, resource: impl Any + Send) -> Self {
        self.kept.push(Box::new(resource));
        self
    }

    /// The first handle.
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Another handle, while the first one is open.
    pub(crate) async fn second(&self) -> Arc<dyn Backend> {
        let open = self.open.as_ref();
        open.expect("this suite needs a fixture made by Fixture::reopening")().await
    }

    /// Gives up the first handle, as a process does that ends without closing, and opens the store
    /// again.
    pub(crate) async fn reopened(mut self) -> Self {
        let open = self.open.take();
        let open = open.expect("this suite needs a fixture made by Fixture::reopening");
        let kept = std::mem::take(&mut self.kept);
        drop(self);
        Self {
            backend: open().await,
            open: Some(open),
            kept,
        }
    }
}

/// Runs one contract on a fresh fixture, as the macros do. The runtime has several threads, so that
/// what is spawned really runs at once; a contract that hangs for two minutes has failed.
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
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let contract = async { contract(make().await).await };
        let finished = tokio::time::timeout(Duration::from_secs(120), contract).await;
        assert!(finished.is_ok(), "the backend does not answer");
    });
}

/// Makes a test of each contract that holds for every backend; see [`contracts`].
///
/// The argument is an `async fn() -> Fixture` that makes an empty store.
#[macro_export]
macro_rules! backend_suite {
    ($fixture:path) => {
        $crate::__contract_tests! { $fixture, contracts:
            absent_records_are_none
            reads_its_own_commit
            a_put_replaces_bytes_and_version
            a_put_under_the_same_version_replaces_bytes
            a_delete_removes
            deleting_an_absent_record_changes_nothing
            conflict_if_the_record_changed
            conflict_if_the_record_appeared
            conflict_if_the_record_vanished
            conflict_if_a_record_that_was_only_read_changed
            a_conflict_applies_nothing
            an_empty_batch_validates
            a_recreated_record_is_not_the_old_one
            blind_writes_need_no_expectation
            deletions_that_wait_are_seen_at_once
            operations_are_remembered
            operations_that_wrote_nothing_are_not_in_the_store
            accounts_and_kinds_are_apart
            keys_are_opaque_bytes
            records_may_be_empty_or_big
            scans_ascend_by_key
            scans_go_page_by_page
            scans_stay_within_account_and_kind
            scans_continue_after_a_deleted_key
            scans_of_all_see_every_record_once
            scans_of_all_continue_after_a_deleted_key
            scans_of_all_see_what_stays_once_while_others_write
            limits_are_refused_clearly
            limits_reach_the_minimum
            ambiguous_batches_are_refused
            concurrent_increments_lose_nothing
            unrelated_commits_do_not_conflict
            write_skew_is_impossible
            reads_are_snapshots
            validations_are_snapshots
            cancelled_commits_are_whole
            dropped_commits_do_not_come_after_a_look
            cancelled_reads_do_no_harm
            stalled_calls_hold_up_nobody
            a_checkpoint_keeps_the_records
            a_closed_backend_refuses_everything
        }
    };
}

/// Makes a test of each contract on what is left after a store is opened again; see [`durable`].
///
/// The argument is an `async fn() -> Fixture` that uses
/// [`Fixture::reopening`](crate::backend::Fixture::reopening).
#[macro_export]
macro_rules! durable_backend_suite {
    ($fixture:path) => {
        $crate::__contract_tests! { $fixture, durable:
            records_survive_closing
            records_survive_without_closing
            operations_survive
            deletions_that_wait_are_done_by_closing
            closing_finishes_what_was_accepted
            closing_again_waits_for_the_end
        }
    };
}

/// Makes a test of each contract on several handles over one store; see [`shared`].
///
/// The argument is an `async fn() -> Fixture` that uses
/// [`Fixture::reopening`](crate::backend::Fixture::reopening).
#[macro_export]
macro_rules! shared_backend_suite {
    ($fixture:path) => {
        $crate::__contract_tests! { $fixture, shared:
            commits_are_seen_through_the_other_handle
            conflicts_are_found_across_handles
            a_recreated_record_is_not_the_old_one_across_handles
            increments_through_two_handles_lose_nothing
            write_skew_is_impossible_across_handles
            operations_are_known_to_the_other_handle
            closing_one_handle_leaves_the_other
        }
    };
}

/// One `#[test]` for each named contract of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tests {
    ($fixture:path, $module:ident: $($contract:ident)*) => {
        $(
            #[test]
            fn $contract() {
                $crate::backend::run($fixture, $crate::backend::$module::$contract);
            }
        )*
    };
}
