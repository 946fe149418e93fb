//! What the contracts say often.

use std::sync::Arc;

use sprag::vault::{Secret, Vault, VaultError};

/// A fresh secret.
pub(super) fn secret() -> Secret {
    Secret::random(&mut rand::rng())
}

/// What a call answered that must not fail.
pub(super) fn must<T>(answer: Result<T, VaultError>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => unreachable!("the vault failed: {error}"),
    }
}

/// Keeps a fresh secret.
pub(super) async fn create(vault: &Arc<dyn Vault>, name: &str) -> Secret {
    let secret = secret();
    must(vault.create(name, &secret).await);
    secret
}

/// Asserts that a name has this secret, or none.
pub(super) async fn assert_holds(
    vault: &Arc<dyn Vault>,
    name: &str,
    expected: Option<&Secret>,
    rule: &str,
) {
    let loaded = must(vault.load(name).await);
    let same = loaded.as_ref().map(Secret::as_bytes) == expected.map(Secret::as_bytes);
    assert!(same, "load of {name:?}: {rule}");
}

/// Asserts where an anchor stands.
pub(super) async fn assert_stands(vault: &Arc<dyn Vault>, name: &str, expected: u64, rule: &str) {
    let found = must(vault.anchor(name).await);
    assert_eq!(found, expected, "anchor of {name:?}: {rule}");
}
