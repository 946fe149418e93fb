//! The vault: which one, with what passphrase, and what is said if it is not the right one.

use std::{fs, process::Command};

use crate::person::{Shell, code};

/// The command in a session without a terminal, so that nobody is asked.
fn without_terminal(shell: &Shell, arguments: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_sprag")]);
    let mut command = shell.prepare(command, arguments);
    command.env_remove("SPRAG_PASSPHRASE");
    command
}

fn files(shell: &Shell) -> usize {
    fs::read_dir(shell.store().parent().unwrap())
        .unwrap()
        .count()
}

#[test]
fn without_a_choice_and_a_keychain_it_says_what_to_do() {
    let shell = Shell::without_vault();
    let output = shell.run(&["init", "alice.1"], b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--vault passphrase"), "{said}");
    assert_eq!(code(output), "vault-unavailable");
    let chosen = shell.error(&["--vault", "keychain", "init", "alice.1"], b"");
    assert_eq!(chosen, "vault-unavailable");
    assert_eq!(files(&shell), 0, "something was made");
}

#[test]
fn init_makes_the_vault_beside_the_store() {
    let shell = Shell::without_vault();
    shell.ok(&["--vault", "passphrase", "init", "alice.1"], b"");
    assert!(shell.vault().exists() && shell.store().exists());
    // It need not be named again.
    shell.ok(&["status"], b"");
    fs::remove_file(shell.vault()).unwrap();
    let gone = shell.error(&["--vault", "passphrase", "status"], b"");
    assert_eq!(gone, "vault-missing");
    assert!(!shell.vault().exists(), "another vault was made");
}

#[test]
fn the_passphrase_comes_from_the_environment_or_a_file() {
    let shell = Shell::with_account("alice.1");
    let file = shell.store().with_extension("passphrase");
    let path = file.to_str().unwrap();
    for (text, outcome) in [
        ("passphrase", "ok"),
        ("passphrase\n", "ok"),
        ("passphrase\r\nand more", "ok"),
        ("other", "vault-wrong-passphrase"),
        ("passphrase ", "vault-wrong-passphrase"),
        ("", "vault-empty-passphrase"),
        ("\npassphrase", "vault-empty-passphrase"),
    ] {
        fs::write(&file, text).unwrap();
        let mut command = shell.command(&["--passphrase-file", path, "status"]);
        // The file is meant, since it was named.
        let output = command.env("SPRAG_PASSPHRASE", "unused").output().unwrap();
        if output.status.success() {
            assert_eq!(outcome, "ok", "{text:?}");
        } else {
            assert_eq!(code(output), outcome, "{text:?}");
        }
    }
    let mut command = shell.command(&["status"]);
    let output = command.env("SPRAG_PASSPHRASE", "other").output().unwrap();
    assert_eq!(code(output), "vault-wrong-passphrase");
    let missing = ["--passphrase-file", "/no/such/file", "status"];
    assert_eq!(shell.error(&missing, b""), "io");
    // Others can read a command line.
    let output = shell.run(&["--passphrase", "passphrase", "status"], b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_passphrase_and_terminal_it_fails() {
    let shell = Shell::with_account("alice.1");
    let output = without_terminal(&shell, &["status"]).output().unwrap();
    assert_eq!(code(output), "no-passphrase");
    let new = Shell::without_vault();
    let init = ["--vault", "passphrase", "init", "alice.1"];
    let output = without_terminal(&new, &init).output().unwrap();
    assert_eq!(code(output), "no-passphrase");
    assert_eq!(files(&new), 0, "something was made");
    let mut change = without_terminal(&shell, &["passphrase", "change"]);
    let output = change.env("SPRAG_PASSPHRASE", "passphrase").output();
    let output = output.unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("SPRAG_NEW_PASSPHRASE"));
    assert_eq!(code(output), "no-passphrase");
}

#[test]
fn the_vault_file_may_lie_elsewhere() {
    let (shell, other) = (Shell::without_vault(), Shell::new());
    let elsewhere = other.vault();
    let with = |arguments: &[&'static str]| {
        let mut all = vec!["--vault-file", elsewhere.to_str().unwrap()];
        all.extend(arguments);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |arguments: &[&'static str]| {
        let all = with(arguments);
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        shell.ok(&all, b"")
    };
    run(&["init", "alice.1"]);
    run(&["status"]);
    assert!(!shell.vault().exists());
    let without = shell.error(&["--vault", "passphrase", "status"], b"");
    assert_eq!(without, "vault-missing");
}

#[test]
fn the_vault_of_another_store_does_not_fit() {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    fs::copy(bob.vault(), alice.vault()).unwrap();
    assert_eq!(alice.error(&["status"], b""), "store-root-missing");
}

#[test]
fn a_new_passphrase_takes_the_place_of_the_old_one() {
    let shell = Shell::with_account("alice.1");
    let before = shell.ok(&["status", "--json"], b"");
    let mut change = shell.command(&["passphrase", "change"]);
    let output = change.env("SPRAG_NEW_PASSPHRASE", "new").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(shell.error(&["status"], b""), "vault-wrong-passphrase");
    let status = |passphrase: &str| {
        let mut command = shell.command(&["status", "--json"]);
        command
            .env("SPRAG_PASSPHRASE", passphrase)
            .output()
            .unwrap()
    };
    assert_eq!(status("new").stdout, before);

    let file = shell.store().with_extension("passphrase");
    fs::write(&file, "newer\n").unwrap();
    let path = file.to_str().unwrap();
    let mut change = shell.command(&["passphrase", "change", "--new-passphrase-file", path]);
    let output = change.env("SPRAG_PASSPHRASE", "new").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(status("newer").stdout, before);

    let without = Shell::without_vault();
    assert_eq!(
        without.error(&["passphrase", "change"], b""),
        "vault-missing"
    );
}

#[cfg(target_os = "linux")]
mod keychain {
    use std::process::Stdio;

    use sprag_testkit::vault::Session;

    use super::*;

    fn run(shell: &Shell, session: &Session, arguments: &[&str]) -> std::process::Output {
        let command = session.command(env!("CARGO_BIN_EXE_sprag"));
        let mut command = shell.prepare(command, arguments);
        command.stdin(Stdio::null()).output().unwrap()
    }

    #[test]
    fn the_keychain_is_taken_where_nothing_else_was_asked_for() {
        let (shell, session) = (Shell::without_vault(), Session::new());
        let init = run(&shell, &session, &["init", "alice.1"]);
        assert!(init.status.success(), "{init:?}");
        assert!(!shell.vault().exists());
        for arguments in [&["status"][..], &["--vault", "keychain", "bundle"]] {
            let output = run(&shell, &session, arguments);
            assert!(output.status.success(), "{arguments:?}: {output:?}");
        }
        // Elsewhere nobody has its root.
        assert_eq!(shell.error(&["status"], b""), "vault-unavailable");
        let other = Session::new();
        let output = run(&shell, &other, &["status"]);
        assert_eq!(code(output), "store-root-missing");
    }

    #[test]
    fn a_store_is_not_opened_with_a_vault_of_another_sort() {
        let (shell, session) = (Shell::with_account("alice.1"), Session::new());
        let output = run(&shell, &session, &["--vault", "keychain", "status"]);
        assert_eq!(code(output), "store-wrong-vault");
        shell.ok(&["status"], b"");

        let shell = Shell::without_vault();
        let init = run(&shell, &session, &["init", "alice.1"]);
        assert!(init.status.success(), "{init:?}");
        fs::copy(Shell::new().vault(), shell.vault()).unwrap();
        let output = run(&shell, &session, &["status"]);
        assert_eq!(code(output), "store-wrong-vault");
    }

    #[test]
    fn a_locked_keychain_says_so() {
        let (shell, mut session) = (Shell::without_vault(), Session::new());
        let init = run(&shell, &session, &["init", "alice.1"]);
        assert!(init.status.success(), "{init:?}");
        session.stop_keychain();
        session.start_keychain(None);
        let output = run(&shell, &session, &["status"]);
        assert_eq!(code(output), "vault-locked");
    }
}
