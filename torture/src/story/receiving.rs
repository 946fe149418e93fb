//! From the peers to the account.

use rand::RngExt;
use sprag::{Envelope, Error, InboxId};

use super::{NAME, Teller};
use crate::ledger::Mark;
use crate::order::To;
use crate::peer::address;
use crate::post::{self, Way};

impl Teller {
    pub(super) async fn write_from(&mut self, peer: usize, way: Way) {
        let (letter, envelope) = self.letter(peer, way).await;
        loop {
            let received = self.receive(letter, peer, &envelope).await;
            if let Some(id) = self.tolerate(received).await {
                return self.finish(id).await;
            }
        }
    }

    /// To one peer and from the other, in one group of commits.
    pub(super) async fn both_at_once(&mut self, peer: usize, way: Way) {
        let other = 1 - peer;
        let back = self.way_with(other);
        let (letter, envelope) = self.letter(other, back).await;
        let order = self.order(To::Peer(peer, way));
        let (sent, received) =
            tokio::join!(self.send(&order), self.receive(letter, other, &envelope));
        let sent = self.keep(&order, sent).await;
        // An error that both got has been dealt with.
        let mut received = match received {
            Err(_) if sent.is_none() => None,
            received => self.tolerate(received).await,
        };
        self.make_sure(&order, sent.is_some()).await;
        while received.is_none() {
            let again = self.receive(letter, other, &envelope).await;
            received = self.tolerate(again).await;
        }
    }

    /// The peer writes a letter, which is about to be handed over.
    async fn letter(&mut self, peer: usize, way: Way) -> (usize, Envelope) {
        let text = self.text();
        let account = &self.peers[peer].account;
        let envelope = post::write(account, &address(NAME), way, &text).await;
        let envelope = envelope.expect("the peers have sessions");
        account.sent(envelope.id).await.unwrap();
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
        self.mark(Mark::Handing(peer, envelope.clone(), text));
        let mut letters = self.letters.lock().unwrap();
        *letters += 1;
        (*letters - 1, envelope)
    }

    async fn receive(
        &self,
        letter: usize,
        peer: usize,
        envelope: &Envelope,
    ) -> Result<InboxId, Error> {
        let from = self.peers[peer].account.address();
        let received = post::read(self.account(), from, envelope).await?;
        self.mark(Mark::Delivered(letter, received.id));
        Ok(received.id)
    }

    async fn finish(&mut self, id: InboxId) {
        if self.rng.random_ratio(1, 2) {
            return;
        }
        self.mark(Mark::Finishing(id));
        loop {
            let done = self.account().done(id).await;
            if self.tolerate(done).await.is_some() {
                return self.mark(Mark::Finished(id));
            }
        }
    }
}
