//! No bytes at all make a decoder panic or a failed step change its record: the seeds of the fuzz
//! targets, altered seeds, and anything else.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use sprag_testkit::fuzz::{TARGETS, Target};

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn seeds_of_every_target() {
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| run(seed));
    }
}

#[test]
fn every_target_has_a_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for (name, _) in TARGETS {
        let file = folder.join(format!("{name}.rs"));
        let content = fs::read_to_string(&file).unwrap();
        assert!(
            content.contains(&format!("fuzz::{name}(")),
            "{}",
            file.display()
        );
    }
    assert_eq!(folder.read_dir().unwrap().count(), TARGETS.len());
}

#[test]
fn truncated_seeds() {
    for (name, run) in TARGETS {
        for seed in seeds(name) {
            let step = seed.len() / 40 + 1;
            (0..seed.len())
                .step_by(step)
                .for_each(|length| run(&seed[..length]));
        }
    }
}

fn target() -> impl Strategy<Value = Target> {
    prop::sample::select(TARGETS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn altered_seeds(
        (name, run) in target(),
        which: prop::sample::Index,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let seeds = seeds(name);
        let mut input = which.get(&seeds).clone();
        for (place, byte) in changes {
            if !input.is_empty() {
                *place.get_mut(&mut input) = byte;
            }
        }
        run(&input);
    }

    #[test]
    fn anything((_, run) in target(), input in prop::collection::vec(any::<u8>(), 0..400)) {
        run(&input);
    }
}
