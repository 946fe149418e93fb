//! What keychains report, in the words of a vault.

use keyring_core::Error;
use sprag::vault::VaultError;

/// Says what an error means. Those of keychains name services and users; what an entry holds is in none that is
/// shown here.
pub(super) fn explain(error: Error) -> VaultError {
    match error {
        Error::NoStorageAccess(_) => VaultError::Locked,
        Error::Ambiguous(entries) => VaultError::Tampered {
            detail: format!("the keychain has {} entries of one name", entries.len()),
        },
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::BadStoreFormat(_) => {
            VaultError::Tampered {
                detail: "the keychain cannot read an entry".to_owned(),
            }
        }
        error => unavailable(&error.to_string()),
    }
}

/// There is nothing that answers, or what answers came to grief.
pub(super) fn unavailable(what: &str) -> VaultError {
    VaultError::Unavailable {
        detail: what.to_owned(),
    }
}
