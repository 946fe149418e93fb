//! Each write and each sync of a life fails in its turn, once or until the store is opened anew. The application does as the
//! documentation says, and everything is sent and read once; and if the power goes afterwards, nothing that was
//! released is missing either.
#![allow(missing_docs)]

use sprag_torture::disk::Event;
use sprag_torture::examination::{Effort, examine};
use sprag_torture::pace::{say, seconds, seeds};
use sprag_torture::story::{Plot, Story};
use sprag_torture::vfs::{Failure, Operation};

const STEPS: usize = 2;

fn tell(seed: u64, failure: Option<Failure>) -> Story {
    let plot = Plot {
        seed,
        steps: STEPS,
        failure,
        sealed: true,
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(plot.tell())
}

/// Goes through the failures of one sort: one in so many, and one in so many of the images that they lead to.
fn fail_everywhere(operation: Operation, one_in: u64, one_image_in: u32) {
    for seed in seeds() {
        let sound = tell(seed, None);
        let (_, count) = sound
            .counts
            .into_iter()
            .find(|(other, _)| *other == operation)
            .unwrap();
        let (one_in, one_image_in) = match seconds() {
            Some(_) => (1, 1),
            None => (one_in, one_image_in),
        };
        let (mut felt, mut checked) = (0, 0);
        for after in (0..count).filter(|after| after % one_in == seed % one_in) {
            for lasting in [false, true] {
                let failure = Failure {
                    operation,
                    after,
                    lasting,
                };
                let story = tell(seed, Some(failure));
                felt += story.failures;
                let effort = Effort {
                    thorough: false,
                    samples: 1,
                    one_in: usize::MAX,
                    from: place(&story, operation, after),
                    one_image_in,
                };
                let findings = examine(&story, &story.events, seed ^ after, effort);
                checked += findings.images;
                assert_eq!(
                    findings.wrong,
                    [] as [String; 0],
                    "seed {seed}, {failure:?}"
                );
            }
        }
        say(&format!(
            "seed {seed}: {count} of {operation:?}, {felt} errors felt, {checked} images checked"
        ));
        assert!(felt > 0);
    }
}

/// Where in the record the failure is.
fn place(story: &Story, operation: Operation, after: u64) -> usize {
    let events = story.events.iter().enumerate();
    let mut same = events.filter(|(_, event)| match event {
        Event::Write { .. } => operation == Operation::Write,
        Event::Sync(_) | Event::SyncFailed(_) => operation == Operation::Sync,
        _ => false,
    });
    same.nth(after as usize).map_or(0, |(place, _)| place)
}

#[test]
fn every_sync_fails() {
    fail_everywhere(Operation::Sync, 5, 40);
}

#[test]
fn every_write_fails() {
    fail_everywhere(Operation::Write, 61, 40);
}
