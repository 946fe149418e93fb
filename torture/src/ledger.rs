//! What the application knew at a moment: every promise that the account had made to it by then.

use std::collections::{BTreeMap, HashSet};

use sprag::protocol::identity::IdentityKey;
use sprag::{Envelope, IdentityPolicy, IdentityTrust, InboxId, OutboxId, PreKeyBundle};

use crate::order::Order;
use crate::vault::{Change, RecordedVault};

/// How many peers there are.
pub const PEERS: usize = 2;

/// Something that the application got to know, or set out to do.
#[derive(Debug, Clone)]
pub enum Mark {
    /// The account was made.
    Created(IdentityKey),
    /// A session with this peer is about to be started.
    Starting(usize),
    /// It is.
    Started(usize),
    /// The session with this peer is about to be put aside.
    Archiving(usize),
    /// It is.
    Archived(usize),
    /// All sessions with this peer are about to be forgotten.
    Deleting(usize),
    /// They are.
    Deleted(usize),
    /// Another sender key is about to be made.
    Renewing,
    /// The first peer got the account's sender key, of this chain.
    Distributed(u32),
    /// The account took the first peer's sender key.
    Joined,
    /// The user is about to vouch for an identity.
    Vouching(Vouched),
    /// It is done.
    Vouched,
    /// This is about to be asked of identities before something is sent.
    Deciding(IdentityPolicy),
    /// It is.
    Decided,
    /// A bundle was handed out, or published.
    Bundle(Box<PreKeyBundle>),
    /// This is about to be sent.
    Sending(Order),
    /// After a failure it was found that this text was not sent.
    NotSent(String),
    /// An envelope was returned, or found in the outbox.
    Released(usize, Envelope),
    /// The peer read it.
    Read(usize, OutboxId, String),
    /// An envelope is about to be acknowledged.
    Acknowledging(OutboxId),
    /// It is, with the next commit.
    Acknowledged(OutboxId),
    /// An envelope of this peer is about to be received.
    Handing(usize, Envelope, String),
    /// The plaintext of the letter of this number was returned.
    Delivered(usize, InboxId),
    /// A plaintext is about to be acknowledged.
    Finishing(InboxId),
    /// It is, with the next commit.
    Finished(InboxId),
    /// The store was closed. If that failed, or nobody waited for it, what was acknowledged last may be back.
    Closed(bool),
    /// The life of this peer has come so far.
    Peer(usize, usize),
    /// The vault was asked for a change.
    Keeping(Change),
    /// It is done.
    Kept,
}

/// What was acknowledged.
#[derive(Debug)]
enum Gone {
    Envelope(OutboxId),
    Plaintext(InboxId),
}

/// All marks up to a moment, added up.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The account's identity, if it was made.
    pub created: Option<IdentityKey>,
    /// The session with each peer.
    pub sessions: [Session; PEERS],
    /// The chain of the account's sender key that the first peer has.
    pub sender_key: Option<u32>,
    /// Whether it may be another one meanwhile.
    pub renewing: bool,
    /// Whether the account has the first peer's.
    pub joined: bool,
    /// What the user has vouched for, and what it was about to.
    pub vouched: Option<Vouched>,
    /// See there.
    pub vouching: Option<Vouched>,
    /// What is asked of identities before something is sent, and what was about to be.
    pub policy: IdentityPolicy,
    /// See there.
    pub deciding: Option<IdentityPolicy>,
    /// The last bundle that was handed out; nobody has used it.
    pub bundle: Option<Box<PreKeyBundle>>,
    /// What became of the texts that were to be sent.
    pub texts: BTreeMap<String, Text>,
    /// Every envelope that the application has seen, and whose it is.
    pub released: BTreeMap<OutboxId, (usize, Envelope)>,
    /// Those that its peer has read.
    pub read: HashSet<OutboxId>,
    /// Which peer has read which text.
    pub readings: HashSet<(usize, String)>,
    /// Those that may have left the outbox, and those that have.
    pub acknowledging: HashSet<OutboxId>,
    /// See there.
    pub acknowledged: HashSet<OutboxId>,
    /// What was acknowledged since the last operation began, and before that. It is durable, and counts, when an
    /// operation that began later has answered, or the store was closed.
    answered: Vec<Gone>,
    riding: Vec<Gone>,
    /// What came from the peers.
    pub letters: Vec<Letter>,
    /// How far each peer's life has come.
    pub moments: [usize; PEERS],
    /// What the vault has done, and what it was asked for.
    kept: Vec<Change>,
    keeping: Option<Change>,
}

/// A session of the account with a peer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// There may be one already, or not.
    #[default]
    None,
    /// There is one.
    Current,
    /// There was one, and it may have been put aside or be replaced.
    Unsure,
    /// It was put aside: nothing may be sent in it.
    Archived,
    /// It was forgotten, and so is everything that was received in it.
    Deleted,
}

/// What the user says about the identity of an acquaintance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouched {
    /// The identity.
    pub key: IdentityKey,
    /// How far it is trusted then.
    pub trust: IdentityTrust,
}

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// How it was to be sent: all that it says is done, or nothing.
    pub order: Order,
    /// Whether it was found not to be encrypted; this must not change.
    pub not_sent: bool,
}

/// A message of a peer to the account.
#[derive(Debug)]
pub struct Letter {
    /// Which peer.
    pub peer: usize,
    /// What travelled.
    pub envelope: Envelope,
    /// What it says.
    pub text: String,
    /// Its id, once it was delivered.
    pub id: Option<InboxId>,
    /// Whether it may have left the inbox.
    pub finishing: bool,
    /// Whether it has.
    pub finished: bool,
    /// Whether what is known of the session that it came in may be forgotten.
    pub forgotten: bool,
}

impl Ledger {
    /// What was known after these marks.
    pub fn of(marks: &[Mark]) -> Self {
        let mut ledger = Self::default();
        for mark in marks {
            ledger.add(mark.clone());
        }
        ledger
    }

    fn add(&mut self, mark: Mark) {
        match &mark {
            Mark::Sending(..) | Mark::Handing(..) => self.riding.append(&mut self.answered),
            Mark::Released(..) | Mark::Delivered(..) => self.arrive(),
            Mark::Closed(kept) => {
                self.riding.append(&mut self.answered);
                if *kept {
                    self.arrive();
                }
                self.riding.clear();
            }
            _ => {}
        }
        match mark {
            Mark::Created(identity) => self.created = Some(identity),
            Mark::Starting(peer) => match self.sessions[peer] {
                Session::None | Session::Current => {}
                _ => self.sessions[peer] = Session::Unsure,
            },
            Mark::Started(peer) => self.sessions[peer] = Session::Current,
            Mark::Archiving(peer) => self.sessions[peer] = Session::Unsure,
            Mark::Archived(peer) => self.sessions[peer] = Session::Archived,
            Mark::Deleting(peer) => {
                self.sessions[peer] = Session::Unsure;
                let letters = self.letters.iter_mut();
                letters
                    .filter(|letter| letter.peer == peer)
                    .for_each(|letter| letter.forgotten = true);
            }
            Mark::Deleted(peer) => self.sessions[peer] = Session::Deleted,
            Mark::Renewing => self.renewing = true,
            Mark::Distributed(chain) => {
                (self.sender_key, self.renewing) = (Some(chain), false);
            }
            Mark::Joined => self.joined = true,
            Mark::Vouching(vouched) => self.vouching = Some(vouched),
            Mark::Vouched => self.vouched = self.vouching.take(),
            Mark::Deciding(policy) => self.deciding = Some(policy),
            Mark::Decided => self.policy = self.deciding.take().unwrap_or_default(),
            Mark::Bundle(bundle) => self.bundle = Some(bundle),
            Mark::Sending(order) => {
                let (text, not_sent) = (order.text.clone(), false);
                self.texts.insert(text, Text { order, not_sent });
            }
            Mark::NotSent(text) => {
                let text = self.texts.get_mut(&text).expect("it was to be sent");
                text.not_sent = true;
            }
            Mark::Released(peer, envelope) => {
                self.released.insert(envelope.id, (peer, envelope));
            }
            Mark::Read(peer, id, text) => {
                self.read.insert(id);
                self.readings.insert((peer, text));
            }
            Mark::Acknowledging(id) => drop(self.acknowledging.insert(id)),
            Mark::Acknowledged(id) => self.answered.push(Gone::Envelope(id)),
            Mark::Handing(peer, envelope, text) => self.letters.push(Letter {
                peer,
                envelope,
                text,
                id: None,
                finishing: false,
                finished: false,
                forgotten: false,
            }),
            Mark::Delivered(letter, id) => self.letters[letter].id = Some(id),
            Mark::Finishing(id) => self.letter(id).finishing = true,
            Mark::Finished(id) => self.answered.push(Gone::Plaintext(id)),
            Mark::Closed(_) => {}
            Mark::Peer(peer, moment) => self.moments[peer] = moment,
            Mark::Keeping(change) => self.keeping = Some(change),
            Mark::Kept => self.kept.extend(self.keeping.take()),
        }
    }

    /// What the vault may be: with all that it has done, and with or without what it was asked for.
    pub async fn vaults(&self) -> Vec<RecordedVault> {
        let mut vaults = vec![RecordedVault::after(&self.kept).await];
        if self.keeping.is_some() {
            let all = self.kept.iter().chain(&self.keeping);
            vaults.push(RecordedVault::after(all).await);
        }
        vaults
    }

    /// What was acknowledged before an operation began is durable with that.
    fn arrive(&mut self) {
        for gone in std::mem::take(&mut self.riding) {
            match gone {
                Gone::Envelope(id) => drop(self.acknowledged.insert(id)),
                Gone::Plaintext(id) => self.letter(id).finished = true,
            }
        }
    }

    fn letter(&mut self, id: InboxId) -> &mut Letter {
        let mut letters = self.letters.iter_mut();
        let letter = letters.find(|letter| letter.id == Some(id));
        letter.expect("delivered before it is acknowledged")
    }
}
