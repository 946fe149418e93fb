//! A vault in the operating system's keychain.
//!
//! Keychains keep entries by two texts, a service and a user, and can neither refuse to replace one nor compare before they
//! write. So a secret is looked for before it is created: two who create one name at the same moment could both
//! succeed, which cannot happen to a store, since it uses no name twice. An anchor is not one entry that is
//! rewritten, or a late writer could lower it, but an entry for each value, of which the highest counts; lower
//! ones are removed.

mod error;
mod platform;
#[cfg(test)]
mod tests;
mod text;

use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use keyring_core::{CredentialStore, Entry, Error};
use sprag::vault::{Secret, Vault, VaultError, check_name};
use zeroize::Zeroizing;

use self::error::{explain, unavailable};
use crate::worker::Worker;

/// A [`Vault`] in the keychain of the operating system: the Secret Service on Linux and BSD (GNOME Keyring, KWallet,
/// KeePassXC), the login keychain on macOS and the one of the application on iOS, the Credential Manager on Windows.
///
/// The tests run against GNOME Keyring. For macOS and Windows it is compiled, and not yet tested.
///
/// Everything that runs as the same user may be able to read it, as the system has it. What the keychain itself leaves
/// in its files and backups when a secret is destroyed is beyond this library.
///
/// ```no_run
/// use sprag::vault::{Secret, Vault, VaultError};
/// use sprag_vault::KeychainVault;
///
/// # async fn example() -> Result<(), VaultError> {
/// let vault = KeychainVault::open("org.example.messenger").await?;
/// vault.create("root.1", &Secret::random(&mut rand::rng())).await?;
/// assert!(vault.load("root.1").await?.is_some());
/// # Ok(())
/// # }
/// ```
pub struct KeychainVault(Worker<State>);

impl KeychainVault {
    /// Opens the keychain of the user for an application, whose name the entries carry as their service: 1 to
    /// [`MAX_NAME`](sprag::vault::MAX_NAME) characters as in names of secrets, best a domain of yours. Each name is a vault of
    /// its own. The system may ask the user to unlock the keychain.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`] if there is no keychain, [`VaultError::Locked`] if it stays locked,
    /// [`VaultError::InvalidName`].
    pub async fn open(service: &str) -> Result<Self, VaultError> {
        check_name(service)?;
        let service = service.to_owned();
        Worker::start(move || State::open(service)).await.map(Self)
    }
}

impl fmt::Debug for KeychainVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeychainVault(..)")
    }
}

#[async_trait]
impl Vault for KeychainVault {
    fn kind(&self) -> &str {
        "keychain"
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        check_name(name)?;
        let (name, secret) = (name.to_owned(), secret.clone());
        self.0
            .call(move |state| state.attempt(|state| state.create(&name, &secret)))
            .await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| state.attempt(|state| state.load(&name)))
            .await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| state.attempt(|state| state.destroy(&name)))
            .await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| state.attempt(|state| state.anchor(&name)))
            .await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| state.attempt(|state| state.raise_anchor(&name, value)))
            .await
    }
}

/// How often the values of an anchor are listed before we give up because others keep changing them.
const ATTEMPTS: usize = 100;

/// What the thread of a handle owns.
struct State {
    store: Arc<CredentialStore>,
    service: String,
}

impl State {
    fn open(service: String) -> Result<Self, VaultError> {
        let store = platform::store()?;
        let state = Self { store, service };
        state.unlock()?;
        Ok(state)
    }

    /// Does something, and connects again for the next call if nothing answers: what keeps the keychain may have been
    /// started again, and knows nothing of us.
    fn attempt<T>(
        &mut self,
        call: impl FnOnce(&Self) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let answer = call(self);
        if let Err(VaultError::Unavailable { .. }) = answer
            && let Ok(store) = platform::store()
        {
            self.store = store;
        }
        answer
    }

    fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        if self.load(name)?.is_some() {
            return Err(VaultError::Exists);
        }
        let entry = self.entry(&self.service, name)?;
        entry
            .set_secret(text::encode(secret).as_bytes())
            .map_err(explain)?;
        match self.load(name)? {
            Some(kept) if kept.as_bytes() == secret.as_bytes() => Ok(()),
            Some(_) => Err(VaultError::Exists),
            None => Err(not_kept()),
        }
    }

    fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        let entry = self.entry(&self.service, name)?;
        let found = match find(&entry)? {
            // Some keychains show nothing while they are locked.
            None => {
                self.unlock()?;
                find(&entry)?
            }
            found => found,
        };
        found.map(|kept| text::decode(&kept)).transpose()
    }

    fn destroy(&self, name: &str) -> Result<(), VaultError> {
        let entry = self.entry(&self.service, name)?;
        let deleted = match entry.delete_credential() {
            Err(Error::Ambiguous(entries)) => entries.iter().try_for_each(Entry::delete_credential),
            deleted => deleted,
        };
        // Somebody else may have destroyed it at the same moment, and the keychain may say so in many ways.
        match (find(&entry), deleted) {
            (Ok(None), _) => Ok(()),
            (_, Err(error)) => Err(explain(error)),
            (found, Ok(())) => found.and(Err(not_kept())),
        }
    }

    fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        let mut values = self.values(name)?;
        if values.is_empty() {
            self.unlock()?;
            values = self.values(name)?;
        }
        Ok(highest(&values))
    }

    fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        if self.anchor(name)? >= value {
            return Ok(());
        }
        let entry = self.entry(&self.anchor_service(name), &value.to_string())?;
        entry.set_secret(text::MARK).map_err(explain)?;
        let values = self.values(name)?;
        let highest = highest(&values);
        if highest < value {
            return Err(not_kept());
        }
        for (value, entry) in values {
            if value < highest {
                // If this fails it is done the next time; until then it harms nobody.
                let _ = entry.delete_credential();
            }
        }
        Ok(())
    }

    /// The values that an anchor was raised to and that are still there, with their entries.
    fn values(&self, name: &str) -> Result<Vec<(u64, Entry)>, VaultError> {
        let service = self.anchor_service(name);
        let (key, pattern) = platform::search(&service);
        let listed = HashMap::from([(key, pattern.as_str())]);
        for _ in 0..ATTEMPTS {
            let entries = self.store.search(&listed).map_err(explain)?;
            let named = entries.into_iter().map(|entry| {
                let specifiers = entry.get_specifiers()?;
                Some((specifiers, entry))
            });
            // One that is gone since it was listed gave way to a higher one, which is not on the list.
            let Some(named) = named.collect::<Option<Vec<_>>>() else {
                continue;
            };
            return named
                .into_iter()
                .filter(|((of, _), _)| *of == service)
                .map(|((_, value), entry)| Ok((text::value(&value)?, entry)))
                .collect();
        }
        Err(unavailable("the entries of an anchor keep changing"))
    }

    /// Makes sure that the keychain is unlocked, by an entry that it must show or take.
    fn unlock(&self) -> Result<(), VaultError> {
        let probe = self.entry(&format!("{} probe", self.service), "probe")?;
        match probe.get_secret() {
            Ok(_) | Err(Error::Ambiguous(_)) => Ok(()),
            Err(Error::NoEntry) => probe.set_secret(text::MARK).map_err(explain),
            Err(error) => Err(explain(error)),
        }
    }

    /// Services have no spaces, so that this is never one of a secret.
    fn anchor_service(&self, name: &str) -> String {
        format!("{} anchor {name}", self.service)
    }

    fn entry(&self, service: &str, user: &str) -> Result<Entry, VaultError> {
        self.store.build(service, user, None).map_err(explain)
    }
}

/// What an entry holds, if it is there.
fn find(entry: &Entry) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match entry.get_secret() {
        Ok(kept) => Ok(Some(Zeroizing::new(kept))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(explain(error)),
    }
}

fn highest(values: &[(u64, Entry)]) -> u64 {
    values.iter().map(|(value, _)| *value).max().unwrap_or(0)
}

fn not_kept() -> VaultError {
    VaultError::Io {
        detail: "the keychain did not do what it said".to_owned(),
    }
}
