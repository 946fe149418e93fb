//! A disk that is full after any number of bytes.

use sprag_torture::vfs::Folder;

use super::patient::Patient;

/// However much room there is, an operation is done or says that it is not, and nothing is lost; with room again
/// the same handle goes on.
#[tokio::test]
async fn a_full_disk() {
    let patient = Patient::new().await;
    let alice = patient.open().await.unwrap();
    let (mut refused, mut done) = (0, 0);
    for step in 0..60 {
        patient.disk.limit(Some(step * 3000));
        for outcome in [patient.send(&alice).await, patient.receive(&alice).await] {
            match outcome {
                Ok(()) => done += 1,
                // The second if there was no room for the COMMIT, nor to find out about it.
                Err("store-full" | "outcome-unknown") => refused += 1,
                Err(code) => panic!("{code}"),
            }
        }
        patient.disk.limit(None);
        patient.is_well(&alice).await;
        // What there is to be written over, so that room is needed again.
        let _ = sprag::backend::Backend::checkpoint(alice.store().backend()).await;
    }
    assert!(refused > 10 && done > 10, "{refused} refused, {done} done");
    alice.store().close().await.unwrap();
}

/// A disk that is full while the store is made says so, and with room again it is made.
#[tokio::test]
async fn a_disk_that_is_full_from_the_beginning() {
    use sprag::{Account, DurableStore};
    use sprag_testkit::vault;
    use sprag_torture::peer::address;
    let mut refused = 0;
    for room in (0..400_000).step_by(9_000) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::watch(place.path());
        let path = folder.path().join("sprag.db");
        folder.limit(Some(room));
        let make = async || {
            let options = super::patient::options(&path).create_if_missing(true);
            let store = DurableStore::open(options.open().await?, vault::shared()).await?;
            let made = Account::open_or_create(store.clone(), address("alice")).await;
            let closed = store.close().await;
            made.map(|_| ()).and(closed)
        };
        if let Err(error) = make().await {
            let code = error.code();
            let clear = ["store-full", "outcome-unknown"].contains(&code);
            assert!(clear, "with {room} bytes: {error}");
            refused += 1;
        }
        folder.limit(None);
        make().await.unwrap();
    }
    assert!(refused > 5, "{refused}");
}
