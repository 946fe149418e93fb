//! The vault in the keychain, against a real `gnome-keyring-daemon`: the contracts of all vaults, and what becomes of it
//! when the keychain is locked, started again, or not there.
#![cfg(all(feature = "keychain", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Stdio},
};

use sprag::vault::{Secret, Vault, VaultError};
use sprag_testkit::vault::{Fixture, Session};
use sprag_vault::KeychainVault;

const SERVICE: &str = "org.example.sprag-test";

mod suite {
    use super::{Fixture, KeychainVault, SERVICE, Session};

    async fn fixture() -> Fixture {
        Fixture::reopening(|| async { KeychainVault::open(SERVICE).await.unwrap() }).await
    }

    /// Runs a contract in a process inside a session of its own.
    fn in_a_session(name: &str, contract: fn()) {
        Session::enter(&format!("suite::{name}"), contract);
    }

    sprag_testkit::vault_suite!(fixture, around: in_a_session);
    sprag_testkit::durable_vault_suite!(fixture, around: in_a_session);
}

async fn open() -> Result<KeychainVault, VaultError> {
    KeychainVault::open(SERVICE).await
}

fn secret() -> Secret {
    Secret::from_bytes(&[7; 32])
}

#[tokio::test]
async fn child_creates() {
    if Session::is_inside() {
        let vault = open().await.unwrap();
        vault.create("root.1", &secret()).await.unwrap();
        vault.raise_anchor("generation", 3).await.unwrap();
        vault.raise_anchor("generation", 4).await.unwrap();
    }
}

#[tokio::test]
async fn child_finds() {
    if Session::is_inside() {
        let vault = open().await.unwrap();
        let loaded = vault.load("root.1").await.unwrap().unwrap();
        assert_eq!(loaded.as_bytes(), secret().as_bytes());
        assert_eq!(vault.anchor("generation").await, Ok(4));
        let refused = vault.create("root.1", &secret()).await;
        assert_eq!(refused, Err(VaultError::Exists));
    }
}

#[tokio::test]
async fn child_finds_it_locked() {
    if Session::is_inside() {
        assert_eq!(open().await.unwrap_err(), VaultError::Locked);
    }
}

#[tokio::test]
async fn child_finds_no_keychain() {
    if Session::is_inside() {
        let error = open().await.unwrap_err();
        assert_eq!(error.code(), "vault-unavailable");
        assert!(error.to_string().contains("gnome-keyring"), "{error}");
    }
}

#[test]
fn another_process_finds_the_secrets() {
    let session = Session::new();
    session.run("child_creates");
    session.run("child_finds");
}

#[test]
fn secrets_survive_the_keychain() {
    let mut session = Session::new();
    session.run("child_creates");
    session.stop_keychain();
    session.start_keychain(Some("password"));
    session.run("child_finds");
}

#[test]
fn a_locked_keychain_says_so() {
    let mut session = Session::new();
    session.run("child_creates");
    session.stop_keychain();
    session.start_keychain(None);
    session.run("child_finds_it_locked");
    session.stop_keychain();
    session.start_keychain(Some("wrong"));
    session.run("child_finds_it_locked");
}

#[test]
fn a_keychain_that_nobody_made_is_locked() {
    let mut session = Session::without_keychain();
    session.start_keychain(None);
    session.run("child_finds_it_locked");
}

#[test]
fn no_keychain_is_said_to_be_unavailable() {
    let session = Session::without_keychain();
    session.run("child_finds_no_keychain");
    let mut command = session.test("child_finds_no_keychain");
    for address in ["unix:path=/no/bus", "nonsense", ""] {
        let output = command.env("DBUS_SESSION_BUS_ADDRESS", address).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{address:?}: {output:?}");
    }
    let output = command.env_remove("DBUS_SESSION_BUS_ADDRESS").output();
    assert!(output.unwrap().status.success());
}

#[tokio::test]
async fn child_outlives_the_keychain() {
    if !Session::is_inside() {
        return;
    }
    let vault = open().await.unwrap();
    vault.create("root.1", &secret()).await.unwrap();
    say_and_wait("opened");
    let error = vault.load("root.1").await.unwrap_err();
    assert_eq!(error.code(), "vault-unavailable");
    let error = vault.load("unknown").await.unwrap_err();
    assert_eq!(error.code(), "vault-unavailable");
    say_and_wait("refused");
    // The first call may find out that the connection is of no use.
    let _ = vault.anchor("generation").await;
    let loaded = vault.load("root.1").await.unwrap().unwrap();
    assert_eq!(loaded.as_bytes(), secret().as_bytes());
}

/// Tells the parent, and waits until it has done something.
fn say_and_wait(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "said {line}").unwrap();
    out.flush().unwrap();
    io::stdin().lines().next();
}

#[tokio::test]
async fn child_sees_it_locked() {
    if !Session::is_inside() {
        return;
    }
    let vault = open().await.unwrap();
    vault.create("root.1", &secret()).await.unwrap();
    say_and_wait("opened");
    // The first call may find out that the connection is of no use.
    let _ = vault.anchor("generation").await;
    // What is not there might only be hidden.
    for name in ["root.1", "unknown"] {
        let locked = vault.load(name).await.map(|_| ());
        assert_eq!(locked, Err(VaultError::Locked), "{name}");
        let locked = vault.create(name, &secret()).await;
        assert_eq!(locked, Err(VaultError::Locked), "{name}");
        assert_eq!(vault.anchor(name).await, Err(VaultError::Locked));
    }
}

#[test]
fn a_keychain_that_is_locked_meanwhile_says_so() {
    let mut session = Session::new();
    let (mut child, mut lines) = start(&session, "child_sees_it_locked");
    hear(&mut lines, "opened");
    session.stop_keychain();
    session.start_keychain(None);
    writeln!(child.stdin.as_ref().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_handle_finds_the_keychain_again() {
    let mut session = Session::new();
    let (mut child, mut lines) = start(&session, "child_outlives_the_keychain");
    hear(&mut lines, "opened");
    session.stop_keychain();
    writeln!(child.stdin.as_ref().unwrap()).unwrap();
    hear(&mut lines, "refused");
    session.start_keychain(Some("password"));
    writeln!(child.stdin.as_ref().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
}

type Lines = io::Lines<BufReader<ChildStdout>>;

/// Starts a test inside, to talk to it.
fn start(session: &Session, test: &str) -> (Child, Lines) {
    let mut command = session.test(test);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn hear(lines: &mut Lines, line: &str) {
    let mut said = lines.by_ref().map_while(Result::ok);
    let heard = said.any(|heard| heard.ends_with(&format!("said {line}")));
    assert!(heard, "the other process ended");
}

/// Each raising takes the entry away that another handle has just listed.
#[test]
fn an_anchor_is_never_seen_to_fall() {
    Session::enter("an_anchor_is_never_seen_to_fall", || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (raising, watching) = (open().await.unwrap(), open().await.unwrap());
            let raised = tokio::spawn(async move {
                for value in 1..=200 {
                    raising.raise_anchor("generation", value).await.unwrap();
                }
            });
            let mut highest = 0;
            while highest < 200 {
                let found = watching.anchor("generation").await.unwrap();
                assert!(found >= highest, "{found} after {highest}");
                highest = found;
            }
            raised.await.unwrap();
        });
    });
}

#[test]
fn services_are_vaults_of_their_own() {
    Session::enter("services_are_vaults_of_their_own", || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (one, other) = (
                open().await.unwrap(),
                KeychainVault::open("org.other").await,
            );
            let other = other.unwrap();
            one.create("root.1", &secret()).await.unwrap();
            one.raise_anchor("generation", 1).await.unwrap();
            assert!(other.load("root.1").await.unwrap().is_none());
            assert_eq!(other.anchor("generation").await, Ok(0));
            other.destroy("root.1").await.unwrap();
            assert!(one.load("root.1").await.unwrap().is_some());
            let refused = KeychainVault::open("Not a service").await;
            assert_eq!(refused.unwrap_err(), VaultError::InvalidName);
        });
    });
}
