//! The file of a vault: held by one process at a time, and replaced as a whole.
//!
//! Every look and every change is under the lock of the operating system on a file beside the vault, `NAME.lock`,
//! which stays there: the vault itself is another file after each change. A new one is written beside it as `NAME.new`, for its
//! owner alone, synced, and renamed; the folder is synced, and what is left of the old file is overwritten.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use sprag::vault::VaultError;

/// No vault is longer; what is, is not read.
const MAX_LENGTH: u64 = 16 << 20;

/// The place of a vault.
pub(super) struct VaultFile {
    path: PathBuf,
}

/// The place of a vault that no other handle, in this process or another one, looks at or changes now.
pub(super) struct Locked<'a> {
    path: &'a Path,
    _lock: File,
}

impl VaultFile {
    /// The place of a vault that is there, through links, so that neither a change of the working folder nor one of a link
    /// moves it.
    pub(super) fn existing(path: &Path) -> Result<Self, VaultError> {
        match fs::canonicalize(path) {
            Ok(path) => Ok(Self { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(VaultError::Missing),
            Err(error) => Err(failed("finding the vault", &error)),
        }
    }

    /// The place of a vault that is not there yet, in a folder that is.
    pub(super) fn new(path: &Path) -> Result<Self, VaultError> {
        let find = |path: &Path| {
            let path = std::path::absolute(path)?;
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::Error::new(
                    ErrorKind::InvalidInput,
                    "the path names no file",
                ));
            };
            Ok(fs::canonicalize(folder)?.join(name))
        };
        let path = find(path).map_err(|error| failed("finding the folder of the vault", &error))?;
        Ok(Self { path })
    }

    /// Waits for the lock.
    pub(super) fn lock(&self) -> Result<Locked<'_>, VaultError> {
        let lock = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = for_owner(&mut options).open(beside(&self.path, ".lock"))?;
            file.lock()?;
            Ok(file)
        };
        Ok(Locked {
            path: &self.path,
            _lock: lock().map_err(|error| failed("locking the vault", &error))?,
        })
    }
}

impl Locked<'_> {
    /// Whether there is anything at the place.
    pub(super) fn is_taken(&self) -> bool {
        fs::symlink_metadata(self.path).is_ok()
    }

    /// All of the file.
    ///
    /// # Errors
    /// [`VaultError::Missing`]; [`VaultError::Tampered`] for what is no file, or longer than a vault can be.
    pub(super) fn read(&self) -> Result<Vec<u8>, VaultError> {
        match read(self.path) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(VaultError::Tampered {
                detail: "it is no file, or longer than any vault".to_owned(),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(VaultError::Missing),
            Err(error) => Err(failed("reading the vault", &error)),
        }
    }

    /// Puts a file in the place of the one that is there, if there is one. When this returns the new one is durable; after an
    /// error either may be there, whole.
    pub(super) fn replace(&self, bytes: &[u8]) -> Result<(), VaultError> {
        if bytes.len() as u64 > MAX_LENGTH {
            return Err(VaultError::Io {
                detail: "the vault is full".to_owned(),
            });
        }
        let old = Old::open(self.path);
        let new = beside(self.path, ".new");
        let written = write(&new, bytes).and_then(|()| fs::rename(&new, self.path));
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(failed("writing the vault", &error));
        }
        sync_folder(self.path)
            .map_err(|error| failed("making the changed vault durable", &error))?;
        old.wipe();
        Ok(())
    }
}

/// `None` for what is no file or too long.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Before it is opened, which could wait for ever for what is no file.
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_LENGTH + 1)
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_LENGTH).then_some(bytes))
}

/// Writes a file of its own and syncs it. One that a crash left there goes first.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = for_owner(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What is made is for its owner alone, from the first moment.
fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes the new entry in the folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    let _ = path;
    Ok(())
}

/// The file that was there, to be overwritten when nobody can reach it any more.
struct Old(#[cfg(unix)] Option<File>);

#[cfg(unix)]
impl Old {
    fn open(path: &Path) -> Self {
        Self(OpenOptions::new().write(true).open(path).ok())
    }

    /// Overwrites the file if it has no name any more. A file system may still have put the old bytes
    /// elsewhere, and then nothing helps, so that failing to is no error.
    fn wipe(self) {
        use std::os::unix::fs::MetadataExt;

        let Some(mut file) = self.0 else { return };
        if let Ok(found) = file.metadata()
            && found.nlink() == 0
        {
            let zeros = io::repeat(0).take(found.len());
            let _ = io::copy(&mut { zeros }, &mut file).and_then(|_| file.sync_all());
        }
    }
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
impl Old {
    fn open(_: &Path) -> Self {
        Self()
    }

    fn wipe(self) {}
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn failed(step: &str, error: &io::Error) -> VaultError {
    VaultError::Io {
        detail: format!("{step}: {error}"),
    }
}
