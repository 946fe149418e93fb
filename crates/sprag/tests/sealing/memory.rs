//! What is printed and logged of a sealed store.

use sprag::vault::{MemoryVault, Secret};

#[test]
fn secrets_and_vaults_print_nothing() {
    let secret = Secret::from_bytes(&[0xab; 32]);
    assert_eq!(
        format!("{secret:?} {:?}", MemoryVault::new()),
        "Secret(..) MemoryVault(..)"
    );
}
