//! The `sprag` command: Signal Protocol sessions from the shell.
//!
//! Exit status: 0 when it did what it was asked, 1 with `error[code]: message` on standard error when
//! it could not, 2 when the command line was wrong. Codes are stable; the manual lists them.

mod arguments;
mod commands;
mod error;
mod formats;
mod output;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), error::CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(commands::run(arguments))
}
