//! Forensics: what whoever has the files of a store finds in them.
//!
//! The account talks with the official client, whose records name the chain keys that both share: so it is
//! known what there is to be found. Every search is made in the naive store, too, or with one root for ever, and
//! finds plenty there.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "forensics/alice.rs"]
mod alice;
#[path = "forensics/disk.rs"]
mod disk;
#[path = "forensics/rows.rs"]
mod rows;
#[path = "forensics/secrets.rs"]
mod secrets;
#[path = "forensics/talk.rs"]
mod talk;

use sprag::backend::{Backend, Checkpoint};
use sprag::{DurableStore, StoreOptions};
use sprag_testkit::Log;
use tempfile::TempDir;

use alice::{Naive, Sealed};
use rows::{Copy, moments};
use secrets::{Secrets, Sort};
use talk::Talk;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(test);
}

/// Each sort of secret was there to be found: some of them many times.
fn assert_complete(secrets: &Secrets, sorts: &[Sort], rounds: usize) {
    for sort in sorts {
        let count = secrets.count(*sort);
        let least = match sort {
            Sort::Root | Sort::ChainKey | Sort::RatchetKey | Sort::Plaintext => rounds,
            _ => 1,
        };
        assert!(count >= least, "only {count} of {sort:?}");
    }
}

/// Nothing that was ever secret, at any time: neither what is in use nor what was used up.
#[test]
fn no_secret_is_found_in_the_files_of_a_store() {
    const ROUNDS: usize = 100;
    run(async {
        let (alice, mut talk) = (Sealed::new().await, Talk::new());
        talk.begin(&alice).await;
        let nothing_found = |secrets: &Secrets, when: &str| {
            let found = secrets.found_in(&disk::image(alice.folder()));
            assert!(found.is_empty(), "{when}: {found:?}");
        };
        for round in 0..ROUNDS {
            talk.round(&alice).await;
            if round % 10 == 9 {
                // Another session, which uses up one-time pre-keys.
                talk.begin_from_the_other_side(&alice).await;
            }
            if round % 50 == 49 {
                nothing_found(&talk.secrets, "while it is talked");
            }
        }
        talk.secrets.add_vault(&alice.roots());
        nothing_found(&talk.secrets, "afterwards");
        assert!(alice.account.store().new_epoch().await.unwrap().forgotten);
        talk.round(&alice).await;
        talk.secrets.add_vault(&alice.roots());
        nothing_found(&talk.secrets, "in a new epoch");
        alice.account.store().close().await.unwrap();
        nothing_found(&talk.secrets, "after closing");

        assert_complete(&talk.secrets, &Sort::ALL, ROUNDS);
        assert!(talk.shared() >= ROUNDS, "{} are shared", talk.shared());
        let files = disk::image(alice.folder());
        assert!(files.iter().any(|file| file.len() > 10_000), "{files:?}");
    });
}

/// The same search in a store as guides show it.
#[test]
fn plenty_is_found_in_the_files_of_a_naive_store() {
    const ROUNDS: usize = 100;
    run(async {
        let folder = TempDir::new().unwrap();
        let (alice, mut talk) = (Naive::new(folder.path()), Talk::new());
        talk.begin(&alice).await;
        for _ in 0..ROUNDS {
            talk.round(&alice).await;
        }
        let found = talk.secrets.found_in(&disk::image(folder.path()));
        let count = |sort| found.get(&sort).copied().unwrap_or_default();
        assert_eq!(count(Sort::Name), 2, "{found:?}");
        for sort in [Sort::Root, Sort::ChainKey, Sort::RatchetKey] {
            assert!(count(sort) >= ROUNDS / 2, "{found:?}");
        }
        drop(alice);
        let found = talk.secrets.found_in(&disk::image(folder.path()));
        assert!(found.contains_key(&Sort::Root), "{found:?}");
    });
}

/// Whoever has the disk and today's vault reads what the store holds today, and nothing that it held before.
#[test]
fn after_a_new_epoch_only_live_rows_open() {
    run(async {
        let (alice, mut talk) = (Sealed::new().await, Talk::new());
        talk.begin(&alice).await;
        for _ in 0..15 {
            talk.round(&alice).await;
        }
        talk.begin_from_the_other_side(&alice).await;
        talk.round(&alice).await;
        let store = alice.account.store();
        let yesterday = disk::image(alice.folder());
        assert!(store.new_epoch().await.unwrap().forgotten);

        let commits = store.backend().commits();
        let live = rows::live(store.backend()).await;
        let copy = Copy::new(&live, alice.thief()).await;
        assert_eq!(copy.opened(&live).await, copy.rows(&live), "what is live");
        // The last commits are those of the change of epochs itself.
        let mut dead = 0;
        for moment in moments(&commits) {
            let old = rows::without(&moment, &live);
            assert_eq!(copy.opened(&old).await, 0, "of {} rows", copy.rows(&old));
            dead += copy.rows(&old);
        }
        assert!(dead > 500, "{dead}");

        // They were on the disk before, and are no more: not in the database, not in the log, not in free pages.
        let today = disk::image(alice.folder());
        let found = |image| rows::found_in(image, &commits, &live);
        assert!(found(&yesterday).dead > 50, "{:?}", found(&yesterday));
        assert_eq!(found(&today).dead, 0);
        assert!(found(&today).live > 5, "{:?}", found(&today));
    });
}

/// The same search with one root for ever: every row that was ever written opens, and until the log is emptied many
/// of them are on the disk. Within an epoch it is the emptied log and the erased pages alone that make the store forget.
#[test]
fn with_one_root_for_ever_old_rows_open() {
    run(async {
        let (alice, mut talk) = (Sealed::new().await, Talk::new());
        talk.begin(&alice).await;
        for _ in 0..15 {
            talk.round(&alice).await;
        }
        let store = alice.account.store();
        let commits = store.backend().commits();
        let live = rows::live(store.backend()).await;
        let copy = Copy::new(&live, alice.thief()).await;
        for moment in moments(&commits) {
            assert_eq!(copy.opened(&moment).await, copy.rows(&moment));
        }
        let found = || rows::found_in(&disk::image(alice.folder()), &commits, &live);
        assert!(found().dead > 50, "{:?}", found());
        assert_eq!(store.backend().checkpoint().await, Ok(Checkpoint::Complete));
        assert_eq!(found().dead, 0);
    });
}

/// Yesterday's files with today's vault: refused as they are, and with today's header in them not one record opens.
#[test]
fn an_old_copy_opens_no_more_after_a_new_epoch() {
    run(async {
        let (alice, mut talk) = (Sealed::new().await, Talk::new());
        talk.begin(&alice).await;
        for _ in 0..10 {
            talk.round(&alice).await;
        }
        let old = disk::copy(alice.folder());
        let store = alice.account.store();
        let copied = rows::live(&alice::open(old.path()).await).await;

        // Until then it is readable to whoever has the vault, too.
        let copy = Copy::new(&rows::live(store.backend()).await, alice.thief()).await;
        assert_eq!(copy.opened(&copied).await, copy.rows(&copied));

        assert!(store.new_epoch().await.unwrap().forgotten);
        let refused = DurableStore::open(alice::open(old.path()).await, alice.thief()).await;
        assert_eq!(refused.err().unwrap().code(), "store-root-missing");
        let recovered = StoreOptions::new()
            .recover(alice::open(old.path()).await, alice.vault())
            .await;
        assert_eq!(recovered.err().unwrap().code(), "store-rolled-back");

        let copy = Copy::new(&rows::live(store.backend()).await, alice.thief()).await;
        assert_eq!(copy.opened(&copied).await, 0);
        assert!(copy.rows(&copied) > 5);
    });
}

/// Nor is it in what the library says: the log at TRACE with all threads, errors, and `Debug` of whatever has it.
#[test]
fn no_secret_is_told_to_log_errors_or_debug() {
    run(async {
        let log = Log::default();
        tracing::subscriber::set_global_default(log.clone()).unwrap();
        let (alice, mut talk) = (Sealed::new().await, Talk::new());
        talk.begin(&alice).await;
        for _ in 0..5 {
            talk.round(&alice).await;
        }
        talk.begin_from_the_other_side(&alice).await;
        let old = disk::copy(alice.folder());
        assert!(alice.account.store().new_epoch().await.unwrap().forgotten);
        talk.round(&alice).await;

        let mut said = alice.debug().await;
        said.extend(talk.trouble(&alice).await);
        let options = StoreOptions::new();
        let backend = alice::open(old.path()).await;
        let refused = options.open(backend, alice.vault()).await.err().unwrap();
        said.push(format!("{refused} {refused:?}"));
        said.extend(alice::wrong_passphrase(alice.folder()).await);
        alice.account.store().close().await.unwrap();
        talk.secrets.add_vault(&alice.roots());

        let text = log.text();
        for expected in [
            "send",
            "receive",
            "bundle",
            "sprag_sqlite",
            "duplicate-message",
        ] {
            assert!(
                text.contains(expected),
                "{expected} is missing from: {text}"
            );
        }
        said.push(text);
        // Whoever asks for the error or the address itself is told the peer's name; the log is not.
        assert_eq!(talk.secrets.told(said.last().unwrap()), []);
        talk.secrets.forget_names();
        for text in &said {
            assert_eq!(talk.secrets.told(text), [], "{text}");
        }
        // The search finds what is told.
        let plaintext = talk.secrets.one(Sort::ChainKey);
        assert_eq!(
            talk.secrets.told(&format!("{plaintext:?}")),
            [Sort::ChainKey]
        );
    });
}
