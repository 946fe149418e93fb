//! Life goes on: what comes next can be read, which it could not if a key were used again.

use sprag::backend::{Backend, MemoryBackend};
use sprag::vault::MemoryVault;
use sprag::{Account, DurableStore};

use super::{Recovery, Verdict, ensure, text_of, told};
use crate::ledger::Session;
use crate::peer::{MEMBER, address};
use crate::post::{Way, group, read, write};
use crate::story::NAME;

impl Recovery<'_> {
    /// The conversation with a peer: what the transport delivers again is delivered once, and new messages are read.
    pub(super) async fn goes_on(&self, peer: usize) -> Verdict {
        let (known, account) = (self.ledger.sessions[peer], &self.peers[peer]);
        if known == Session::None {
            return Ok(());
        }
        let usable = self.account.has_usable_session(account.address()).await;
        let usable = usable.map_err(told("looking for the session"))?;
        let right = known == Session::Unsure || usable == (known == Session::Current);
        ensure(right, || format!("the session was {known:?}"))?;
        let letters = self.ledger.letters.iter();
        let letters: Vec<_> = letters.filter(|letter| letter.peer == peer).collect();
        // Each of the last ones; that of the others nothing is missing was seen in the inbox.
        for letter in letters.iter().rev().take(3) {
            self.redelivery(letter).await?;
        }
        if known == Session::Deleted {
            self.is_forgotten(account).await?;
        } else if !usable {
            let bundle = account.bundle().await.map_err(told("a bundle"))?;
            let started = self.account.start_session(account.address(), &bundle);
            started.await.map_err(told("starting a session"))?;
        }
        // Each chain once, in one way or the other.
        let [one, other] = Way::IN_SESSION;
        let ways = if peer == 0 {
            [one, other]
        } else {
            [other, one]
        };
        self.there_and_back(peer, ways).await
    }

    /// Nothing is left of the sessions with a peer, and the peer starts a new one.
    async fn is_forgotten(&self, peer: &Account<MemoryBackend>) -> Verdict {
        let devices = self.account.devices(peer.address().name()).await;
        let devices = devices.map_err(told("listing devices"))?;
        ensure(!devices.contains(peer.address()), || {
            "a session that was deleted is listed".to_owned()
        })?;
        let bundle = self.account.bundle().await;
        let bundle = bundle.map_err(told("a bundle for the peer"))?;
        let started = peer.start_session(&address(NAME), &bundle).await;
        started.map_err(told("the peer starting anew"))?;
        let step = "reading the first message of a new session";
        one_more(peer, &self.account, Way::Session, step).await
    }

    /// The conversation in the group, in which nobody's sender key has changed, unless another one was to be made.
    pub(super) async fn group_goes_on(&self) -> Verdict {
        let Some(known) = self.ledger.sender_key else {
            return Ok(());
        };
        let key = self.account.group_distribute(group()).await;
        let key = key.map_err(told("distributing the sender key"))?;
        if key.chain_id() != known {
            ensure(self.ledger.renewing, || "another sender key".to_owned())?;
            let joined = self.peers[MEMBER].group_join(&address(NAME), &key).await;
            joined.map_err(told("the peer taking the sender key"))?;
        }
        if !self.ledger.joined {
            return Ok(());
        }
        self.there_and_back(MEMBER, [Way::SealedGroup, Way::Group])
            .await
    }

    /// A message to the peer in one way, and one from it in another.
    async fn there_and_back(&self, peer: usize, [there, back]: [Way; 2]) -> Verdict {
        let peer = &self.peers[peer];
        let step = format!("the peer reading the next {there:?} message");
        one_more(&self.account, peer, there, &step).await?;
        let step = format!("reading the next {back:?} message");
        one_more(peer, &self.account, back, &step).await
    }

    /// A stranger can use the bundle that was handed out last.
    pub(super) async fn bundle(&self) -> Verdict {
        let Some(bundle) = &self.ledger.bundle else {
            return Ok(());
        };
        let store = DurableStore::open(MemoryBackend::new(), MemoryVault::new()).await;
        let store = store.map_err(told("a store in memory"))?;
        let stranger = Account::create(store, address("stranger")).await;
        let stranger = stranger.map_err(told("a stranger"))?;
        let started = stranger.start_session(&address(NAME), bundle).await;
        started.map_err(told("using the bundle"))?;
        let envelope = write(&stranger, &address(NAME), Way::Sealed, "hello").await;
        let envelope = envelope.map_err(told("the stranger sending"))?;
        let delivery = read(&self.account, stranger.address(), &envelope).await;
        let delivery = delivery.map_err(told("reading the stranger's message"))?;
        ensure(text_of(&delivery) == "hello", || "another text".to_owned())
    }
}

async fn one_more(
    from: &Account<impl Backend>,
    to: &Account<impl Backend>,
    way: Way,
    step: &str,
) -> Verdict {
    let envelope = write(from, to.address(), way, step).await;
    let envelope = envelope.map_err(told("sending"))?;
    let delivery = read(to, from.address(), &envelope).await;
    let delivery = delivery.map_err(|error| format!("{step}: {error}"))?;
    ensure(text_of(&delivery) == step, || "another text".to_owned())
}
