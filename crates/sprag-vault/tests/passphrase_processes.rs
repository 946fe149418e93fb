//! Several processes on one vault file, some of them killed. The test program starts itself again as the other
//! process: a test that finds its orders in the environment carries them out instead.
#![cfg(feature = "passphrase")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use sprag::vault::{Secret, Vault};
use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

const ORDERS: &str = "SPRAG_VAULT_TEST_PATH";
const NAME: &str = "SPRAG_VAULT_TEST_NAME";

/// A vault, and a handle on it.
async fn place() -> (TempDir, PathBuf, PassphraseVault) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sprag.vault");
    let cost = Cost::new(8, 1, 1).unwrap();
    let vault = PassphraseVault::create_with_cost(&path, "passphrase", cost);
    let vault = vault.await.unwrap();
    (folder, path, vault)
}

/// Starts this program again to run one of its tests.
fn start(test: &str, path: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDERS, path)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn ordered() -> Option<(PassphraseVault, String)> {
    let path = std::env::var_os(ORDERS)?;
    let vault = PassphraseVault::open(path, "passphrase").await.unwrap();
    Some((vault, std::env::var(NAME).unwrap()))
}

#[tokio::test]
async fn child_changes_the_vault() {
    if let Some((vault, name)) = ordered().await {
        change(&vault, &name).await;
    }
}

/// Creates secrets, destroys every other one, and raises an anchor that all share.
async fn change(vault: &PassphraseVault, name: &str) {
    for round in 0..20_u8 {
        let secret = Secret::from_bytes(&[round; 32]);
        let name = format!("{name}.{round}");
        vault.create(&name, &secret).await.unwrap();
        vault.raise_anchor("shared", round.into()).await.unwrap();
        assert!(vault.anchor("shared").await.unwrap() >= round.into());
        if round % 2 == 1 {
            vault.destroy(&name).await.unwrap();
        }
    }
}

#[tokio::test]
async fn processes_lose_nothing_of_each_other() {
    let (_folder, path, vault) = place().await;
    let children = ["a", "b"].map(|name| start("child_changes_the_vault", &path, name));
    change(&vault, "c").await;
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for name in ["a", "b", "c"] {
        for round in 0..20_u8 {
            let loaded = vault.load(&format!("{name}.{round}")).await.unwrap();
            let expected = (round % 2 == 0).then_some([round; 32]);
            assert_eq!(loaded.map(|secret| *secret.as_bytes()), expected);
        }
    }
    assert_eq!(vault.anchor("shared").await, Ok(19));
}

#[tokio::test]
async fn child_raises_until_it_is_killed() {
    if let Some((vault, name)) = ordered().await {
        for value in vault.anchor(&name).await.unwrap() + 1.. {
            vault.raise_anchor(&name, value).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "raised {value}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// A process is killed while it changes the vault. The vault is whole, what was answered is there, and nobody has to wait for the
/// lock of the dead.
#[tokio::test]
async fn a_killed_process_leaves_a_whole_vault() {
    let (_folder, path, vault) = place().await;
    let mut last = 0;
    for _ in 0..5 {
        let mut child = start("child_raises_until_it_is_killed", &path, "anchor");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stop_at = last + 7;
        let mut lines = lines.map_while(Result::ok);
        for line in lines.by_ref() {
            // The harness writes the name of the test in front of the first line.
            if let Some((_, value)) = line.split_once("raised ") {
                last = value.parse().unwrap();
                if last >= stop_at {
                    break;
                }
            }
        }
        child.kill().unwrap();
        // What it said before it died counts.
        for line in lines {
            if let Some((_, value)) = line.split_once("raised ") {
                last = value.parse().unwrap_or(last);
            }
        }
        child.wait().unwrap();
        let found = vault.anchor("anchor").await.unwrap();
        assert!(found == last || found == last + 1, "{found} after {last}");
        last = found;
    }
}
