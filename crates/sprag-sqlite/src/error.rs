//! What SQLite reports, in the words of the waist.

use rusqlite::ErrorCode;
use rusqlite::ffi::{self, SQLITE_READONLY_DBMOVED};
use sprag::backend::BackendError;

/// Says what an error of SQLite means. `step` is what was being done, in a few words.
///
/// SQLite's messages name tables and columns but never values, so they may be shown.
pub(crate) fn explain(step: &'static str, error: &rusqlite::Error) -> BackendError {
    let detail = format!("{step}: {error}");
    let Some(&ffi::Error {
        code,
        extended_code,
    }) = error.sqlite_error()
    else {
        // A column of another type, a row that is missing: nothing that we ever write.
        return BackendError::Corrupt { detail };
    };
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => BackendError::Busy,
        ErrorCode::DiskFull => BackendError::Full,
        ErrorCode::ReadOnly if extended_code == SQLITE_READONLY_DBMOVED => BackendError::Moved,
        ErrorCode::ReadOnly => BackendError::ReadOnly,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => BackendError::Corrupt { detail },
        // A table or column is not there, a constraint is broken that the schema upholds.
        ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => {
            BackendError::Corrupt { detail }
        }
        _ => BackendError::Io {
            detail: format!("{detail}, code {extended_code}"),
        },
    }
}

/// Whether, after a failed COMMIT, this process can no longer know what lies on the disk: after an
/// fsync failed, the operating system may take the lost pages for written. A full disk refused the
/// pages instead.
pub(crate) fn leaves_doubt_about_the_disk(error: &BackendError) -> bool {
    !matches!(error, BackendError::Full | BackendError::Busy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn explained(extended_code: i32) -> BackendError {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None);
        explain("testing", &error)
    }

    #[test]
    fn codes_of_sqlite() {
        for (code, expected) in [
            (ffi::SQLITE_BUSY, "store-busy"),
            (ffi::SQLITE_BUSY_RECOVERY, "store-busy"),
            (ffi::SQLITE_LOCKED, "store-busy"),
            (ffi::SQLITE_PROTOCOL, "store-busy"),
            (ffi::SQLITE_FULL, "store-full"),
            (ffi::SQLITE_READONLY, "store-read-only"),
            (ffi::SQLITE_READONLY_DBMOVED, "store-moved"),
            (ffi::SQLITE_CORRUPT, "store-corrupt"),
            (ffi::SQLITE_CORRUPT_INDEX, "store-corrupt"),
            (ffi::SQLITE_NOTADB, "store-corrupt"),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, "store-corrupt"),
            (ffi::SQLITE_IOERR, "store-io"),
            (ffi::SQLITE_IOERR_FSYNC, "store-io"),
            (ffi::SQLITE_IOERR_READ, "store-io"),
            (ffi::SQLITE_CANTOPEN, "store-io"),
            (ffi::SQLITE_NOMEM, "store-io"),
        ] {
            assert_eq!(explained(code).code(), expected, "{code}");
        }
    }

    #[test]
    fn a_failed_fsync_leaves_doubt_and_a_full_disk_does_not() {
        assert!(leaves_doubt_about_the_disk(&explained(
            ffi::SQLITE_IOERR_FSYNC
        )));
        assert!(leaves_doubt_about_the_disk(&explained(
            ffi::SQLITE_IOERR_WRITE
        )));
        assert!(!leaves_doubt_about_the_disk(&explained(ffi::SQLITE_FULL)));
    }
}
