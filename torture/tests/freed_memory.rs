//! Secrets are erased before their memory is given back.
//!
//! One story is told twice with the same randomness: first to learn all secrets that occur in it, then with an allocator
//! that looks for each of them in whatever is given back.
#![allow(missing_docs)]

#[path = "freed_memory/conversation.rs"]
mod conversation;
#[path = "freed_memory/messages.rs"]
mod messages;
#[path = "freed_memory/protobuf.rs"]
mod protobuf;
#[path = "freed_memory/secrets.rs"]
mod secrets;

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use conversation::{BACK, ROUNDS, THERE, tell};
use secrets::Secrets;
use sprag::backend::{Backend, MemoryBackend};
use sprag_sqlite::SqliteBackend;
use sprag_torture::freed::{self, Finding, Searching};

#[global_allocator]
static ALLOCATOR: Searching = Searching;

/// Of the story's steps, which are some hundred.
const MOST_REMNANTS: usize = 20;

/// How many of each sort the story has, at least.
const SORTS: &[(&str, usize)] = &[
    ("root of the vault", 2),
    ("identity key", 2),
    ("plaintext", 2),
    ("signed pre-key", 1),
    ("one-time pre-key", 1),
    ("Kyber pre-key", 2),
    ("private base key", 1),
    ("secret of the handshake", 2),
    ("root key", ROUNDS),
    ("chain key", ROUNDS),
    ("private ratchet key", ROUNDS),
    ("agreement of ratchet keys", ROUNDS),
    ("seed of a message key", ROUNDS),
    ("message key", ROUNDS),
    ("post-quantum handshake key", 1),
    ("post-quantum root", 3),
    ("post-quantum chain key", ROUNDS),
    ("post-quantum message key", ROUNDS),
    ("post-quantum authenticator", 4),
    ("decapsulation key", 4),
    ("encapsulation state", 2),
    ("secret of an encapsulation", 1),
    ("secret of an epoch", 1),
    ("private signing key", 2),
    ("sender chain key", 10),
    ("seed of a group message", 10),
    ("key of a group message", 10),
    ("ephemeral key of sealed sender", 10),
    ("agreement of sealed sender", 10),
    ("secret of sealed sender", 10),
    ("key of sealed sender", 10),
];

/// No remnants of these were ever left.
const WHOLE: &[&str] = &[
    "root of the vault",
    "identity key",
    "plaintext",
    "Kyber pre-key",
    "decapsulation key",
    "encapsulation state",
    "private signing key",
    "ephemeral key of sealed sender",
];

#[test]
fn secrets_are_erased_before_their_memory_is_given_back() {
    search(async || MemoryBackend::new());
}

#[test]
fn secrets_are_erased_over_sqlite_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = 0..;
    search(async || {
        let file = format!("{}.db", files.next().unwrap());
        let url = format!("sqlite:{}", folder.path().join(file).display());
        Arc::new(SqliteBackend::open(&url).await.unwrap())
    });
}

/// Tells the story over two backends, which are empty.
fn search<B: Backend + Clone>(mut backend: impl AsyncFnMut() -> B + Send) {
    // There is one allocator.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (last, secrets) = apart(async || {
        let mut secrets = Secrets::default();
        let last = tell(backend().await, Some(&mut secrets)).await;
        secrets.add("plaintext", THERE);
        secrets.add("plaintext", BACK);
        (last, secrets)
    });
    for (sort, least) in SORTS {
        let count = secrets.count(sort);
        assert!(count >= *least, "only {count} of {sort}");
    }

    freed::watch(secrets.iter());
    let again = apart(async || tell(backend().await, None).await);
    let findings = freed::findings();
    assert!(last == again, "the story is always the same");
    let (remnants, findings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_remnant);
    for finding in &findings {
        eprintln!("{}\n{}", finding.secret, ours(&finding.backtrace));
    }
    assert!(findings.is_empty(), "{} findings", findings.len());
    let sorts: Vec<_> = remnants.iter().map(|remnant| &*remnant.secret).collect();
    assert!(sorts.len() <= MOST_REMNANTS, "{sorts:?}");
    assert!(!sorts.iter().any(|sort| WHOLE.contains(sort)), "{sorts:?}");

    // The search finds what is not erased.
    freed::watch(secrets.iter());
    for (sort, _) in SORTS {
        let (_, secret) = secrets.iter().find(|(found, _)| found == sort).unwrap();
        drop(std::hint::black_box(secret.to_vec()));
    }
    assert_eq!(freed::findings().len(), SORTS.len());
}

/// On a stack of its own, where nothing was left of what the test itself knows.
fn apart<T: Send>(story: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(story())
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Whether it is in a block to which a large value was moved from the stack, with whatever lay there before between its
/// parts: Rust gives nobody a way to erase that. There are some of these, and not one in each step.
fn is_remnant(finding: &Finding) -> bool {
    const VALUES: [&str; 5] = [
        "drop<(dyn core::future::future::Future<",
        "drop<sprag::durable::value::Value,",
        "drop<sprag_core::session::chain::Chain,",
        "drop<sprag_core::session::state::SessionState,",
        "drop<sprag_core::spqr::state::Active,",
    ];
    // The first frame of these names what the block is of; the others, who owned it.
    let mut frames = finding.backtrace.lines();
    let block = frames.find(|line| line.contains("drop") && !line.trim_start().starts_with("at "));
    block.is_some_and(|block| VALUES.iter().any(|value| block.contains(value)))
}

/// The frames of a backtrace that tell something.
fn ours(backtrace: &str) -> String {
    let frames = backtrace.lines().filter(|line| {
        ["sprag", "prost", "bytes"]
            .iter()
            .any(|name| line.contains(name))
            && !line.contains("freed::")
    });
    let frames: Vec<_> = frames.take(24).collect();
    frames.join("\n")
}
