//! The key chain (sheet 05, section 4): a key for every message, re-seeded by every epoch.
//!
//! A chain holds a link for each of the last few epochs, and a link a ratchet for each direction.
//! Sending moves forward only; receiving reaches back to the epoch before the one sent in. So
//! there are one to three links: the epoch sent in, the one before it, and the one after it once
//! its secret is known. A step works on a copy of the chain, which is thrown away if it fails.

use std::sync::Arc;

use super::{
    ChainParams, Direction, Error, kdf,
    secret::{MessageKey, Secret},
    skipped::SkippedKeys,
};

/// The longest jump that is ever worked off, whatever the parameters allow: a session with oneself
/// has no limit, and one message could otherwise cost hours. A jump of this length costs less than
/// a second, and no conversation comes near it.
const LONGEST_JUMP: u32 = 1 << 20;

/// One party's key chain. `Clone` for the copy on which a step works.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) direction: Direction,
    pub(super) params: ChainParams,
    pub(super) current_epoch: u64,
    pub(super) send_epoch: u64,
    /// Shared, so that a copy of the chain leaves none of it behind.
    pub(super) next_root: Arc<Secret<32>>,
    /// Oldest first; the last one is that of the current epoch.
    pub(super) links: Vec<Link>,
}

/// The keys of one epoch.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) send: Ratchet,
    pub(super) recv: Ratchet,
}

/// The keys of one direction in one epoch.
#[derive(Clone)]
pub(super) struct Ratchet {
    /// Index of the last key that was made; the first key has index 1.
    pub(super) counter: u32,
    /// What the next key is made of. None once the epoch is no longer sent in.
    pub(super) next: Option<Secret<32>>,
    /// Keys that were passed over.
    pub(super) skipped: SkippedKeys,
}

impl Chain {
    /// Starts at epoch 0 with the handshake's key.
    pub(super) fn new(direction: Direction, auth_key: &Secret<32>, params: ChainParams) -> Self {
        let [next_root, alice, bob] = kdf::chain_start(auth_key);
        Self {
            direction,
            params,
            current_epoch: 0,
            send_epoch: 0,
            next_root: Arc::new(next_root),
            links: vec![link(direction, alice, bob)],
        }
    }

    /// Goes on to the next epoch with its secret.
    pub(super) fn add_epoch(&mut self, epoch: u64, secret: &Secret<32>) -> Result<(), Error> {
        if self.current_epoch.checked_add(1) != Some(epoch) {
            return Err(Error::StateDecode("an epoch's secret came out of turn"));
        }
        let [next_root, alice, bob] = kdf::chain_add_epoch(&self.next_root, secret);
        self.current_epoch = epoch;
        self.next_root = Arc::new(next_root);
        // Copied: growing in place would leave the old links behind.
        let mut links = Vec::with_capacity(self.links.len() + 1);
        links.extend_from_slice(&self.links);
        links.push(link(self.direction, alice, bob));
        self.links = links;
        Ok(())
    }

    /// The next key for sending in `epoch`, and its index. What is no longer needed once this
    /// epoch is sent in is forgotten.
    pub(super) fn send_key(&mut self, epoch: u64) -> Result<(u32, MessageKey), Error> {
        if epoch < self.send_epoch {
            return Err(Error::SendKeyEpochDecreased {
                current: self.send_epoch,
                requested: epoch,
            });
        }
        let mut place = self.place(epoch)?;
        if epoch != self.send_epoch {
            self.send_epoch = epoch;
            // Copied: moving them up would leave the last one behind.
            self.links = self.links[place.saturating_sub(1)..].to_vec();
            place = place.min(1);
            for older in &mut self.links[..place] {
                older.send.next = None;
            }
        }
        let ratchet = &mut self.links[place].send;
        let key = ratchet.step()?;
        Ok((ratchet.counter, MessageKey::new(key)))
    }

    /// The key at index `at` with which the peer sent in `epoch`. It is given once.
    pub(super) fn receive_key(&mut self, epoch: u64, at: u32) -> Result<MessageKey, Error> {
        let place = self.place(epoch)?;
        let key = self.links[place].recv.key_at(at, self.params)?;
        Ok(MessageKey::new(key))
    }

    /// Where the link of `epoch` is.
    fn place(&self, epoch: u64) -> Result<usize, Error> {
        self.current_epoch
            .checked_sub(epoch)
            .and_then(|age| usize::try_from(age).ok())
            .and_then(|age| self.links.len().checked_sub(age.checked_add(1)?))
            .ok_or(Error::EpochOutOfRange(epoch))
    }
}

impl Ratchet {
    fn new(seed: Secret<32>) -> Self {
        Self {
            counter: 0,
            next: Some(seed),
            skipped: SkippedKeys::default(),
        }
    }

    /// The key at index `at`, if it is neither used, nor forgotten, nor too far ahead.
    fn key_at(&mut self, at: u32, params: ChainParams) -> Result<Secret<32>, Error> {
        if at <= self.counter {
            return self.key_passed_over(at, params.max_out_of_order_keys());
        }
        if at - self.counter > params.max_jump().min(LONGEST_JUMP) {
            return Err(Error::KeyJump {
                counter: self.counter,
                at,
            });
        }
        self.pass_over(at, params.max_out_of_order_keys())?;
        self.step()
    }

    /// A key that is not ahead of the ratchet.
    fn key_passed_over(&mut self, at: u32, kept: u32) -> Result<Secret<32>, Error> {
        if at == self.counter {
            return Err(Error::KeyAlreadyRequested(at));
        }
        if self.counter - at > kept {
            return Err(Error::KeyTrimmed(at));
        }
        self.skipped.take(at).ok_or(Error::KeyAlreadyRequested(at))
    }

    /// Advances to just before `at`, which is ahead, and keeps the last `kept` keys on the way.
    fn pass_over(&mut self, at: u32, kept: u32) -> Result<(), Error> {
        let first_kept = at.saturating_sub(kept);
        if self.counter < first_kept {
            self.skipped.clear();
        }
        while self.counter + 1 < at {
            if self.counter + 1 < first_kept {
                self.skip()?;
            } else {
                let key = self.step()?;
                self.skipped.push(self.counter, key.as_bytes());
            }
        }
        // A tenth more than are wanted may gather before the oldest ones are sought out.
        if self.skipped.len() as u64 > u64::from(kept) * 11 / 10 {
            self.skipped.drop_below(self.counter.saturating_sub(kept));
        }
        Ok(())
    }

    /// Advances by one and returns the key there.
    fn step(&mut self) -> Result<Secret<32>, Error> {
        let (counter, next) = self.following()?;
        let [next, key] = kdf::chain_next(next, counter);
        self.counter = counter;
        self.next = Some(next);
        Ok(key)
    }

    /// Advances by one without making the key there.
    fn skip(&mut self) -> Result<(), Error> {
        let (counter, next) = self.following()?;
        let next = kdf::chain_skip(next, counter);
        self.counter = counter;
        self.next = Some(next);
        Ok(())
    }

    /// The next index and what its key is made of.
    fn following(&self) -> Result<(u32, &Secret<32>), Error> {
        let counter = self.counter.checked_add(1);
        counter
            .zip(self.next.as_ref())
            .ok_or(Error::StateDecode("a chain has come to its end"))
    }
}

/// The link whose two directions are seeded by `alice` and `bob`.
fn link(direction: Direction, alice: Secret<32>, bob: Secret<32>) -> Link {
    let (send, recv) = match direction {
        Direction::AliceToBob => (alice, bob),
        Direction::BobToAlice => (bob, alice),
    };
    Link {
        send: Ratchet::new(send),
        recv: Ratchet::new(recv),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn chain(direction: Direction, max_jump: u32, kept: u32) -> Chain {
        let params = ChainParams::new(max_jump, kept);
        Chain::new(direction, &Secret::from([41; 32]), params)
    }

    fn pair(max_jump: u32, kept: u32) -> (Chain, Chain) {
        (
            chain(Direction::AliceToBob, max_jump, kept),
            chain(Direction::BobToAlice, max_jump, kept),
        )
    }

    /// Indices of the keys that the receiving ratchet of the newest link keeps.
    fn skipped(chain: &Chain) -> Vec<u32> {
        let mut indices = Vec::new();
        let link = chain.links.last().unwrap();
        link.recv.skipped.for_each(|index, _| indices.push(index));
        indices
    }

    #[test]
    fn a_key_is_given_once() {
        let (_, mut bob) = pair(100, 10);
        bob.receive_key(0, 3).unwrap();
        let used = Err(Error::KeyAlreadyRequested(3));
        assert_eq!(bob.receive_key(0, 3).map(drop), used);
        bob.receive_key(0, 1).unwrap();
        let used = Err(Error::KeyAlreadyRequested(1));
        assert_eq!(bob.receive_key(0, 1).map(drop), used);
        let none = Err(Error::KeyAlreadyRequested(0));
        assert_eq!(
            chain(Direction::BobToAlice, 9, 9)
                .receive_key(0, 0)
                .map(drop),
            none
        );
    }

    #[test]
    fn a_jump_has_its_limit() {
        let (_, mut bob) = pair(25_000, 2_000);
        let too_far = Err(Error::KeyJump {
            counter: 0,
            at: 25_001,
        });
        assert_eq!(bob.receive_key(0, 25_001).map(drop), too_far);
        bob.receive_key(0, 25_000).unwrap();
        assert_eq!(skipped(&bob), (23_000..25_000).collect::<Vec<_>>());
    }

    #[test]
    fn an_unlimited_jump_is_bounded_all_the_same() {
        let mut own = chain(Direction::BobToAlice, u32::MAX, 2_000);
        for at in [u32::MAX, LONGEST_JUMP + 1] {
            let too_far = Err(Error::KeyJump { counter: 0, at });
            assert_eq!(own.receive_key(0, at).map(drop), too_far);
        }
        own.receive_key(0, 30_000).unwrap();
    }

    #[test]
    fn keys_too_old_to_be_kept_are_told_from_used_ones() {
        let (_, mut bob) = pair(1_000, 10);
        bob.receive_key(0, 100).unwrap();
        assert_eq!(skipped(&bob), (90..100).collect::<Vec<_>>());
        let trimmed = Err(Error::KeyTrimmed(89));
        assert_eq!(bob.receive_key(0, 89).map(drop), trimmed);
        bob.receive_key(0, 90).unwrap();
        let used = Err(Error::KeyAlreadyRequested(90));
        assert_eq!(bob.receive_key(0, 90).map(drop), used);
    }

    #[test]
    fn old_keys_are_sought_out_when_a_tenth_too_many_have_gathered() {
        let (_, mut bob) = pair(1_000, 10);
        // Two keys are kept of every three.
        for at in [3, 6, 9, 12, 15] {
            bob.receive_key(0, at).unwrap();
        }
        assert_eq!(skipped(&bob), [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]);
        // 12 keys are more than 11: those below 17 - 10 go, and the last take their places.
        bob.receive_key(0, 18).unwrap();
        assert_eq!(skipped(&bob), [17, 16, 14, 13, 7, 8, 10, 11]);
    }

    #[test]
    fn a_jump_over_everything_kept_clears_it() {
        let (_, mut bob) = pair(1_000, 10);
        bob.receive_key(0, 5).unwrap();
        bob.receive_key(0, 15).unwrap();
        assert_eq!(
            skipped(&bob).len(),
            13 - 3,
            "1 to 4 are below 14 - 10, all but the last"
        );
        bob.receive_key(0, 26).unwrap();
        assert_eq!(skipped(&bob), (16..26).collect::<Vec<_>>());
    }

    #[test]
    fn epochs_come_in_order_and_go_when_two_are_newer() {
        let (mut alice, mut bob) = pair(100, 10);
        let out_of_range = |epoch| Err(Error::EpochOutOfRange(epoch));
        let (_, first) = alice.send_key(0).unwrap();
        for epoch in 1..=3 {
            assert_eq!(bob.receive_key(epoch, 1).map(drop), out_of_range(epoch));
            assert_eq!(alice.send_key(epoch).map(drop), out_of_range(epoch));
            let secret = Secret::from([epoch as u8; 32]);
            alice.add_epoch(epoch, &secret).unwrap();
            bob.add_epoch(epoch, &secret).unwrap();
            assert!(alice.add_epoch(epoch, &secret).is_err());
            assert!(alice.add_epoch(epoch + 2, &secret).is_err());
            // Still in the old epoch: all links stay.
            let (index, sent) = alice.send_key(epoch - 1).unwrap();
            let received = bob.receive_key(epoch - 1, index).unwrap();
            assert_eq!(sent.as_bytes(), received.as_bytes());
            assert!(alice.links.len() <= 3);
            let (index, sent) = alice.send_key(epoch).unwrap();
            assert_eq!(index, 1);
            let received = bob.receive_key(epoch, index).unwrap();
            assert_eq!(sent.as_bytes(), received.as_bytes());
            assert_eq!(alice.links.len(), 2);
            let decreased = Err(Error::SendKeyEpochDecreased {
                current: epoch,
                requested: epoch - 1,
            });
            assert_eq!(alice.send_key(epoch - 1).map(drop), decreased);
        }
        assert_eq!(alice.receive_key(1, 1).map(drop), out_of_range(1));
        // Receiving alone drops nothing.
        assert_eq!(bob.receive_key(0, 1).unwrap().as_bytes(), first.as_bytes());
    }

    #[test]
    fn a_chain_ends_with_its_last_index() {
        let (mut alice, _) = pair(100, 10);
        alice.links[0].send.counter = u32::MAX - 1;
        assert_eq!(alice.send_key(0).unwrap().0, u32::MAX);
        assert!(matches!(alice.send_key(0), Err(Error::StateDecode(_))));
    }
}
