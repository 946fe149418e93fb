//! What the vault in a file does to the file system.
#![cfg(all(feature = "passphrase", unix))]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use sprag::vault::{Secret, Vault};
use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.vault");
    (folder, path)
}

async fn create(path: &Path) -> PassphraseVault {
    let cost = Cost::new(8, 1, 1).unwrap();
    PassphraseVault::create_with_cost(path, "passphrase", cost)
        .await
        .unwrap()
}

fn secret() -> Secret {
    Secret::random(&mut rand::rng())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    let (folder, path) = place();
    let vault = create(&path).await;
    vault.create("one", &secret()).await.unwrap();
    assert_eq!(names(folder.path()), ["sprag.vault", "sprag.vault.lock"]);
    for name in names(folder.path()) {
        let mode = fs::metadata(folder.path().join(&name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
    // Also after somebody opened it to others.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    vault.destroy("one").await.unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_bytes_of_a_replaced_file_are_overwritten() {
    let (_folder, path) = place();
    let vault = create(&path).await;
    vault.create("one", &secret()).await.unwrap();
    let mut old = fs::File::open(&path).unwrap();
    vault.destroy("one").await.unwrap();
    let mut left = Vec::new();
    old.read_to_end(&mut left).unwrap();
    assert!(left.len() > 132 && left.iter().all(|byte| *byte == 0));
    assert_eq!(vault.load("one").await.unwrap().map(|_| ()), None);
}

/// A file that has another name too is somebody's copy.
#[tokio::test]
async fn a_copy_by_another_name_is_left_alone() {
    let (folder, path) = place();
    let vault = create(&path).await;
    let copy = folder.path().join("copy");
    fs::hard_link(&path, &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    vault.create("one", &secret()).await.unwrap();
    assert_eq!(fs::read(&copy).unwrap(), before);
    assert_ne!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_link_leads_to_the_vault_and_stays() {
    let (folder, path) = place();
    drop(create(&path).await);
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link");
    symlink(&path, &link).unwrap();
    let vault = PassphraseVault::open(&link, "passphrase").await.unwrap();
    vault.raise_anchor("one", 1).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(other.path()), ["link"]);
    assert_eq!(names(folder.path()), ["sprag.vault", "sprag.vault.lock"]);
    // A link to nothing is something.
    let dangling = other.path().join("dangling");
    symlink("nothing", &dangling).unwrap();
    let refused = PassphraseVault::create(&dangling, "passphrase").await;
    assert_eq!(refused.unwrap_err().code(), "vault-exists");
}

#[tokio::test]
async fn what_a_crash_left_behind_is_no_obstacle() {
    let (folder, path) = place();
    let vault = create(&path).await;
    fs::write(folder.path().join("sprag.vault.new"), "half").unwrap();
    vault.raise_anchor("one", 1).await.unwrap();
    assert_eq!(names(folder.path()), ["sprag.vault", "sprag.vault.lock"]);
}

#[tokio::test]
async fn a_change_that_fails_changes_nothing() {
    let (folder, path) = place();
    let vault = create(&path).await;
    let before = fs::read(&path).unwrap();
    // The new file cannot be written where a folder is.
    let obstacle = folder.path().join("sprag.vault.new");
    fs::create_dir(&obstacle).unwrap();
    let error = vault.create("one", &secret()).await.unwrap_err();
    assert_eq!(error.code(), "vault-io");
    let error = vault.change_passphrase("new").await.unwrap_err();
    assert_eq!(error.code(), "vault-io");
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::remove_dir(&obstacle).unwrap();
    assert!(vault.load("one").await.unwrap().is_none());
    vault.create("one", &secret()).await.unwrap();
    assert!(PassphraseVault::open(&path, "passphrase").await.is_ok());
}

/// What is no file is not opened, which could wait for ever.
#[tokio::test]
async fn a_pipe_is_no_vault() {
    let (_folder, path) = place();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let error = PassphraseVault::open(&path, "passphrase")
        .await
        .unwrap_err();
    assert_eq!(error.code(), "vault-tampered");
}
