//! The file of the store in its folder: where it really lies, what lies there now, how it is made,
//! and whether it is still the one that was opened.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use sprag::backend::BackendError;

use crate::schema;

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No file.
    Nothing,
    /// A file of no bytes, or one that SQLite will make so, which a store may take over.
    Empty,
    /// A store of a format that we know.
    Store,
}

/// The absolute path of the file, through links, so that neither a change of the working folder nor
/// one of a link moves what lies beside it. The file need not be there, its folder must.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, BackendError> {
    let failed = |error| io_error("finding the store", &error);
    match canonical(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let path = std::path::absolute(path).map_err(failed)?;
            let invalid = BackendError::InvalidUrl {
                reason: "the path does not name a file",
            };
            let (folder, name) = path.parent().zip(path.file_name()).ok_or(invalid)?;
            Ok(canonical(folder).map_err(failed)?.join(name))
        }
        resolved => resolved.map_err(failed),
    }
}

#[cfg(unix)]
fn canonical(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// On Windows a canonical path begins with `\\?\`, which SQLite does not take.
#[cfg(not(unix))]
fn canonical(path: &Path) -> io::Result<PathBuf> {
    fs::metadata(path)?;
    std::path::absolute(path)
}

/// Looks at what lies at `path` without changing anything there or beside it.
///
/// # Errors
/// [`BackendError::NotAStore`], [`BackendError::TooNew`] and [`BackendError::Corrupt`] for what a
/// store may not take over.
pub(crate) fn inspect(path: &Path) -> Result<Found, BackendError> {
    // The log first: it is made after the file and goes before it, so a log beside no file is an
    // accident.
    let log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let damaged = |detail: &str| {
        Err(BackendError::Corrupt {
            detail: detail.to_owned(),
        })
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if log {
                damaged("the file is missing, its write-ahead log is there")
            } else {
                Ok(Found::Nothing)
            }
        }
        Err(error) => Err(io_error("looking at the store", &error)),
        Ok(file) if !file.is_file() => Err(BackendError::NotAStore {
            detail: "not a file".to_owned(),
        }),
        Ok(file) if file.len() == 0 => {
            if log {
                damaged("the file is empty, its write-ahead log is not")
            } else {
                Ok(Found::Empty)
            }
        }
        Ok(_) => match read_mark(path) {
            Err(_) if is_unfinished(path) => Ok(Found::Empty),
            marked => marked.map(|()| Found::Store),
        },
    }
}

/// Whether a journal beside the file says that it had no page before the transaction that it belongs to: the
/// power went while somebody made it, and SQLite will undo whatever there is.
///
/// The journal is synced before the first page is written, so it is there whenever a page is.
fn is_unfinished(path: &Path) -> bool {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    // The mark, the number of records, a nonce, and the pages that there were.
    let mut header = [0; 20];
    let read = fs::File::open(beside(path, "-journal"))
        .and_then(|mut journal| journal.read_exact(&mut header));
    read.is_ok() && header.starts_with(&MAGIC) && header.ends_with(&[0; 4])
}

/// Reads the mark of the store from the first page of the file.
///
/// SQLite does the reading, since to close a descriptor of our own would drop the locks that other
/// connections of this process hold on the file. `immutable` makes it take no locks and look at no
/// other file.
fn read_mark(path: &Path) -> Result<(), BackendError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let mark_and_format =
        Connection::open_with_flags(immutable_uri(path), flags).and_then(|connection| {
            // Not to stumble over a file that is shorter than it says, as a crash in a checkpoint
            // leaves it: the log beside it has the rest.
            connection.execute_batch("PRAGMA writable_schema = ON")?;
            schema::mark_and_format(&connection)
        });
    match mark_and_format {
        Ok((mark, format)) => schema::check_mark(mark, format),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(BackendError::NotAStore {
                detail: "not a database, or its first page is damaged".to_owned(),
            })
        }
        Err(error) => Err(crate::error::explain("looking at the store", &error)),
    }
}

/// The file as a URI of SQLite, every unusual byte escaped.
fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    #[cfg(not(unix))]
    let path = format!("/{}", path.to_string_lossy().replace('\\', "/"));
    #[cfg(not(unix))]
    let bytes = path.as_bytes();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Makes the file, empty and for its owner alone from the first moment, or takes over an empty one.
/// Somebody else may do the same at the same time.
pub(crate) fn create(path: &Path) -> Result<(), BackendError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(io_error("creating the store", &error))
        }
        _ => restrict(path).map_err(|error| io_error("restricting the store to its owner", &error)),
    }
}

/// Mode 0600, whatever the umask left of it.
fn restrict(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let _ = path;
    Ok(())
}

/// Makes the entry of a new file in its folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), BackendError> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| io_error("making the new file durable", &error))?;
    }
    let _ = path;
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn io_error(step: &'static str, error: &io::Error) -> BackendError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BackendError::Full,
        ErrorKind::ReadOnlyFilesystem => BackendError::ReadOnly,
        _ => BackendError::Io {
            detail: format!("{step}: {error}"),
        },
    }
}

/// Remembers which files were opened, and tells whether they still lie in their place.
///
/// A file that is deleted while it is open goes on to take writes on Unix, and all of them are lost
/// with the last handle. (Windows does not let it be deleted.)
pub(crate) struct Watch(Vec<(PathBuf, Identity)>);

impl Watch {
    /// Watches the database and its log, both of which are there.
    pub(crate) fn new(path: &Path) -> Result<Self, BackendError> {
        let watched = [path.to_owned(), beside(path, "-wal")]
            .into_iter()
            .map(|path| {
                let identity = Identity::of(&path)
                    .map_err(|error| io_error("looking at the store", &error))?;
                Ok((path, identity))
            });
        Ok(Self(watched.collect::<Result<_, BackendError>>()?))
    }

    /// Whether all files are the ones that were opened.
    pub(crate) fn is_in_place(&self) -> bool {
        self.0
            .iter()
            .all(|(path, opened)| Identity::of(path).is_ok_and(|found| found == *opened))
    }
}

/// Device and inode of a file.
#[derive(PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    /// Linux is asked for the inode alone. Whoever asks for the times of a file, too, has the next write change them,
    /// for which the next sync has to write the inode: another wait for the disk at each commit.
    #[cfg(target_os = "linux")]
    fn of(path: &Path) -> io::Result<Self> {
        use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
        match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
            Ok(found) => Ok(Self(
                makedev(found.stx_dev_major, found.stx_dev_minor),
                found.stx_ino,
            )),
            // The kernel is older than the call, or a sandbox forbids it.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Self::by_all(path),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(path: &Path) -> io::Result<Self> {
        Self::by_all(path)
    }

    /// Asks for everything.
    #[cfg(unix)]
    fn by_all(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).map(|found| Self(found.dev(), found.ino()))
    }

    /// All files look alike.
    #[cfg(not(unix))]
    fn by_all(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self(0, 0))
    }
}
