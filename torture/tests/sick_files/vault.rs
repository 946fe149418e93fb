//! The file of a vault that has fallen ill, beside a store that is whole: a clear error each, and with the vault put
//! right nothing is missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt;
use sprag::{Account, DurableStore};
use sprag_torture::pace::generator;
use sprag_torture::peer::address;
use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

use super::patient::{Alice, options};

struct Ward {
    folder: TempDir,
}

impl Ward {
    /// A closed store with an account, in its second epoch, and its vault.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ward = Self { folder };
        ward.make_vault("sprag.vault").await;
        let alice = ward.open().await.unwrap();
        alice.store().new_epoch().await.unwrap();
        alice.store().close().await.unwrap();
        ward
    }

    async fn make_vault(&self, name: &str) {
        let cost = Cost::new(8, 1, 1).unwrap();
        let vault = PassphraseVault::create_with_cost(self.at(name), "passphrase", cost);
        vault.await.unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn vault(&self) -> PathBuf {
        self.at("sprag.vault")
    }

    async fn open(&self) -> Result<Alice, &'static str> {
        let vault = PassphraseVault::open(self.vault(), "passphrase");
        let vault = vault.await.map_err(|error| error.code())?;
        let options = options(&self.at("sprag.db")).create_if_missing(true);
        let backend = options.open().await.map_err(|error| error.code())?;
        let store = DurableStore::open(backend, vault).await;
        let store = store.map_err(|error| error.code())?;
        let account = Account::open_or_create(store, address("alice")).await;
        account.map_err(|error| error.code())
    }

    /// The code of opening with something else in the place of the vault. Then it is put right, and the account opens.
    async fn with(&self, happen: impl FnOnce(&Path)) -> &'static str {
        let whole = fs::read(self.vault()).unwrap();
        happen(&self.vault());
        let code = self.code().await;
        fs::write(self.vault(), whole).unwrap();
        assert_eq!(self.code().await, "opened", "after {code}");
        code
    }

    async fn code(&self) -> &'static str {
        match self.open().await {
            Ok(alice) => {
                alice.store().close().await.unwrap();
                "opened"
            }
            Err(code) => code,
        }
    }
}

#[tokio::test]
async fn a_sick_vault_is_named() {
    let ward = Ward::new().await;
    let gone = ward.with(|vault| fs::remove_file(vault).unwrap()).await;
    assert_eq!(gone, "vault-missing");
    let length = fs::metadata(ward.vault()).unwrap().len();
    for part in 0..8 {
        let cut = |vault: &Path| {
            let file = File::options().write(true).open(vault).unwrap();
            file.set_len(length * part / 8).unwrap();
        };
        assert_eq!(ward.with(cut).await, "vault-tampered", "{part} parts of 8");
    }
    let mut rng = generator(1);
    for _ in 0..40 {
        let mut flip = |vault: &Path| {
            let mut bytes = fs::read(vault).unwrap();
            let place = rng.random_range(0..bytes.len());
            bytes[place] ^= 1 << rng.random_range(0..8);
            fs::write(vault, bytes).unwrap();
        };
        let code = ward.with(&mut flip).await;
        let clear = ["vault-tampered", "vault-too-new"].contains(&code);
        assert!(clear, "{code}");
    }
    ward.make_vault("other.vault").await;
    let other = fs::read(ward.at("other.vault")).unwrap();
    let other = ward.with(|vault| fs::write(vault, other).unwrap()).await;
    assert_eq!(other, "store-root-missing");
}

/// An earlier copy of the vault lacks the root of a later epoch. Within one epoch it is not told from the current one.
#[tokio::test]
async fn an_earlier_vault_is_told_after_a_new_epoch() {
    let ward = Ward::new().await;
    let before = fs::read(ward.vault()).unwrap();
    let put_back = |vault: &Path| fs::write(vault, &before).unwrap();
    assert_eq!(ward.code().await, "opened");
    assert_eq!(ward.with(put_back).await, "opened");
    let alice = ward.open().await.unwrap();
    alice.store().new_epoch().await.unwrap();
    alice.store().close().await.unwrap();
    assert_eq!(ward.with(put_back).await, "store-rolled-back");
}

/// A vault that cannot be written: nothing is opened, as the anchor cannot be raised.
#[tokio::test]
async fn a_vault_that_cannot_be_written() {
    let ward = Ward::new().await;
    // The new file cannot be where a folder is.
    let obstacle = ward.at("sprag.vault.new");
    fs::create_dir(&obstacle).unwrap();
    for _ in 0..3 {
        assert_eq!(ward.code().await, "vault-io");
    }
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(ward.code().await, "opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_somebody_holds_is_waited_for() {
    let ward = Ward::new().await;
    let lock = File::open(ward.at("sprag.vault.lock")).unwrap();
    lock.lock().unwrap();
    let opening = ward.code();
    tokio::pin!(opening);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut opening).await;
    assert_eq!(early.ok(), None);
    lock.unlock().unwrap();
    assert_eq!(opening.await, "opened");
}

/// What is open goes on without its vault, but cannot seal anew; with the vault put right it can.
#[tokio::test]
async fn a_vault_that_is_lost_while_open() {
    let ward = Ward::new().await;
    let alice = ward.open().await.unwrap();
    let whole = fs::read(ward.vault()).unwrap();
    for (happen, expected) in [
        (None, "vault-missing"),
        (Some(&whole[..100]), "vault-tampered"),
    ] {
        match happen {
            None => fs::remove_file(ward.vault()).unwrap(),
            Some(bytes) => fs::write(ward.vault(), bytes).unwrap(),
        }
        let refused = alice.store().new_epoch().await.err();
        assert_eq!(refused.map(|error| error.code()), Some(expected));
        alice.bundle().await.unwrap();
    }
    fs::write(ward.vault(), whole).unwrap();
    assert!(alice.store().new_epoch().await.unwrap().forgotten);
    alice.store().close().await.unwrap();
    assert_eq!(ward.code().await, "opened");
}
