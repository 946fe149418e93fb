//! The same by the official libsignal client for Node.js, over stores of its own in JavaScript.
//!
//! What it needs is installed by `npm ci` in `interop/peer`. Times are taken inside its process and include the way
//! from JavaScript into the client's Rust core and back, as all who use that client have it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::contest::Runner;

/// Does the work of this name.
pub fn runner(work: &'static str) -> Runner {
    static CLIENT: LazyLock<Arc<Mutex<Client>>> =
        LazyLock::new(|| Arc::new(Mutex::new(Client::start())));
    let client = Arc::clone(&CLIENT);
    Box::new(move |times| client.lock().unwrap().run(work, times))
}

/// Whether the client's packages are installed.
pub fn is_installed() -> bool {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/peer/node_modules");
    packages.is_dir()
}

struct Client {
    _process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer/bench.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            requests: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            _process: process,
        }
    }

    fn run(&mut self, work: &str, times: u64) -> Duration {
        writeln!(self.requests, "{}", json!({ "work": work, "times": times })).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        Duration::from_nanos(answer["nanoseconds"].as_u64().unwrap())
    }
}
