//! The main job, narrated: two accounts, each in an SQLite store of its own that is closed and opened
//! again between all steps, as if the process had ended there.

use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use sprag::{Account, DurableStore, Envelope, EnvelopeType, ProtocolAddress};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_vault::PassphraseVault;
use tempfile::TempDir;

use crate::{error::CliError, output::line};

/// Rounds of conversation: enough for the post-quantum ratchet to agree on new secrets.
const ROUNDS: usize = 60;

pub(crate) async fn run() -> Result<(), CliError> {
    let folder = TempDir::with_prefix("sprag-demo-")?;
    let passphrase = Alphanumeric.sample_string(&mut rand::rng(), 24);
    let file = folder.path().join("demo.vault");
    let vault = Arc::new(PassphraseVault::create(&file, passphrase.as_str()).await?);
    let alice = Person::new(&folder, "alice", &vault)?;
    let bob = Person::new(&folder, "bob", &vault)?;

    line(
        "A vault keeps the secrets that the stores are sealed under. This one is for the demo alone:",
    )?;
    line(&format!("  {}, passphrase {passphrase}", file.display()))?;
    line("Two people, two SQLite stores. Each step opens its store and closes it again.")?;
    for person in [&alice, &bob] {
        let store = person.store().await?;
        let account = Account::create(store.clone(), person.address.clone()).await?;
        let status = account.status().await?;
        line(&format!(
            "  {} has registration id {}",
            person.address, status.registration_id
        ))?;
        store.close().await?;
    }

    line("Bob publishes a pre-key bundle and goes away.")?;
    let bundle = bob.with(async |account| account.bundle().await).await?;
    line("Alice starts a session from it (PQXDH) and sends two messages.")?;
    alice
        .with(async |account| account.start_session(&bob.address, &bundle).await)
        .await?;
    let first = alice.send(&bob, "Are you there?").await?;
    let second = alice.send(&bob, "It is Alice.").await?;

    line("Bob comes back. They arrive in the wrong order.")?;
    bob.receive(&alice, &second).await?;
    bob.receive(&alice, &first).await?;

    line("The first one arrives once more: it was read already.")?;
    match bob.receive(&alice, &first).await {
        Err(error) if error.code() == "duplicate-message" => {
            line(&format!("  error[{}]: {error}", error.code()))?;
        }
        Err(error) => return Err(error),
        Ok(()) => return Err(CliError::Input("a message was read twice".into())),
    }

    line("Bob's process dies after it has read a message, before anybody saw the text.")?;
    let envelope = alice.send(&bob, "Did you get this?").await?;
    bob.with(async |account| {
        account
            .receive(&alice.address, envelope.message_type, &envelope.bytes)
            .await
    })
    .await?;
    line("After the restart the text waits in his inbox, and the envelope gives it again.")?;
    bob.receive(&alice, &envelope).await?;

    line(&format!(
        "They talk for {ROUNDS} rounds; both ratchets turn."
    ))?;
    for round in 1..=ROUNDS {
        for (from, to) in [(&bob, &alice), (&alice, &bob)] {
            let text = format!("round {round}");
            let envelope = from.send_quietly(to, &text).await?;
            let read = to.receive_quietly(from, &envelope).await?;
            if read != text.as_bytes() {
                return Err(CliError::Input("a message was altered on its way".into()));
            }
        }
    }
    for person in [&alice, &bob] {
        let status = person.with(async |account| account.status().await).await?;
        line(&format!(
            "  {}: {} session, inbox {}, outbox {}, one-time pre-keys left {}",
            person.address, status.sessions, status.inbox, status.outbox, status.pre_keys
        ))?;
    }
    line("Every message was read once. The stores and the vault are thrown away.")
}

/// One side, and where its store lies.
struct Person {
    address: ProtocolAddress,
    file: std::path::PathBuf,
    vault: Arc<PassphraseVault>,
}

impl Person {
    fn new(folder: &TempDir, name: &str, vault: &Arc<PassphraseVault>) -> Result<Self, CliError> {
        let file = folder.path().join(format!("{name}.db"));
        Ok(Self {
            address: ProtocolAddress::new(name, 1)?,
            file,
            vault: Arc::clone(vault),
        })
    }

    async fn store(&self) -> Result<DurableStore<SqliteBackend>, CliError> {
        let backend = SqliteOptions::file(&self.file).open().await?;
        Ok(DurableStore::open(backend, Arc::clone(&self.vault)).await?)
    }

    /// Opens the store, does one thing, and closes it.
    async fn with<T>(
        &self,
        step: impl AsyncFnOnce(&Account<SqliteBackend>) -> Result<T, sprag::Error>,
    ) -> Result<T, CliError> {
        let store = self.store().await?;
        let account = Account::open(store.clone(), self.address.clone()).await?;
        let outcome = step(&account).await;
        store.close().await?;
        Ok(outcome?)
    }

    async fn send(&self, to: &Person, text: &str) -> Result<Envelope, CliError> {
        let envelope = self.send_quietly(to, text).await?;
        let kind = match envelope.message_type {
            EnvelopeType::PreKey => "pre-key message",
            _ => "message",
        };
        line(&format!(
            "  {} sends {text:?}: {kind}, {} bytes",
            self.address,
            envelope.bytes.len()
        ))?;
        Ok(envelope)
    }

    async fn receive(&self, from: &Person, envelope: &Envelope) -> Result<(), CliError> {
        let plaintext = self.receive_quietly(from, envelope).await?;
        line(&format!(
            "  {} reads {:?}",
            self.address,
            String::from_utf8_lossy(&plaintext)
        ))
    }

    async fn send_quietly(&self, to: &Person, text: &str) -> Result<Envelope, CliError> {
        self.with(async |account| {
            let envelope = account.send(&to.address, text.as_bytes()).await?;
            account.sent(envelope.id).await?;
            Ok(envelope)
        })
        .await
    }

    async fn receive_quietly(
        &self,
        from: &Person,
        envelope: &Envelope,
    ) -> Result<Vec<u8>, CliError> {
        self.with(async |account| {
            let message_type = envelope.message_type;
            let delivery = account
                .receive(&from.address, message_type, &envelope.bytes)
                .await?;
            account.done(delivery.id).await?;
            Ok(delivery.plaintext.to_vec())
        })
        .await
    }
}
