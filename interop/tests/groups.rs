//! Groups of five, in which our own implementations and the official client are members side by side.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "shell/binary.rs"]
mod binary;
#[path = "groups/cast.rs"]
mod cast;
#[path = "groups/odd.rs"]
mod odd;
#[path = "shell/person.rs"]
#[allow(dead_code, reason = "groups need the half of it")]
mod person;
#[path = "shell/server.rs"]
#[allow(dead_code, reason = "groups need no server")]
mod server;
#[path = "groups/wanderer.rs"]
mod wanderer;

use std::collections::{HashMap, HashSet};

use cast::{Maker, account, cipher, core, official, shell};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use sprag::{
    Uuid,
    protocol::message::{SenderKeyDistributionMessage, SenderKeyMessage},
};
use sprag_interop::{Address, FailureKind, Member};
use wanderer::Wanderer;

const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);

/// A group whose members do not know each other's keys yet.
struct Group {
    members: Vec<Box<dyn Member>>,
    texts: u32,
}

/// A message, and what it says.
#[derive(Clone)]
struct Sent {
    from: usize,
    text: Vec<u8>,
    message: Vec<u8>,
}

impl Group {
    fn of(makers: [Maker; 5]) -> Self {
        let members = makers
            .iter()
            .enumerate()
            .map(|(number, make)| make(&address(number)));
        Self::with(members.collect())
    }

    fn with(members: Vec<Box<dyn Member>>) -> Self {
        Self { members, texts: 0 }
    }

    /// Everybody hands its key to everybody else.
    fn introduce_all(&mut self) {
        for from in 0..self.members.len() {
            self.hand_out(from);
        }
    }

    /// `from` hands its key to all others.
    fn hand_out(&mut self, from: usize) {
        for to in self.others(from) {
            self.hand_to(from, to);
        }
    }

    fn hand_to(&mut self, from: usize, to: usize) {
        let key = self.members[from].distribute(GROUP).unwrap();
        self.members[to].join(&address(from), &key).unwrap();
    }

    fn others(&self, from: usize) -> Vec<usize> {
        (0..self.members.len())
            .filter(|other| *other != from)
            .collect()
    }

    /// A message of some length.
    fn send(&mut self, from: usize) -> Sent {
        self.texts += 1;
        let length = self.texts as usize * 7 % 40;
        let text = format!("{} from {from}{:length$}", self.texts, "").into_bytes();
        let message = self.members[from].encrypt(GROUP, &text).unwrap();
        Sent {
            from,
            text,
            message,
        }
    }

    #[track_caller]
    fn read(&mut self, to: usize, sent: &Sent) {
        let read = self.members[to].decrypt(&address(sent.from), &sent.message);
        assert_eq!(
            read.as_ref(),
            Ok(&sent.text),
            "{to} reads from {}",
            sent.from
        );
    }

    #[track_caller]
    fn refuse(&mut self, to: usize, sent: &Sent, kind: FailureKind) {
        let refused = self.members[to].decrypt(&address(sent.from), &sent.message);
        let failure = refused.expect_err("it was to be refused");
        assert_eq!(failure.kind, kind, "{to} refuses {}: {failure}", sent.from);
    }
}

fn address(number: usize) -> Address {
    match number {
        // A service id, as Signal has them; a name that is none; and devices of one name.
        0 => Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1),
        1 => Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 2),
        number => Address::new(format!("member {number}"), number as u32),
    }
}

fn every_member_speaks(mut group: Group) {
    group.introduce_all();
    for _ in 0..3 {
        for from in 0..5 {
            let sent = group.send(from);
            for to in group.others(from) {
                group.read(to, &sent);
            }
        }
    }
    // Empty texts, and long ones.
    for text in [vec![], vec![7; 100_000]] {
        let message = group.members[1].encrypt(GROUP, &text).unwrap();
        let sent = Sent {
            from: 1,
            text,
            message,
        };
        for to in [0, 2, 3, 4] {
            group.read(to, &sent);
        }
    }
}

/// The last member comes when the others have spoken, and reads what is sent from then on.
fn joining_late(mut group: Group) {
    for from in 0..4 {
        for to in group.others(from).into_iter().filter(|to| *to < 4) {
            group.hand_to(from, to);
        }
    }
    for from in 0..4 {
        let first = group.send(from);
        group.refuse(4, &first, FailureKind::NoSenderKey);
        let second = group.send(from);
        group.hand_to(from, 4);
        let third = group.send(from);
        group.refuse(4, &first, FailureKind::DuplicatedMessage);
        for to in group.others(from) {
            group.read(to, &third);
        }
        for to in group.others(from).into_iter().filter(|to| *to < 4) {
            group.read(to, &second);
            group.read(to, &first);
        }
        group.refuse(4, &second, FailureKind::DuplicatedMessage);
    }
    group.hand_out(4);
    let sent = group.send(4);
    (0..4).for_each(|to| group.read(to, &sent));
}

/// The last member is removed: all others renew their keys.
fn removal(mut group: Group) {
    group.introduce_all();
    let late: Vec<_> = (0..4).map(|from| group.send(from)).collect();
    for from in 0..4 {
        let key = group.members[from].renew(GROUP).unwrap();
        for to in group.others(from).into_iter().filter(|to| *to < 4) {
            group.members[to].join(&address(from), &key).unwrap();
        }
        let sent = group.send(from);
        group.refuse(4, &sent, FailureKind::NoSenderKey);
        for to in group.others(from).into_iter().filter(|to| *to < 4) {
            group.read(to, &sent);
            group.refuse(to, &sent, FailureKind::DuplicatedMessage);
        }
    }
    for sent in &late {
        for to in group.others(sent.from) {
            group.read(to, sent);
        }
    }
    // Five keys of one sender are kept.
    let oldest = group.send(0);
    for _ in 0..5 {
        group.members[0].renew(GROUP).unwrap();
        (1..4).for_each(|to| group.hand_to(0, to));
    }
    let newest = group.send(0);
    for to in 1..4 {
        group.refuse(to, &oldest, FailureKind::NoSenderKey);
        group.read(to, &newest);
    }
}

/// Messages that were altered on the way harm nothing.
fn forgery(mut group: Group) {
    group.introduce_all();
    for from in 0..5 {
        let sent = group.send(from);
        let length = sent.message.len();
        // The low half of the version, the chain's number, the text, and the signature.
        for place in [0, 20, length - 70, length - 1] {
            let mut altered = sent.clone();
            altered.message[place] ^= 1;
            for to in group.others(from) {
                let refused = group.members[to].decrypt(&address(from), &altered.message);
                let kind = refused.unwrap_err().kind;
                let expected = [FailureKind::InvalidSignature, FailureKind::NoSenderKey];
                assert!(expected.contains(&kind), "{kind:?}");
            }
        }
        // Somebody else's name on it.
        let mut renamed = sent.clone();
        renamed.from = (from + 1) % 5;
        for to in group
            .others(renamed.from)
            .into_iter()
            .filter(|to| *to != from)
        {
            group.refuse(to, &renamed, FailureKind::NoSenderKey);
        }
        for to in group.others(from) {
            group.read(to, &sent);
        }
    }
}

/// Loss, delay, duplicates, renewals and late keys, all at random.
fn bad_network(mut group: Group, seed: u64, rounds: usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut readers = Readers::default();
    let mut under_way: Vec<(usize, Sent)> = Vec::new();
    let mut arrived: Vec<(usize, Sent)> = Vec::new();
    let mut outcomes = [0; 3];
    for round in 0..rounds {
        let from = round % 5;
        if rng.random_ratio(1, 4) {
            group.members[from].renew(GROUP).unwrap();
        }
        // Who has missed a key may get it late.
        for to in group.others(from) {
            if round < 5 || rng.random_ratio(1, 3) {
                let key = group.members[from].distribute(GROUP).unwrap();
                group.members[to].join(&address(from), &key).unwrap();
                readers.take(to, from, &key);
            }
        }
        for _ in 0..rng.random_range(1..4) {
            let sent = group.send(from);
            let others = group.others(from).into_iter();
            under_way.extend(others.map(|to| (to, sent.clone())));
        }
        under_way.retain(|_| !rng.random_ratio(1, 10));
        under_way.shuffle(&mut rng);
        let mut due = under_way.split_off(under_way.len() / 2);
        due.extend(arrived.iter().filter(|_| rng.random_ratio(1, 20)).cloned());
        for (to, sent) in due {
            let expected = readers.expect(to, &sent);
            match expected {
                None => group.read(to, &sent),
                Some(kind) => group.refuse(to, &sent, kind),
            }
            let outcome = [None, Some(FailureKind::DuplicatedMessage)];
            let outcome = outcome.iter().position(|known| *known == expected);
            outcomes[outcome.unwrap_or(2)] += 1;
            arrived.push((to, sent));
        }
    }
    // It proves nothing if the network was good.
    let [read, repeated, unknown] = outcomes;
    assert!(
        read > rounds && repeated > rounds / 8 && unknown > rounds / 8,
        "{outcomes:?}"
    );
}

/// What each member can read of each other one: of five chains, every message from the key's on, once.
#[derive(Default)]
struct Readers(HashMap<(usize, usize), Vec<Chain>>);

struct Chain {
    id: u32,
    first: u32,
    read: HashSet<u32>,
}

impl Readers {
    fn take(&mut self, to: usize, from: usize, key: &[u8]) {
        let key = SenderKeyDistributionMessage::deserialize(key).unwrap();
        let chains = self.0.entry((to, from)).or_default();
        let known = chains.iter().position(|chain| chain.id == key.chain_id());
        let chain = known.map(|position| chains.remove(position));
        let chain = chain.unwrap_or_else(|| Chain {
            id: key.chain_id(),
            first: key.iteration(),
            read: HashSet::new(),
        });
        chains.insert(0, chain);
        chains.truncate(5);
    }

    /// How a message is refused that arrives now, if it is.
    fn expect(&mut self, to: usize, sent: &Sent) -> Option<FailureKind> {
        let message = SenderKeyMessage::deserialize(&sent.message).unwrap();
        let mut chains = self.0.get_mut(&(to, sent.from)).into_iter().flatten();
        let Some(chain) = chains.find(|chain| chain.id == message.chain_id()) else {
            return Some(FailureKind::NoSenderKey);
        };
        let iteration = message.iteration();
        let can_be_read = iteration >= chain.first && chain.read.insert(iteration);
        (!can_be_read).then_some(FailureKind::DuplicatedMessage)
    }
}

/// All sorts of members, the official client among them.
const MIXED: [Maker; 5] = [official, core, account, cipher, official];
/// The other way around.
const REVERSED: [Maker; 5] = [account, official, cipher, core, account];
const WITH_SHELL: [Maker; 5] = [official, shell, core, official, shell];
/// The control: what fails here says nothing about us.
const OFFICIAL: [Maker; 5] = [official; 5];

macro_rules! play_all {
    ($($module:ident $cast:ident $rounds:literal)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn every_member_speaks() {
                super::every_member_speaks(Group::of($cast));
            }
            #[test]
            fn joining_late() {
                super::joining_late(Group::of($cast));
            }
            #[test]
            fn removal() {
                super::removal(Group::of($cast));
            }
            #[test]
            fn forgery() {
                super::forgery(Group::of($cast));
            }
            #[test]
            fn bad_network() {
                super::bad_network(Group::of($cast), $rounds, $rounds);
            }
        }
    )*};
}

play_all! {
    official_alone OFFICIAL 40
    mixed MIXED 80
    reversed REVERSED 80
    with_shell WITH_SHELL 24
}

/// Members that live in two implementations by turns; every pair of one of ours and the official client, both ways.
fn wanderers(seed: u64) -> Group {
    let homes: [[Maker; 2]; 5] = [
        [official, core],
        [core, official],
        [official, account],
        [account, official],
        [cipher, official],
    ];
    let members = homes.iter().enumerate().map(|(number, homes)| {
        let homes = homes.map(|make| make(&address(number)));
        let seed = seed + number as u64;
        Box::new(Wanderer::between(homes, seed)) as Box<dyn Member>
    });
    Group::with(members.collect())
}

#[test]
fn wandering_members_speak() {
    every_member_speaks(wanderers(10));
}

#[test]
fn wandering_members_on_a_bad_network() {
    bad_network(wanderers(20), 5, 60);
}

#[test]
fn a_wandering_member_is_removed() {
    removal(wanderers(30));
}

/// A sender is far ahead of its receivers: as far as allowed, and one further.
#[test]
fn a_long_jump_is_as_long_for_all() {
    let mut group = Group::of([official, core, cipher, account, official]);
    group.hand_out(0);
    // The sender's chain goes on in the fastest member, which has no other use.
    let record = group.members[0].sender_key(&address(0), GROUP).unwrap();
    let mut sender = core(&address(0));
    sender
        .set_sender_key(&address(0), GROUP, &record.unwrap())
        .unwrap();
    let mut sent = Vec::new();
    for number in 0..=25_001_u32 {
        let message = sender.encrypt(GROUP, b"").unwrap();
        if [3000, 25_000, 25_001].contains(&number) {
            let text = Vec::new();
            sent.push(Sent {
                from: 0,
                text,
                message,
            });
        }
    }
    for to in 1..5 {
        group.refuse(to, &sent[2], FailureKind::InvalidMessage);
        group.read(to, &sent[1]);
        group.read(to, &sent[2]);
        // Its key was dropped.
        group.refuse(to, &sent[0], FailureKind::DuplicatedMessage);
    }
    let mut records = (1..5).map(|to| group.members[to].sender_key(&address(0), GROUP).unwrap());
    let first = records.next().unwrap();
    assert!(records.all(|record| record == first), "the records differ");
}

/// Whatever was stored is treated as the official client treats it, down to the byte.
#[test]
fn odd_records_are_treated_alike() {
    let mut members = [official, core, cipher, account].map(|make| make(&address(0)));
    for (number, record) in odd::records().into_iter().enumerate() {
        let group = Uuid::from_u128(number as u128);
        let outcomes = members.each_mut().map(|member| {
            member.set_sender_key(&address(0), group, &record).unwrap();
            let key = member.distribute(group).map_err(|failure| failure.kind);
            let message = member
                .encrypt(group, b"text")
                .map_err(|failure| failure.kind);
            let own = message.clone();
            let unsigned = message.map(|message| message[..message.len() - 64].to_vec());
            let after = member.sender_key(&address(0), group).unwrap();
            // A message of its own, which it has gone past by now.
            let again = own.map(|own| {
                member
                    .decrypt(&address(0), &own)
                    .map_err(|failure| failure.kind)
            });
            (key, unsigned, after, again)
        });
        let [theirs, ours @ ..] = outcomes;
        for ours in ours {
            assert_eq!(ours, theirs, "record {number}");
        }
    }
}
