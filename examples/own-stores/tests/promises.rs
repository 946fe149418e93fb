//! What `docs/guide/own-stores.md` says about this package beyond the contracts.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use own_stores_example::{Database, Messenger};
use rand::rngs::SysRng;
use sprag::{
    CiphertextMessage, IdentityKeyStore, PreKeyStore, PreKeyStores, ProtocolAddress, SessionCipher,
    SessionStore, protocol::identity::IdentityKeyPair,
};

fn open(folder: &Path, name: &str) -> Messenger {
    Messenger {
        address: ProtocolAddress::new(name, 1).unwrap(),
        database: Database::open(&folder.join(name)).unwrap(),
    }
}

async fn first_message(alice: &Messenger, bob: &Messenger) -> CiphertextMessage {
    let bundle = bob.bundle().await.unwrap();
    alice.start(&bob.address, &bundle).await.unwrap();
    alice.send(&bob.address, b"first").await.unwrap()
}

/// Everything an operation did goes with its transaction.
#[tokio::test]
async fn what_is_not_committed_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (open(folder.path(), "alice"), open(folder.path(), "bob"));
    let message = first_message(&alice, &bob).await;
    for _ in 0..2 {
        let stores = bob.database.begin().await.unwrap();
        let read = SessionCipher::new(&stores, &stores, &bob.address, &alice.address)
            .decrypt(
                &message,
                PreKeyStores::all_in(&stores),
                &mut rand::rand_core::UnwrapErr(SysRng),
            )
            .await;
        assert_eq!(read.unwrap(), b"first");
        assert!(stores.pre_key_ids().await.unwrap().is_empty());
    }
    let stores = bob.database.stores().await;
    assert_eq!(stores.pre_key_ids().await.unwrap().len(), 1);
    assert!(!stores.contains_session(&alice.address).await.unwrap());
    let identity = stores.load_identity(&alice.address).await.unwrap();
    assert_eq!(identity, None);
    drop(stores);
    assert_eq!(
        bob.receive(&alice.address, &message).await.unwrap(),
        b"first"
    );
}

/// Tasks, and handles as in two processes, take turns: no message key is used twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (open(folder.path(), "alice"), open(folder.path(), "bob"));
    let message = first_message(&alice, &bob).await;
    bob.receive(&alice.address, &message).await.unwrap();

    let other_process = Database::open(&folder.path().join("alice")).unwrap();
    let mut tasks = Vec::new();
    for number in 0..32_u8 {
        let sender = Messenger {
            address: alice.address.clone(),
            database: match number % 2 {
                0 => alice.database.clone(),
                _ => other_process.clone(),
            },
        };
        let recipient = bob.address.clone();
        tasks.push(tokio::spawn(async move {
            sender.send(&recipient, &[number]).await.unwrap()
        }));
    }
    let mut read = Vec::new();
    for task in tasks {
        let message = task.await.unwrap();
        read.extend(bob.receive(&alice.address, &message).await.unwrap());
    }
    assert_eq!(read, (0..32).collect::<Vec<_>>());
}

/// A removed key is nowhere on disk after a checkpoint. Before it, the log still holds it.
#[tokio::test]
async fn a_checkpoint_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (open(folder.path(), "alice"), open(folder.path(), "bob"));
    let message = first_message(&alice, &bob).await;
    let secret = {
        let stores = bob.database.stores().await;
        let id = stores.pre_key_ids().await.unwrap().pop().unwrap();
        let record = stores.load_pre_key(id).await.unwrap().unwrap();
        record.key_pair().unwrap().private_key.serialize()
    };
    let on_disk = || {
        let files = fs::read_dir(folder.path()).unwrap();
        files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .any(|bytes| {
                bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_slice())
            })
    };
    assert!(on_disk());
    bob.receive(&alice.address, &message).await.unwrap();
    assert!(
        on_disk(),
        "the page says that secure_delete alone is not enough"
    );
    assert!(bob.database.checkpoint().await.unwrap());
    assert!(!on_disk());
}

/// Nobody else can read the files.
#[cfg(unix)]
#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let bob = open(folder.path(), "bob");
    bob.bundle().await.unwrap();
    let mut names = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
        names.push(file.file_name());
    }
    names.sort();
    assert_eq!(names, ["bob", "bob-shm", "bob-wal"]);
}

/// A peer that installed anew is refused until the user has approved its identity.
#[tokio::test]
async fn a_changed_identity_needs_approval() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (open(folder.path(), "alice"), open(folder.path(), "bob"));
    first_message(&alice, &bob).await;

    let new_bob = Messenger {
        address: bob.address.clone(),
        database: Database::in_memory().unwrap(),
    };
    let bundle = new_bob.bundle().await.unwrap();
    let refused = alice.start(&bob.address, &bundle).await;
    assert_eq!(refused.unwrap_err().code(), "untrusted-identity");
    alice.send(&bob.address, b"to the old one").await.unwrap();

    alice
        .approve(&bob.address, &bundle.identity_key)
        .await
        .unwrap();
    let refused = alice.send(&bob.address, b"to the old one").await;
    assert_eq!(refused.unwrap_err().code(), "untrusted-identity");
    alice.start(&bob.address, &bundle).await.unwrap();
    let message = alice.send(&bob.address, b"to the new one").await.unwrap();
    let read = new_bob.receive(&alice.address, &message).await.unwrap();
    assert_eq!(read, b"to the new one");
}

/// An identity is made once.
#[tokio::test]
async fn the_identity_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let own = async || -> IdentityKeyPair {
        let bob = open(folder.path(), "bob");
        bob.database
            .stores()
            .await
            .identity_key_pair()
            .await
            .unwrap()
    };
    assert_eq!(own().await.identity_key(), own().await.identity_key());
}
