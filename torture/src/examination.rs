//! All images of a story, checked.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::{fs, thread};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::disk::{Disk, Event, Image, fingerprint};
use crate::ledger::Ledger;
use crate::pace::generator;
use crate::recovery;
use crate::story::Story;
use crate::vfs::Folder;

/// How many images are checked at once.
const WORKERS: usize = 2;

/// After so many findings it is clear that something is wrong.
const ENOUGH: usize = 500;

/// How hard to look.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Whether each single change is lost and kept, where it matters, and all images just after a promise are checked.
    pub thorough: bool,
    /// How many images are taken by chance, at each moment.
    pub samples: usize,
    /// One moment in so many is looked at; those just before a sync or a promise always are.
    pub one_in: usize,
    /// The first event after which to look.
    pub from: usize,
    /// One image in so many is checked.
    pub one_image_in: u32,
}

/// What was found.
#[derive(Debug)]
pub struct Findings {
    /// How many images were checked.
    pub images: u64,
    /// How many were the same as one before.
    pub repeated: u64,
    /// How many moments there were.
    pub moments: usize,
    /// What was wrong, some of it.
    pub wrong: Vec<String>,
}

/// Takes the power away at every moment of a story, and checks what is left. `events` are those of the story, or
/// what they would have been on another disk.
///
/// # Panics
/// If images cannot be written.
pub fn examine(story: &Story, events: &[Event], seed: u64, effort: Effort) -> Findings {
    let (images, queue) = sync_channel(4);
    let queue = Mutex::new(queue);
    let (checked, wrong) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let enough = || wrong.lock().unwrap().len() >= ENOUGH;
    let (repeated, moments) = thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let place = tempfile::tempdir().unwrap();
                let folder = Folder::watch(place.path());
                while let Some(case) = next(&queue) {
                    let check = || case.check(folder.path(), story, seed);
                    let verdict = catch_unwind(AssertUnwindSafe(check));
                    if let Err(finding) = verdict.unwrap_or_else(|_| Err("a panic".to_owned())) {
                        wrong.lock().unwrap().push(finding);
                    }
                    checked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        produce(events, &mut generator(seed), effort, images, enough)
    });
    Findings {
        images: checked.into_inner(),
        repeated,
        moments,
        wrong: wrong.into_inner().unwrap_or_else(PoisonError::into_inner),
    }
}

struct Case {
    /// Behind so many events.
    moment: usize,
    /// How many marks the application has seen.
    marks: usize,
    image: Image,
}

impl Case {
    fn check(&self, folder: &Path, story: &Story, seed: u64) -> recovery::Verdict {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let ledger = Ledger::of(&story.marks[..self.marks]);
        for vault in runtime.block_on(ledger.vaults()) {
            self.put_in_place(folder);
            let vault = { story.sealed }.then_some(vault);
            let check = recovery::check(folder, &ledger, vault, &story.peers, seed);
            runtime.block_on(check).map_err(|wrong| {
                format!(
                    "power cut after event {} and mark {}: {wrong}",
                    self.moment, self.marks
                )
            })?;
        }
        Ok(())
    }

    fn put_in_place(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in &self.image {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

fn next(queue: &Mutex<Receiver<Case>>) -> Option<Case> {
    queue.lock().unwrap().recv().ok()
}

/// Gives how many images came twice, and how many moments there were.
fn produce(
    events: &[Event],
    rng: &mut StdRng,
    effort: Effort,
    images: SyncSender<Case>,
    enough: impl Fn() -> bool,
) -> (u64, usize) {
    let (mut disk, mut marks, mut repeated) = (Disk::default(), 0, 0);
    let mut seen = HashSet::new();
    for (moment, event) in events.iter().enumerate() {
        disk.apply(event);
        if let Event::Mark(number) = event {
            marks = *number;
        }
        let next = events.get(moment + 1);
        let decisive = next.is_none_or(|next| !matches!(next, Event::Write { .. }));
        if moment < effort.from || !decisive && moment % effort.one_in != 0 {
            continue;
        }
        for image in disk.images(rng, decisive && effort.thorough, effort.samples) {
            if enough() {
                return (repeated, moment);
            }
            let promised = effort.thorough && matches!(event, Event::Mark(_));
            if !promised && !rng.random_ratio(1, effort.one_image_in) {
                continue;
            }
            if seen.insert((fingerprint(&image), marks)) {
                let case = Case {
                    moment,
                    marks,
                    image,
                };
                images.send(case).expect("the workers wait");
            } else {
                repeated += 1;
            }
        }
    }
    (repeated, events.len())
}
