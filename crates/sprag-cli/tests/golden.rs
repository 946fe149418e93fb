//! What the commands print, word for word.

#[test]
fn golden_files() {
    trycmd::TestCases::new()
        .env("SPRAG_VAULT", "passphrase")
        .env("SPRAG_PASSPHRASE", "passphrase")
        .env("SPRAG_NEW_PASSPHRASE", "another passphrase")
        .case("tests/cmd/*.trycmd");
}
