//! What must work between any two implementations, each written once.
//!
//! A scenario is a function over a fresh [`Conversation`](crate::Conversation). It checks everything that it does, and reports the first step
//! that went otherwise. All randomness is seeded, so a failure repeats (but for the keys).

pub mod alike;
pub mod establish;
pub mod hand_over;
pub mod refuse;
pub mod restart;
pub mod stream;
