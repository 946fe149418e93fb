//! Two parties over two databases.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use own_stores_example::{Database, Messenger};
use sprag::{Error, ProtocolAddress};

#[tokio::test]
async fn two_parties_exchange_messages() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| -> Result<Messenger, Error> {
        Ok(Messenger {
            address: ProtocolAddress::new(name, 1)?,
            database: Database::open(&folder.path().join(name))?,
        })
    };
    let (alice, bob) = (open("alice")?, open("bob")?);

    // Bob's server hands out his bundle; Alice starts a session with it.
    let bundle = bob.bundle().await?;
    alice.start(&bob.address, &bundle).await?;
    let hello = alice.send(&bob.address, b"hello").await?;
    assert_eq!(bob.receive(&alice.address, &hello).await?, b"hello");

    // Should Bob die here, the message is delivered again, and the plaintext is still there.
    let bob = open("bob")?;
    assert_eq!(bob.receive(&alice.address, &hello).await?, b"hello");
    bob.done(&alice.address, &hello).await?;
    let again = bob.receive(&alice.address, &hello).await;
    assert_eq!(again.unwrap_err().code(), "duplicate-message");

    let answer = bob.send(&alice.address, b"hello yourself").await?;
    let read = alice.receive(&bob.address, &answer).await?;
    assert_eq!(read, b"hello yourself");
    alice.done(&bob.address, &answer).await
}
