//! From the account to its peers.

use rand::RngExt;
use sprag::{Envelope, Error, OutboxId};

use super::Teller;
use crate::ledger::Mark;
use crate::order::{Order, To, reader_of, text_of};

impl Teller {
    pub(super) async fn write_to(&mut self, to: To) {
        let order = self.order(to);
        let sent = self.send(&order).await;
        match self.keep(&order, sent).await {
            Some(envelopes) => {
                for envelope in envelopes {
                    self.acknowledge(envelope.id).await;
                }
            }
            None => self.make_sure(&order, false).await,
        }
    }

    /// With a key, and again before and after it was acknowledged.
    pub(super) async fn write_again_and_again(&mut self, to: To) {
        let order = self.order_with_key(to, true);
        self.make_sure(&order, false).await;
        for _ in 0..2 {
            self.repeat().await;
            for envelope in self.done.last().expect("just now").1.clone() {
                self.acknowledge(envelope.id).await;
            }
        }
        self.repeat().await;
    }

    /// Something that was sent under a key is to be sent once more: the last, or any.
    pub(super) async fn repeat(&mut self) {
        let last = self.done.len().saturating_sub(1);
        let which = match self.rng.random() {
            true => last,
            false => self.rng.random_range(0..=last),
        };
        let Some((order, known)) = self.done.get(which).cloned() else {
            return;
        };
        let again = self.send(&order).await;
        if let Some(again) = self.tolerate(again).await {
            assert_eq!(again, known, "{} goes out anew", order.text);
        }
    }

    /// Something to be sent, perhaps with a key.
    pub(super) fn order(&mut self, to: To) -> Order {
        let keyed = !matches!(to, To::Again(_)) && self.rng.random_ratio(1, 3);
        self.order_with_key(to, keyed)
    }

    pub(super) fn order_with_key(&mut self, to: To, keyed: bool) -> Order {
        let text = self.text();
        let order = Order { to, text, keyed };
        self.mark(Mark::Sending(order.clone()));
        order
    }

    pub(super) async fn send(&self, order: &Order) -> Result<Vec<Envelope>, Error> {
        let envelopes = order.send(self.account()).await?;
        self.release(&envelopes).await;
        Ok(envelopes)
    }

    /// After a failure, goes on until the order is carried out. With a key it is simply tried again.
    pub(super) async fn make_sure(&mut self, order: &Order, mut sent: bool) {
        while !sent && (order.keyed || !self.look_for(order).await) {
            let again = self.send(order).await;
            sent = self.keep(order, again).await.is_some();
        }
    }

    /// Takes what came of an order, and keeps it in mind if it is to be the same whenever it is tried again.
    pub(super) async fn keep(
        &mut self,
        order: &Order,
        sent: Result<Vec<Envelope>, Error>,
    ) -> Option<Vec<Envelope>> {
        let envelopes = self.tolerate(sent).await?;
        if order.keyed {
            self.done.push((order.clone(), envelopes.clone()));
        }
        Some(envelopes)
    }

    /// After a failure, sends what waits in the outbox, and answers whether the text was among it.
    pub(super) async fn look_for(&mut self, order: &Order) -> bool {
        let waiting = loop {
            let waiting = self.account().outbox_pending().await;
            if let Some(waiting) = self.tolerate(waiting).await {
                break waiting;
            }
        };
        let texts = self.release(&waiting).await;
        let found = { texts.iter() }.filter(|text| **text == order.text).count();
        // Only then, since this writes: what is found must be durable before.
        for envelope in waiting {
            self.acknowledge(envelope.id).await;
        }
        let whole = [0, order.readers()].contains(&found);
        assert!(whole, "{} went to some", order.text);
        if found == 0 {
            self.mark(Mark::NotSent(order.text.clone()));
            self.mark(Mark::Sending(order.clone()));
        }
        found > 0
    }

    /// Sends envelopes that were not sent before, and gives the texts that are read then.
    async fn release(&self, envelopes: &[Envelope]) -> Vec<String> {
        let new = envelopes.iter().filter(|it| !self.was_read(it.id));
        let new: Vec<_> = new.collect();
        for envelope in &new {
            self.mark(Mark::Released(reader_of(envelope), (*envelope).clone()));
        }
        let mut texts = Vec::new();
        for envelope in new {
            texts.push(self.read(envelope).await);
        }
        texts
    }

    /// The peer reads an envelope.
    async fn read(&self, envelope: &Envelope) -> String {
        let peer = reader_of(envelope);
        let read = text_of(&self.peers[peer].account, envelope).await;
        let text = read.expect("every envelope can be read");
        self.mark(Mark::Read(peer, envelope.id, text.clone()));
        self.mark(Mark::Peer(peer, self.peers[peer].moment()));
        text
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
}
