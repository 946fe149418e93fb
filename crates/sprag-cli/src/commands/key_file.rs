//! A file in a server's place: the public keys that are published, to be handed out.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sprag::upkeep::{Held, KeyCounts, KeyServer, KeyServerError, KeyUpload};
use tempfile::NamedTempFile;

use crate::{
    error::CliError,
    formats::{self, Bundle, PublishedKeys},
};

/// A key file. Whoever reads and writes it holds a lock, a file of the same name with `.lock` behind it.
pub(crate) struct KeyFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(flatten)]
    keys: PublishedKeys,
    /// One-time keys of the last upload that were handed out, so that they are not taken again.
    #[serde(default)]
    handed_out: HandedOut,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HandedOut {
    pre_keys: Vec<u32>,
    pq_pre_keys: Vec<u32>,
}

impl KeyFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes a bundle out of the file. What is printed after this is handed out at most once.
    pub(crate) fn hand_out(&self) -> Result<Bundle, CliError> {
        let _lock = self.lock()?;
        let mut content = self.read()?.ok_or_else(|| {
            let file = self.path.display();
            CliError::Input(format!(
                "there is no key file {file}; make one with: sprag upkeep"
            ))
        })?;
        let Content { keys, handed_out } = &mut content;
        let ids = keys.pre_keys.front().map(|key| key.key_id);
        handed_out.pre_keys.extend(ids);
        let ids = keys.pq_pre_keys.front().map(|key| key.key_id);
        handed_out.pq_pre_keys.extend(ids);
        let bundle = keys.hand_out();
        self.write(&content)?;
        Ok(bundle)
    }

    fn take(&self, upload: &KeyUpload) -> Result<(), CliError> {
        let _lock = self.lock()?;
        let mut keys = PublishedKeys::from(upload);
        let mut handed_out = HandedOut::default();
        if let Some(before) = self.read()? {
            handed_out = before.handed_out;
            if keys.pre_keys.is_empty() {
                keys.pre_keys = before.keys.pre_keys;
            } else {
                let uploaded = |id: &u32| keys.pre_keys.iter().any(|key| key.key_id == *id);
                handed_out.pre_keys.retain(uploaded);
            }
            if keys.pq_pre_keys.is_empty() {
                keys.pq_pre_keys = before.keys.pq_pre_keys;
            } else {
                let uploaded = |id: &u32| keys.pq_pre_keys.iter().any(|key| key.key_id == *id);
                handed_out.pq_pre_keys.retain(uploaded);
            }
        }
        keys.pre_keys
            .retain(|key| !handed_out.pre_keys.contains(&key.key_id));
        keys.pq_pre_keys
            .retain(|key| !handed_out.pq_pre_keys.contains(&key.key_id));
        self.write(&Content { keys, handed_out })
    }

    fn read(&self) -> Result<Option<Content>, CliError> {
        match fs::read(&self.path) {
            Ok(json) => Ok(Some(formats::parse("key file", &json)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the content in place of the one before, whole, and makes sure that it stays.
    fn write(&self, content: &Content) -> Result<(), CliError> {
        let folder = self.folder();
        let mut file = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, content).map_err(io::Error::from)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|failed| failed.error)?;
        if cfg!(unix) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn lock(&self) -> Result<File, CliError> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.lock()?;
        Ok(file)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }
}

#[async_trait]
impl KeyServer for KeyFile {
    async fn counts(&self) -> Result<KeyCounts, KeyServerError> {
        let nothing = KeyCounts {
            signed_pre_key: Held::Nothing,
            last_resort: Held::Nothing,
            ..KeyCounts::default()
        };
        let content = self.read().map_err(KeyServerError::new)?;
        Ok(content.map_or(nothing, |Content { keys, .. }| KeyCounts {
            pre_keys: keys.pre_keys.len(),
            kyber_pre_keys: keys.pq_pre_keys.len(),
            signed_pre_key: Held::Key(keys.signed_pre_key.key_id.into()),
            last_resort: Held::Key(keys.pq_last_resort_pre_key.key_id.into()),
        }))
    }

    async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError> {
        self.take(upload).map_err(KeyServerError::new)
    }
}
