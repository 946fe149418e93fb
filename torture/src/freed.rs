//! An allocator that looks for secrets in memory that is given back.
//!
//! What is erased before it is given back cannot be found there; what is moved to a larger block is, since the old one is
//! given back, too. Nothing is known of the stack and of registers, nor of memory that others than Rust take.

#![allow(unsafe_code, reason = "an allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    backtrace::Backtrace,
    cell::Cell,
    collections::HashMap,
    sync::{Mutex, PoisonError, RwLock},
};

/// The allocator: make it the global one of a test program.
pub struct Searching;

/// A secret that was not erased.
#[derive(Debug)]
pub struct Finding {
    /// What it is called.
    pub secret: String,
    /// Who gave it back.
    pub backtrace: String,
}

/// So much of a secret is looked for, at least.
const PIECE: usize = 16;

/// Backtraces are slow.
const MOST_FINDINGS: usize = 1000;

static WATCH: RwLock<Option<Watch>> = RwLock::new(None);
static FINDINGS: Mutex<Vec<Finding>> = Mutex::new(Vec::new());

thread_local! {
    /// Set while this thread writes down what it has found, or changes what is looked for.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

struct Watch {
    names: Vec<String>,
    pieces: HashMap<[u8; PIECE], usize>,
    /// By the first two bytes of a piece.
    filter: Vec<bool>,
}

/// Looks for these secrets, by name, from now on.
pub fn watch<'a>(secrets: impl Iterator<Item = (&'static str, &'a [u8])>) {
    quietly(|| {
        let mut watch = Watch {
            names: Vec::new(),
            pieces: HashMap::new(),
            filter: vec![false; 1 << 16],
        };
        for (name, secret) in secrets {
            for piece in secret.chunks_exact(PIECE) {
                let piece: [u8; PIECE] = piece.try_into().expect("so many");
                watch.filter[place(&piece)] = true;
                watch.pieces.insert(piece, watch.names.len());
            }
            watch.names.push(name.to_owned());
        }
        *WATCH.write().unwrap_or_else(PoisonError::into_inner) = Some(watch);
    });
}

/// Looks no more; what was found.
pub fn findings() -> Vec<Finding> {
    quietly(|| {
        *WATCH.write().unwrap_or_else(PoisonError::into_inner) = None;
        std::mem::take(&mut *FINDINGS.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

fn quietly<T>(work: impl FnOnce() -> T) -> T {
    BUSY.set(true);
    let output = work();
    BUSY.set(false);
    output
}

fn search(freed: &[u8]) {
    if freed.len() < PIECE || BUSY.get() {
        return;
    }
    let Ok(watch) = WATCH.try_read() else {
        return;
    };
    let Some(watch) = &*watch else {
        return;
    };
    for window in freed.windows(PIECE) {
        let window: &[u8; PIECE] = window.try_into().expect("so many");
        if watch.filter[place(window)]
            && let Some(secret) = watch.pieces.get(window)
        {
            quietly(|| write_down(&watch.names[*secret]));
            return;
        }
    }
}

fn write_down(secret: &str) {
    let mut findings = FINDINGS.lock().unwrap_or_else(PoisonError::into_inner);
    if findings.len() < MOST_FINDINGS {
        findings.push(Finding {
            secret: secret.to_owned(),
            backtrace: Backtrace::force_capture().to_string(),
        });
    }
}

fn place(piece: &[u8; PIECE]) -> usize {
    usize::from(piece[0]) << 8 | usize::from(piece[1])
}

// SAFETY: it is the system's allocator. Nothing unwinds: `expect` holds for what has the right length.
unsafe impl GlobalAlloc for Searching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that all of it may be read when it comes back.
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block has this length, was zeroed, and nobody else has it any more.
        search(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) }
    }
}
