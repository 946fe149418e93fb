//! Every error code that the sources know is documented.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path};

#[test]
fn every_code_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let documented = fs::read_to_string(root.join("docs/errors.md")).unwrap();
    let mut found = 0;
    for source in [
        "crates/sprag-core/src/error.rs",
        "crates/sprag/src/error.rs",
        "crates/sprag/src/backend/error.rs",
        "crates/sprag/src/vault/error.rs",
        "crates/sprag-cli/src/error.rs",
    ] {
        let source = fs::read_to_string(root.join(source)).unwrap();
        for line in source.lines() {
            let Some((_, code)) = line.split_once("=> \"") else {
                continue;
            };
            let code = code.split('"').next().unwrap();
            if code.contains(' ') || !line.trim_start().starts_with("Self::") {
                continue;
            }
            found += 1;
            assert!(
                documented.contains(&format!("`{code}`")),
                "{code} is not documented"
            );
        }
    }
    assert!(found > 40, "only {found} codes were found");
}
