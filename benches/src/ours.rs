//! What Sprag does, over its in-memory stores.

use std::{hint::black_box, time::Duration};

use sprag::{CiphertextMessage, SessionRecord};

use crate::{
    contest::{Runner, at_once, in_batches, timed},
    conversation::{Conversation, Envelope, Party, Snapshot},
};

/// Points of a conversation from which the one-way cases start in turn.
pub(crate) const SNAPSHOTS: usize = 16;

/// Messages one way before the next starting point.
pub(crate) const STREAM: u64 = 100;

/// Messages that are skipped.
pub(crate) const SKIPPED: usize = 2000;

/// From one late message to the next.
const STRIDE: usize = 97;

/// Process a bundle and encrypt the first message.
pub fn initiate() -> Runner {
    let mut alice = Party::new("alice");
    let mut bob = Party::new("bob");
    let keys = bob.keys();
    let bundle = bob.bundle(&keys);
    Box::new(move |times| {
        in_batches(times, 1, |_| {
            alice.forget_session(&bob.address);
            timed(|| {
                alice.start(&bob.address, &bundle);
                black_box(alice.encrypt(&bob.address));
            })
        })
    })
}

/// Decrypt the first message.
pub fn accept() -> Runner {
    let mut alice = Party::new("alice");
    let mut bob = Party::new("bob");
    let keys = bob.keys();
    let bundle = bob.bundle(&keys);
    Box::new(move |times| {
        in_batches(times, 1, |_| {
            alice.forget_session(&bob.address);
            alice.start(&bob.address, &bundle);
            let envelope = alice.send(&bob.address);
            bob.forget_session(&alice.address);
            bob.keep_keys(&keys);
            timed(|| {
                black_box(bob.receive(&alice.address, &envelope));
            })
        })
    })
}

/// Encrypt one message after the other.
pub fn encrypt() -> Runner {
    one_way(|conversation, count| {
        timed(|| {
            for _ in 0..count {
                black_box(conversation.alice.encrypt(&conversation.bob.address));
            }
        })
    })
}

/// Decrypt one message after the other.
pub fn decrypt() -> Runner {
    one_way(decrypt_stream)
}

/// One message, encrypted here and decrypted there, of which each answers the one before.
pub fn ping_pong() -> Runner {
    let mut conversation = Conversation::settled();
    Box::new(move |times| timed(|| (0..times).for_each(|_| conversation.message())))
}

/// The same in so many conversations at once.
pub fn ping_pong_at_once(count: usize) -> Runner {
    let snapshots = Conversation::settled().snapshots(SNAPSHOTS);
    let snapshots = snapshots.iter().cycle().take(count);
    at_once(
        snapshots.map(Conversation::starting_at).collect(),
        |mut conversation, times| async move {
            (0..times).for_each(|_| conversation.message());
            conversation
        },
    )
}

/// Decrypt a message that comes after 2000 lost ones.
pub fn skip() -> Runner {
    let mut conversation = Conversation::settled();
    let snapshots = conversation.snapshots(SNAPSHOTS);
    let ahead = snapshots.iter().map(|snapshot| {
        conversation.go_to(snapshot);
        conversation.lose(SKIPPED);
        conversation.alice.send(&conversation.bob.address)
    });
    let ahead: Vec<_> = ahead.collect();
    let mut turn = 0;
    Box::new(move |times| {
        in_batches(times, 1, |_| {
            turn = (turn + 1) % SNAPSHOTS;
            conversation.go_to(&snapshots[turn]);
            timed(|| {
                black_box(
                    conversation
                        .bob
                        .receive(&conversation.alice.address, &ahead[turn]),
                );
            })
        })
    })
}

/// Decrypt one message after the other while 2000 skipped keys are held.
pub fn decrypt_with_skipped() -> Runner {
    let mut conversation = Conversation::settled();
    let snapshots = snapshots_with_skipped(&mut conversation, SKIPPED);
    stream(conversation, snapshots, decrypt_stream)
}

/// Points of a conversation at which Bob holds so many skipped keys.
fn snapshots_with_skipped(conversation: &mut Conversation, skipped: usize) -> Vec<Snapshot> {
    let mut snapshots = conversation.snapshots(SNAPSHOTS);
    for snapshot in &mut snapshots {
        conversation.go_to(snapshot);
        conversation.lose(skipped);
        conversation.one_way();
        *snapshot = conversation.snapshot();
    }
    snapshots
}

/// What others decrypt one after the other: Bob's session, which holds `skipped` keys, and what Alice sends.
pub(crate) struct Streams {
    conversation: Conversation,
    snapshots: Vec<Snapshot>,
    turn: usize,
}

impl Streams {
    pub(crate) fn new(skipped: usize) -> Self {
        let mut conversation = Conversation::settled();
        Self {
            snapshots: snapshots_with_skipped(&mut conversation, skipped),
            conversation,
            turn: 0,
        }
    }

    pub(crate) fn alice(&self) -> &Party {
        &self.conversation.alice
    }

    pub(crate) fn bob(&self) -> &Party {
        &self.conversation.bob
    }

    /// The next session of Bob's, and so many messages for it.
    pub(crate) fn next(&mut self, count: u64) -> (SessionRecord, Vec<CiphertextMessage>) {
        self.turn = (self.turn + 1) % self.snapshots.len();
        let snapshot = &self.snapshots[self.turn];
        self.conversation.go_to(snapshot);
        let Conversation { alice, bob, .. } = &mut self.conversation;
        let messages = (0..count).map(|_| alice.encrypt(&bob.address));
        (snapshot.bob.clone(), messages.collect())
    }
}

/// Decrypt messages that come late, from everywhere among 2000 whose keys are held.
pub fn decrypt_late() -> Runner {
    let mut conversation = Conversation::settled();
    let Conversation { alice, bob, .. } = &mut conversation;
    let late: Vec<Envelope> = (0..SKIPPED).map(|_| alice.send(&bob.address)).collect();
    conversation.one_way();
    let snapshot = conversation.snapshot();
    Box::new(move |times| {
        in_batches(times, STREAM, |count| {
            conversation.go_to(&snapshot);
            let Conversation { alice, bob, .. } = &mut conversation;
            timed(|| {
                for turn in 0..count as usize {
                    black_box(bob.receive(&alice.address, &late[turn * STRIDE % SKIPPED]));
                }
            })
        })
    })
}

/// Make and store 100 EC pre-keys and 100 signed Kyber pre-keys.
pub fn pre_keys() -> Runner {
    let mut party = Party::new("bob");
    Box::new(move |times| timed(|| (0..times).for_each(|_| party.make_pre_keys(100))))
}

fn decrypt_stream(conversation: &mut Conversation, count: u64) -> Duration {
    let Conversation { alice, bob, .. } = conversation;
    let envelopes: Vec<Envelope> = (0..count).map(|_| alice.send(&bob.address)).collect();
    timed(|| {
        for envelope in &envelopes {
            black_box(bob.receive(&alice.address, envelope));
        }
    })
}

fn one_way(work: fn(&mut Conversation, u64) -> Duration) -> Runner {
    let mut conversation = Conversation::settled();
    let snapshots = conversation.snapshots(SNAPSHOTS);
    stream(conversation, snapshots, work)
}

/// Does `work`, starting at each of the snapshots in turn.
fn stream(
    mut conversation: Conversation,
    snapshots: Vec<Snapshot>,
    work: fn(&mut Conversation, u64) -> Duration,
) -> Runner {
    let mut turn = 0;
    Box::new(move |times| {
        in_batches(times, STREAM, |count| {
            turn = (turn + 1) % snapshots.len();
            conversation.go_to(&snapshots[turn]);
            work(&mut conversation, count)
        })
    })
}
