//! A file system for SQLite that writes down what is done to files, and fails when it is told to.
//!
//! It stands over SQLite's own for Unix and is the default of the process once a [`Folder`] was watched, so
//! that `sprag-sqlite` opens through it without knowing. Files outside of watched folders are passed through
//! untouched. Shared memory is not written down: after a power cut there is none, and SQLite builds it anew from the
//! log.
//!
//! In a watched folder nothing is really synced. What a sync is worth is decided afterwards, by
//! [`Disk`](crate::disk::Disk).

mod shim;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use crate::disk::Event;

/// A folder whose files SQLite opens through us, until this is dropped.
pub struct Folder {
    path: PathBuf,
    shared: Arc<Shared>,
}

/// What may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A write; half of it is done.
    Write,
    /// A sync: the pages are lost, and taken for written from now on.
    Sync,
}

/// Which operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What fails.
    pub operation: Operation,
    /// How many of the same go through before.
    pub after: u64,
    /// Whether everything of this sort fails from then on, rather than once.
    pub lasting: bool,
}

/// What the folder and its open files have in common.
#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// None if nothing is to be written down.
    events: Option<Vec<Event>>,
    /// How long each file is.
    lengths: HashMap<String, u64>,
    failure: Option<Failure>,
    failed: u64,
    /// How many bytes the folder may hold.
    room: Option<u64>,
    process: Process,
    done: HashMap<Operation, u64>,
}

/// How the process fares that has the folder's files open.
#[derive(Default, PartialEq, Eq)]
enum Process {
    #[default]
    Alive,
    /// It is killed before the next sync.
    Doomed,
    /// Nothing that it does happens any more.
    Killed,
}

static FOLDERS: Mutex<Vec<(PathBuf, Arc<Shared>)>> = Mutex::new(Vec::new());

impl Folder {
    /// Watches a folder, and writes down what happens there. Files that are in it already are not known to the
    /// record.
    ///
    /// # Panics
    /// If the folder is not there.
    pub fn record(path: &Path) -> Self {
        let folder = Self::watch(path);
        folder.shared.state().events = Some(Vec::new());
        folder
    }

    /// Watches a folder without writing anything down: it syncs nothing, and fails where it is told to.
    ///
    /// # Panics
    /// If the folder is not there.
    pub fn watch(path: &Path) -> Self {
        shim::install();
        let path = path.canonicalize().expect("the folder is there");
        let shared = Arc::<Shared>::default();
        folders().push((path.clone(), Arc::clone(&shared)));
        Self { path, shared }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a mark between what has happened and what is to happen.
    pub fn mark(&self, number: usize) {
        self.shared.state().note(Event::Mark(number));
    }

    /// What has happened.
    pub fn take_events(&self) -> Vec<Event> {
        self.shared.state().events.take().unwrap_or_default()
    }

    /// Plans a failure, counted from now.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.shared.state();
        state.failure = Some(failure);
        state.failed = 0;
    }

    /// The disk is sound again. Answers how many operations failed.
    pub fn heal(&self) -> u64 {
        let mut state = self.shared.state();
        state.failure = None;
        std::mem::take(&mut state.failed)
    }

    /// Kills whoever has files open here, in place of the next sync: nothing happens any more, and what was written stays. Whoever
    /// is killed is told of errors.
    pub fn kill(&self) {
        self.shared.state().process = Process::Doomed;
    }

    /// Another process takes the place of the killed one, which has closed its files.
    pub fn revive(&self) {
        self.shared.state().process = Process::Alive;
    }

    /// Lets the folder hold so many bytes more, or any number.
    pub fn limit(&self, more: Option<u64>) {
        let mut state = self.shared.state();
        let used: u64 = state.lengths.values().sum();
        state.room = more.map(|more| used + more);
    }

    /// How many operations of this sort there were.
    pub fn count(&self, operation: Operation) -> u64 {
        let state = self.shared.state();
        state.done.get(&operation).copied().unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        folders().retain(|(_, shared)| !Arc::ptr_eq(shared, &self.shared));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a write goes.
enum Verdict {
    Pass,
    /// Only so many bytes are written, then this code is given.
    Cut(usize, i32),
}

impl State {
    fn note(&mut self, event: Event) {
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    fn opened(&mut self, file: &str, length: u64) {
        if !self.lengths.contains_key(file) {
            self.lengths.insert(file.to_owned(), length);
            self.note(Event::Create(file.to_owned()));
        }
    }

    /// Whether the operation under way is the one that is to fail.
    fn fails(&mut self, operation: Operation) -> bool {
        *self.done.entry(operation).or_default() += 1;
        let Some(failure) = &mut self.failure else {
            return false;
        };
        if failure.operation != operation {
            return false;
        }
        if failure.after > 0 {
            failure.after -= 1;
            return false;
        }
        if !failure.lasting {
            self.failure = None;
        }
        self.failed += 1;
        true
    }

    /// Whether a sync under way does not happen because the process is killed.
    fn is_killed_at_sync(&mut self) -> bool {
        if self.process == Process::Doomed {
            self.process = Process::Killed;
        }
        self.is_killed()
    }

    fn is_killed(&self) -> bool {
        self.process == Process::Killed
    }

    fn judge(&mut self, file: &str, offset: u64, length: usize) -> Verdict {
        if self.is_killed() {
            return Verdict::Cut(0, ffi::SQLITE_IOERR_WRITE);
        }
        if self.fails(Operation::Write) {
            return Verdict::Cut(length / 2, ffi::SQLITE_IOERR_WRITE);
        }
        let others: u64 = self.lengths.values().sum::<u64>() - self.length(file);
        match self.room.map(|room| room.saturating_sub(others)) {
            Some(room) if offset + length as u64 > room.max(self.length(file)) => {
                self.failed += 1;
                let fits = room.max(self.length(file)).saturating_sub(offset);
                Verdict::Cut(fits as usize, ffi::SQLITE_FULL)
            }
            _ => Verdict::Pass,
        }
    }

    fn written(&mut self, file: &str, offset: u64, bytes: &[u8]) {
        let length = self.length(file).max(offset + bytes.len() as u64);
        self.lengths.insert(file.to_owned(), length);
        self.note(Event::Write {
            file: file.to_owned(),
            offset,
            bytes: bytes.into(),
        });
    }

    fn length(&self, file: &str) -> u64 {
        self.lengths.get(file).copied().unwrap_or_default()
    }
}

/// The folder that a file lies in, if it is watched, and the file's name in it.
fn find(path: &Path) -> Option<(Arc<Shared>, String)> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let folders = folders();
    let (_, shared) = folders.iter().find(|(path, _)| path == folder)?;
    Some((Arc::clone(shared), name.to_owned()))
}

fn folders() -> MutexGuard<'static, Vec<(PathBuf, Arc<Shared>)>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}
