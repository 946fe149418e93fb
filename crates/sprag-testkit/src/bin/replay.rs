//! Replays recorded vectors: `replay FILE...`. Prints each failing case and, last, how many passed
//! and failed; exits with 1 if any failed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is how a command reports"
)]

use std::{env, fs, process::ExitCode};

use sprag_testkit::replay::{Report, replay};

fn main() -> ExitCode {
    let files: Vec<String> = env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: replay FILE...");
        return ExitCode::from(2);
    }
    // A panic is reported as a failing case.
    std::panic::set_hook(Box::new(|_| {}));
    let mut total = Report::default();
    let mut unreadable = 0;
    for file in &files {
        match read(file) {
            Ok(report) => {
                report
                    .failures()
                    .iter()
                    .for_each(|failure| println!("FAILED {file}: {failure}"));
                total.merge(report);
            }
            Err(reason) => {
                unreadable += 1;
                println!("FAILED {file}: {reason}");
            }
        }
    }
    let failed = total.failures().len() + unreadable;
    println!("{} passed, {failed} failed", total.passed());
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read(file: &str) -> Result<Report, String> {
    let content = fs::read(file).map_err(|error| error.to_string())?;
    replay(&serde_json::from_slice(&content).map_err(|error| error.to_string())?)
}
