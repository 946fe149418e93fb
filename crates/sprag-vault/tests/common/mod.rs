//! A keychain of its own for one test: a private bus and a `gnome-keyring-daemon` with a home that is thrown away, so that nobody's
//! real keychain is touched. Both end with it.
//!
//! Where the bus is stands in the environment, which a program cannot change safely while it runs. So the test program
//! starts itself again, inside.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Set for a program that was started inside.
pub const INSIDE: &str = "SPRAG_VAULT_TEST_INSIDE";

/// No service is started on demand: neither another keychain, nor somebody to ask for a passphrase.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:path=FOLDER/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

pub struct Session {
    folder: TempDir,
    bus: Child,
    keychain: Option<Child>,
}

impl Session {
    /// A bus with nothing on it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("run")).unwrap();
        let config = BUS.replace("FOLDER", folder.path().to_str().unwrap());
        fs::write(at("bus.conf"), config).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.args(["--nofork", "--nopidfile", "--config-file"]);
        let bus = start(command.arg(at("bus.conf")).stdin(Stdio::null()));
        let session = Self {
            folder,
            bus,
            keychain: None,
        };
        wait_until("the bus answers", || {
            session.has_owner("org.freedesktop.DBus")
        });
        session
    }

    /// Starts the keychain, unlocked.
    pub fn unlocked(mut self) -> Self {
        self.start_keychain(Some("password"));
        self
    }

    /// Starts the keychain, and unlocks it with a password; the first one makes it.
    pub fn start_keychain(&mut self, password: Option<&str>) {
        let mut command = self.inside("gnome-keyring-daemon");
        command.args([
            "--foreground",
            "--components=secrets",
            "--control-directory",
        ]);
        command.arg(self.folder.path().join("run"));
        if password.is_some() {
            command.arg("--unlock");
        }
        let mut daemon = start(command.stdin(Stdio::piped()));
        let mut input = daemon.stdin.take().unwrap();
        input
            .write_all(password.unwrap_or_default().as_bytes())
            .unwrap();
        drop(input);
        self.keychain = Some(daemon);
        wait_until("the keychain answers", || {
            self.has_owner("org.freedesktop.secrets")
        });
    }

    pub fn stop_keychain(&mut self) {
        end(self.keychain.take());
        wait_until("the keychain is gone", || {
            !self.has_owner("org.freedesktop.secrets")
        });
    }

    /// Has this program run one of its tests inside.
    pub fn run(&self, test: &str) {
        let output = self.test(test).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{test}, inside: {text}"
        );
    }

    /// This program, to run one of its tests inside.
    pub fn test(&self, test: &str) -> Command {
        let mut command = self.inside(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(INSIDE, "yes");
        command
    }

    fn inside(&self, program: impl AsRef<Path>) -> Command {
        let home = self.folder.path();
        let mut command = Command::new(program.as_ref());
        let bus = format!("unix:path={}/bus", home.display());
        command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        command.env("XDG_RUNTIME_DIR", home.join("run"));
        for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(variable, home);
        }
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "GNOME_KEYRING_CONTROL"] {
            command.env_remove(variable);
        }
        command
    }

    fn has_owner(&self, name: &str) -> bool {
        let mut command = self.inside("dbus-send");
        command.args(["--print-reply", "--dest=org.freedesktop.DBus", "/"]);
        command.arg("org.freedesktop.DBus.NameHasOwner");
        let output = command.arg(format!("string:{name}")).output();
        let output = output.expect(MISSING);
        String::from_utf8_lossy(&output.stdout).contains("boolean true")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        end(self.keychain.take());
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

const MISSING: &str = "these tests need dbus-daemon, dbus-send and gnome-keyring-daemon, which `cargo xtask test` installs";

fn start(command: &mut Command) -> Child {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().expect(MISSING)
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
