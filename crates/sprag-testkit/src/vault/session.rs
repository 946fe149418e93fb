//! A keychain for one test.

use std::{
    env, fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Set for a test that was started inside.
const INSIDE: &str = "SPRAG_TEST_IN_SESSION";

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

/// A keychain of its own for one test, on Linux: a private bus and a `gnome-keyring-daemon` with a home that is thrown
/// away, so that nobody's real keychain is touched. Both end with it.
///
/// Where the bus is stands in the environment, which a program cannot change safely while it runs. So a test starts its
/// own program again, inside: [`run`](Self::run) has it do one of its tests, which finds out by
/// [`is_inside`](Self::is_inside) that it is to do its part.
///
/// Every call panics if the programs cannot be started.
pub struct Session {
    folder: TempDir,
    bus: Child,
    keychain: Option<Child>,
}

impl Session {
    /// A bus with nothing on it.
    #[must_use]
    pub fn without_keychain() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("run")).expect("a folder");
        let config = BUS.replace("FOLDER", &folder.path().display().to_string());
        fs::write(at("bus.conf"), config).expect("a file");
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

    /// A keychain that is unlocked, and empty.
    #[must_use]
    pub fn new() -> Self {
        let mut session = Self::without_keychain();
        session.start_keychain(Some("password"));
        session
    }

    /// Whether this program was started inside a session.
    #[must_use]
    pub fn is_inside() -> bool {
        env::var_os(INSIDE).is_some()
    }

    /// Does `test` inside a new session: here, if this program was started in one, or else in another process, as the test
    /// of this name.
    pub fn enter(name: &str, test: fn()) {
        if Self::is_inside() {
            test();
        } else {
            Self::new().run(name);
        }
    }

    /// Starts the keychain, and unlocks it with a password (that of [`new`](Self::new) is `password`). The first one makes
    /// it.
    pub fn start_keychain(&mut self, password: Option<&str>) {
        let mut command = self.command("gnome-keyring-daemon");
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
        if let Some(mut input) = daemon.stdin.take() {
            let written = input.write_all(password.unwrap_or_default().as_bytes());
            written.expect("the keychain reads its password");
        }
        self.keychain = Some(daemon);
        wait_until("the keychain answers", || {
            self.has_owner("org.freedesktop.secrets")
        });
    }

    /// Kills the keychain. What it kept is there when it is started again.
    pub fn stop_keychain(&mut self) {
        end(self.keychain.take());
        wait_until("the keychain is gone", || {
            !self.has_owner("org.freedesktop.secrets")
        });
    }

    /// Has this program do one of its tests inside, and fails if that fails.
    pub fn run(&self, test: &str) {
        let output = self.test(test).output().expect("this program starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{test}, inside: {text}"
        );
    }

    /// This program, to do one of its tests inside.
    #[must_use]
    pub fn test(&self, test: &str) -> Command {
        let mut command = self.command(env::current_exe().expect("this program is known"));
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(INSIDE, "yes");
        command
    }

    /// A program, to be started inside.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
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
        let mut command = self.command("dbus-send");
        command.args(["--print-reply", "--dest=org.freedesktop.DBus", "/"]);
        command.arg("org.freedesktop.DBus.NameHasOwner");
        let output = command.arg(format!("string:{name}")).output();
        let output = output.expect(MISSING);
        String::from_utf8_lossy(&output.stdout).contains("boolean true")
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
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
