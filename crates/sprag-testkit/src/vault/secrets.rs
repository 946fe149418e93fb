//! Contracts on secrets: created once, loaded, destroyed.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use sprag::vault::{MAX_NAME, Secret, VaultError};

use super::{
    Fixture,
    sample::{assert_holds, create, must, secret},
};

/// The kind fits into the header of a store.
pub async fn the_kind_is_short(fixture: Fixture) {
    let kind = fixture.vault().kind();
    assert!(
        (1..=64).contains(&kind.chars().count()),
        "the kind must have 1 to 64 characters, not {}",
        kind.chars().count()
    );
}

/// A vault answers `None` for a name that it does not know.
pub async fn an_unknown_secret_is_none(fixture: Fixture) {
    let vault = fixture.vault();
    assert_holds(vault, "unknown", None, "there is none yet").await;
    create(vault, "known").await;
    assert_holds(vault, "unknown", None, "there is one of another name only").await;
}

/// A secret is loaded as it was created, again and again.
pub async fn a_secret_comes_back(fixture: Fixture) {
    let secret = create(fixture.vault(), "one").await;
    for _ in 0..3 {
        assert_holds(fixture.vault(), "one", Some(&secret), "it was created").await;
    }
}

/// Every byte is taken, wherever it stands: zeros, line ends, what is no text.
pub async fn secrets_of_all_bytes_come_back(fixture: Fixture) {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let (pieces, _) = all.as_chunks::<32>();
    let alike = [[0; 32], [b'\n'; 32], [u8::MAX; 32]];
    for (index, bytes) in pieces.iter().chain(&alike).enumerate() {
        let (name, secret) = (format!("secret.{index}"), Secret::from_bytes(bytes));
        must(fixture.vault().create(&name, &secret).await);
        let rule = "every byte must come back as it was";
        assert_holds(fixture.vault(), &name, Some(&secret), rule).await;
    }
}

/// Secrets of different names do not touch each other, whichever goes.
pub async fn secrets_of_names_are_apart(fixture: Fixture) {
    let (vault, names) = (fixture.vault(), ["a", "aa", "a.a", "a-a", "a.", "b"]);
    let mut secrets = Vec::new();
    for name in names {
        secrets.push((name, create(vault, name).await));
    }
    while let Some((gone, _)) = secrets.pop() {
        must(vault.destroy(gone).await);
        let rule = "only the one that was named is destroyed";
        assert_holds(vault, gone, None, rule).await;
        for (name, secret) in &secrets {
            assert_holds(vault, name, Some(secret), rule).await;
        }
    }
}

/// Names may be as short and as long as is allowed, of any of the characters, and begin with any.
pub async fn names_of_every_form_are_taken(fixture: Fixture) {
    let vault = fixture.vault();
    let long = |last| "x".repeat(MAX_NAME - 1) + last;
    let names = [
        "0",
        ".",
        "..",
        "-",
        "--",
        "con",
        "abcdefghijklmnopqrstuvwxyz.0123456789-",
        &long("x"),
        &long("y"),
    ];
    let mut secrets = Vec::new();
    for name in names {
        secrets.push(create(vault, name).await);
        must(vault.raise_anchor(name, 1).await);
    }
    for (name, secret) in names.iter().zip(&secrets) {
        assert_holds(vault, name, Some(secret), "it was created").await;
    }
}

/// Every call refuses what is no name.
pub async fn what_is_no_name_is_refused(fixture: Fixture) {
    let vault = fixture.vault();
    let long = "x".repeat(MAX_NAME + 1);
    for name in [
        "", &long, "A", "a b", "a/b", "a_b", "a\0", "a\n", "ä", "..\\a",
    ] {
        let answers = [
            vault.create(name, &secret()).await.err(),
            vault.load(name).await.err(),
            vault.destroy(name).await.err(),
            vault.anchor(name).await.err(),
            vault.raise_anchor(name, 1).await.err(),
        ];
        for (call, answer) in ["create", "load", "destroy", "anchor", "raise_anchor"]
            .iter()
            .zip(answers)
        {
            assert_eq!(
                answer,
                Some(VaultError::InvalidName),
                "{call} of {name:?}, which is no name"
            );
        }
    }
}

/// Creating a secret again, another one or the same, is refused and changes nothing.
pub async fn a_secret_is_never_replaced(fixture: Fixture) {
    let vault = fixture.vault();
    let first = create(vault, "one").await;
    for again in [&secret(), &first] {
        let refused = vault.create("one", again).await;
        assert_eq!(
            refused,
            Err(VaultError::Exists),
            "creating a secret of a name that has one"
        );
        assert_holds(vault, "one", Some(&first), "the first one stays").await;
    }
}

/// A destroyed secret is not loaded any more.
pub async fn a_destroyed_secret_is_gone(fixture: Fixture) {
    let vault = fixture.vault();
    create(vault, "one").await;
    must(vault.load("one").await);
    must(vault.destroy("one").await);
    for _ in 0..2 {
        assert_holds(vault, "one", None, "it was destroyed").await;
    }
}

/// Destroying what is not there, or no longer, changes nothing.
pub async fn destroying_nothing_is_fine(fixture: Fixture) {
    let vault = fixture.vault();
    must(vault.destroy("never").await);
    let kept = create(vault, "kept").await;
    create(vault, "gone").await;
    for _ in 0..2 {
        must(vault.destroy("gone").await);
    }
    assert_holds(vault, "kept", Some(&kept), "another one was destroyed").await;
}

/// Secrets that many tasks create at once are all there.
pub async fn secrets_created_at_once_are_all_kept(fixture: Fixture) {
    let tasks: Vec<_> = (0..12)
        .map(|index| {
            let vault = Arc::clone(fixture.vault());
            tokio::spawn(async move { create(&vault, &format!("task.{index}")).await })
        })
        .collect();
    for (index, task) in tasks.into_iter().enumerate() {
        let secret = task.await.expect("no task panics");
        let rule = "it was created while others were";
        assert_holds(
            fixture.vault(),
            &format!("task.{index}"),
            Some(&secret),
            rule,
        )
        .await;
    }
}

/// Of many tasks that create a secret of one name through one handle, one succeeds, and its secret stays.
pub async fn one_of_many_creates_of_a_name_wins(fixture: Fixture) {
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let vault = Arc::clone(fixture.vault());
            tokio::spawn(async move {
                let secret = secret();
                let created = vault.create("one", &secret).await;
                created.map(|()| secret)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.expect("no task panics") {
            Ok(secret) => winners.push(secret),
            Err(error) => assert_eq!(error, VaultError::Exists, "a create that came too late"),
        }
    }
    assert_eq!(winners.len(), 1, "so many creates of one name succeeded");
    let rule = "the one whose create succeeded stays";
    assert_holds(fixture.vault(), "one", winners.first(), rule).await;
}

/// A call whose future is dropped half way is done as a whole, or not at all, and the vault goes on.
pub async fn a_call_that_is_dropped_is_done_or_not(fixture: Fixture) {
    let vault = fixture.vault();
    for index in 0..8 {
        let (name, secret) = (format!("dropped.{index}"), secret());
        {
            let mut call = pin!(vault.create(&name, &secret));
            for _ in 0..=index {
                if call
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
                {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Whatever was begun comes before this one.
        must(vault.raise_anchor(&name, 1).await);
        if must(vault.load(&name).await).is_some() {
            let rule = "it was created by a call that was dropped";
            assert_holds(vault, &name, Some(&secret), rule).await;
        } else {
            must(vault.create(&name, &secret).await);
        }
    }
}
