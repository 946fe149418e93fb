//! The vault that keeps the secrets which the store is sealed under.

use std::{env, fs, io, mem, path::PathBuf, sync::Arc};

use sprag::vault::{Vault, VaultError};
use sprag_vault::{KeychainVault, Passphrase, PassphraseVault};
use zeroize::Zeroizing;

use crate::{
    arguments::{self, VaultKind},
    error::CliError,
    output,
};

/// By what the entries in the keychain are known.
const SERVICE: &str = "sprag";

/// A vault, as the user chose it.
pub(crate) struct VaultPlace {
    chosen: Option<VaultKind>,
    path: PathBuf,
    passphrase: Source,
}

/// Where a passphrase comes from: a file, an environment variable, or somebody at the terminal. Never the command
/// line, which others can read.
pub(crate) struct Source {
    file: Option<PathBuf>,
    variable: &'static str,
    option: &'static str,
    prompt: &'static str,
}

impl VaultPlace {
    /// # Errors
    /// [`CliError::Input`] if options contradict each other.
    pub(crate) fn new(arguments: arguments::Vault, store: &str) -> Result<Self, CliError> {
        let arguments::Vault {
            vault,
            vault_file,
            passphrase_file,
        } = arguments;
        let of_a_file = vault_file.is_some() || passphrase_file.is_some();
        if of_a_file && vault == Some(VaultKind::Keychain) {
            let reason = "--vault-file and --passphrase-file are for --vault passphrase";
            return Err(CliError::Input(reason.into()));
        }
        Ok(Self {
            chosen: vault.or(of_a_file.then_some(VaultKind::Passphrase)),
            path: vault_file.unwrap_or_else(|| beside(store)),
            passphrase: Source {
                file: passphrase_file,
                variable: "SPRAG_PASSPHRASE",
                option: "--passphrase-file",
                prompt: "Passphrase: ",
            },
        })
    }

    /// The vault, which is there.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Vault>, CliError> {
        match self.kind() {
            VaultKind::Keychain => self.keychain().await,
            VaultKind::Passphrase => Ok(Arc::new(self.file().await?)),
        }
    }

    /// The vault, made if there is none.
    pub(crate) async fn open_or_create(&self) -> Result<Arc<dyn Vault>, CliError> {
        if self.kind() == VaultKind::Keychain || self.path.exists() {
            return self.open().await;
        }
        let passphrase = self.passphrase.ask_twice()?;
        Ok(Arc::new(
            PassphraseVault::create(&self.path, passphrase).await?,
        ))
    }

    pub(crate) async fn change_passphrase(&self, file: Option<PathBuf>) -> Result<(), CliError> {
        if self.chosen == Some(VaultKind::Keychain) {
            let reason = "the keychain has its own ways to change its passphrase";
            return Err(CliError::Input(reason.into()));
        }
        let vault = self.file().await?;
        let new = Source {
            file,
            variable: "SPRAG_NEW_PASSPHRASE",
            option: "--new-passphrase-file",
            prompt: "New passphrase: ",
        };
        vault.change_passphrase(new.ask_twice()?).await?;
        output::line(&format!("{} has a new passphrase", self.path.display()))
    }

    /// A file that is there is the vault that the store was made with, unless the user says otherwise.
    fn kind(&self) -> VaultKind {
        self.chosen.unwrap_or(if self.path.exists() {
            VaultKind::Passphrase
        } else {
            VaultKind::Keychain
        })
    }

    async fn keychain(&self) -> Result<Arc<dyn Vault>, CliError> {
        match KeychainVault::open(SERVICE).await {
            Ok(vault) => Ok(Arc::new(vault)),
            Err(error @ VaultError::Unavailable { .. }) if self.chosen.is_none() => {
                Err(CliError::NoKeychain(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn file(&self) -> Result<PassphraseVault, CliError> {
        if !self.path.exists() {
            return Err(CliError::NoVaultFile(self.path.clone()));
        }
        Ok(PassphraseVault::open(&self.path, self.passphrase.ask()?).await?)
    }
}

/// `sqlite:sprag.db` has its vault in `sprag.db.vault`.
fn beside(store: &str) -> PathBuf {
    format!("{}.vault", store.strip_prefix("sqlite:").unwrap_or(store)).into()
}

impl Source {
    /// The passphrase of a vault that is there.
    fn ask(&self) -> Result<Passphrase, CliError> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase.into()),
            None => Ok(self.typed(self.prompt)?.into()),
        }
    }

    /// A new passphrase, which whoever types it types twice.
    fn ask_twice(&self) -> Result<Passphrase, CliError> {
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase.into());
        }
        let mut passphrase = Zeroizing::new(self.typed(self.prompt)?);
        let again = Zeroizing::new(self.typed("Again: ")?);
        if again != passphrase {
            return Err(CliError::Input("the passphrases differ".into()));
        }
        Ok(mem::take(&mut *passphrase).into())
    }

    fn given(&self) -> Result<Option<String>, CliError> {
        if let Some(path) = &self.file {
            let mut text = fs::read_to_string(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            text.truncate(text.lines().next().map_or(0, str::len));
            return Ok(Some(text));
        }
        match env::var(self.variable) {
            Ok(passphrase) => Ok(Some(passphrase)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => {
                let reason = format!("{} is not UTF-8", self.variable);
                Err(CliError::Input(reason))
            }
        }
    }

    fn typed(&self, prompt: &str) -> Result<String, CliError> {
        rpassword::prompt_password(prompt).map_err(|_| CliError::NoPassphrase {
            variable: self.variable,
            option: self.option,
        })
    }
}
