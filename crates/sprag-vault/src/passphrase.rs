//! A vault in a file under a passphrase.
//!
//! A random *master key* is wrapped under Argon2id of the passphrase ([`header`]); secrets and anchors
//! are sealed under the master key and bound to the head ([`content`], [`sealing`]). A handle keeps the master key alone, so that only opening
//! costs a derivation. Every call reads the file anew, under a lock ([`file`]), and sees what other processes did.

mod content;
mod cost;
mod file;
mod header;
mod phrase;
mod sealing;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path};

use async_trait::async_trait;
use sprag::vault::{Secret, Vault, VaultError, check_name};

use self::{
    content::Content,
    file::{Locked, VaultFile},
    header::{Header, tampered},
    sealing::Key,
};
pub use self::{cost::Cost, phrase::Passphrase};
use crate::worker::Worker;

/// A [`Vault`] in a file under a passphrase.
///
/// Whoever has the file can try passphrases, each at the [`Cost`] that the file names: choose one that cannot be
/// guessed. Any number of processes on one machine may use one file, but not over a network file system whose locks
/// cannot be relied on.
///
/// ```
/// use sprag::vault::{Secret, Vault, VaultError};
/// use sprag_vault::PassphraseVault;
///
/// # async fn example(folder: &std::path::Path) -> Result<(), VaultError> {
/// let path = folder.join("sprag.vault");
/// let vault = PassphraseVault::create(&path, "correct horse battery staple").await?;
/// vault.create("root.1", &Secret::random(&mut rand::rng())).await?;
///
/// let wrong = PassphraseVault::open(&path, "wrong").await.unwrap_err();
/// assert_eq!(wrong, VaultError::WrongPassphrase);
///
/// let again = PassphraseVault::open(&path, "correct horse battery staple").await?;
/// assert!(again.load("root.1").await?.is_some());
/// # Ok(())
/// # }
/// # let folder = tempfile::tempdir().unwrap();
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(example(folder.path())).unwrap();
/// ```
///
/// # What it cannot do
/// Older copies of the file (in a backup, a snapshot, or blocks that an SSD has not erased yet) open with the passphrase
/// that they had, and hold what was destroyed since. The bytes of a replaced file are overwritten, which
/// reaches the disk on simple file systems only. Against copies a new passphrase helps, once the store has had a new
/// root after it: [`change_passphrase`](Self::change_passphrase) makes a new master key, and what is created
/// later is in no file that the old passphrase opens.
///
/// A file that was put back is not told from the current one, except by a handle that saw a later one.
pub struct PassphraseVault(Worker<State>);

impl PassphraseVault {
    /// Makes a new vault with the default [cost](Cost). The folder must be there.
    ///
    /// # Errors
    /// [`VaultError::AlreadyCreated`] if there is anything at `path`, [`VaultError::EmptyPassphrase`],
    /// [`VaultError::Io`].
    pub async fn create(
        path: impl AsRef<Path>,
        passphrase: impl Into<Passphrase>,
    ) -> Result<Self, VaultError> {
        Self::create_with_cost(path, passphrase, Cost::default()).await
    }

    /// Makes a new vault. A cost below the default is for tests alone.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub async fn create_with_cost(
        path: impl AsRef<Path>,
        passphrase: impl Into<Passphrase>,
        cost: Cost,
    ) -> Result<Self, VaultError> {
        let (path, passphrase) = (path.as_ref().to_owned(), passphrase.into());
        Worker::start(move || State::create(&path, &passphrase, cost))
            .await
            .map(Self)
    }

    /// Opens a vault that is there, at the cost that it was made with.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::WrongPassphrase`], [`VaultError::Tampered`],
    /// [`VaultError::TooNew`], [`VaultError::Io`].
    pub async fn open(
        path: impl AsRef<Path>,
        passphrase: impl Into<Passphrase>,
    ) -> Result<Self, VaultError> {
        let (path, passphrase) = (path.as_ref().to_owned(), passphrase.into());
        Worker::start(move || State::open(&path, &passphrase))
            .await
            .map(Self)
    }

    /// Puts the vault under another passphrase and a new master key, at the default cost if it had less. Other
    /// handles get [`VaultError::WrongPassphrase`] from now on, and must be opened again.
    ///
    /// # Errors
    /// [`VaultError::EmptyPassphrase`] and those of [`open`](Self::open). After an error the one or the other
    /// passphrase may be the vault's.
    pub async fn change_passphrase(&self, new: impl Into<Passphrase>) -> Result<(), VaultError> {
        let new = new.into();
        self.0
            .call(move |state| state.change_passphrase(&new))
            .await
    }

    /// Raises the cost to `cost` if the vault has less, under the same passphrase; whether it had. Other handles
    /// are not disturbed.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`] if it is not the vault's, and those of [`open`](Self::open).
    pub async fn upgrade(
        &self,
        passphrase: impl Into<Passphrase>,
        cost: Cost,
    ) -> Result<bool, VaultError> {
        let passphrase = passphrase.into();
        self.0
            .call(move |state| state.upgrade(&passphrase, cost))
            .await
    }

    /// The cost that the vault has now.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn cost(&self) -> Result<Cost, VaultError> {
        self.0.call(|state| Ok(state.look()?.0.cost())).await
    }
}

impl fmt::Debug for PassphraseVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphraseVault(..)")
    }
}

#[async_trait]
impl Vault for PassphraseVault {
    fn kind(&self) -> &str {
        "passphrase"
    }

    async fn create(&self, name: &str, secret: &Secret) -> Result<(), VaultError> {
        check_name(name)?;
        let (name, secret) = (name.to_owned(), secret.clone());
        self.0
            .call(move |state| {
                state.change(|content| {
                    if content.secrets.contains_key(&name) {
                        return Err(VaultError::Exists);
                    }
                    content.secrets.insert(name, secret);
                    Ok(true)
                })
            })
            .await
    }

    async fn load(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| Ok(state.look()?.1.secrets.remove(&name)))
            .await
    }

    async fn destroy(&self, name: &str) -> Result<(), VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| state.change(|content| Ok(content.secrets.remove(&name).is_some())))
            .await
    }

    async fn anchor(&self, name: &str) -> Result<u64, VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| Ok(state.look()?.1.anchors.remove(&name).unwrap_or(0)))
            .await
    }

    async fn raise_anchor(&self, name: &str, value: u64) -> Result<(), VaultError> {
        check_name(name)?;
        let name = name.to_owned();
        self.0
            .call(move |state| {
                state.change(|content| {
                    let lower = content.anchors.get(&name).copied().unwrap_or(0) < value;
                    if lower {
                        content.anchors.insert(name, value);
                    }
                    Ok(lower)
                })
            })
            .await
    }
}

/// What the thread of a handle owns.
struct State {
    file: VaultFile,
    master: Key,
    /// The head and revision that the file had last.
    header: Header,
    revision: u64,
}

impl State {
    fn create(path: &Path, passphrase: &Passphrase, cost: Cost) -> Result<Self, VaultError> {
        let file = VaultFile::new(path)?;
        if file.lock()?.is_taken() {
            return Err(VaultError::AlreadyCreated);
        }
        let master = Key::random()?;
        let header = Header::wrap(&master, passphrase, cost)?;
        let locked = file.lock()?;
        // Somebody may have been faster meanwhile.
        if locked.is_taken() {
            return Err(VaultError::AlreadyCreated);
        }
        write(&locked, &header, &master, &Content::default())?;
        drop(locked);
        Ok(Self {
            file,
            master,
            header,
            revision: 0,
        })
    }

    fn open(path: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        let file = VaultFile::existing(path)?;
        let bytes = file.lock()?.read()?;
        // Nobody else waits while the key is derived.
        let (header, sealed) = Header::parse(&bytes)?;
        let master = header.unwrap(passphrase)?;
        let content = open(sealed, &header, &master)
            .ok_or_else(|| tampered("its content is not authentic"))?;
        Ok(Self {
            file,
            master,
            header,
            revision: content.revision,
        })
    }

    /// What the file holds now.
    fn look(&mut self) -> Result<(Header, Content), VaultError> {
        let Self {
            file,
            master,
            header,
            revision,
        } = self;
        look(&file.lock()?, master, header, revision)
    }

    /// Changes what the file holds, as one step that no other handle interrupts. If `change` answers `false`
    /// nothing is written.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Content) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        let locked = self.file.lock()?;
        let (header, mut content) =
            look(&locked, &self.master, &mut self.header, &mut self.revision)?;
        if change(&mut content)? {
            content.revision += 1;
            write(&locked, &header, &self.master, &content)?;
            self.revision = content.revision;
        }
        Ok(())
    }

    fn change_passphrase(&mut self, new: &Passphrase) -> Result<(), VaultError> {
        let (old, _) = self.look()?;
        let cost = if old.cost().is_below(&Cost::default()) {
            Cost::default()
        } else {
            old.cost()
        };
        let master = Key::random()?;
        let header = Header::wrap(&master, new, cost)?;
        self.rewrap(header, &master)?;
        self.master = master;
        Ok(())
    }

    fn upgrade(&mut self, passphrase: &Passphrase, cost: Cost) -> Result<bool, VaultError> {
        let (old, _) = self.look()?;
        // Or the vault would come under a passphrase that nobody meant.
        let master = old.unwrap(passphrase)?;
        if !old.cost().is_below(&cost) {
            return Ok(false);
        }
        self.rewrap(Header::wrap(&master, passphrase, cost)?, &master)?;
        Ok(true)
    }

    /// Writes the file under another head, which took long to make, and the master key in it.
    fn rewrap(&mut self, header: Header, master: &Key) -> Result<(), VaultError> {
        let locked = self.file.lock()?;
        let (_, mut content) = look(&locked, &self.master, &mut self.header, &mut self.revision)?;
        content.revision += 1;
        write(&locked, &header, master, &content)?;
        (self.header, self.revision) = (header, content.revision);
        Ok(())
    }
}

/// What the file holds under the lock. `header` and `revision` are what it had last, and follow it.
fn look(
    locked: &Locked<'_>,
    master: &Key,
    last: &mut Header,
    revision: &mut u64,
) -> Result<(Header, Content), VaultError> {
    let bytes = locked.read()?;
    let (header, sealed) = Header::parse(&bytes)?;
    let Some(content) = open(sealed, &header, master) else {
        return Err(if header == *last {
            tampered("its content is not authentic")
        } else {
            VaultError::WrongPassphrase
        });
    };
    if content.revision < *revision {
        return Err(tampered("an older copy was put in its place"));
    }
    (*last, *revision) = (header.clone(), content.revision);
    Ok((header, content))
}

fn open(sealed: &[u8], header: &Header, master: &Key) -> Option<Content> {
    Content::decode(&master.open(sealed, header.as_bytes())?)
}

fn write(
    locked: &Locked<'_>,
    header: &Header,
    master: &Key,
    content: &Content,
) -> Result<(), VaultError> {
    let sealed = master.seal(&content.encode(), header.as_bytes())?;
    locked.replace(&[header.as_bytes(), &sealed[..]].concat())
}
