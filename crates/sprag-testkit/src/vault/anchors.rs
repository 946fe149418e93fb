//! Contracts on anchors: numbers that only rise.

use std::sync::Arc;

use super::{
    Fixture,
    sample::{assert_holds, assert_stands, create, must},
};

/// An anchor that was never raised stands at 0.
pub async fn an_anchor_begins_at_zero(fixture: Fixture) {
    let vault = fixture.vault();
    assert_stands(vault, "one", 0, "it was never raised").await;
    must(vault.raise_anchor("one", 0).await);
    assert_stands(vault, "one", 0, "it was raised to 0").await;
}

/// An anchor stands where it was raised to.
pub async fn an_anchor_rises(fixture: Fixture) {
    let vault = fixture.vault();
    for value in [1, 2, 3, 9, 10, 11, 99, 100, 1000] {
        must(vault.raise_anchor("one", value).await);
        for _ in 0..2 {
            assert_stands(vault, "one", value, "it was raised to this").await;
        }
    }
}

/// Raising an anchor to what is no more changes nothing, and is no error.
pub async fn an_anchor_is_never_lowered(fixture: Fixture) {
    let vault = fixture.vault();
    must(vault.raise_anchor("one", 10).await);
    for value in [10, 9, 2, 1, 0] {
        must(vault.raise_anchor("one", value).await);
        assert_stands(vault, "one", 10, "an anchor is never lowered").await;
    }
    must(vault.raise_anchor("one", 11).await);
    assert_stands(vault, "one", 11, "it still rises").await;
}

/// Numbers that do not fit into a signed or floating number are kept, too.
pub async fn an_anchor_takes_every_number(fixture: Fixture) {
    let vault = fixture.vault();
    for value in [
        u64::from(u32::MAX) + 1,
        (1 << 53) + 1,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ] {
        must(vault.raise_anchor("one", value).await);
        assert_stands(vault, "one", value, "it was raised to this").await;
    }
}

/// Anchors of different names do not touch each other.
pub async fn anchors_of_names_are_apart(fixture: Fixture) {
    let (vault, names) = (fixture.vault(), ["a", "aa", "a.a", "a-1", "a.1", "1"]);
    for (name, value) in names.iter().zip(1..) {
        must(vault.raise_anchor(name, value).await);
    }
    for (name, value) in names.iter().zip(1..) {
        assert_stands(vault, name, value, "each name has its own").await;
    }
}

/// An anchor and a secret may have the same name; destroying the secret leaves the anchor.
pub async fn anchors_and_secrets_are_apart(fixture: Fixture) {
    let vault = fixture.vault();
    must(vault.raise_anchor("both", 7).await);
    assert_holds(vault, "both", None, "there is only an anchor of this name").await;
    let secret = create(vault, "both").await;
    must(vault.raise_anchor("both", 8).await);
    assert_holds(vault, "both", Some(&secret), "the anchor was raised").await;
    must(vault.destroy("both").await);
    assert_stands(vault, "both", 8, "only the secret was destroyed").await;
}

/// Whatever the order in which many tasks raise an anchor, it stands at the highest.
pub async fn an_anchor_raised_at_once_ends_at_the_highest(fixture: Fixture) {
    let tasks: Vec<_> = (1..=20)
        .map(|value| {
            let vault = Arc::clone(fixture.vault());
            tokio::spawn(async move {
                must(vault.raise_anchor("one", value * 7 % 23).await);
                let found = must(vault.anchor("one").await);
                assert!(
                    found >= value * 7 % 23,
                    "the anchor was raised to {}, and stands at {found}",
                    value * 7 % 23
                );
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    assert_stands(fixture.vault(), "one", 22, "it was the highest").await;
}
