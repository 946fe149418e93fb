//! Standard output and standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::CliError;

/// Writes bytes as they are, and makes sure that they are out.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

pub(crate) fn line(text: &str) -> Result<(), CliError> {
    bytes(format!("{text}\n").as_bytes())
}

pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    line(&serde_json::to_string(value).map_err(io::Error::from)?)
}

/// What the user should know of a command that did what it was asked for.
#[expect(clippy::print_stderr, reason = "this is how a command reports")]
pub(crate) fn warn(code: &str, text: &str) {
    eprintln!("warning[{code}]: {text}");
}

#[expect(clippy::print_stderr, reason = "this is how a command reports")]
pub(crate) fn report(error: &CliError) {
    eprintln!("error[{}]: {error}", error.code());
}
