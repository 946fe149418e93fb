//! Erasing what a step leaves on the stack.
//!
//! A secret erases itself where it lies, but not where it was moved from, and libraries erase little of what they work
//! with. Later a large value is made on the same stack and moved to the heap, with what lay there before between its
//! parts. So each step ends by writing over the stack below it.

use zeroize::zeroize_stack;

/// Deeper than what works on keys of the curve, hashes and ciphers. Without optimisation frames are several times as large.
const DEPTH: usize = if cfg!(debug_assertions) {
    32 << 10
} else {
    8 << 10
};

/// Deeper than what works on keys of a KEM.
const DEPTH_OF_KEM: usize = 64 << 10;

/// What `step` gives; what it left on the stack is erased.
pub(crate) fn erasing<T>(step: impl FnOnce() -> T) -> T {
    let output = apart(step);
    zeroize_stack::<DEPTH>();
    output
}

/// The same for a step with a KEM.
pub(crate) fn erasing_deeply<T>(step: impl FnOnce() -> T) -> T {
    let output = apart(step);
    zeroize_stack::<DEPTH_OF_KEM>();
    output
}

/// In a frame of its own, below that of whoever calls.
#[inline(never)]
fn apart<T>(step: impl FnOnce() -> T) -> T {
    step()
}
