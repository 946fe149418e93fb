//! The power goes at any moment, and nothing that was released is missing.
#![allow(missing_docs)]

use rusqlite::Connection;
use sprag_torture::disk::{Event, with_synchronous_normal};
use sprag_torture::examination::{Effort, Findings, examine};
use sprag_torture::pace::{say, seconds, seeds};
use sprag_torture::story::{Plot, Story};
use sprag_torture::vfs::Folder;

fn effort() -> Effort {
    if seconds().is_some() {
        Effort {
            thorough: true,
            samples: 8,
            one_in: 1,
            from: 0,
            one_image_in: 1,
        }
    } else {
        Effort {
            thorough: true,
            samples: 1,
            one_in: 11,
            from: 0,
            one_image_in: 6,
        }
    }
}

fn tell(plot: Plot) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(plot.tell())
}

fn plot(seed: u64) -> Plot {
    Plot {
        seed,
        steps: if seconds().is_some() { 10 } else { 5 },
        failure: None,
        sealed: true,
    }
}

fn report(seed: u64, findings: &Findings) {
    say(&format!(
        "seed {seed}: {} moments, {} images checked, {} repeated, {} wrong",
        findings.moments,
        findings.images,
        findings.repeated,
        findings.wrong.len()
    ));
}

#[test]
fn nothing_released_is_lost() {
    for seed in seeds() {
        let story = tell(plot(seed));
        assert!(story.inherited > 0);
        let findings = examine(&story, &story.events, seed, effort());
        report(seed, &findings);
        assert_eq!(findings.wrong, [] as [String; 0], "seed {seed}");
        assert!(findings.images > 400);
    }
}

/// In clear text nothing tells of an opening, so all the more must what it found be durable.
#[test]
fn nor_in_clear_text() {
    for seed in seeds() {
        // What happens by chance is seen in sealed stores.
        let steps = if seconds().is_some() { 10 } else { 0 };
        let story = tell(Plot {
            steps,
            sealed: false,
            ..plot(seed)
        });
        assert!(story.inherited > 0);
        let findings = examine(&story, &story.events, seed, effort());
        report(seed, &findings);
        assert_eq!(findings.wrong, [] as [String; 0], "seed {seed}");
    }
}

/// Without a sync at each commit, the same examination finds that promises were broken, and even that a message key
/// was used twice.
#[test]
fn with_synchronous_normal_it_is() {
    let story = tell(plot(1));
    let events = with_synchronous_normal(&story.events);
    assert!(events.len() < story.events.len());
    let effort = Effort {
        thorough: false,
        samples: 0,
        one_in: usize::MAX,
        from: 0,
        one_image_in: 3,
    };
    let findings = examine(&story, &events, 1, effort);
    report(1, &findings);
    for expected in [
        // The vault knows of an opening that the disk does not.
        "opening the store: the store is an earlier copy",
        "not in the outbox",
        "not in the inbox",
        "the peer reading the next Session message: message",
        "the peer reading the next Sealed message: message",
        "the peer reading the next SealedGroup message: message",
        "is another envelope now",
        "the policy is",
    ] {
        let found = findings.wrong.iter().find(|wrong| wrong.contains(expected));
        say(found.map_or("nothing", String::as_str));
        assert!(found.is_some(), "{expected}");
    }
}

/// What `NORMAL` does is known from SQLite itself.
#[test]
fn normal_is_what_it_is_taken_for() {
    let run = |setting: &str| {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::record(place.path());
        let connection = Connection::open(folder.path().join("raw.db")).unwrap();
        let begin = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {setting}; CREATE TABLE t (x)"
        );
        connection.execute_batch(&begin).unwrap();
        for round in 0..30 {
            connection
                .execute("INSERT INTO t VALUES (?1)", [round])
                .unwrap();
            match round % 10 {
                4 => connection
                    .execute_batch("PRAGMA wal_checkpoint(PASSIVE)")
                    .unwrap(),
                9 => connection
                    .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                    .unwrap(),
                _ => {}
            }
        }
        connection.close().unwrap();
        folder.take_events()
    };
    let shape = |events: &[Event]| -> Vec<String> {
        let shape = |event: &Event| match event {
            Event::Write { file, offset, .. } => format!("write {file} {offset}"),
            event => format!("{event:?}"),
        };
        events.iter().map(shape).collect()
    };
    let [full, normal] = ["FULL", "NORMAL"].map(run);
    assert_ne!(shape(&full), shape(&normal));
    assert_eq!(shape(&with_synchronous_normal(&full)), shape(&normal));
}
