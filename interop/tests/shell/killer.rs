//! Kills commands at any moment, and gives them again as somebody would who has read the manual.

use std::{
    collections::HashMap,
    io::Read as _,
    process::{ExitStatus, Output},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sprag_interop::{Address, Envelope};

use super::person::{Person, code};

/// After so many kills in a row, a command is let go through.
const PATIENCE: u32 = 8;

/// Somebody whose commands are killed.
pub(crate) struct Killer {
    person: Person,
    rng: StdRng,
    /// How long each command takes.
    usual: HashMap<String, Duration>,
    killed: u32,
    in_a_row: u32,
}

/// What came of a command.
struct Run {
    output: Output,
    killed: bool,
}

/// Where the command looks for it.
const KEY_FILE: &str = "sprag-keys.json";

impl Killer {
    pub(crate) fn of(address: &Address, seed: u64) -> Self {
        Self {
            person: Person::without_account(address),
            rng: StdRng::seed_from_u64(seed),
            usual: HashMap::new(),
            killed: 0,
            in_a_row: 0,
        }
    }

    /// The person, for once left in peace.
    pub(crate) fn person(&self) -> &Person {
        &self.person
    }

    /// How many commands were killed.
    pub(crate) fn killed(&self) -> u32 {
        self.killed
    }

    /// Creates the account. Given again, the command may find that the account is there.
    pub(crate) fn init(&mut self) {
        let address = self.person.address.to_string();
        self.until_done(&["init", &address], b"", "already-initialised");
    }

    /// A bundle, in JSON. Keys of those that nobody saw are never used.
    pub(crate) fn bundle(&mut self) -> Vec<u8> {
        self.until_done(&["bundle"], b"", "")
    }

    /// Another one, from the key file that the upkeep fills.
    pub(crate) fn bundle_from_key_file(&mut self) -> Vec<u8> {
        self.upkeep();
        self.until_done(&["bundle", "--from", KEY_FILE], b"", "")
    }

    /// The upkeep, with the store sealed anew. Then there is nothing left to do.
    pub(crate) fn upkeep(&mut self) {
        self.until_done(&["upkeep", "--new-epoch"], b"", "");
        let left = self.person.ok(&["upkeep", "--dry-run", "--json"], b"");
        let left: Value = serde_json::from_slice(&left).unwrap();
        assert_eq!(left["steps"], json!([]), "left to do after an upkeep");
    }

    pub(crate) fn start_session(&mut self, peer: &Address, handed_out: &[u8]) {
        let arguments = ["session", "start", &peer.to_string()];
        self.until_done(&arguments, handed_out, "");
    }

    /// Encrypts `text` until there is an envelope. What waits in the outbox is sent and acknowledged; what a killed command
    /// has printed is sent too, so that some envelopes are sent more than once.
    pub(crate) fn encrypt(&mut self, peer: &Address, text: &[u8]) -> Vec<Envelope> {
        loop {
            let run = self.run(&["encrypt", &peer.to_string()], text);
            let mut envelopes: Vec<_> = run.line().map(envelope).into_iter().collect();
            if !run.killed {
                succeeded(&run.output);
                return envelopes;
            }
            let waiting = self.until_done(&["outbox", "list", "--json"], b"", "");
            let waiting: Vec<Value> = serde_json::from_slice(&waiting).unwrap();
            for entry in waiting {
                let id = entry["id"].as_str().unwrap().to_owned();
                envelopes.push(serde_json::from_value(entry).unwrap());
                self.until_done(&["outbox", "sent", &id], b"", "no-entry");
            }
            if !envelopes.is_empty() {
                return envelopes;
            }
        }
    }

    /// Encrypts `text` by `command` under an id until that has succeeded, and then once more. Nothing is looked up, and what
    /// was printed is printed again, byte for byte.
    pub(crate) fn encrypt_under_id(
        &mut self,
        command: &[&str],
        id: &str,
        text: &[u8],
    ) -> Vec<Envelope> {
        let arguments = [command, &["--id", id]].concat();
        let (mut printed, mut successes) = (Vec::new(), 0);
        while successes < 2 {
            let run = self.run(&arguments, text);
            printed.extend(run.line().map(<[u8]>::to_vec));
            if !run.killed {
                succeeded(&run.output);
                successes += 1;
            }
        }
        let is_the_first = |line: &Vec<u8>| *line == printed[0];
        assert!(printed.iter().all(is_the_first), "one id, two envelopes");
        printed.iter().map(|line| envelope(line)).collect()
    }

    /// Gives an envelope to `command` until the message is acknowledged, and answers what was printed: every time the same.
    pub(crate) fn decrypt(&mut self, command: &[&str], envelope: &Envelope) -> Vec<u8> {
        let envelope = serde_json::to_vec(envelope).unwrap();
        let mut seen = Vec::new();
        loop {
            let run = self.run(command, &envelope);
            if !run.killed && run.output.status.success() {
                let printed = run.output.stdout;
                assert!(printed.starts_with(&seen), "printed otherwise at first");
                return printed;
            }
            if !run.killed {
                // It was printed and acknowledged, only nobody heard of the latter.
                assert_eq!(code(&run.output).as_deref(), Some("duplicate-message"));
                return seen;
            }
            if run.output.stdout.len() > seen.len() {
                seen = run.output.stdout;
            }
        }
    }

    /// Gives a command until it is done, or fails with `tolerated` after it was killed: then it had been done.
    pub(crate) fn until_done(
        &mut self,
        arguments: &[&str],
        input: &[u8],
        tolerated: &str,
    ) -> Vec<u8> {
        let mut killed = false;
        loop {
            let run = self.run(arguments, input);
            if run.killed {
                killed = true;
                continue;
            }
            if !killed || code(&run.output).as_deref() != Some(tolerated) {
                succeeded(&run.output);
            }
            return run.output.stdout;
        }
    }

    /// Gives a command, and kills it: after a while, or when it begins to print, which is between its commits.
    fn run(&mut self, arguments: &[&str], input: &[u8]) -> Run {
        let usual = self.usual.entry(arguments[0].to_owned());
        let usual = usual.or_insert(Duration::from_millis(20));
        let begun = Instant::now();
        let mut child = self.person.start(arguments, input);
        let mut stdout = child.stdout.take().unwrap();
        let mut printed = Vec::new();
        if self.in_a_row < PATIENCE {
            if self.rng.random_ratio(1, 4) {
                let mut first = [0];
                let count = stdout.read(&mut first).unwrap();
                printed.extend(&first[..count]);
            } else {
                let most = usual.as_micros() as u64 * 3 / 2;
                thread::sleep(Duration::from_micros(self.rng.random_range(0..=most)));
            }
            // Fails if it has ended already.
            let _ = child.kill();
        }
        stdout.read_to_end(&mut printed).unwrap();
        let mut output = child.wait_with_output().unwrap();
        output.stdout = printed;
        let killed = was_killed(output.status);
        if killed {
            self.killed += 1;
            self.in_a_row += 1;
        } else {
            self.in_a_row = 0;
            *usual = begun.elapsed();
        }
        Run { output, killed }
    }
}

fn was_killed(status: ExitStatus) -> bool {
    status.code().is_none()
}

fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

impl Run {
    /// The line that the command printed, if it printed all of it.
    fn line(&self) -> Option<&[u8]> {
        self.output.stdout.strip_suffix(b"\n")
    }
}

fn envelope(line: &[u8]) -> Envelope {
    serde_json::from_slice(line).unwrap()
}
