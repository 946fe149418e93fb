//! Many tasks of many processes send and receive in one session over one file, and two of them change epochs all the
//! while: everything is read exactly once.
//!
//! All of them have the same vault, a file under a passphrase.
//!
//! The peer is in the test itself. It reads what the processes send, and answers through their standard inputs. The test
//! program starts itself again as the other processes: a test that finds its orders in the environment carries them out
//! instead.
#![allow(missing_docs)]

#[path = "many_writers/writer.rs"]
mod writer;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use sprag::backend::{Backend, MemoryBackend};
use sprag::vault::MemoryVault;
use sprag::{Account, DurableStore};
use sprag_sqlite::SqliteOptions;
use sprag_torture::pace::{say, seconds};
use sprag_torture::peer::address;
use sprag_vault::{Cost, PassphraseVault};
use writer::Manner;

/// The peer writes some letters whenever it has read so many envelopes and the letters before were read. The session may
/// turn only a few times while something is on its way, since each side keeps five chains.
const READ_BEFORE_WRITING: usize = 8;
const LETTERS_AT_ONCE: usize = 8;

/// Handles in one process share turns and a cache.
#[test]
fn tasks_that_share_turns_and_cache() {
    talk(Manner::Shared);
}

/// Every operation with a handle of its own: no turns and no cache, which are there to save work and nothing
/// else.
#[test]
fn tasks_that_share_nothing_but_the_file() {
    talk(Manner::Bare);
}

/// What a process carries out.
#[test]
fn a_process_that_was_started_by_another_test() {
    writer::carry_out_orders();
}

fn talk(manner: Manner) {
    let (processes, tasks, duration) = match seconds() {
        Some(duration) => (8, 8, duration),
        None => (4, 4, Duration::from_secs(2)),
    };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("sprag.db");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(async {
        // The cheapest there is.
        let cost = Cost::new(8, 1, 1).unwrap();
        let vault = writer::vault_of(&path);
        PassphraseVault::create_with_cost(vault, writer::PASSPHRASE, cost)
            .await
            .unwrap();
        let bob = meet(&path).await;
        let talk = Talk::begin(bob, &path, processes, tasks, manner);
        let bob = talk.go_on(duration).await;
        after(&path, &bob).await;
    });
}

/// The account, with a session that both have used.
async fn meet(path: &Path) -> Account<MemoryBackend> {
    let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new())
        .await
        .unwrap();
    let bob = Account::create(store, address("bob")).await.unwrap();
    let alice = alice(path).await;
    let bundle = bob.bundle().await.unwrap();
    alice.start_session(bob.address(), &bundle).await.unwrap();
    both_ways(&alice, &bob).await;
    alice.store().close().await.unwrap();
    bob
}

/// Nothing is left behind, and the conversation goes on.
async fn after(path: &Path, bob: &Account<MemoryBackend>) {
    let alice = alice(path).await;
    let status = alice.status().await.unwrap();
    assert_eq!((status.outbox, status.inbox), (0, 0));
    let damaged = alice.store().examine().await.unwrap().damaged;
    assert_eq!(damaged, []);
    assert!(alice.store().new_epoch().await.unwrap().forgotten);
    both_ways(&alice, bob).await;
    alice.store().close().await.unwrap();
}

async fn alice(path: &Path) -> Account<impl Backend> {
    let backend = SqliteOptions::file(path).open().await.unwrap();
    let vault = writer::open_vault(path).await;
    let store = DurableStore::open(backend, vault).await.unwrap();
    Account::open_or_create(store, address("alice"))
        .await
        .unwrap()
}

async fn both_ways(alice: &Account<impl Backend>, bob: &Account<impl Backend>) {
    let sent = alice.send(bob.address(), b"there").await.unwrap();
    alice.sent(sent.id).await.unwrap();
    let from = alice.address();
    let read = bob
        .receive(from, sent.message_type, &sent.bytes)
        .await
        .unwrap();
    bob.done(read.id).await.unwrap();
    let sent = bob.send(alice.address(), b"back").await.unwrap();
    bob.sent(sent.id).await.unwrap();
    let from = bob.address();
    let read = alice
        .receive(from, sent.message_type, &sent.bytes)
        .await
        .unwrap();
    alice.done(read.id).await.unwrap();
}

/// The conversation while it goes on, as the peer sees it.
struct Talk {
    bob: Account<MemoryBackend>,
    processes: Vec<(Child, Option<ChildStdin>)>,
    lines: Receiver<(usize, String)>,
    read: HashSet<String>,
    /// The letters that were written, and the id under which they were delivered.
    letters: HashMap<String, Option<String>>,
    /// How many letters are on their way.
    under_way: usize,
    /// How many envelopes were read since the last letters were written.
    read_lately: usize,
    commits: u64,
    conflicts: u64,
    retries: u64,
    epochs: u64,
    latencies: Vec<u64>,
}

impl Talk {
    fn begin(
        bob: Account<MemoryBackend>,
        path: &Path,
        processes: usize,
        tasks: usize,
        manner: Manner,
    ) -> Self {
        let (sender, lines) = sync_channel(64);
        let start = |number| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["a_process_that_was_started_by_another_test", "--exact"])
                .args(["--nocapture", "--test-threads=1"])
                .env(writer::ORDERS, format!("{number} {tasks} {manner:?}"))
                .env(writer::PLACE, path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            listen(number, &mut child, sender.clone());
            let stdin = child.stdin.take();
            (child, stdin)
        };
        Self {
            bob,
            processes: (0..processes).map(start).collect(),
            lines,
            read: HashSet::new(),
            letters: HashMap::new(),
            under_way: 0,
            read_lately: 0,
            commits: 0,
            conflicts: 0,
            retries: 0,
            epochs: 0,
            latencies: Vec::new(),
        }
    }

    /// Until the time is over and everybody has finished.
    async fn go_on(mut self, duration: Duration) -> Account<MemoryBackend> {
        let begun = Instant::now();
        let mut going = true;
        while let Ok((process, line)) = self.lines.recv_timeout(Duration::from_secs(60)) {
            self.hear(process, &line, going).await;
            if going && begun.elapsed() > duration {
                going = false;
                for (_, stdin) in &mut self.processes {
                    writeln!(stdin.as_mut().unwrap(), "stop").unwrap();
                }
            }
        }
        for (mut process, stdin) in std::mem::take(&mut self.processes) {
            drop(stdin);
            assert!(process.wait().unwrap().success());
        }
        self.report(begun.elapsed());
        let lost = self.letters.iter().filter(|(_, id)| id.is_none());
        assert_eq!(lost.count(), 0, "letters that nobody read");
        assert!(self.read.len() > 20 && self.letters.len() > 5);
        assert!(self.epochs > 1);
        self.bob
    }

    async fn hear(&mut self, process: usize, line: &str, going: bool) {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("sent"), Some(kind), Some(bytes)) => {
                self.read(kind, bytes).await;
                let stdin = self.processes[process].1.as_mut().unwrap();
                writeln!(stdin, "read").unwrap();
                self.read_lately += 1;
                if going && self.under_way == 0 && self.read_lately >= READ_BEFORE_WRITING {
                    self.read_lately = 0;
                    self.write().await;
                }
            }
            (Some("delivered"), Some(id), Some(text)) => {
                let known = self
                    .letters
                    .get_mut(text)
                    .expect("a letter that was written");
                let id = id.to_owned();
                assert!(known.replace(id.clone()).is_none_or(|known| known == id));
            }
            (Some("handled"), None, None) => self.under_way -= 1,
            (Some("counts"), Some(commits), Some(conflicts)) => {
                self.commits += commits.parse::<u64>().unwrap();
                self.conflicts += conflicts.parse::<u64>().unwrap();
                self.retries += words.next().unwrap().parse::<u64>().unwrap();
            }
            (Some("epochs"), Some(epochs), None) => self.epochs += epochs.parse::<u64>().unwrap(),
            (Some("latency"), Some(micros), None) => self.latencies.push(micros.parse().unwrap()),
            // What the harness says.
            _ => {}
        }
    }

    async fn read(&mut self, kind: &str, bytes: &str) {
        let (kind, bytes) = (writer::kind(kind), hex::decode(bytes).unwrap());
        let alice = address("alice");
        let delivery = self.bob.receive(&alice, kind, &bytes).await;
        let delivery = delivery.expect("every envelope can be read");
        self.bob.done(delivery.id).await.unwrap();
        let text = String::from_utf8(delivery.plaintext.to_vec()).unwrap();
        assert!(self.read.insert(text), "a text comes twice");
    }

    /// Some letters, each to a process, and some to two at once.
    async fn write(&mut self) {
        for _ in 0..LETTERS_AT_ONCE {
            let number = self.letters.len();
            let text = format!("letter-{number}");
            let envelope = self.bob.send(&address("alice"), text.as_bytes()).await;
            let envelope = envelope.unwrap();
            self.bob.sent(envelope.id).await.unwrap();
            self.letters.insert(text, None);
            let kind = envelope.message_type as u8;
            let line = format!("letter {kind} {}", hex::encode(&envelope.bytes));
            let count = self.processes.len();
            let to = if number.is_multiple_of(4) { 2 } else { 1 };
            for process in (number..number + to).map(|process| process % count) {
                let stdin = self.processes[process].1.as_mut().unwrap();
                writeln!(stdin, "{line}").unwrap();
                self.under_way += 1;
            }
        }
    }

    fn report(&mut self, elapsed: Duration) {
        self.latencies.sort_unstable();
        let at = |part: f64| {
            let place = (self.latencies.len() as f64 * part) as usize;
            self.latencies.get(place).copied().unwrap_or_default() as f64 / 1000.0
        };
        say(&format!(
            "{} sent, {} letters, {:.0} operations/s, {:.2} conflicts per commit, {} retries by the \
             application, {} epochs, latency p50 {:.1} ms, p99 {:.1} ms",
            self.read.len(),
            self.letters.len(),
            self.latencies.len() as f64 / elapsed.as_secs_f64(),
            self.conflicts as f64 / self.commits.max(1) as f64,
            self.retries,
            self.epochs,
            at(0.5),
            at(0.99),
        ));
    }
}

/// Passes on what a process says.
fn listen(number: usize, child: &mut Child, to: SyncSender<(usize, String)>) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if to.send((number, line)).is_err() {
                return;
            }
        }
    });
}
