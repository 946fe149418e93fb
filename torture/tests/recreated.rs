//! A record that was deleted and made again is never taken for the one that it was, by whatever handle, task or process.
//!
//! A few records are read, deleted and made again all the time, often with the bytes that they had before; whoever writes
//! expects now what is there, and now what was there a while ago. One test knows what each commit must come to; the
//! other lets processes race, and adds up what they say they did.
#![allow(missing_docs)]

#[path = "recreated/known.rs"]
mod known;
#[path = "recreated/race.rs"]
mod race;

use rand::RngExt;
use rand::rngs::StdRng;
use sprag::backend::{AccountId, Kind, RecordKey};

/// So few records that they meet, in tables of each sort, and of two accounts.
fn keys() -> Vec<RecordKey> {
    let kinds = [Kind::Session, Kind::Outbox, Kind::PreKey];
    let accounts = [1, 2].map(|account| AccountId::from_bytes([account; 16]));
    let keys = kinds.iter().flat_map(|kind| {
        let key = |account| RecordKey::fixed(account, *kind, *b"record");
        accounts.map(key)
    });
    keys.collect()
}

/// Some of few, so that what is made again is often what it was.
fn bytes(rng: &mut StdRng) -> Vec<u8> {
    vec![7; rng.random_range(0..3) * 2500]
}
