//! What waits in the mailboxes, and what is delivered again.

use sprag::Envelope;

use super::{Recovery, Verdict, ensure, text_of, told};
use crate::ledger::Letter;
use crate::order::{self, reader_of};
use crate::post::read;

impl Recovery<'_> {
    /// The outbox holds what was released and not acknowledged, and perhaps what was under way.
    pub(super) async fn outbox(&mut self) -> Verdict {
        let waiting = self.account.outbox_pending().await;
        let waiting = waiting.map_err(told("listing the outbox"))?;
        for (id, (peer, envelope)) in &self.ledger.released {
            let found = waiting.iter().find(|waiting| waiting.id == *id);
            let may_be_gone = self.ledger.acknowledging.contains(id);
            match found {
                Some(found) if found == envelope => {}
                Some(_) => return Err(format!("{id} has changed")),
                None if may_be_gone => {}
                None => return Err(format!("{id} was released and is not in the outbox")),
            }
            ensure(
                found.is_none() || !self.ledger.acknowledged.contains(id),
                || format!("{id} was acknowledged and is back"),
            )?;
            if !self.ledger.read.contains(id) {
                self.peer_reads(*peer, envelope).await?;
            }
        }
        for envelope in &waiting {
            if !self.ledger.released.contains_key(&envelope.id) {
                self.peer_reads(reader_of(envelope), envelope).await?;
            }
        }
        let waiting = waiting.into_iter().map(|waiting| (waiting.id, waiting));
        self.waiting = waiting.collect();
        self.whole()
    }

    /// What has a key is the same envelope however often it is tried, or is sent now.
    pub(super) async fn sends_once(&mut self) -> Verdict {
        let orders = self.ledger.texts.values().map(|text| &text.order);
        for order in orders.filter(|order| order.keyed) {
            let again = order.send(&self.account).await;
            for envelope in again.map_err(told("sending again"))? {
                let released = self.ledger.released.get(&envelope.id);
                let released = released.map(|(_, released)| released);
                match released.or(self.waiting.get(&envelope.id)) {
                    Some(before) => ensure(*before == envelope, || {
                        format!("{} is another envelope now", order.text)
                    })?,
                    None => self.peer_reads(reader_of(&envelope), &envelope).await?,
                }
            }
        }
        self.whole()
    }

    /// What was for several is there for all of them, or for none.
    fn whole(&self) -> Verdict {
        for (text, known) in &self.ledger.texts {
            let readers = self.read.iter().filter(|(_, read)| read == text).count();
            let all = known.order.readers();
            ensure([0, all].contains(&readers), || {
                format!("{text} is there for {readers} of {all}")
            })?;
        }
        Ok(())
    }

    /// The peer reads a message that it has not read: one that was to be sent, and that it does not know.
    async fn peer_reads(&mut self, peer: usize, envelope: &Envelope) -> Verdict {
        let text = order::text_of(&self.peers[peer], envelope).await;
        let text = text.map_err(told("reading an envelope"))?;
        match self.ledger.texts.get(&text) {
            Some(known) if known.not_sent => {
                return Err(format!("{text} was not sent, and now it is"));
            }
            Some(_) => {}
            None => return Err(format!("{text} was never to be sent")),
        }
        ensure(self.read.insert((peer, text.clone())), || {
            format!("{text} comes in two messages")
        })
    }

    /// The inbox holds what was delivered and not acknowledged, and perhaps what was under way.
    pub(super) async fn inbox(&self) -> Verdict {
        let waiting = self.account.inbox_pending().await;
        let waiting = waiting.map_err(told("listing the inbox"))?;
        for letter in self
            .ledger
            .letters
            .iter()
            .filter(|letter| letter.id.is_some())
        {
            let mut found = waiting.iter();
            let found = found.find(|found| Some(found.id) == letter.id);
            match found {
                Some(found) if text_of(found) != letter.text => {
                    return Err(format!("{} has changed", letter.text));
                }
                Some(_) if letter.finished => {
                    return Err(format!("{} was acknowledged and is back", letter.text));
                }
                None if !letter.finishing => {
                    return Err(format!(
                        "{} was delivered and is not in the inbox",
                        letter.text
                    ));
                }
                _ => {}
            }
        }
        for found in &waiting {
            let text = text_of(found);
            let known = self.ledger.letters.iter().any(|letter| letter.text == text);
            ensure(known, || format!("{text} was never received"))?;
        }
        Ok(())
    }

    pub(super) async fn redelivery(&self, letter: &Letter) -> Verdict {
        let from = self.peers[letter.peer].address();
        match read(&self.account, from, &letter.envelope).await {
            Ok(delivery) => {
                ensure(!letter.finished, || {
                    format!("{} is read twice", letter.text)
                })?;
                let same = letter.id.is_none_or(|id| id == delivery.id);
                ensure(same && text_of(&delivery) == letter.text, || {
                    format!("{} is delivered otherwise", letter.text)
                })
            }
            Err(error) if error.code() == "duplicate-message" && letter.finishing => Ok(()),
            Err(_) if letter.forgotten && letter.finishing => Ok(()),
            Err(error) => Err(format!("{} is not delivered: {error}", letter.text)),
        }
    }
}
