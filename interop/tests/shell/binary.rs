//! The `sprag` command to test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The command, built by the same profile as this test. A run of all tests has built it already; otherwise, or if its
/// sources have changed since, it is built now.
pub(crate) fn sprag() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap();
        let binary = folder.join(format!("sprag{}", env::consts::EXE_SUFFIX));
        if !is_fresh(&binary) {
            build(folder);
        }
        binary
    })
}

/// Whether no source is newer. Cargo lists them beside the binary: its path, a colon, theirs.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let (Some(built), Ok(list)) = (
        modified(binary),
        fs::read_to_string(binary.with_extension("d")),
    ) else {
        return false;
    };
    let Some((_, sources)) = list.split_once(": ") else {
        return false;
    };
    let sources = sources.trim().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|path| path.replace('\0', " "));
    sources.all(|path| modified(Path::new(&path)).is_some_and(|changed| changed <= built))
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--package", "sprag-cli", "--bin", "sprag"])
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().unwrap())
        .status();
    assert!(status.unwrap().success(), "the command does not build");
}
