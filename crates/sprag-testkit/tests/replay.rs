//! Every recording comes out as it was recorded.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, path::Path};

use sprag_testkit::replay::replay;

#[track_caller]
fn check(file: &str, at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sprag-core/tests/vectors");
    let content = fs::read(folder.join(file)).unwrap();
    let report = replay(&serde_json::from_slice(&content).unwrap()).unwrap();
    let failures: Vec<String> = report.failures().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // A recording whose cases are no longer found must not pass for one that came out right.
    assert!(
        report.passed() >= at_least,
        "only {} cases were found",
        report.passed()
    );
}

#[test]
fn fingerprints() {
    check("fingerprints.json", 40);
}

#[test]
fn groups() {
    check("groups.json", 374);
}

#[test]
fn one_to_one() {
    check("one_to_one.json", 1608);
}

#[test]
fn one_to_one_walkthrough() {
    check("one_to_one_walkthrough.json", 4);
}

#[test]
fn retry() {
    check("retry.json", 156);
}

#[test]
fn sealed_sender() {
    check("sealed_sender.json", 353);
}

#[test]
fn spqr() {
    check("spqr.json", 112);
}

#[test]
fn spqr_in_order() {
    check("spqr_transcript_inorder.json", 1392);
}

#[test]
fn spqr_lossy() {
    check("spqr_transcript_lossy.json", 2044);
}

#[test]
fn spqr_reordered() {
    check("spqr_transcript_reordered.json", 1974);
}

#[test]
fn spqr_small_limits() {
    check("spqr_transcript_smalllimits.json", 1642);
}

#[test]
fn spqr_directed() {
    check("spqr_transcript_directed.json", 1286);
}
