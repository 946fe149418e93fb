//! The conversation, with the official client at the other end.

use sprag::{EnvelopeType, PreKeyBundle, Timestamp};
use sprag_interop::{Address, BundleRequest, Envelope, Implementation as _, Official, Party};

use crate::{
    alice::{ALICE, Alice, BOB, Sealed, address},
    secrets::{Secrets, Sort},
};

const STRANGER: &str = "0cf2f9f1-8a5a-4be4-b0c1-3b1e0f7b1c55";

pub(crate) struct Talk {
    bob: Box<dyn Party>,
    said: usize,
    /// A message of Bob's that is late, so that its keys are kept.
    late: Option<(Envelope, Vec<u8>)>,
    /// All that was ever secret.
    pub(crate) secrets: Secrets,
    ours: Secrets,
    theirs: Secrets,
}

fn now() -> u64 {
    Timestamp::from(std::time::SystemTime::now()).as_millis()
}

impl Talk {
    pub(crate) fn new() -> Self {
        let official = Official::start().unwrap();
        let mut secrets = Secrets::default();
        secrets.add(Sort::Name, ALICE.as_bytes());
        secrets.add(Sort::Name, BOB.as_bytes());
        Self {
            bob: official.create(&Address::new(BOB, 1), 200, None).unwrap(),
            said: 0,
            late: None,
            secrets,
            ours: Secrets::default(),
            theirs: Secrets::default(),
        }
    }

    /// Alice starts, and both have spoken.
    pub(crate) async fn begin(&mut self, alice: &impl Alice) {
        let bundle = self.bob.bundle(BundleRequest::FULL, now()).unwrap();
        alice.start(&PreKeyBundle::try_from(&bundle).unwrap()).await;
        self.send_to_bob(alice).await;
        self.send_to_alice(alice).await;
    }

    /// Bob starts anew with a bundle of Alice's.
    pub(crate) async fn begin_from_the_other_side(&mut self, alice: &Sealed) {
        let bundle = alice.bundle(&mut self.secrets).await;
        self.bob
            .process_bundle(&Address::new(ALICE, 1), &(&bundle).into(), now())
            .unwrap();
        self.send_to_alice(alice).await;
        self.send_to_bob(alice).await;
    }

    /// Two messages of Bob's, of which the first is late, and one of Alice's.
    pub(crate) async fn round(&mut self, alice: &impl Alice) {
        let late = self.bob_says();
        self.send_to_alice(alice).await;
        self.send_to_bob(alice).await;
        if let Some((envelope, text)) = self.late.replace(late) {
            assert_eq!(alice.receive(&envelope).await, text);
        }
        self.look(alice).await;
    }

    /// Errors on messages that were read before, altered, or are of nobody.
    pub(crate) async fn trouble(&mut self, alice: &Sealed) -> Vec<String> {
        let (envelope, text) = self.bob_says();
        assert_eq!(alice.receive(&envelope).await, text);
        let mut altered = self.bob_says().0;
        *altered.body.0.last_mut().unwrap() ^= 1;
        let mut said = Vec::new();
        for (from, envelope) in [(BOB, &envelope), (BOB, &altered), (STRANGER, &envelope)] {
            let kind = EnvelopeType::from_number(envelope.kind).unwrap();
            let from = address(from);
            let result = alice.account.receive(&from, kind, &envelope.body).await;
            let error = result.unwrap_err();
            said.push(format!("{error} {error:?}"));
        }
        said
    }

    /// How many chain keys both named. Their root keys are never the same: each is a step ahead in turn.
    pub(crate) fn shared(&self) -> usize {
        self.ours.shared_with(&self.theirs, Sort::ChainKey)
    }

    async fn send_to_bob(&mut self, alice: &impl Alice) {
        let text = self.text();
        let envelope = alice.send(&text).await;
        let read = self.bob.decrypt(&Address::new(ALICE, 1), &envelope);
        assert_eq!(read.unwrap(), text);
        self.look(alice).await;
    }

    async fn send_to_alice(&mut self, alice: &impl Alice) {
        let (envelope, text) = self.bob_says();
        assert_eq!(alice.receive(&envelope).await, text);
        self.look(alice).await;
    }

    fn bob_says(&mut self) -> (Envelope, Vec<u8>) {
        let text = self.text();
        let envelope = self.bob.encrypt(&Address::new(ALICE, 1), &text, now());
        (envelope.unwrap(), text)
    }

    fn text(&mut self) -> Vec<u8> {
        self.said += 1;
        let text = format!(
            "between us alone, {:04}: {}",
            self.said,
            rand::random::<u128>()
        );
        self.secrets.add(Sort::Plaintext, text[..].as_bytes());
        text.into_bytes()
    }

    /// Takes down the secrets that both have now.
    async fn look(&mut self, alice: &impl Alice) {
        alice.tell(&mut self.ours).await;
        let record = self.bob.session(&Address::new(ALICE, 1)).unwrap();
        self.theirs.add_session(&record.unwrap());
        self.secrets.extend(&self.ours);
        self.secrets.extend(&self.theirs);
    }
}
