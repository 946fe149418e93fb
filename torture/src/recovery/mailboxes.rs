//! What waits in the mailboxes, and what is delivered again.

use sprag::{Account, Envelope, Recipient};

use super::{Recovery, Verdict, ensure, text_of, told};
use crate::ledger::Letter;
use crate::peer::{MEMBER, address};
use crate::post::read;
use crate::story::NAME;

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
                let device = |peer: &Account<_>| envelope.recipient == peer.address().into();
                let peer = match envelope.recipient {
                    Recipient::Group(_) => Some(MEMBER),
                    _ => self.peers.iter().position(device),
                };
                let peer = peer.ok_or("an envelope to a stranger")?;
                self.peer_reads(peer, envelope).await?;
            }
        }
        self.whole()
    }

    /// What was for several is there for all of them, or for none.
    fn whole(&self) -> Verdict {
        for (text, known) in &self.ledger.texts {
            let readers = self.read.iter().filter(|(_, read)| read == text).count();
            ensure([0, known.readers].contains(&readers), || {
                format!("{text} is there for {readers} of {}", known.readers)
            })?;
        }
        Ok(())
    }

    /// The peer reads a message that it has not read: one that was to be sent, and that it does not know.
    async fn peer_reads(&mut self, peer: usize, envelope: &Envelope) -> Verdict {
        let delivery = read(&self.peers[peer], &address(NAME), envelope).await;
        let delivery = delivery.map_err(told("reading an envelope"))?;
        let text = text_of(&delivery);
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
            Err(error) => Err(format!("{} is not delivered: {error}", letter.text)),
        }
    }
}
