//! Replay of recorded vectors: JSON files that state their own expected outcome.
//!
//! [`replay`] tells from a file's content what kind it is and checks every case in it. A case that
//! fails, or panics, is reported with its place in the file; the others go on.

mod case;
mod fingerprints;
mod groups;
mod official;
mod one_to_one;
mod party;
mod retry;
mod script;
mod sealed_sender;
mod spqr;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::Value;

pub use script::ScriptedRng;

/// What replaying a file showed.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failures: Vec<Failure>,
}

/// A case that did not come out as recorded.
#[derive(Debug)]
pub struct Failure {
    /// Where in the file the case stands.
    pub case: String,
    /// What was different.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.reason)
    }
}

impl Report {
    /// How many cases came out as recorded.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// The cases that did not.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Adds the results of another file.
    pub fn merge(&mut self, other: Report) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }

    /// Runs one case.
    fn case(&mut self, name: impl fmt::Display, run: impl FnOnce() -> case::Outcome) {
        let outcome =
            catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked".into()));
        match outcome {
            Ok(()) => self.passed += 1,
            Err(reason) => self.failures.push(Failure {
                case: name.to_string(),
                reason,
            }),
        }
    }

    /// Runs one case for every element of the array `name` of `parent`.
    fn each(&mut self, parent: &Value, name: &str, run: impl Fn(&Value) -> case::Outcome) {
        let Some(list) = parent.get(name).and_then(Value::as_array) else {
            return;
        };
        for (number, element) in list.iter().enumerate() {
            let what = element
                .get("what")
                .or(element.get("case"))
                .or(element.get("name"))
                .and_then(Value::as_str);
            let what = what.map(|what| format!(" ({what})")).unwrap_or_default();
            self.case(format_args!("{name}[{number}]{what}"), || run(element));
        }
    }
}

/// Replays everything in a file, given its parsed content.
///
/// # Errors
/// A message if the content is of no known kind.
pub fn replay(file: &Value) -> Result<Report, String> {
    let has = |keys: &[&str]| keys.iter().all(|key| file.get(key).is_some());
    let mut report = Report::default();
    if has(&["conversations", "malformed"]) || has(&["keys", "addresses"]) {
        one_to_one::replay(file, &mut report);
    } else if has(&["dh1_signed_prekey_x_initiator_identity"]) {
        one_to_one::replay_walkthrough(file, &mut report);
    } else if has(&["init", "steps"]) {
        spqr::replay_transcript(file, &mut report);
    } else if has(&["fresh_states"]) || has(&["gf16"]) {
        spqr::replay_units(file, &mut report);
    } else if has(&["certificates"]) {
        sealed_sender::replay(file, &mut report);
    } else if has(&["pairs", "comparisons"]) {
        fingerprints::replay(file, &mut report);
    } else if has(&["decryption_error"]) || has(&["helpers"]) {
        retry::replay(file, &mut report);
    } else if file.pointer("/conversations/0/distribution_id").is_some() {
        groups::replay(file, &mut report);
    } else {
        return Err("no known kind of recording".into());
    }
    Ok(report)
}
