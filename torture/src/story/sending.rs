//! From the account to its peers.

use rand::RngExt;
use sprag::{Envelope, Error, OutboxId, Recipient};

use super::{NAME, PEER, Teller};
use crate::ledger::{Mark, PEERS};
use crate::peer::{MEMBER, Peer, address};
use crate::post::{self, Way};

/// Whom a text goes to.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// One peer, in some way.
    Peer(usize, Way),
    /// All of them, which are devices of one name, in one commit.
    All,
}

impl To {
    /// How many read it.
    pub(super) fn readers(self) -> usize {
        match self {
            Self::Peer(..) => 1,
            Self::All => PEERS,
        }
    }
}

impl Teller {
    pub(super) async fn write_to(&mut self, to: To) {
        let text = self.text();
        self.mark(Mark::Sending(text.clone(), to.readers()));
        loop {
            let sent = self.send(to, &text).await;
            let Some(ids) = self.tolerate(sent).await else {
                if self.look_for(&text, to).await {
                    return;
                }
                continue;
            };
            for id in ids {
                self.acknowledge(id).await;
            }
            return;
        }
    }

    pub(super) async fn send(&self, to: To, text: &str) -> Result<Vec<OutboxId>, Error> {
        let envelopes = match to {
            To::All => self.account().send_to_all(PEER, text).await?,
            To::Peer(peer, way) => {
                let device = self.peers[peer].account.address();
                vec![post::write(self.account(), device, way, text).await?]
            }
        };
        for envelope in &envelopes {
            self.mark(Mark::Released(self.reader_of(envelope), envelope.clone()));
        }
        for envelope in &envelopes {
            self.read(self.reader_of(envelope), envelope).await;
        }
        Ok(envelopes.iter().map(|envelope| envelope.id).collect())
    }

    /// After a failure, looks whether a text was sent, and sends it until it was.
    pub(super) async fn make_sure(&mut self, to: To, text: &str, mut sent: bool) {
        while !sent && !self.look_for(text, to).await {
            let again = self.send(to, text).await;
            sent = self.tolerate(again).await.is_some();
        }
    }

    /// After a failure, sends what waits in the outbox, and answers whether the text was among it.
    pub(super) async fn look_for(&mut self, text: &str, to: To) -> bool {
        let mut found = 0;
        let waiting = loop {
            let waiting = self.account().outbox_pending().await;
            if let Some(waiting) = self.tolerate(waiting).await {
                break waiting;
            }
        };
        for envelope in &waiting {
            let peer = self.reader_of(envelope);
            if !self.was_read(envelope.id) {
                self.mark(Mark::Released(peer, envelope.clone()));
                self.read(peer, envelope).await;
                found += usize::from(self.last_read().as_deref() == Some(text));
            }
        }
        // Only then, since this writes: what is found must be durable before.
        for envelope in waiting {
            self.acknowledge(envelope.id).await;
        }
        assert!([0, to.readers()].contains(&found), "{text} went to some");
        if found == 0 {
            self.mark(Mark::NotSent(text.to_owned()));
            self.mark(Mark::Sending(text.to_owned(), to.readers()));
        }
        found > 0
    }

    /// The peer reads an envelope.
    async fn read(&self, peer: usize, envelope: &Envelope) {
        let (account, from) = (&self.peers[peer].account, address(NAME));
        let read = post::read(account, &from, envelope).await;
        let delivery = read.expect("every envelope can be read");
        account.done(delivery.id).await.unwrap();
        let text = String::from_utf8(delivery.plaintext.to_vec()).unwrap();
        self.mark(Mark::Read(peer, envelope.id, text));
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
    }

    fn reader_of(&self, envelope: &Envelope) -> usize {
        let mut peers = self.peers.iter();
        let device = |peer: &Peer| envelope.recipient == peer.account.address().into();
        match envelope.recipient {
            Recipient::Group(_) => MEMBER,
            _ => peers.position(device).expect("nobody else"),
        }
    }

    async fn acknowledge(&mut self, id: OutboxId) {
        // Some wait until later.
        if self.rng.random_ratio(1, 2) {
            return;
        }
        self.mark(Mark::Acknowledging(id));
        loop {
            let sent = self.account().sent(id).await;
            if self.tolerate(sent).await.is_some() {
                return self.mark(Mark::Acknowledged(id));
            }
        }
    }

    fn was_read(&self, id: OutboxId) -> bool {
        self.diary
            .marks()
            .iter()
            .any(|mark| matches!(mark, Mark::Read(_, read, _) if *read == id))
    }

    fn last_read(&self) -> Option<String> {
        let marks = self.diary.marks();
        marks.iter().rev().find_map(|mark| match mark {
            Mark::Read(_, _, text) => Some(text.clone()),
            _ => None,
        })
    }
}
