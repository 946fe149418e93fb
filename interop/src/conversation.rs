//! Two parties and what passes between them: the vocabulary in which scenarios are written.
//!
//! Every step states what must come of it. A refusal must, besides, leave the refusing party exactly as it was.

use std::fmt;

use thiserror::Error;

use crate::{
    Address, BundleRequest, Envelope, Failure, FailureKind, Header, Implementation, Party,
    PartyState,
};

/// When conversations begin, in milliseconds since 1970.
pub const START: u64 = 1_750_000_000_250;

const REGISTRATION_IDS: [u32; 2] = [0x1234, 0x3fff];

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that usually begins.
    Left,
    /// The other.
    Right,
}

impl Side {
    /// Both ends.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The opposite end.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// How the two ends are called, which switches parts of the protocol on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Both are account service ids, so that addresses are bound into pre-key messages.
    Aci,
    /// The left writes to a phone-number service id.
    Pni,
    /// Neither is a service id, and nothing is bound.
    Plain,
    /// Two devices of one account with one identity, where jumps have no limit.
    OwnDevices,
}

impl Names {
    fn addresses(self) -> [Address; 2] {
        const LEFT: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
        const RIGHT: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";
        match self {
            Self::Aci => [Address::new(LEFT, 1), Address::new(RIGHT, 127)],
            Self::Pni => [
                Address::new(LEFT, 2),
                Address::new(format!("PNI:{RIGHT}"), 1),
            ],
            Self::Plain => [
                Address::new("+14155550100", 1),
                Address::new("ж.example.org", 3),
            ],
            Self::OwnDevices => [Address::new(LEFT, 1), Address::new(LEFT, 2)],
        }
    }
}

/// A conversation between two implementations.
pub struct Conversation<'a> {
    cast: [&'a dyn Implementation; 2],
    parties: [Box<dyn Party>; 2],
    sent: u64,
    now: u64,
}

/// A message under way, with what must come out of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who sent it.
    pub from: Side,
    /// Its number in the conversation, from 1, for reports.
    pub number: u64,
    /// What it says.
    pub plaintext: Vec<u8>,
    /// What is on the wire.
    pub envelope: Envelope,
}

impl Sent {
    /// The open part of the message.
    pub fn header(&self) -> Result<Header, Broken> {
        let header = self.envelope.header();
        header.ok_or_else(|| Broken::new(format!("{self}: no readable header")))
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "message {} from the {:?} (type {})",
            self.number, self.from, self.envelope.kind
        )
    }
}

/// What an implementation makes of a message: its plaintext, or the kind of refusal.
pub type Opinion = Result<Vec<u8>, FailureKind>;

/// A step went otherwise than it must.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    /// A report in these words.
    pub fn new(report: impl Into<String>) -> Self {
        Self(report.into())
    }

    fn failed(what: impl fmt::Display, failure: &Failure) -> Self {
        Self(format!("{what}: {failure}"))
    }
}

/// Fails with `report` unless `condition` holds.
pub(crate) fn ensure(condition: bool, report: impl FnOnce() -> String) -> Result<(), Broken> {
    if condition {
        Ok(())
    } else {
        Err(Broken(report()))
    }
}

impl<'a> Conversation<'a> {
    /// Two new parties that do not know each other, the left made by the first of `cast`, the right by the second.
    pub fn between(cast: [&'a dyn Implementation; 2], names: Names) -> Result<Self, Broken> {
        let addresses = names.addresses();
        let create = |side: Side, identity: Option<&[u8]>| {
            let index = side.index();
            cast[index]
                .create(&addresses[index], REGISTRATION_IDS[index], identity)
                .map_err(|failure| Broken::failed(format!("making the {side:?}"), &failure))
        };
        let mut left = create(Side::Left, None)?;
        let shared = match names {
            Names::OwnDevices => Some(left.state().map_err(|f| Broken::failed("its state", &f))?),
            _ => None,
        };
        let right = create(
            Side::Right,
            shared.as_ref().map(|state| &*state.identity_key_pair),
        )?;
        Ok(Self {
            cast,
            parties: [left, right],
            sent: 0,
            now: START,
        })
    }

    /// Starts a session from the one side with a bundle of the other.
    pub fn start(&mut self, from: Side, request: BundleRequest) -> Result<(), Broken> {
        let now = self.now;
        let bundle = self.try_at(from.other(), "bundle", |party, _| {
            party.bundle(request, now)
        })?;
        self.try_at(from, "process bundle", |party, remote| {
            party.process_bundle(remote, &bundle, now)
        })
    }

    /// Sends the next message. Its text follows from its number; lengths run from zero past several cipher blocks.
    pub fn send(&mut self, from: Side) -> Result<Sent, Broken> {
        self.sent += 1;
        let (number, now) = (self.sent, self.now);
        let plaintext = text(number);
        let envelope = self.try_at(from, "encrypt", |party, remote| {
            party.encrypt(remote, &plaintext, now)
        })?;
        Ok(Sent {
            from,
            number,
            plaintext,
            envelope,
        })
    }

    /// Delivers a message, which must be read as it was written.
    pub fn deliver(&mut self, sent: &Sent) -> Result<(), Broken> {
        let read = self.try_at(sent.from.other(), sent, |party, remote| {
            party.decrypt(remote, &sent.envelope)
        })?;
        ensure(read == sent.plaintext, || {
            format!("{sent}: the plaintext differs")
        })
    }

    /// Sends a message and delivers it at once.
    pub fn exchange(&mut self, from: Side) -> Result<Sent, Broken> {
        let sent = self.send(from)?;
        self.deliver(&sent)?;
        Ok(sent)
    }

    /// Delivers a message that must be refused as `kind`, without any trace in the state of the refusing party.
    pub fn refuse(&mut self, sent: &Sent, kind: FailureKind) -> Result<(), Broken> {
        self.refuse_envelope(sent, &sent.envelope, &[kind])
    }

    /// Delivers an `envelope` made from a message; it must be refused as one of `kinds`, without any trace.
    pub fn refuse_envelope(
        &mut self,
        sent: &Sent,
        envelope: &Envelope,
        kinds: &[FailureKind],
    ) -> Result<(), Broken> {
        let side = sent.from.other();
        self.refused_at(side, sent, kinds, |party, remote| {
            party.decrypt(remote, envelope).map(drop)
        })
    }

    /// Does something at one side that must be refused as one of `kinds`, without any trace.
    pub fn refused_at(
        &mut self,
        side: Side,
        what: impl fmt::Display,
        kinds: &[FailureKind],
        act: impl FnOnce(&mut dyn Party, &Address) -> Result<(), Failure>,
    ) -> Result<(), Broken> {
        let before = self.state(side)?;
        match self.at(side, act) {
            Ok(()) => return Err(Broken(format!("{what}: accepted, not {kinds:?}"))),
            Err(failure) => ensure(kinds.contains(&failure.kind), || {
                format!("{what}: {failure}, not {kinds:?}")
            })?,
        }
        ensure(self.state(side)? == before, || {
            format!("{what}: refused, but the state changed")
        })
    }

    /// Does something at one side that must succeed.
    pub fn try_at<T>(
        &mut self,
        side: Side,
        what: impl fmt::Display,
        act: impl FnOnce(&mut dyn Party, &Address) -> Result<T, Failure>,
    ) -> Result<T, Broken> {
        self.at(side, act)
            .map_err(|failure| Broken::failed(format!("{what} (at the {side:?})"), &failure))
    }

    /// Whether one side can send.
    pub fn can_send(&mut self, side: Side) -> Result<bool, Broken> {
        let now = self.now;
        self.try_at(side, "usable sender chain", |party, remote| {
            party.has_usable_sender_chain(remote, now)
        })
    }

    /// Everything that one side has.
    pub fn state(&mut self, side: Side) -> Result<PartyState, Broken> {
        self.try_at(side, "state", |party, _| party.state())
    }

    /// Puts a party with the state of `side`, changed by `change`, in its place. It is made by the implementation of `by`.
    pub fn replace(
        &mut self,
        side: Side,
        by: Side,
        change: impl FnOnce(&mut PartyState),
    ) -> Result<(), Broken> {
        let mut state = self.state(side)?;
        change(&mut state);
        let restored = self.cast[by.index()].restore(&state);
        self.parties[side.index()] = restored
            .map_err(|failure| Broken::failed(format!("restoring the {side:?}"), &failure))?;
        Ok(())
    }

    /// Moves one side to the implementation of `to`. Its state must come through byte for byte.
    pub fn hand_over(&mut self, side: Side, to: Side) -> Result<(), Broken> {
        let before = self.state(side)?;
        self.replace(side, to, |_| ())?;
        ensure(self.state(side)? == before, || {
            let name = self.cast[to.index()].name();
            format!("handing over the {side:?} to {name} changed its state")
        })
    }

    /// What each of the two implementations makes of a message from `from`, given to the other side as it stands now. The
    /// side itself does not see it.
    pub fn opinions(&mut self, from: Side, envelope: &Envelope) -> Result<[Opinion; 2], Broken> {
        let state = self.state(from.other())?;
        let remote = self.parties[from.index()].address().clone();
        let opinion_of = |implementation: &dyn Implementation| {
            let mut party = implementation
                .restore(&state)
                .map_err(|failure| Broken::failed("asking for an opinion", &failure))?;
            let read = party.decrypt(&remote, envelope);
            Ok(read.map_err(|failure| failure.kind))
        };
        let [left, right] = self.cast;
        Ok([opinion_of(left)?, opinion_of(right)?])
    }

    /// How many messages have been sent.
    pub fn count(&self) -> u64 {
        self.sent
    }

    /// The state of a party that neither side has met, made by the implementation of `by`.
    pub fn third(&self, by: Side) -> Result<PartyState, Broken> {
        let address = Address::new("third", 1);
        let made = self.cast[by.index()].create(&address, 1, None);
        made.and_then(|mut party| party.state())
            .map_err(|failure| Broken::failed("making a third", &failure))
    }

    /// Lets time pass.
    pub fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
    }

    fn at<T>(
        &mut self,
        side: Side,
        act: impl FnOnce(&mut dyn Party, &Address) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let remote = self.parties[side.other().index()].address().clone();
        act(self.parties[side.index()].as_mut(), &remote)
    }
}

/// The text of message `number`.
fn text(number: u64) -> Vec<u8> {
    let length = number * 7 % 53;
    let mut text = format!("message {number} ").into_bytes();
    text.resize(length as usize, b'.');
    text
}
