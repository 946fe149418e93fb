//! The Node process that runs the official client.
//!
//! One request, one answer, in JSON lines over its stdin and stdout (`peer/peer.mjs` describes them). Calls block. The
//! process is killed when its [`Peer`] is dropped; should that not happen, it ends by itself when its stdin closes.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Write as _},
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use thiserror::Error;

use crate::Blob;

/// The release of the official client that the tests are about.
const CLIENT_VERSION: &str = "0.103.0";

/// Processes that are running and not in use.
static IDLE: Mutex<Vec<Peer>> = Mutex::new(Vec::new());

/// A running peer process. It holds any number of parties, each under a name of its own.
pub struct Peer {
    pipes: Mutex<Pipes>,
    child: Child,
    names: AtomicU64,
}

struct Pipes {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    last_id: u64,
    broken: bool,
}

/// Why the peer did not do what it was asked to.
///
/// `Debug` gives the same words as `Display`, so that a test that unwraps says what is missing.
#[derive(Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Node or the npm packages are not there.
    #[error(
        "{missing} is missing: the tests against the official client need Node 20 or newer and its packages; \
         run `cargo xtask test`, or `npm ci` in {}", peer_folder().display()
    )]
    NotInstalled {
        /// What was looked for.
        missing: String,
    },
    /// The installed client is another release than the one pinned.
    #[error("the official client is {found}, not {CLIENT_VERSION}: run `npm ci` in {}", peer_folder().display())]
    WrongVersion {
        /// The installed release.
        found: String,
    },
    /// The process ended, or its pipes failed.
    #[error("the peer process is gone: {0}")]
    Gone(#[from] io::Error),
    /// The process said something that is not an answer to the request.
    #[error("the peer process answered out of turn: {0}")]
    Confused(String),
    /// The official client refused.
    #[error("{code}: {message}")]
    Client {
        /// The name of the client's error code.
        code: String,
        /// The client's own words.
        message: String,
    },
    /// The request makes no sense to the peer program.
    #[error("bad request: {0}")]
    Request(String),
}

impl fmt::Debug for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key pair made by the official client.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPair {
    /// 32 bytes.
    pub private_key: Blob,
    /// 33 bytes.
    pub public_key: Blob,
}

impl Peer {
    /// Starts a process.
    pub fn spawn() -> Result<Self, PeerError> {
        let folder = peer_folder();
        let manifest = folder.join("node_modules/@signalapp/libsignal-client/package.json");
        if !manifest.exists() {
            return Err(PeerError::NotInstalled {
                missing: "npm package @signalapp/libsignal-client".into(),
            });
        }
        let mut child = start_node(&folder)?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(PeerError::Confused("the process has no pipes".into()));
        };
        let peer = Self {
            pipes: Mutex::new(Pipes {
                requests,
                answers: BufReader::new(answers),
                last_id: 0,
                broken: false,
            }),
            child,
            names: AtomicU64::new(0),
        };
        peer.check_version()?;
        Ok(peer)
    }

    /// A process out of the pool, started if none is idle. It goes back when the lease is dropped.
    ///
    /// As many processes run as tests do at once. Those in the pool end with this process.
    pub fn lease() -> Result<Pooled, PeerError> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let peer = match idle {
            Some(peer) => peer,
            None => Self::spawn()?,
        };
        Ok(Pooled(Some(peer)))
    }

    /// A party name that has not been used in this process.
    pub fn fresh_name(&self) -> String {
        format!("party-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a request that is about no party. `body` is a JSON object.
    pub fn request<T: DeserializeOwned>(&self, op: &str, mut body: Value) -> Result<T, PeerError> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("op".into(), op.into());
        }
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = pipes.exchange(body)?;
        answer.into_result()
    }

    /// Sends a request to the party called `party`.
    pub fn request_of<T: DeserializeOwned>(
        &self,
        party: &str,
        op: &str,
        mut body: Value,
    ) -> Result<T, PeerError> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("party".into(), party.into());
        }
        self.request(op, body)
    }

    /// A new Curve25519 key pair.
    pub fn generate_key_pair(&self) -> Result<KeyPair, PeerError> {
        self.request("generate_key_pair", json!({}))
    }

    /// The XEdDSA signature of `message` under a private key of 32 bytes: 64 bytes.
    pub fn sign(&self, private_key: &[u8], message: &[u8]) -> Result<Vec<u8>, PeerError> {
        let body = json!({ "privateKey": Blob::from(private_key), "message": Blob::from(message) });
        Ok(self.request::<Blob>("sign", body)?.0)
    }

    /// Whether `signature` is one of `message` under a public key of 33 bytes.
    pub fn verify(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, PeerError> {
        let body = json!({
            "publicKey": Blob::from(public_key),
            "message": Blob::from(message),
            "signature": Blob::from(signature),
        });
        self.request("verify", body)
    }

    /// The X25519 agreement of a private key (32 bytes) and a public key (33 bytes): 32 bytes.
    pub fn agree(&self, private_key: &[u8], public_key: &[u8]) -> Result<Vec<u8>, PeerError> {
        let body =
            json!({ "privateKey": Blob::from(private_key), "publicKey": Blob::from(public_key) });
        Ok(self.request::<Blob>("agree", body)?.0)
    }

    /// Asks the process to end, and waits until it has.
    pub fn shutdown(mut self) -> Result<(), PeerError> {
        self.request::<()>("shutdown", json!({}))?;
        self.child.wait()?;
        Ok(())
    }

    fn check_version(&self) -> Result<(), PeerError> {
        #[derive(Deserialize)]
        struct Hello {
            client: String,
        }
        let Hello { client } = self.request("hello", json!({}))?;
        if client != CLIENT_VERSION {
            return Err(PeerError::WrongVersion { found: client });
        }
        Ok(())
    }

    fn is_broken(&self) -> bool {
        let pipes = self.pipes.lock();
        pipes.map_or(true, |pipes| pipes.broken)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pipes {
    fn exchange(&mut self, mut request: Value) -> Result<Answer, PeerError> {
        self.last_id += 1;
        request["id"] = self.last_id.into();
        self.broken = true;
        let mut line = request.to_string();
        line.push('\n');
        self.requests.write_all(line.as_bytes())?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(PeerError::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Answer =
            serde_json::from_str(&line).map_err(|error| PeerError::Confused(error.to_string()))?;
        if answer.id != self.last_id {
            return Err(PeerError::Confused(format!("{}", answer.id)));
        }
        self.broken = false;
        Ok(answer)
    }
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    ok: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize, Serialize)]
struct Refusal {
    kind: String,
    code: Option<String>,
    message: String,
}

impl Answer {
    fn into_result<T: DeserializeOwned>(self) -> Result<T, PeerError> {
        match self.error {
            None => serde_json::from_value(self.ok)
                .map_err(|error| PeerError::Confused(error.to_string())),
            Some(Refusal {
                code: Some(code),
                message,
                ..
            }) => Err(PeerError::Client { code, message }),
            Some(Refusal { message, .. }) => Err(PeerError::Request(message)),
        }
    }
}

/// A process on loan from the pool.
pub struct Pooled(Option<Peer>);

impl Deref for Pooled {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self.0.as_ref().expect("the peer leaves only on drop")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(peer) = self.0.take().filter(|peer| !peer.is_broken()) {
            IDLE.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(peer);
        }
    }
}

fn peer_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peer")
}

fn start_node(folder: &Path) -> Result<Child, PeerError> {
    let started = Command::new("node")
        .arg("peer.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    started.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PeerError::NotInstalled {
            missing: "the program `node`".into(),
        },
        _ => PeerError::Gone(error),
    })
}
