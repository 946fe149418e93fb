//! What the commands print, word for word.

#[test]
fn golden_files() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
