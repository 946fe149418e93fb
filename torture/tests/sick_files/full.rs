//! A disk that is full after any number of bytes.

use rand::RngExt;
use rand::rngs::StdRng;
use sprag::backend::Backend;
use sprag_torture::pace::{generator, say, seeds};
use sprag_torture::vfs::Folder;

use super::patient::{Alice, Patient};

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
        let _ = alice.store().backend().checkpoint().await;
    }
    assert!(refused > 10 && done > 10, "{refused} refused, {done} done");
    alice.store().close().await.unwrap();
}

/// It fills up by chance, in the middle of whatever is done, changes of epochs and openings among it.
#[tokio::test]
async fn a_disk_that_fills_up_at_any_moment() {
    for seed in seeds() {
        let mut rng = generator(seed);
        let patient = Patient::new().await;
        let mut alice = patient.open().await.unwrap();
        let mut letters = alice.inbox_pending().await.unwrap().len();
        let (mut refused, mut done) = (0, 0);
        for _ in 0..25 {
            let most = [2_000, 20_000, 200_000][rng.random_range(0..3)];
            patient.disk.limit(Some(rng.random_range(0..most)));
            for _ in 0..rng.random_range(1..8) {
                match something(&patient, &mut alice, &mut letters, &mut rng).await {
                    Ok(()) => done += 1,
                    Err("store-full" | "outcome-unknown") => refused += 1,
                    Err(code) => panic!("{code}"),
                }
            }
            patient.disk.limit(None);
            patient.is_well(&alice).await;
            letters += 1;
            let waiting = alice.inbox_pending().await.unwrap().len();
            assert!(waiting >= letters, "{waiting} of {letters} letters");
        }
        assert_eq!(alice.store().examine().await.unwrap().damaged, []);
        assert!(alice.store().new_epoch().await.unwrap().forgotten);
        alice.store().close().await.unwrap();
        say(&format!("seed {seed}: {refused} refused, {done} done"));
        assert!(refused > 10 && done > 10);
    }
}

/// Does one of many things.
async fn something(
    patient: &Patient,
    alice: &mut Alice,
    letters: &mut usize,
    rng: &mut StdRng,
) -> Result<(), &'static str> {
    let code = |error: sprag::Error| error.code();
    match rng.random_range(0..12) {
        0..4 => patient.send(alice).await,
        4..8 => {
            patient.receive(alice).await?;
            *letters += 1;
            Ok(())
        }
        8 => alice.bundle().await.map(drop).map_err(code),
        9 => alice.store().new_epoch().await.map(drop).map_err(code),
        10 => {
            let emptied = alice.store().backend().checkpoint().await;
            emptied.map(drop).map_err(|error| error.code())
        }
        _ => {
            let closed = alice.store().close().await.map_err(code);
            // Whoever finds the disk full makes room, and tries again.
            *alice = match patient.open().await {
                Err("store-full" | "outcome-unknown") => {
                    patient.disk.limit(None);
                    patient.open().await?
                }
                opened => opened?,
            };
            closed
        }
    }
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
