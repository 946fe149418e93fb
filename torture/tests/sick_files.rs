//! An account whose file is full, read-only, locked, deleted, truncated, altered or replaced: every time a clear error
//! code or the right answer; no panic, no hang, and no account that is silently another.
//!
//! What the backend says in these cases is tested beside it, in `crates/sprag-sqlite/tests`.
#![allow(missing_docs)]

#[path = "sick_files/full.rs"]
mod full;
#[path = "sick_files/patient.rs"]
mod patient;
#[path = "sick_files/read_only.rs"]
mod read_only;
#[path = "sick_files/vault.rs"]
mod vault;

use std::fs::{self, OpenOptions};
use std::path::Path;

use patient::Patient;
use rand::RngExt;
use rusqlite::Connection;
use sprag_torture::pace::{generator, say, seconds, seeds};

#[tokio::test]
async fn a_locked_file_is_busy_and_then_goes_on() {
    let patient = Patient::new().await;
    let alice = patient.open().await.unwrap();
    let other = Connection::open(patient.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(patient.send(&alice).await, Err("store-busy"));
    assert_eq!(patient.receive(&alice).await, Err("store-busy"));
    other.execute_batch("COMMIT").unwrap();
    patient.is_well(&alice).await;
    alice.store().close().await.unwrap();
}

/// What is done to the file while it is open is noticed before anything is released, and after it was put right
/// nothing is missing.
async fn accident(happen: impl FnOnce(&Path), put_right: impl FnOnce(&Path)) {
    let patient = Patient::new().await;
    let alice = patient.open().await.unwrap();
    happen(patient.path());
    assert_eq!(patient.send(&alice).await, Err("outcome-unknown"));
    assert_eq!(patient.send(&alice).await, Err("store-moved"));
    assert_eq!(patient.receive(&alice).await, Err("store-moved"));
    let _ = alice.store().close().await;
    put_right(patient.path());
    let alice = patient.open().await.unwrap();
    patient.is_well(&alice).await;
    alice.store().close().await.unwrap();
}

fn away(path: &Path) -> std::path::PathBuf {
    path.with_extension("away")
}

#[tokio::test]
async fn a_file_moved_away_while_open() {
    let move_back = |path: &Path| fs::rename(away(path), path).unwrap();
    accident(|path| fs::rename(path, away(path)).unwrap(), move_back).await;
}

#[tokio::test]
async fn a_file_replaced_by_a_copy_while_open() {
    accident(
        |path| {
            fs::copy(path, path.with_extension("copy")).unwrap();
            fs::rename(path, away(path)).unwrap();
            fs::rename(path.with_extension("copy"), path).unwrap();
        },
        |path| fs::rename(away(path), path).unwrap(),
    )
    .await;
}

/// Where the file is gone for good, whoever opens an account is told; a new one is made only if it is asked for.
#[tokio::test]
async fn a_file_that_is_gone() {
    let patient = Patient::new().await;
    fs::remove_file(patient.path()).unwrap();
    assert_eq!(patient.open().await.err(), Some("store-missing"));
    fs::write(patient.path(), b"").unwrap();
    assert_eq!(patient.open().await.err(), Some("store-missing"));
}

/// An account of which the store knows is not made again because its own record cannot be found.
#[tokio::test]
async fn a_lost_account_is_not_made_anew() {
    let patient = Patient::new().await;
    let other = Connection::open(patient.path()).unwrap();
    // Not the store's list.
    let delete = "DELETE FROM account WHERE account <> zeroblob(16)";
    assert!(other.execute(delete, []).unwrap() > 0);
    other.close().unwrap();
    assert_eq!(patient.open().await.err(), Some("not-initialised"));
    assert_eq!(patient.open_or_create().await.err(), Some("store-tampered"));
}

/// Under another header, or a new one, nothing would be found.
#[tokio::test]
async fn a_store_whose_header_is_lost_or_altered() {
    for accident in [
        "DELETE FROM header",
        "DELETE FROM header WHERE key = x''",
        "DELETE FROM header WHERE key <> x''",
        "UPDATE header SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || x'00' AS BLOB)",
        "UPDATE header SET version = version + 1",
    ] {
        let patient = Patient::new().await;
        let other = Connection::open(patient.path()).unwrap();
        assert!(other.execute(accident, []).unwrap() > 0, "{accident}");
        other.close().unwrap();
        for _ in 0..2 {
            let code = patient.open_or_create().await.err();
            assert_eq!(code, Some("store-tampered"), "{accident}");
        }
    }
}

/// Cut at every page, and inside of it. (Of the last page, what is missing may be a part that holds nothing.)
#[tokio::test]
async fn truncated_at_every_page() {
    let mut patient = Patient::new().await;
    let whole = fs::read(patient.path()).unwrap();
    for page in 1..whole.len() / 4096 {
        for length in [page * 4096, page * 4096 + 100] {
            patient.restore(&whole[..length]).await;
            let seen = patient.examine().await;
            let may_be_well = page == whole.len() / 4096 - 1 && length % 4096 != 0;
            assert!(seen.found || may_be_well, "{length} of {}", whole.len());
        }
    }
}

/// Bits flipped on every page. What is not noticed is in the free room of a page, or in what SQLite keeps beside the
/// records.
#[tokio::test]
async fn altered_at_every_page() {
    let mut patient = Patient::new().await;
    let whole = fs::read(patient.path()).unwrap();
    let (mut found, mut tried) = (0, 0);
    for seed in seeds() {
        let mut rng = generator(seed);
        for page in 0..whole.len() / 4096 {
            for one in 0..if seconds().is_some() { 16 } else { 2 } {
                let mut altered = whole.clone();
                // The head of a page, and anywhere.
                let place = rng.random_range(0..if one % 2 == 0 { 64 } else { 4096 });
                altered[page * 4096 + place] ^= 1 << rng.random_range(0..8);
                patient.restore(&altered).await;
                let seen = patient.examine().await;
                tried += 1;
                found += usize::from(seen.found);
            }
        }
    }
    say(&format!("{found} of {tried} flipped bits were found"));
    assert!(found > tried / 5);
}

/// Every bit of what is in a record.
#[tokio::test]
async fn altered_in_every_record() {
    let mut patient = Patient::new().await;
    let whole = fs::read(patient.path()).unwrap();
    let mut rng = generator(1);
    for table in patient.tables() {
        for _ in 0..if seconds().is_some() { 16 } else { 2 } {
            patient.restore(&whole).await;
            let (at, bit) = (rng.random_range(0..1000), 1 << rng.random_range(0..8));
            patient.flip(&table, at, bit);
            assert!(patient.examine().await.found, "{table}, byte {at}");
        }
    }
}

/// Bits flipped in the log. SQLite takes a damaged frame for the end of the log, so that what comes after is lost
/// without a word. If the opening is lost with it the store is behind its anchor, and that is told; what came since is
/// not known to be missing.
#[tokio::test]
async fn an_altered_log_is_an_older_store_or_refused() {
    let mut patient = Patient::new().await;
    let alice = patient.open().await.unwrap();
    let opening = fs::metadata(patient.log()).unwrap().len() as usize;
    for _ in 0..5 {
        patient.is_well(&alice).await;
    }
    let file = fs::read(patient.path()).unwrap();
    let log = fs::read(patient.log()).unwrap();
    patient.keep_vault();
    alice.store().close().await.unwrap();
    let mut rng = generator(1);
    for round in 0..40 {
        patient.restore(&file).await;
        let mut altered = log.clone();
        let until = if round % 2 == 0 { opening } else { log.len() };
        let place = rng.random_range(0..until);
        altered[place] ^= 1 << rng.random_range(0..8);
        fs::write(patient.log(), altered).unwrap();
        if place < opening {
            let code = patient.open().await.err();
            assert_eq!(code, Some("store-rolled-back"), "byte {place}");
            patient.recovers().await;
        } else {
            patient.examine().await;
        }
    }
}

/// However much of the log is lost, no root is destroyed that is needed then: before that the log is emptied.
#[tokio::test]
async fn a_lost_log_leads_behind_no_epoch() {
    let mut patient = Patient::new().await;
    let alice = patient.open().await.unwrap();
    patient.is_well(&alice).await;
    assert!(alice.store().new_epoch().await.unwrap().forgotten);
    patient.is_well(&alice).await;
    let file = fs::read(patient.path()).unwrap();
    patient.keep_vault();
    alice.store().close().await.unwrap();
    patient.restore(&file).await;
    let alice = patient.open().await.unwrap();
    assert_eq!(alice.store().examine().await.unwrap().damaged, []);
    alice.store().close().await.unwrap();
}

/// Truncated under the feet of an open store.
#[tokio::test]
async fn truncated_while_open() {
    let mut patient = Patient::new().await;
    let whole = fs::read(patient.path()).unwrap();
    for part in 0..8 {
        patient.restore(&whole).await;
        let alice = patient.open().await.unwrap();
        let file = OpenOptions::new().write(true).open(patient.path()).unwrap();
        file.set_len((whole.len() * part / 8) as u64).unwrap();
        patient.use_up(&alice).await;
        let _ = alice.store().close().await;
    }
}
