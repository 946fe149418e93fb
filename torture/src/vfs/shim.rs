//! The C side: a `sqlite3_vfs` that opens files through the one below it and stands in front of their methods.
//!
//! A file of ours is a [`File`] in the memory that SQLite provides, followed by the file of the file system below
//! in the same piece of memory.
#![allow(
    unsafe_code,
    reason = "SQLite's file system is an interface of C functions"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::{self, MaybeUninit};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Once, OnceLock};
use std::{ptr, slice};

use rusqlite::ffi::{
    self, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_OK,
    SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_int64,
    sqlite3_io_methods, sqlite3_vfs,
};

use super::{Operation, Shared, Verdict, find};
use crate::disk::Event;

/// Makes this the file system that SQLite opens databases through by default.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default file system of SQLite is never unregistered and never freed, and initialising
        // SQLite is allowed at any time from any thread. The copy keeps its functions and data, which take
        // any `sqlite3_vfs` that has the same data; it lives as long as the process.
        let registered = unsafe {
            assert_eq!(ffi::sqlite3_initialize(), SQLITE_OK);
            let below = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!below.is_null(), "SQLite has a file system");
            assert!(BELOW.set(Below(below)).is_ok());
            let ours = Box::leak(Box::new(*below));
            ours.pNext = ptr::null_mut();
            ours.zName = c"torture".as_ptr();
            ours.szOsFile += size_of::<File>() as c_int;
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(ours, 1)
        };
        assert_eq!(registered, SQLITE_OK);
    });
}

/// The file system below.
struct Below(*mut sqlite3_vfs);

// SAFETY: SQLite itself uses its file systems from all threads, and nothing changes this one.
unsafe impl Send for Below {}
// SAFETY: as above.
unsafe impl Sync for Below {}

static BELOW: OnceLock<Below> = OnceLock::new();

fn below() -> *mut sqlite3_vfs {
    BELOW.get().expect("set before anything is opened").0
}

#[repr(C)]
struct File {
    base: sqlite3_file,
    /// None if the file lies outside of the watched folders.
    watched: Option<Box<Watched>>,
    // Here begins the file of the file system below.
}

struct Watched {
    folder: Arc<Shared>,
    name: String,
    /// The first sync is to sync the folder as well, as SQLite's own file system does for a new journal or log.
    new: bool,
}

impl File {
    /// # Safety
    /// `file` is one that [`open`] has opened and [`close`] has not closed.
    unsafe fn of<'a>(file: *mut sqlite3_file) -> (&'a mut File, *mut sqlite3_file) {
        let file = file.cast::<File>();
        // SAFETY: `open` made a `File` there, and SQLite calls the methods of a file one at a time. The file
        // below lies right behind it, in memory that `szOsFile` made room for; both are aligned to 8 bytes.
        unsafe { (&mut *file, file.add(1).cast()) }
    }

    /// # Safety
    /// As for [`of`](Self::of).
    unsafe fn methods<'a>(
        file: *mut sqlite3_file,
    ) -> (&'a mut File, *mut sqlite3_file, &'a sqlite3_io_methods) {
        // SAFETY: the caller's. The methods of an open file live as long as it.
        unsafe {
            let (file, real) = Self::of(file);
            (file, real, &*(*real).pMethods)
        }
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 2 has no memory-mapped files, which nobody could watch.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let ours = file.cast::<MaybeUninit<File>>();
    // SAFETY: SQLite provides `szOsFile` bytes, aligned to 8, that hold nothing yet; the file below lies behind
    // ours in them. A path, if there is one, ends in a zero.
    unsafe {
        let real = ours.add(1).cast::<sqlite3_file>();
        (*real).pMethods = ptr::null();
        let opened = (*below()).xOpen.map_or(ffi::SQLITE_ERROR, |open| {
            open(below(), path, real, flags, out)
        });
        if opened != SQLITE_OK {
            if let Some(methods) = (*real).pMethods.as_ref() {
                methods.xClose.map(|close| close(real));
            }
            (*file).pMethods = ptr::null();
            return opened;
        }
        let watched = (!path.is_null())
            .then(|| find(path_of(path)))
            .flatten()
            .map(|(folder, name)| Box::new(watch(folder, name, path_of(path), flags)));
        (*ours).write(File {
            base: sqlite3_file {
                pMethods: &raw const METHODS,
            },
            watched,
        });
    }
    SQLITE_OK
}

fn watch(folder: Arc<Shared>, name: String, path: &Path, flags: c_int) -> Watched {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    folder.state().opened(&name, length);
    let journal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
    let new = journal && flags & SQLITE_OPEN_CREATE != 0;
    Watched { folder, name, new }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, folder_too: c_int) -> c_int {
    // SAFETY: the file system below is passed to its own function.
    let really = || unsafe {
        (*below()).xDelete.map_or(ffi::SQLITE_ERROR, |delete| {
            delete(below(), path, folder_too)
        })
    };
    // SAFETY: a path ends in a zero, and outlives the call.
    let Some((folder, name)) = find(unsafe { path_of(path) }) else {
        return really();
    };
    let mut state = folder.state();
    if state.is_killed() {
        return SQLITE_IOERR_DELETE;
    }
    let outcome = really();
    if outcome == SQLITE_OK {
        state.lengths.remove(&name);
        state.note(Event::Delete(name));
        if folder_too != 0 {
            state.note(Event::SyncFolder);
        }
    }
    outcome
}

/// # Safety
/// `path` ends in a zero and outlives the result.
unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: the caller's.
    let path = unsafe { CStr::from_ptr(path) };
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once, and uses it no more.
    unsafe {
        let (ours, real, methods) = File::methods(file);
        let closed = methods.xClose.map_or(SQLITE_OK, |close| close(real));
        drop(mem::take(&mut ours.watched));
        ours.base.pMethods = ptr::null();
        closed
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open, and `length` bytes lie at `bytes`.
    let (ours, bytes, really) = unsafe {
        let (ours, real, methods) = File::methods(file);
        let bytes = slice::from_raw_parts(bytes.cast::<u8>(), length as usize);
        let really = move |bytes: &[u8]| {
            methods.xWrite.map_or(ffi::SQLITE_ERROR, |write| {
                write(real, bytes.as_ptr().cast(), bytes.len() as c_int, offset)
            })
        };
        (ours, bytes, really)
    };
    let Some(watched) = &ours.watched else {
        return really(bytes);
    };
    let mut state = watched.folder.state();
    let (bytes, answer) = match state.judge(&watched.name, offset as u64, bytes.len()) {
        Verdict::Pass => (bytes, SQLITE_OK),
        Verdict::Cut(0, code) => return code,
        Verdict::Cut(length, code) => (&bytes[..length], code),
    };
    let outcome = really(bytes);
    if outcome != SQLITE_OK {
        return outcome;
    }
    state.written(&watched.name, offset as u64, bytes);
    answer
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let (ours, really) = unsafe {
        let (ours, real, methods) = File::methods(file);
        let really = move || {
            methods
                .xTruncate
                .map_or(ffi::SQLITE_ERROR, |truncate| truncate(real, size))
        };
        (ours, really)
    };
    let Some(watched) = &ours.watched else {
        return really();
    };
    let mut state = watched.folder.state();
    if state.is_killed() {
        return SQLITE_IOERR_TRUNCATE;
    }
    let outcome = really();
    if outcome == SQLITE_OK {
        state.lengths.insert(watched.name.clone(), size as u64);
        state.note(Event::Resize {
            file: watched.name.clone(),
            length: size as u64,
        });
    }
    outcome
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let (ours, real, methods) = unsafe { File::methods(file) };
    let Some(watched) = &mut ours.watched else {
        return methods
            .xSync
            // SAFETY: as above.
            .map_or(ffi::SQLITE_ERROR, |sync| unsafe { sync(real, flags) });
    };
    let mut state = watched.folder.state();
    if state.is_killed_at_sync() {
        return SQLITE_IOERR_FSYNC;
    }
    if state.fails(Operation::Sync) {
        state.note(Event::SyncFailed(watched.name.clone()));
        return SQLITE_IOERR_FSYNC;
    }
    state.note(Event::Sync(watched.name.clone()));
    if mem::take(&mut watched.new) {
        state.note(Event::SyncFolder);
    }
    SQLITE_OK
}

/// Methods that are passed to the file below as they are.
macro_rules! pass {
    ($($name:ident => $method:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) -> c_int {
                // SAFETY: the file is open, and the arguments are those that the method takes.
                unsafe {
                    let (_, real, methods) = File::methods(file);
                    methods.$method.map_or(ffi::SQLITE_ERROR, |method| method(real, $($argument),*))
                }
            }
        )*
    };
}

pass! {
    read => xRead(to: *mut c_void, length: c_int, offset: sqlite3_int64);
    file_size => xFileSize(size: *mut sqlite3_int64);
    lock => xLock(level: c_int);
    unlock => xUnlock(level: c_int);
    check_reserved_lock => xCheckReservedLock(answer: *mut c_int);
    file_control => xFileControl(operation: c_int, argument: *mut c_void);
    sector_size => xSectorSize();
    device_characteristics => xDeviceCharacteristics();
    shm_map => xShmMap(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void);
    shm_lock => xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap => xShmUnmap(delete: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: the file is open.
    unsafe {
        let (_, real, methods) = File::methods(file);
        if let Some(barrier) = methods.xShmBarrier {
            barrier(real);
        }
    }
}
