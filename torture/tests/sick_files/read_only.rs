//! A file that may only be read, as an ordinary user finds it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sprag_torture::pace::say;

use super::patient::Patient;

const ORDERS: &str = "SPRAG_TORTURE_READ_ONLY";

/// Nobody in particular.
const NOBODY: u32 = 65534;

/// Opens the store that it is told to open, and says what it was told.
#[tokio::test]
async fn somebody_else() {
    let Some(path) = std::env::var_os(ORDERS) else {
        return;
    };
    let opened = super::patient::options(Path::new(&path)).open().await;
    let code = opened.err().map_or("opened", |error| error.code());
    println!("\ncode {code}");
}

/// Mode bits do not hold root back, so root asks somebody else.
#[tokio::test]
async fn an_ordinary_user_is_told() {
    let patient = Patient::new().await;
    let folder = patient.path().parent().unwrap().to_owned();
    let root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    if root {
        for place in [folder.clone(), patient.path().to_owned()] {
            chown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let program = readable_copy_of_this_program(&folder);
    let ask = || {
        let mut command = Command::new(&program);
        command
            .args(["read_only::somebody_else", "--exact", "--nocapture"])
            .env(ORDERS, patient.path())
            .current_dir("/");
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = said.lines().find_map(|line| line.strip_prefix("code "));
        code.map(str::to_owned)
    };
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    if ask().is_none() {
        return say("skipped: no other user can be asked here");
    }
    assert_eq!(ask().unwrap(), "opened");
    set_mode(patient.path(), 0o400);
    assert_eq!(ask().unwrap(), "store-read-only");
    set_mode(patient.path(), 0o000);
    assert_eq!(ask().unwrap(), "store-io");
    set_mode(patient.path(), 0o600);
    // A folder in which no log can be made. What is left of it holds nothing.
    for name in ["sprag.db-wal", "sprag.db-shm"] {
        let _ = fs::remove_file(folder.join(name));
    }
    set_mode(&folder, 0o500);
    let code = ask().unwrap();
    assert!(["store-io", "store-read-only"].contains(&&*code), "{code}");
    set_mode(&folder, 0o700);
    assert_eq!(ask().unwrap(), "opened");
    let alice = patient.open().await.unwrap();
    patient.is_well(&alice).await;
    alice.store().close().await.unwrap();
}

/// The folder that it lies in may be closed to others.
fn readable_copy_of_this_program(folder: &Path) -> PathBuf {
    let copy = folder.join("program");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}
