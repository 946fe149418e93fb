//! Opening takes what is ours, makes what is not there, and refuses everything else without
//! touching it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{contents, key, make_store, open, place, put};
use rusqlite::Connection;
use sprag::backend::{Backend, BackendError};
use sprag_sqlite::{SqliteBackend, SqliteOptions};

/// Opens what lies at `path`, which must fail with this code and leave every file of the folder as
/// it is.
async fn refused(path: &Path, code: &str) {
    let before = contents(path.parent().unwrap());
    let refused = open(path).await.err();
    assert_eq!(
        refused.as_ref().map(BackendError::code),
        Some(code),
        "{refused:?}"
    );
    assert!(
        contents(path.parent().unwrap()) == before,
        "something was touched"
    );
}

#[tokio::test]
async fn a_new_store_is_made_and_found_again() {
    let (folder, path) = place();
    make_store(&path, 3).await;
    assert_eq!(
        contents(folder.path()).keys().collect::<Vec<_>>(),
        ["sprag.db"],
        "closing leaves no log"
    );
    let backend = open(&path).await.unwrap();
    assert_eq!(
        backend.read(&[key(2)]).await.unwrap()[0]
            .as_ref()
            .unwrap()
            .bytes,
        vec![2; 3000]
    );
}

#[tokio::test]
async fn a_missing_store_is_not_made_unasked() {
    let (folder, path) = place();
    let options = SqliteOptions::file(&path).create_if_missing(false);
    assert_eq!(
        options.clone().open().await.err(),
        Some(BackendError::Missing)
    );
    fs::write(&path, b"").unwrap();
    assert_eq!(
        options.clone().open().await.err(),
        Some(BackendError::Missing)
    );
    assert_eq!(contents(folder.path()).len(), 1);
    fs::remove_file(&path).unwrap();
    make_store(&path, 1).await;
    options.open().await.unwrap();
}

#[tokio::test]
async fn an_empty_file_is_taken_over() {
    let (_folder, path) = place();
    fs::write(&path, b"").unwrap();
    make_store(&path, 1).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let (folder, path) = place();
    let path = path.join("no such folder").join("sprag.db");
    assert_eq!(open(&path).await.err().unwrap().code(), "store-io");
    assert_eq!(
        open(folder.path()).await.err().unwrap().code(),
        "not-a-store"
    );
}

#[tokio::test]
async fn paths_may_hold_any_character() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "with space",
        "50%25.db",
        "what?mode=ro",
        "a#b",
        "file:x",
        ":memory:x",
        "ünï",
        "'quoted'",
    ] {
        let path = folder.path().join(name);
        make_store(&path, 1).await;
        assert!(path.is_file(), "{name}");
        open(&path).await.unwrap().close().await.unwrap();
    }
    assert_eq!(contents(folder.path()).len(), 8);
}

#[tokio::test]
async fn what_is_not_a_database_is_refused() {
    let (_folder, path) = place();
    let long_text = "The quick brown fox jumps over the lazy dog. ".repeat(1000);
    for foreign in [
        &b"x"[..],
        b"SQLite format 3\0",
        long_text.as_bytes(),
        &[0; 8192],
    ] {
        fs::write(&path, foreign).unwrap();
        refused(&path, "not-a-store").await;
    }
}

#[tokio::test]
async fn databases_of_other_programs_are_refused() {
    for journal_mode in ["delete", "wal"] {
        let (_folder, path) = place();
        let foreign = Connection::open(&path).unwrap();
        foreign
            .pragma_update_and_check(None, "journal_mode", journal_mode, |_| Ok(()))
            .unwrap();
        foreign
            .execute_batch("CREATE TABLE session (id); INSERT INTO session VALUES (1)")
            .unwrap();
        // In WAL mode the table is in the log only, while the connection is open.
        refused(&path, "not-a-store").await;
        foreign
            .execute_batch("INSERT INTO session VALUES (2)")
            .unwrap();
        foreign.close().unwrap();
        refused(&path, "not-a-store").await;

        let marked = Connection::open(&path).unwrap();
        marked
            .pragma_update(None, "application_id", 0x1234)
            .unwrap();
        marked.close().unwrap();
        refused(&path, "not-a-store").await;
    }
}

#[tokio::test]
async fn a_store_of_a_later_release_is_refused() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    let later = Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 1000).unwrap();
    later.close().unwrap();
    refused(&path, "store-too-new").await;
}

/// A process of a later release died before its log was moved into the file, whose mark is still
/// the old one.
#[tokio::test]
async fn a_later_format_in_the_log_is_refused() {
    let (folder, path) = place();
    make_store(&path, 3).await;
    let later = Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 1000).unwrap();
    let died = tempfile::tempdir().unwrap();
    for name in ["sprag.db", "sprag.db-wal"] {
        fs::copy(folder.path().join(name), died.path().join(name)).unwrap();
    }
    let path = died.path().join("sprag.db");
    let before = contents(died.path());
    assert_eq!(open(&path).await.err().unwrap().code(), "store-too-new");
    let mut after = contents(died.path());
    after.remove("sprag.db-shm");
    assert!(after == before, "something was touched");
}

#[tokio::test]
async fn a_log_without_its_file_is_refused() {
    let (folder, path) = place();
    let backend = open(&path).await.unwrap();
    let _ = backend.commit(put(1, vec![1; 3000])).await.unwrap();
    let damaged = tempfile::tempdir().unwrap();
    fs::copy(
        folder.path().join("sprag.db-wal"),
        damaged.path().join("sprag.db-wal"),
    )
    .unwrap();
    let path = damaged.path().join("sprag.db");
    refused(&path, "store-corrupt").await;
    fs::write(&path, b"").unwrap();
    refused(&path, "store-corrupt").await;
}

/// A crash leaves the log beside the file; all that was committed is there after opening.
#[tokio::test]
async fn a_log_left_by_a_crash_is_used() {
    let (folder, path) = place();
    let backend = open(&path).await.unwrap();
    for number in 0..20 {
        let _ = backend
            .commit(put(number, vec![number as u8; 3000]))
            .await
            .unwrap();
    }
    let crashed = tempfile::tempdir().unwrap();
    for name in ["sprag.db", "sprag.db-wal"] {
        fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let backend = open(&crashed.path().join("sprag.db")).await.unwrap();
    let records = backend
        .read(&(0..20).map(key).collect::<Vec<_>>())
        .await
        .unwrap();
    assert_eq!(records.iter().flatten().count(), 20);
}

/// A crash in the middle of a checkpoint leaves a file that is shorter than its first page says.
#[tokio::test]
async fn a_checkpoint_cut_short_by_a_crash_does_no_harm() {
    let (folder, path) = place();
    let backend = open(&path).await.unwrap();
    for number in 0..20 {
        let _ = backend
            .commit(put(number, vec![number as u8; 3000]))
            .await
            .unwrap();
    }
    let log = fs::read(folder.path().join("sprag.db-wal")).unwrap();
    let empty = fs::metadata(&path).unwrap().len();
    backend.close().await.unwrap();

    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    assert!(empty < file.metadata().unwrap().len());
    file.set_len(empty).unwrap();
    fs::write(folder.path().join("sprag.db-wal"), log).unwrap();
    let backend = open(&path).await.unwrap();
    let records = backend
        .read(&(0..20).map(key).collect::<Vec<_>>())
        .await
        .unwrap();
    assert_eq!(records.iter().flatten().count(), 20);
}

/// The power went while the store was made, and the first page did not reach the disk. The journal, which did, says
/// that there was nothing before.
#[tokio::test]
async fn a_creation_cut_short_by_a_power_cut_is_begun_anew() {
    let journal = |pages: u32| {
        let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        let (records, nonce, sector, page_size) = (0_u32, 7_u32, 512_u32, 4096_u32);
        for number in [records, nonce, pages, sector, page_size] {
            journal.extend(number.to_be_bytes());
        }
        journal.resize(512, 0);
        journal
    };
    let (folder, path) = place();
    let lay = |journal| {
        fs::write(&path, [0; 8192]).unwrap();
        fs::write(folder.path().join("sprag.db-journal"), journal).unwrap();
    };
    lay(journal(0));
    let backend = open(&path).await.unwrap();
    let _ = backend.commit(put(1, b"x".to_vec())).await.unwrap();
    backend.close().await.unwrap();
    assert!(!folder.path().join("sprag.db-journal").exists());

    lay(journal(2));
    refused(&path, "not-a-store").await;
    lay(journal(0)[..12].to_vec());
    refused(&path, "not-a-store").await;
}

#[tokio::test]
async fn a_damaged_schema_is_refused() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    let whole = fs::read(&path).unwrap();
    // The tree of the schema begins after the 100 bytes of the header.
    for (offset, damage) in [(100, [0xff; 8]), (16, [0xff; 8])] {
        let mut damaged = whole.clone();
        damaged[offset..offset + 8].copy_from_slice(&damage);
        fs::write(&path, damaged).unwrap();
        let before = fs::read(&path).unwrap();
        let refused = open(&path).await.err().unwrap();
        assert!(
            ["store-corrupt", "not-a-store"].contains(&refused.code()),
            "{refused:?}"
        );
        assert!(fs::read(&path).unwrap() == before);
    }
}

#[tokio::test]
async fn a_store_without_one_of_its_tables_is_refused() {
    let (_folder, path) = place();
    make_store(&path, 3).await;
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE inbox")
        .unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(open(&path).await.err().unwrap().code(), "store-corrupt");
    assert!(fs::read(&path).unwrap() == before);
}

/// Several openings race to make one store; one of them makes it, all of them have it.
#[tokio::test(flavor = "multi_thread")]
async fn racing_to_make_a_store() {
    for _ in 0..10 {
        let (_folder, path) = place();
        let url = format!("sqlite:{}", path.display());
        let racers: Vec<_> = (0..4)
            .map(|number| {
                let url = url.clone();
                tokio::spawn(async move {
                    let backend = SqliteBackend::open(&url).await?;
                    backend.commit(put(number, b"here".to_vec())).await
                })
            })
            .collect();
        for racer in racers {
            let _ = racer.await.unwrap().unwrap();
        }
        let backend = open(&path).await.unwrap();
        let records = backend
            .read(&(0..4).map(key).collect::<Vec<_>>())
            .await
            .unwrap();
        assert_eq!(records.iter().flatten().count(), 4);
    }
}

/// The settings that durability and forgetting rest on, and the format, as any reader of the file
/// finds them.
#[tokio::test]
async fn the_file_says_what_it_is() {
    let (_folder, path) = place();
    let backend = open(&path).await.unwrap();
    let other = Connection::open(&path).unwrap();
    let text = |pragma: &str| {
        other.query_row(&format!("PRAGMA {pragma}"), [], |row| {
            row.get::<_, String>(0)
        })
    };
    let number =
        |pragma: &str| other.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    assert_eq!(text("journal_mode").unwrap(), "wal");
    assert_eq!(
        number("application_id").unwrap(),
        i64::from(u32::from_be_bytes(*b"Sprg"))
    );
    assert_eq!(number("user_version").unwrap(), 3);
    assert_eq!(text("integrity_check").unwrap(), "ok");
    backend.close().await.unwrap();
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_store_and_its_companions_are_for_the_owner_alone() {
        let (folder, path) = place();
        let backend = open(&path).await.unwrap();
        let _ = backend.commit(put(1, vec![1; 3000])).await.unwrap();
        let files = contents(folder.path());
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            ["sprag.db", "sprag.db-shm", "sprag.db-wal"]
        );
        for name in files.keys() {
            assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn an_empty_file_that_is_taken_over_is_closed_to_others() {
        let (_folder, path) = place();
        fs::write(&path, b"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        make_store(&path, 1).await;
        assert_eq!(mode(&path), 0o600);
    }

    /// The log lies beside the file that the link leads to, where every other path to it finds it
    /// as well.
    #[tokio::test]
    async fn a_link_leads_to_the_store() {
        let (folder, path) = place();
        make_store(&path, 1).await;
        let links = tempfile::tempdir().unwrap();
        let link = links.path().join("link.db");
        symlink(&path, &link).unwrap();
        let backend = open(&link).await.unwrap();
        let _ = backend
            .commit(put(1, b"through the link".to_vec()))
            .await
            .unwrap();
        assert!(folder.path().join("sprag.db-wal").exists());
        let direct = open(&path).await.unwrap();
        assert_eq!(
            direct.read(&[key(1)]).await.unwrap()[0]
                .as_ref()
                .unwrap()
                .bytes,
            &b"through the link"[..]
        );
    }

    /// A pipe would block whoever opens it.
    #[tokio::test]
    async fn what_is_not_a_file_is_refused() {
        assert_eq!(
            open(Path::new("/dev/null")).await.err().unwrap().code(),
            "not-a-store"
        );
    }
}
