//! The vault in a file: the contracts of all vaults, and what is its own.
#![cfg(feature = "passphrase")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use sprag::vault::{Secret, Vault, VaultError};
use sprag_testkit::vault::Fixture;
use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse battery staple";
const HEAD: usize = 132;

mod suite {
    async fn fixture() -> super::Fixture {
        let (folder, path) = super::place();
        drop(super::create(&path).await);
        super::Fixture::reopening(move || {
            let path = path.clone();
            async move { super::open(&path).await.unwrap() }
        })
        .await
        .keeping(folder)
    }

    sprag_testkit::vault_suite!(fixture);
    sprag_testkit::durable_vault_suite!(fixture);
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.vault");
    (folder, path)
}

fn cheap() -> Cost {
    Cost::new(8, 1, 1).unwrap()
}

async fn create(path: &Path) -> PassphraseVault {
    PassphraseVault::create_with_cost(path, PASSPHRASE, cheap())
        .await
        .unwrap()
}

async fn open(path: &Path) -> Result<PassphraseVault, VaultError> {
    PassphraseVault::open(path, PASSPHRASE).await
}

fn secret() -> Secret {
    Secret::random(&mut rand::rng())
}

/// A vault with something in it, and its bytes.
async fn filled(path: &Path) -> Vec<u8> {
    let vault = create(path).await;
    vault.create("root.1", &secret()).await.unwrap();
    vault.raise_anchor("generation", 3).await.unwrap();
    fs::read(path).unwrap()
}

/// What opening these bytes comes to.
async fn code_of(path: &Path, bytes: &[u8]) -> &'static str {
    fs::write(path, bytes).unwrap();
    open(path)
        .await
        .map_or_else(|error| error.code(), |_| "opens")
}

/// Makes the head add up again, as somebody does who alters the file on purpose.
fn add_up(bytes: &mut [u8]) {
    let checksum = Sha256::digest(&bytes[..HEAD - 32]);
    bytes[HEAD - 32..HEAD].copy_from_slice(&checksum);
}

#[tokio::test]
async fn the_passphrase_must_be_right() {
    let (_folder, path) = place();
    filled(&path).await;
    for wrong in [
        "",
        "x",
        "correct horse battery staplE",
        "correct horse battery staple ",
    ] {
        let error = PassphraseVault::open(&path, wrong).await.unwrap_err();
        let code = if wrong.is_empty() {
            "vault-empty-passphrase"
        } else {
            "vault-wrong-passphrase"
        };
        assert_eq!(error.code(), code, "{wrong:?}");
    }
    assert_eq!(open(&path).await.unwrap().anchor("generation").await, Ok(3));
}

#[tokio::test]
async fn nothing_is_made_where_nothing_was_asked_for() {
    let (folder, path) = place();
    assert_eq!(open(&path).await.unwrap_err(), VaultError::Missing);
    let error = PassphraseVault::create(&path, "").await.unwrap_err();
    assert_eq!(error, VaultError::EmptyPassphrase);
    let error = PassphraseVault::create(folder.path().join("no/folder"), "x").await;
    assert_eq!(error.unwrap_err().code(), "vault-io");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    let names = left.into_iter().map(|entry| entry.unwrap().file_name());
    let no_vault = names.filter(|name| name != "sprag.vault.lock").count() == 0;
    assert!(no_vault);
}

#[tokio::test]
async fn what_is_there_is_not_replaced() {
    let (folder, path) = place();
    let bytes = filled(&path).await;
    for taken in [&path, folder.path()] {
        let error = PassphraseVault::create_with_cost(taken, "other", cheap()).await;
        assert_eq!(error.unwrap_err(), VaultError::AlreadyCreated);
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_byte_that_is_altered_is_found() {
    let (_folder, path) = place();
    let bytes = filled(&path).await;
    for index in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut altered = bytes.clone();
            altered[index] ^= mask;
            let expected = match index {
                8..11 => "vault-too-new",
                11 if altered[11] > 1 => "vault-too-new",
                _ => "vault-tampered",
            };
            let code = code_of(&path, &altered).await;
            assert_eq!(code, expected, "byte {index} with {mask:#x}");
        }
    }
    assert_eq!(code_of(&path, &bytes).await, "opens");
}

#[tokio::test]
async fn a_head_that_is_altered_on_purpose_is_found() {
    let (_folder, path) = place();
    let bytes = filled(&path).await;
    for index in 12..HEAD - 32 {
        let mut altered = bytes.clone();
        altered[index] ^= 1;
        add_up(&mut altered);
        let code = code_of(&path, &altered).await;
        let refused = ["vault-tampered", "vault-wrong-passphrase"].contains(&code);
        assert!(refused, "byte {index}: {code}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_or_longer_is_refused() {
    let (_folder, path) = place();
    let bytes = filled(&path).await;
    for length in 0..bytes.len() {
        let code = code_of(&path, &bytes[..length]).await;
        assert_eq!(code, "vault-tampered", "{length} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(code_of(&path, &longer).await, "vault-tampered");
    // As long as nobody would read it.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(open(&path).await.unwrap_err().code(), "vault-tampered");
}

/// Nothing is spent on a derivation that nobody would ask for: with these the test would not end, or not
/// have the memory.
#[tokio::test]
async fn a_cost_out_of_range_is_refused() {
    let (_folder, path) = place();
    let bytes = filled(&path).await;
    for (memory, passes, lanes) in [
        (u32::MAX, 1, 1),
        (Cost::MAX_MEMORY_KIB + 1, 1, 1),
        (8, u32::MAX, 1),
        (8, 0, 1),
        (8, 1, 0),
        (1 << 20, 1, u32::MAX),
        (15, 1, 2),
    ] {
        assert_eq!(Cost::new(memory, passes, lanes), None);
        let mut altered = bytes.clone();
        for (at, number) in [(12, memory), (16, passes), (20, lanes)] {
            altered[at..at + 4].copy_from_slice(&u32::to_be_bytes(number));
        }
        add_up(&mut altered);
        let code = code_of(&path, &altered).await;
        assert_eq!(code, "vault-tampered", "{memory} {passes} {lanes}");
    }
}

#[tokio::test]
async fn a_handle_finds_what_was_altered_under_it() {
    let (_folder, path) = place();
    let vault = create(&path).await;
    let old = fs::read(&path).unwrap();
    vault.raise_anchor("one", 1).await.unwrap();
    let new = fs::read(&path).unwrap();

    let mut altered = new.clone();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(&path, altered).unwrap();
    let error = vault.anchor("one").await.unwrap_err();
    assert_eq!(error.code(), "vault-tampered");

    fs::write(&path, old).unwrap();
    let error = vault.raise_anchor("one", 2).await.unwrap_err();
    assert!(error.to_string().contains("older copy"), "{error}");

    fs::remove_file(&path).unwrap();
    assert_eq!(vault.anchor("one").await, Err(VaultError::Missing));
    fs::write(&path, new).unwrap();
    assert_eq!(vault.anchor("one").await, Ok(1));
}

#[tokio::test]
async fn a_new_passphrase_takes_the_place_of_the_old_one() {
    let (folder, path) = place();
    let vault = create(&path).await;
    let (first, second) = (secret(), secret());
    vault.create("first", &first).await.unwrap();
    let other = open(&path).await.unwrap();
    let old = fs::read(&path).unwrap();

    assert_eq!(
        vault.change_passphrase("").await,
        Err(VaultError::EmptyPassphrase)
    );
    vault.change_passphrase("new").await.unwrap();
    vault.create("second", &second).await.unwrap();

    assert_eq!(open(&path).await.unwrap_err(), VaultError::WrongPassphrase);
    let opened = PassphraseVault::open(&path, "new").await.unwrap();
    for (name, secret) in [("first", &first), ("second", &second)] {
        let loaded = opened.load(name).await.unwrap().unwrap();
        assert_eq!(loaded.as_bytes(), secret.as_bytes());
    }
    let error = other.load("first").await.unwrap_err();
    assert_eq!(error, VaultError::WrongPassphrase);
    let error = other.create("third", &secret()).await.unwrap_err();
    assert_eq!(error, VaultError::WrongPassphrase);

    // Who has an old copy and the old passphrase has the old master key, which opens nothing that came later.
    let copy = folder.path().join("copy");
    let new = fs::read(&path).unwrap();
    let spliced = [&old[..HEAD], &new[HEAD..]].concat();
    assert_eq!(code_of(&copy, &spliced).await, "vault-tampered");
    assert_eq!(code_of(&copy, &old).await, "opens");
}

#[tokio::test]
async fn the_cost_is_raised_and_never_lowered() {
    let (_folder, path) = place();
    let vault = create(&path).await;
    vault.raise_anchor("one", 1).await.unwrap();
    let other = open(&path).await.unwrap();
    let higher = Cost::new(64, 2, 2).unwrap();

    let refused = vault.upgrade("wrong", higher).await;
    assert_eq!(refused, Err(VaultError::WrongPassphrase));
    assert_eq!(vault.cost().await, Ok(cheap()));

    assert_eq!(vault.upgrade(PASSPHRASE, higher).await, Ok(true));
    for lower in [higher, cheap()] {
        assert_eq!(vault.upgrade(PASSPHRASE, lower).await, Ok(false));
    }
    // Another handle goes on, and keeps the new head.
    assert_eq!(other.anchor("one").await, Ok(1));
    other.raise_anchor("one", 2).await.unwrap();
    assert_eq!(vault.anchor("one").await, Ok(2));
    assert_eq!(open(&path).await.unwrap().cost().await, Ok(higher));

    vault.change_passphrase("new").await.unwrap();
    assert_eq!(vault.cost().await, Ok(Cost::default()));
}

#[tokio::test]
async fn the_default_cost_is_what_is_promised() {
    let (_folder, path) = place();
    let vault = PassphraseVault::create(&path, PASSPHRASE).await.unwrap();
    let cost = vault.cost().await.unwrap();
    assert!(cost.memory_kib() >= 64 * 1024 && cost.passes() >= 3);
    assert!(open(&path).await.is_ok());
}

#[tokio::test]
async fn nothing_is_readable() {
    let (_folder, path) = place();
    let vault = create(&path).await;
    let secret = secret();
    vault.create("name-of-a-secret", &secret).await.unwrap();
    vault.raise_anchor("name-of-an-anchor", 7).await.unwrap();
    let bytes = fs::read(&path).unwrap();
    for hidden in [&b"name-of"[..], secret.as_bytes(), PASSPHRASE.as_bytes()] {
        assert!(!bytes.windows(hidden.len()).any(|window| window == hidden));
    }
    let passphrase = sprag_vault::Passphrase::from(PASSPHRASE);
    let printed = format!("{vault:?} {passphrase:?}");
    assert_eq!(printed, "PassphraseVault(..) Passphrase(..)");
}

/// A vault that a release of this format wrote.
#[tokio::test]
async fn a_file_of_format_1_opens() {
    let (_folder, path) = place();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vaults/format-1.vault");
    fs::copy(kept, &path).unwrap();
    let vault = open(&path).await.unwrap();
    let loaded = vault.load("root.1").await.unwrap().unwrap();
    assert_eq!(loaded.as_bytes(), &[0x5a; 32]);
    assert_eq!(vault.anchor("generation").await, Ok(7));
}
