//! What a message costs beside time: `cargo bench -p sprag-benches --bench written [-- WORK...]`. On Linux only, which counts
//! for us: bytes handed to write calls (log and checkpoints together), processor time of all threads, and, if strace is
//! installed, calls of fsync or fdatasync.

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
    println!("| work | who | KiB written | us of processor time | fsyncs, each for a message |");
    println!("|---|---|---|---|---|");
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
            let fsyncs = fsyncs(contest.what, entry.who, MESSAGES).zip(fsyncs(
                contest.what,
                entry.who,
                FEWER_MESSAGES,
            ));
            let fsyncs = fsyncs.map_or_else(String::new, |(more, fewer)| {
                let each = (more - fewer) / (MESSAGES - FEWER_MESSAGES) as f64;
                format!("{each:.2}")
            });
            println!(
                "| {} | {} | {:.1} | {time:.0} | {fsyncs} |",
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

/// How often an entry calls fsync or fdatasync, what it makes ready included. None without strace.
fn fsyncs(what: &str, who: &str, messages: u64) -> Option<f64> {
    let traced = Command::new("strace")
        .args([
            "-f",
            "-c",
            "-e",
            "trace=fsync,fdatasync",
            "-o",
            "/dev/stderr",
        ])
        .arg(env::current_exe().unwrap())
        .args(["--only", what, who, &messages.to_string()])
        .output()
        .ok()?;
    let counts = String::from_utf8(traced.stderr).unwrap();
    let calls = counts.lines().filter(|line| line.ends_with("sync"));
    let calls = calls.filter_map(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
    Some(calls.sum())
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
