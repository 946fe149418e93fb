//! What a message costs beside time: `cargo bench -p sprag-benches --bench written [-- WORK...]`. On Linux only, which counts
//! for us: bytes handed to write calls (log and checkpoints together), processor time of all threads, and, if strace is
//! installed, commits and calls of fsync or fdatasync.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{env, fs, process::Command};

use sprag_benches::contest;

const MESSAGES: u64 = 4096;

/// Under strace, so that what is made ready can be subtracted.
const FEWER_MESSAGES: u64 = 512;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments[..] {
        [flag, what, who, messages] if flag == "--only" => {
            run(what, who, messages.parse().unwrap())
        }
        words => print_table(words),
    }
}

fn print_table(words: &[String]) {
    let wanted: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    println!(
        "| work | who | KiB written | us of processor time | commits | fsyncs, each for a message |"
    );
    println!("|---|---|---|---|---|---|");
    for contest in contest::conversations_in_sqlite() {
        if !wanted.is_empty() && !wanted.iter().any(|word| contest.what.contains(*word)) {
            continue;
        }
        for entry in &contest.entries {
            let mut runner = entry.prepare();
            runner(MESSAGES / 8);
            let (written_before, time_before) = (written(), processor_time());
            runner(MESSAGES);
            let bytes = (written() - written_before) as f64 / MESSAGES as f64;
            let time = (processor_time() - time_before) / MESSAGES as f64;
            drop(runner);
            let traced = |messages| Calls::of(contest.what, entry.who, messages);
            let calls = traced(MESSAGES).zip(traced(FEWER_MESSAGES));
            let calls = calls.map_or_else(String::new, |(more, fewer)| {
                let each = |count: fn(&Calls) -> usize| {
                    (count(&more) - count(&fewer)) as f64 / (MESSAGES - FEWER_MESSAGES) as f64
                };
                let commits = each(|calls| calls.commits);
                format!("{commits:.2} | {:.2}", each(|calls| calls.syncs))
            });
            println!(
                "| {} | {} | {:.1} | {time:.0} | {calls} |",
                contest.what,
                entry.who,
                bytes / 1024.0
            );
        }
    }
}

/// Does so much of one entry's work.
fn run(what: &str, who: &str, messages: u64) {
    let contests = contest::conversations_in_sqlite();
    let contest = contests
        .iter()
        .find(|contest| contest.what == what)
        .unwrap();
    let entry = contest
        .entries
        .iter()
        .find(|entry| entry.who == who)
        .unwrap();
    entry.prepare()(messages);
}

/// What an entry asks of the system, what it makes ready included.
struct Calls {
    /// Pages that are written into a log and end a commit.
    commits: usize,
    /// Calls of fsync or fdatasync.
    syncs: usize,
}

impl Calls {
    /// None without strace.
    fn of(what: &str, who: &str, messages: u64) -> Option<Self> {
        let trace = tempfile::NamedTempFile::new().unwrap();
        let options = "-f -qq -xx -s 8 -e signal=none -e trace=fsync,fdatasync,pwrite64 -o";
        Command::new("strace")
            .args(options.split(' '))
            .arg(trace.path())
            .arg(env::current_exe().unwrap())
            .args(["--only", what, who, &messages.to_string()])
            .output()
            .ok()?;
        let calls = fs::read_to_string(trace.path()).unwrap();
        let count = |wanted: fn(&str) -> bool| calls.lines().filter(|call| wanted(call)).count();
        Some(Self {
            commits: count(ends_a_commit),
            syncs: count(|call| call.contains("sync(")),
        })
    }
}

/// Whether a call writes the head of a page in SQLite's log: 24 bytes, of which the second four are zero unless the page ends
/// a commit.
fn ends_a_commit(call: &str) -> bool {
    let Some((_, arguments)) = call.split_once("pwrite64(") else {
        return false;
    };
    let mut parts = arguments.split('"');
    let (bytes, length) = (parts.nth(1), parts.next());
    length.is_some_and(|rest| rest.starts_with("..., 24, "))
        && bytes.is_some_and(|bytes| !bytes.ends_with(r"\x00\x00\x00\x00"))
}

/// Bytes that this process has handed to write calls.
fn written() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").unwrap();
    let count = counts.lines().find_map(|line| line.strip_prefix("wchar: "));
    count.unwrap().parse().unwrap()
}

/// Microseconds that the threads of this process have run, for itself and in the kernel.
fn processor_time() -> f64 {
    let mut total = 0.0;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let spent = fs::read_to_string(task.unwrap().path().join("schedstat"));
        let spent = spent.unwrap_or_default();
        let nanoseconds = spent.split_whitespace().next().unwrap_or("0");
        total += nanoseconds.parse::<f64>().unwrap() / 1000.0;
    }
    total
}
