//! Runs the command as a shell would, each account in a folder of its own.

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

const PASSPHRASE: &str = "passphrase";

/// A person at a shell.
pub(crate) struct Shell {
    folder: TempDir,
}

impl Shell {
    /// One with a vault that opens fast.
    pub(crate) fn new() -> Self {
        let shell = Self::without_vault();
        let cost = Cost::new(8, 1, 1).unwrap();
        let vault = PassphraseVault::create_with_cost(shell.vault(), PASSPHRASE, cost);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(vault).unwrap();
        shell
    }

    pub(crate) fn without_vault() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// One with an account.
    pub(crate) fn with_account(address: &str) -> Self {
        let shell = Self::new();
        shell.ok(&["init", address], b"");
        shell
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("sprag.db")
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.folder.path().join("sprag.db.vault")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepare(Command::new(env!("CARGO_BIN_EXE_sprag")), arguments)
    }

    /// Gives a command its arguments, in this person's folder. Nobody's keychain can be reached from there.
    pub(crate) fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("SPRAG_STORE")
            .env_remove("SPRAG_VAULT")
            .env("SPRAG_PASSPHRASE", PASSPHRASE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if command
            .get_envs()
            .all(|(name, _)| name != "DBUS_SESSION_BUS_ADDRESS")
        {
            command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/bus");
        }
        command
    }

    pub(crate) fn start(&self, arguments: &[&str], input: &[u8]) -> Child {
        let mut child = self.command(arguments).spawn().unwrap();
        // A command that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.start(arguments, input).wait_with_output().unwrap()
    }

    /// Runs a command that cannot print what it is to print, and so fails.
    #[track_caller]
    pub(crate) fn run_unprinted(&self, arguments: &[&str], input: &[u8]) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut child = self.command(arguments).stdout(full).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }

    /// What the command prints when it succeeds.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(said.is_empty(), "{arguments:?}: {said}");
        output.stdout
    }

    /// The code of the error with which the command fails.
    #[track_caller]
    pub(crate) fn error(&self, arguments: &[&str], input: &[u8]) -> String {
        code(self.run(arguments, input))
    }
}

/// The code of the error with which a command failed.
#[track_caller]
pub(crate) fn code(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "it printed and failed: {said}");
    let rest = said
        .strip_prefix("error[")
        .unwrap_or_else(|| panic!("{said}"));
    rest.split(']').next().unwrap().to_owned()
}

/// Alice, who has started a session with Bob.
pub(crate) fn pair() -> (Shell, Shell) {
    let (alice, bob) = (Shell::with_account("alice.1"), Shell::with_account("bob.1"));
    let bundle = bob.ok(&["bundle"], b"");
    alice.ok(&["session", "start", "bob.1"], &bundle);
    (alice, bob)
}
