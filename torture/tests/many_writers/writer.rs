//! One of the processes that send and receive.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use sprag::{Account, DurableStore, EnvelopeType, Error};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_torture::counting::Counting;
use sprag_torture::peer::address;
use sprag_vault::PassphraseVault;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// The number of the process, how many tasks it has, and their manner.
pub(crate) const ORDERS: &str = "SPRAG_TORTURE_ORDERS";

/// The file of the store.
pub(crate) const PLACE: &str = "SPRAG_TORTURE_PLACE";

/// That of the vault, which lies beside it.
pub(crate) const PASSPHRASE: &str = "passphrase";

/// What the tasks of a process share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One handle on the store, with its turns and its cache.
    Shared,
    /// The backend. Every operation has a handle of its own.
    Bare,
}

type Alice = Account<Arc<Counting<SqliteBackend>>>;

struct Writer {
    number: usize,
    manner: Manner,
    backend: Arc<Counting<SqliteBackend>>,
    vault: Arc<PassphraseVault>,
    shared: Alice,
    letters: Mutex<mpsc::UnboundedReceiver<(EnvelopeType, Vec<u8>)>>,
    /// One for each envelope that the peer has read.
    read: Semaphore,
    over: AtomicBool,
    retries: AtomicU64,
    epochs: AtomicU64,
}

/// Does what the environment orders, or nothing.
pub(crate) fn carry_out_orders() {
    let Ok(orders) = env::var(ORDERS) else {
        return;
    };
    let mut words = orders.split(' ');
    let mut number = || words.next().unwrap().parse::<usize>().unwrap();
    let (number, tasks) = (number(), number());
    let manner = match words.next() {
        Some("Shared") => Manner::Shared,
        _ => Manner::Bare,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_time().build().unwrap();
    // The harness has begun a line.
    tell("");
    runtime.block_on(async {
        let writer = Arc::new(Writer::open(number, manner).await);
        let mut tasks: Vec<_> = (0..tasks)
            .map(|task| tokio::spawn(Arc::clone(&writer).run(task)))
            .collect();
        if number < 2 {
            tasks.push(tokio::spawn(Arc::clone(&writer).change_epochs()));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let ((commits, conflicts), retries) = (writer.backend.counts(), &writer.retries);
        let retries = retries.load(Ordering::Relaxed);
        tell(&format!("counts {commits} {conflicts} {retries}"));
        let epochs = writer.epochs.load(Ordering::Relaxed);
        tell(&format!("epochs {epochs}"));
        writer.shared.store().close().await.unwrap();
    });
}

impl Writer {
    async fn open(number: usize, manner: Manner) -> Self {
        let path = env::var_os(PLACE).unwrap();
        let vault = Arc::new(open_vault(Path::new(&path)).await);
        let options = SqliteOptions::file(path).busy_timeout(Duration::from_secs(60));
        let backend = Arc::new(Counting::new(options.open().await.unwrap()));
        let (sender, letters) = mpsc::unbounded_channel();
        let writer = Self {
            number,
            manner,
            shared: account(&backend, &vault).await.unwrap(),
            backend,
            vault,
            letters: Mutex::new(letters),
            read: Semaphore::new(0),
            over: AtomicBool::new(false),
            retries: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
        };
        INPUT.set(sender).unwrap_or_default();
        writer
    }

    async fn run(self: Arc<Self>, task: usize) {
        if task == 0 {
            let writer = Arc::clone(&self);
            thread::spawn(move || writer.listen());
        }
        for round in 0.. {
            let letter = self.letters.lock().await.try_recv();
            match letter {
                Ok((kind, bytes)) => {
                    self.receive(kind, &bytes).await;
                    tell("handled");
                }
                Err(_) if self.over.load(Ordering::SeqCst) => return,
                Err(_) => self.send(&format!("{}-{task}-{round}", self.number)).await,
            }
        }
    }

    /// Seals the store anew, again and again.
    async fn change_epochs(self: Arc<Self>) {
        while !self.over.load(Ordering::SeqCst) {
            let changed = self.shared.store().new_epoch().await;
            if let Some(change) = self.again(changed) {
                assert_eq!(change.damaged, 0);
                self.epochs.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Hears what the peer says.
    fn listen(&self) {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let mut words = line.split(' ');
            match words.next() {
                Some("letter") => {
                    let kind = kind(words.next().unwrap());
                    let bytes = hex::decode(words.next().unwrap()).unwrap();
                    let _ = INPUT.get().unwrap().send((kind, bytes));
                }
                Some("read") => self.read.add_permits(1),
                _ => self.over.store(true, Ordering::SeqCst),
            }
        }
        // The peer has gone, and nobody will answer any more.
        std::process::exit(1);
    }

    async fn send(&self, text: &str) {
        let begun = Instant::now();
        let envelope = loop {
            let sent = self
                .account()
                .await
                .send(&address("bob"), text.as_bytes())
                .await;
            if let Some(envelope) = self.again(sent) {
                break envelope;
            }
        };
        tell(&format!("latency {}", begun.elapsed().as_micros()));
        let kind = envelope.message_type as u8;
        tell(&format!("sent {kind} {}", hex::encode(&envelope.bytes)));
        self.read.acquire().await.unwrap().forget();
        while self
            .again(self.account().await.sent(envelope.id).await)
            .is_none()
        {}
    }

    async fn receive(&self, kind: EnvelopeType, bytes: &[u8]) {
        let begun = Instant::now();
        let delivery = loop {
            let account = self.account().await;
            match account.receive(&address("bob"), kind, bytes).await {
                // Another process was given it too, and has dealt with it.
                Err(error) if error.code() == "duplicate-message" => return,
                received => {
                    if let Some(delivery) = self.again(received) {
                        break delivery;
                    }
                }
            }
        };
        tell(&format!("latency {}", begun.elapsed().as_micros()));
        let text = String::from_utf8_lossy(&delivery.plaintext);
        tell(&format!("delivered {} {text}", delivery.id));
        while self
            .again(self.account().await.done(delivery.id).await)
            .is_none()
        {}
    }

    /// The account to do one operation with.
    async fn account(&self) -> Alice {
        match self.manner {
            Manner::Shared => {
                let store = self.shared.store().clone();
                Account::open(store, address("alice")).await.unwrap()
            }
            Manner::Bare => loop {
                let opened = account(&self.backend, &self.vault).await;
                if let Some(account) = self.again(opened) {
                    return account;
                }
            },
        }
    }

    /// None if the operation is to be done again.
    fn again<T>(&self, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                let code = error.code();
                assert!(["store-conflict", "store-busy"].contains(&code), "{error}");
                self.retries.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

static INPUT: std::sync::OnceLock<mpsc::UnboundedSender<(EnvelopeType, Vec<u8>)>> =
    std::sync::OnceLock::new();

async fn account(
    backend: &Arc<Counting<SqliteBackend>>,
    vault: &Arc<PassphraseVault>,
) -> Result<Alice, Error> {
    let store = DurableStore::open(Arc::clone(backend), Arc::clone(vault)).await?;
    Account::open(store, address("alice")).await
}

/// Where the vault of a store lies.
pub(crate) fn vault_of(store: &Path) -> PathBuf {
    store.with_extension("vault")
}

/// The vault of a store.
pub(crate) async fn open_vault(store: &Path) -> PassphraseVault {
    PassphraseVault::open(vault_of(store), PASSPHRASE)
        .await
        .unwrap()
}

/// The type of a message from its number.
pub(crate) fn kind(number: &str) -> EnvelopeType {
    match number.parse::<u8>() {
        Ok(3) => EnvelopeType::PreKey,
        _ => EnvelopeType::Whisper,
    }
}

/// Writes a line that the peer reads.
fn tell(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
