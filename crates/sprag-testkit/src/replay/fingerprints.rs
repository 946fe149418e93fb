//! Recordings of safety numbers.

use serde_json::Value;
use sprag_core::{
    error::FingerprintError,
    fingerprint::{Fingerprint, ScannableFingerprint},
    identity::IdentityKey,
};

use super::{
    Report,
    case::{Fields, Outcome, same, same_bytes},
    official::same_result,
};

pub(super) fn replay(file: &Value, report: &mut Report) {
    report.each(file, "pairs", pair);
    report.each(file, "comparisons", |case| {
        let own = ScannableFingerprint::from_bytes(case.bytes("own")?);
        let found = own.compare(&case.bytes("theirs")?);
        compared(case.field("result")?, found)
    });
}

/// What two people see, and what they find when they scan each other's code and their own.
fn pair(case: &Value) -> Outcome {
    let (a, b) = (case.field("a")?, case.field("b")?);
    let at_a = seen(case, "seen_by_a", a, b)?;
    let at_b = seen(case, "seen_by_b", b, a)?;
    let (Some(at_a), Some(at_b), Some(compare)) = (at_a, at_b, case.optional("compare")) else {
        return Ok(());
    };
    let (code_a, code_b) = (at_a.scannable(), at_b.scannable());
    for (what, own, theirs) in [
        ("a_scans_b", &code_a, &code_b),
        ("b_scans_a", &code_b, &code_a),
        ("a_scans_a", &code_a, &code_a),
    ] {
        let found = own.compare(theirs.as_bytes());
        compared(compare.field(what)?, found).map_err(|reason| format!("{what}: {reason}"))?;
    }
    Ok(())
}

fn seen(
    case: &Value,
    name: &str,
    local: &Value,
    remote: &Value,
) -> Result<Option<Fingerprint>, String> {
    let key = |side: &Value| {
        IdentityKey::deserialize(&side.bytes("key")?).map_err(|error| error.to_string())
    };
    let found = Fingerprint::new(
        case.number32("iterations")?,
        case.number32("version")?,
        &local.bytes("id")?,
        &key(local)?,
        &remote.bytes("id")?,
        &key(remote)?,
    );
    let Some((found, expected)) = same_result(case.field(name)?, found.map_err(Into::into))? else {
        return Ok(None);
    };
    let (displayed, expected_text) = (found.displayable(), expected.text("displayable")?);
    same("displayable", displayed.as_str(), expected_text)?;
    same(
        "read back",
        expected_text.parse(),
        Ok::<_, FingerprintError>(displayed),
    )?;
    same_bytes(
        "scannable",
        found.scannable().as_bytes(),
        &expected.bytes("scannable")?,
    )?;
    Ok(Some(found))
}

fn compared(result: &Value, found: Result<bool, FingerprintError>) -> Outcome {
    match same_result(result, found.map_err(Into::into))? {
        Some((found, expected)) => same("the same", &found.into(), expected),
        None => Ok(()),
    }
}
