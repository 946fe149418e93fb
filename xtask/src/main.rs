//! Development commands: `cargo xtask COMMAND`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Development commands of the Sprag workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch what the tests need and run all of them.
    Test,
    /// Everything that must pass before a change lands: formatting, lints, documentation, tests.
    Ci,
    /// Run the fuzz targets (nightly toolchain and cargo-fuzz; installs the latter).
    Fuzz {
        /// Only this target.
        target: Option<String>,
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Run the benchmarks.
    Bench,
    /// Destroy stores for longer than the tests do, and see whether they recover.
    Torture {
        /// Only this part: boundaries, failing_disk, freed_memory, kill, many_writers, power_cuts, recreated or
        /// sick_files.
        name: Option<String>,
        /// Seconds for each test.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test => test(),
        Task::Ci => ci(),
        Task::Fuzz { target, seconds } => fuzz(target, seconds),
        Task::Bench => bench(),
        Task::Torture { name, seconds } => torture(name.as_deref(), seconds),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            report(&format!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn test() -> Outcome {
    fetch_peer()?;
    install_keychain()?;
    cargo(&["test", "--workspace", "--no-fail-fast"])
}

fn ci() -> Outcome {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    run(cargo_command(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    test()
}

/// Installs the official client that the interoperability tests talk to.
fn fetch_peer() -> Outcome {
    let folder = root().join("interop/peer");
    for tool in ["node", "npm"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return Err(format!(
                "{tool} is missing. The interoperability tests run the official libsignal client, \
                 which needs Node.js 20 or later: install it and try again."
            ));
        }
    }
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.package-lock.json");
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if modified(&stamp).is_some_and(|stamp| modified(&lock).is_some_and(|lock| lock <= stamp)) {
        return Ok(());
    }
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(&folder))
    .map_err(|error| {
        format!(
            "{error}. The interoperability tests need the packages of interop/peer from the npm \
                 registry: is it reachable?"
        )
    })
}

/// Installs the keychain that the tests of the vaults start, where Debian's packages are at hand. Other systems
/// have another keychain, which is not tested.
fn install_keychain() -> Outcome {
    let tools = ["dbus-daemon", "dbus-send", "gnome-keyring-daemon"];
    let missing: Vec<_> = tools
        .into_iter()
        .filter(|tool| Command::new(tool).arg("--version").output().is_err())
        .collect();
    if missing.is_empty() || !cfg!(target_os = "linux") {
        return Ok(());
    }
    let install = || {
        apt(&["update"])?;
        let packages = ["dbus", "gnome-keyring"];
        apt(&[
            &["install", "--yes", "--no-install-recommends"][..],
            &packages,
        ]
        .concat())
    };
    install().map_err(|error| {
        format!(
            "{error}. The tests of the keychain need {}: install the packages dbus and gnome-keyring, \
             or run this as root on Debian, where it does so itself.",
            missing.join(", ")
        )
    })
}

fn apt(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    run(command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn fuzz(target: Option<String>, seconds: u64) -> Outcome {
    let folder = root().join("fuzz");
    if Command::new("cargo")
        .args(["fuzz", "--version"])
        .output()
        .is_ok_and(|out| !out.status.success())
    {
        cargo(&["install", "cargo-fuzz", "--locked"])?;
    }
    let targets = match target {
        Some(target) => vec![target],
        None => fuzz_targets(&folder)?,
    };
    let limit = format!("-max_total_time={seconds}");
    for target in targets {
        // A working folder of its own grows; the seeds that are kept are only read.
        let seeds = format!("seeds/{target}");
        let corpus = format!("corpus/{target}");
        std::fs::create_dir_all(folder.join(&corpus)).map_err(|error| error.to_string())?;
        let mut arguments = vec!["+nightly", "fuzz", "run", &target, &corpus];
        if folder.join(&seeds).is_dir() {
            arguments.push(&seeds);
        }
        arguments.extend(["--", limit.as_str()]);
        run(Command::new("cargo").args(arguments).current_dir(&folder))?;
    }
    Ok(())
}

fn fuzz_targets(folder: &Path) -> Result<Vec<String>, String> {
    let entries = folder
        .join("fuzz_targets")
        .read_dir()
        .map_err(|error| error.to_string())?;
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn bench() -> Outcome {
    fetch_peer()?;
    cargo(&["bench", "--workspace"])
}

/// The tests of `torture`, and the one of `interop` that kills commands, made to go on for long. A seed to begin
/// with is taken from the environment (`SPRAG_TORTURE_SEED`).
fn torture(name: Option<&str>, seconds: u64) -> Outcome {
    let kill = ["sprag-interop", "shell", "killed_at_any_moment"];
    let parts = [
        "boundaries",
        "failing_disk",
        "freed_memory",
        "many_writers",
        "power_cuts",
        "recreated",
        "sick_files",
    ];
    let tests = match name {
        Some("kill") => vec![kill],
        Some(name) => vec![["sprag-torture", name, ""]],
        None => parts
            .map(|name| ["sprag-torture", name, ""])
            .into_iter()
            .chain([kill])
            .collect(),
    };
    for [package, test, filter] in tests {
        if package == kill[0] {
            fetch_peer()?;
        }
        let arguments = [
            "test",
            "-p",
            package,
            "--test",
            test,
            "--",
            filter,
            "--nocapture",
        ];
        // One after the other, or they would take each other's time.
        let mut command = cargo_command(&arguments);
        command.args(["--test-threads=1"]);
        run(command.env("SPRAG_TORTURE_SECONDS", seconds.to_string()))?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Outcome {
    run(&mut cargo_command(arguments))
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn run(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}");
    let status = command
        .status()
        .map_err(|error| format!("{shown}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown} failed ({status})"))
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

#[expect(clippy::print_stderr, reason = "this is how a command reports")]
fn report(message: &str) {
    eprintln!("{message}");
}
