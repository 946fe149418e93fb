//! Long streams of messages, on good and on bad networks.

use std::collections::{HashSet, VecDeque};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::{
    Broken, BundleRequest, Conversation, FailureKind, Header, Sent, Side, conversation::ensure,
};

/// Strict alternation for 520 messages, which takes the post-quantum ratchet through several epochs.
pub fn alternating(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    let mut epoch = None;
    for _ in 0..260 {
        talk.exchange(Side::Left)?;
        epoch = talk.exchange(Side::Right)?.header()?.epoch;
    }
    ensure(epoch >= Some(6), || {
        format!("the post-quantum ratchet is only at epoch {epoch:?}")
    })
}

/// 200 messages one way before any answer, then 200 the other way, then again.
pub fn one_way(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    for from in [Side::Left, Side::Right, Side::Left] {
        for _ in 0..200 {
            talk.exchange(from)?;
        }
    }
    Ok(())
}

/// 200 messages that arrive in the opposite order.
pub fn backwards(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::BARE)?;
    for from in [Side::Left, Side::Right] {
        let messages: Vec<Sent> = (0..200)
            .map(|_| talk.send(from))
            .collect::<Result<_, _>>()?;
        for sent in messages.iter().rev() {
            talk.deliver(sent)?;
        }
    }
    Ok(())
}

/// Of 2003 messages only the last arrives at first. The keys of the 2000 before it are kept, older ones are dropped.
pub fn more_skipped_than_kept(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    let messages: Vec<Sent> = (0..2003)
        .map(|_| talk.send(Side::Left))
        .collect::<Result<_, _>>()?;
    let last = messages.len() - 1;
    talk.deliver(&messages[last])?;
    for dropped in &messages[..last - 2000] {
        talk.refuse(dropped, FailureKind::DuplicatedMessage)?;
    }
    for kept in [last - 2000, last - 1999, last - 1000, last - 1] {
        talk.deliver(&messages[kept])?;
        talk.refuse(&messages[kept], FailureKind::DuplicatedMessage)?;
    }
    talk.exchange(Side::Right)?;
    talk.deliver(&messages[last - 2])
}

/// Every message arrives twice, at once and again much later.
pub fn everything_twice(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    let mut rng = StdRng::seed_from_u64(11);
    let mut recent = VecDeque::new();
    for _ in 0..60 {
        let from = Side::BOTH[usize::from(rng.random_ratio(1, 2))];
        // The right cannot write before it has read something.
        let from = if recent.is_empty() { Side::Left } else { from };
        let sent = talk.exchange(from)?;
        talk.refuse(&sent, FailureKind::DuplicatedMessage)?;
        recent.push_back(sent);
        // Five turns back, the chain is still there.
        if recent.len() > 5
            && let Some(earlier) = recent.pop_front()
        {
            talk.refuse(&earlier, FailureKind::DuplicatedMessage)?;
        }
    }
    Ok(())
}

/// A network that loses, delays, reorders and repeats.
pub fn bad_network(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    const BURSTS: u64 = 160;
    let mut rng = StdRng::seed_from_u64(4711);
    let mut network = Network::default();
    talk.start(Side::Left, BundleRequest::FULL)?;
    network.readers[0].chains.push_back(Vec::new()); // the bundle's signed pre-key is the first chain
    for burst in 0..BURSTS {
        let from = Side::BOTH[usize::from(rng.random_ratio(1, 2))];
        if talk.can_send(from)? {
            for _ in 0..rng.random_range(1..=6) {
                let sent = talk.send(from)?;
                network.carry(sent, burst, &mut rng);
            }
        }
        network.arrive(talk, burst, &mut rng)?;
    }
    network.arrive(talk, u64::MAX, &mut rng)?;
    network.check_that_it_was_bad()
}

/// What is on the way, and what each side has seen so far.
#[derive(Default)]
struct Network {
    under_way: Vec<(u64, Sent)>,
    readers: [Reader; 2],
    read: u32,
    repeated: u32,
    too_late: u32,
}

impl Network {
    fn carry(&mut self, sent: Sent, now: u64, rng: &mut StdRng) {
        let mut copies = 1;
        if rng.random_ratio(15, 100) {
            copies = 0;
        } else if rng.random_ratio(10, 100) {
            copies = 2;
        }
        for _ in 0..copies {
            let delay = match rng.random_range(0..100) {
                0..70 => rng.random_range(0..3),
                _ => rng.random_range(3..40),
            };
            self.under_way.push((now + delay, sent.clone()));
        }
    }

    /// Delivers what is due, in any order.
    fn arrive(
        &mut self,
        talk: &mut Conversation<'_>,
        now: u64,
        rng: &mut StdRng,
    ) -> Result<(), Broken> {
        let mut due: Vec<Sent> = self
            .under_way
            .extract_if(.., |(at, _)| *at <= now)
            .map(|(_, sent)| sent)
            .collect();
        due.shuffle(rng);
        for sent in due {
            let reader = &mut self.readers[sent.from.other() as usize];
            match reader.expect(sent.header()?) {
                Expected::Read => {
                    self.read += 1;
                    talk.deliver(&sent)?;
                }
                Expected::Repeated => {
                    self.repeated += 1;
                    talk.refuse(&sent, FailureKind::DuplicatedMessage)?;
                }
                Expected::TooLate => {
                    self.too_late += 1;
                    talk.refuse(&sent, FailureKind::InvalidMessage)?;
                }
            }
        }
        Ok(())
    }

    /// The scenario proves nothing if its network was good.
    fn check_that_it_was_bad(&self) -> Result<(), Broken> {
        let Self {
            read,
            repeated,
            too_late,
            ..
        } = *self;
        ensure(read > 400 && repeated > 20 && too_late > 10, || {
            format!("{read} read, {repeated} repeated, {too_late} too late")
        })
    }
}

/// What a side can read: of each sender's chains the five newest, each message once.
#[derive(Default)]
struct Reader {
    chains: VecDeque<Vec<u8>>,
    gone: HashSet<Vec<u8>>,
    read: HashSet<(Vec<u8>, u32)>,
}

enum Expected {
    Read,
    Repeated,
    TooLate,
}

impl Reader {
    fn expect(&mut self, header: Header) -> Expected {
        let Header {
            ratchet_key,
            counter,
            ..
        } = header;
        if self.gone.contains(&ratchet_key) {
            return Expected::TooLate;
        }
        if !self.chains.contains(&ratchet_key) {
            self.chains.push_back(ratchet_key.clone());
            if self.chains.len() > 5 {
                self.gone.extend(self.chains.pop_front());
            }
        }
        if self.read.insert((ratchet_key, counter)) {
            Expected::Read
        } else {
            Expected::Repeated
        }
    }
}
