//! The keychain of each sort of system.

use std::sync::Arc;

use keyring_core::CredentialStore;
use sprag::vault::VaultError;

/// Connects to the keychain.
pub(super) fn store() -> Result<Arc<CredentialStore>, VaultError> {
    system::store()
}

/// By what entries of a service are listed; entries of others may be among them.
pub(super) fn search(service: &str) -> (&'static str, String) {
    system::search(service)
}

/// The Secret Service, over D-Bus.
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    target_os = "dragonfly"
))]
mod system {
    use zbus_secret_service_keyring_store::Store;

    use super::{Arc, CredentialStore, VaultError};
    use crate::keychain::error::unavailable;

    pub(super) fn store() -> Result<Arc<CredentialStore>, VaultError> {
        match Store::new() {
            Ok(store) => Ok(store),
            Err(error) => Err(unavailable(&format!(
                "{error}; it needs a D-Bus session (DBUS_SESSION_BUS_ADDRESS) with a Secret Service, such as \
                 gnome-keyring-daemon"
            ))),
        }
    }

    pub(super) fn search(service: &str) -> (&'static str, String) {
        ("service", service.to_owned())
    }
}

/// The login keychain of macOS, and the protected one of iOS.
#[cfg(any(target_os = "macos", target_os = "ios"))]
mod system {
    #[cfg(target_os = "macos")]
    use apple_native_keyring_store::keychain::Store;
    #[cfg(target_os = "ios")]
    use apple_native_keyring_store::protected::Store;

    use super::{Arc, CredentialStore, VaultError};
    use crate::keychain::error::explain;

    pub(super) fn store() -> Result<Arc<CredentialStore>, VaultError> {
        Ok(Store::new().map_err(explain)?)
    }

    pub(super) fn search(service: &str) -> (&'static str, String) {
        ("service", service.to_owned())
    }
}

/// The Credential Manager.
#[cfg(windows)]
mod system {
    use std::collections::HashMap;

    use windows_native_keyring_store::Store;

    use super::{Arc, CredentialStore, VaultError};
    use crate::keychain::error::explain;

    /// What stands between user and service, which have none of it.
    const DIVIDER: &str = "@";

    pub(super) fn store() -> Result<Arc<CredentialStore>, VaultError> {
        let configuration = HashMap::from([("divider", DIVIDER)]);
        Ok(Store::new_with_configuration(&configuration).map_err(explain)?)
    }

    /// A regular expression. Of what services are made of only the full stop means something in it, and it means
    /// itself, too.
    pub(super) fn search(service: &str) -> (&'static str, String) {
        ("pattern", format!("^[0-9]+{DIVIDER}{service}$"))
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    target_os = "dragonfly",
    target_os = "macos",
    target_os = "ios",
    windows
)))]
mod system {
    use super::{Arc, CredentialStore, VaultError};
    use crate::keychain::error::unavailable;

    pub(super) fn store() -> Result<Arc<CredentialStore>, VaultError> {
        Err(unavailable("this system has no keychain that is known"))
    }

    pub(super) fn search(service: &str) -> (&'static str, String) {
        ("service", service.to_owned())
    }
}
