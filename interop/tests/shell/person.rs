//! A person at a shell: an account in a folder of its own, and the commands that are given there.

use std::{
    io::Write as _,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use sprag_interop::{Address, Bundle, Envelope};
use sprag_vault::{Cost, PassphraseVault};
use tempfile::TempDir;

use super::{binary::sprag, server};

const PASSPHRASE: &str = "passphrase";

pub(crate) struct Person {
    pub(crate) address: Address,
    folder: TempDir,
}

impl Person {
    /// Somebody who has an account.
    pub(crate) fn new(address: &Address) -> Self {
        let person = Self::without_account(address);
        person.ok(&["init", &address.to_string()], b"");
        person
    }

    /// Somebody with a vault that opens fast.
    pub(crate) fn without_account(address: &Address) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sprag.db.vault");
        let cost = Cost::new(8, 1, 1).unwrap();
        let vault = PassphraseVault::create_with_cost(path, PASSPHRASE, cost);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(vault).unwrap();
        Self {
            address: address.clone(),
            folder,
        }
    }

    /// A bundle, from the JSON that would go to a server.
    pub(crate) fn bundle(&self) -> Bundle {
        server::read(&self.ok(&["bundle"], b""))
    }

    /// Starts a session from what a server hands out.
    pub(crate) fn start_session(&self, peer: &Address, handed_out: &[u8]) {
        self.ok(&["session", "start", &peer.to_string()], handed_out);
    }

    pub(crate) fn encrypt(&self, peer: &Address, text: &[u8]) -> Envelope {
        let printed = self.ok(&["encrypt", &peer.to_string()], text);
        serde_json::from_slice(&printed).unwrap()
    }

    pub(crate) fn decrypt(&self, peer: &Address, envelope: &Envelope) -> Vec<u8> {
        let envelope = serde_json::to_vec(envelope).unwrap();
        self.ok(&["decrypt", &peer.to_string()], &envelope)
    }

    /// The code of the error with which a message is refused.
    pub(crate) fn refuse(&self, peer: &Address, envelope: &Envelope) -> String {
        let envelope = serde_json::to_vec(envelope).unwrap();
        let output = self.run(&["decrypt", &peer.to_string()], &envelope);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty(), "refused, and printed");
        code(&output).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.ok(&["status", "--json"], b"")).unwrap()
    }

    /// What a command prints when it does what it was asked.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        output.stdout
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.start(arguments, input).wait_with_output().unwrap()
    }

    /// Gives a command, and does not wait for it.
    pub(crate) fn start(&self, arguments: &[&str], input: &[u8]) -> Child {
        let mut child = Command::new(sprag())
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("SPRAG_STORE")
            .env_remove("SPRAG_VAULT")
            .env("SPRAG_PASSPHRASE", PASSPHRASE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child
    }
}

/// The code in what a command said when it failed.
pub(crate) fn code(output: &Output) -> Option<String> {
    let said = str::from_utf8(&output.stderr).ok()?;
    let (code, _) = said.strip_prefix("error[")?.split_once("]: ")?;
    Some(code.to_owned())
}
