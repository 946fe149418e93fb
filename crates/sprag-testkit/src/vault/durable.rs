//! Contracts on a vault that is opened again, or several times at once, as several processes do. For these the
//! [`Fixture`] is made by [`Fixture::reopening`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sprag::vault::VaultError;

use super::{
    Fixture,
    sample::{assert_holds, assert_stands, create, must, secret},
};

/// Secrets are there when the vault is opened again.
pub async fn secrets_survive(fixture: Fixture) {
    let (one, two) = (
        create(fixture.vault(), "one").await,
        create(fixture.vault(), "two").await,
    );
    let fixture = fixture.reopened().await;
    let rule = "it was created before the vault was opened again";
    assert_holds(fixture.vault(), "one", Some(&one), rule).await;
    assert_holds(fixture.vault(), "two", Some(&two), rule).await;
    let refused = fixture.vault().create("one", &secret()).await;
    assert_eq!(
        refused,
        Err(VaultError::Exists),
        "creating a secret that was there when the vault was opened"
    );
}

/// What was destroyed does not come back when the vault is opened again.
pub async fn a_destroyed_secret_stays_gone(fixture: Fixture) {
    create(fixture.vault(), "gone").await;
    let kept = create(fixture.vault(), "kept").await;
    let fixture = fixture.reopened().await;
    must(fixture.vault().destroy("gone").await);
    let fixture = fixture.reopened().await;
    let rule = "it was destroyed before the vault was opened again";
    assert_holds(fixture.vault(), "gone", None, rule).await;
    assert_holds(fixture.vault(), "kept", Some(&kept), "it was created").await;
}

/// Anchors stand where they stood when the vault is opened again, and do not fall.
pub async fn anchors_survive(fixture: Fixture) {
    must(fixture.vault().raise_anchor("one", 5).await);
    let fixture = fixture.reopened().await;
    let rule = "it was raised before the vault was opened again";
    assert_stands(fixture.vault(), "one", 5, rule).await;
    must(fixture.vault().raise_anchor("one", 4).await);
    assert_stands(fixture.vault(), "one", 5, rule).await;
    must(fixture.vault().raise_anchor("one", 6).await);
    let fixture = fixture.reopened().await;
    assert_stands(fixture.vault(), "one", 6, rule).await;
}

/// The kind is the same whenever the vault is opened.
pub async fn the_kind_stays(fixture: Fixture) {
    let kind = fixture.vault().kind().to_owned();
    let fixture = fixture.reopened().await;
    assert_eq!(
        fixture.vault().kind(),
        kind,
        "the kind when the vault is opened again"
    );
}

/// What one handle does, the other sees at once.
pub async fn what_one_handle_does_the_other_sees(fixture: Fixture) {
    let (left, right) = (fixture.vault(), &fixture.second().await);
    for (round, (doer, other)) in [(left, right), (right, left)].into_iter().enumerate() {
        let name = format!("round.{round}");
        let secret = create(doer, &name).await;
        for handle in [other, doer] {
            assert_holds(
                handle,
                &name,
                Some(&secret),
                "one of the handles created it",
            )
            .await;
        }
        must(doer.raise_anchor("one", round as u64 + 1).await);
        assert_stands(other, "one", round as u64 + 1, "another handle raised it").await;
        must(other.destroy(&name).await);
        assert_holds(doer, &name, None, "another handle destroyed it").await;
    }
}

/// A secret that one handle created, another one does not replace.
pub async fn a_secret_is_not_replaced_through_another_handle(fixture: Fixture) {
    let (left, right) = (fixture.vault(), &fixture.second().await);
    let first = create(left, "one").await;
    let refused = right.create("one", &secret()).await;
    assert_eq!(
        refused,
        Err(VaultError::Exists),
        "creating a secret that another handle created"
    );
    assert_holds(left, "one", Some(&first), "the first one stays").await;
}

/// Two handles that change the vault at once lose nothing of each other.
pub async fn secrets_created_through_two_handles_are_all_kept(fixture: Fixture) {
    let handles = [Arc::clone(fixture.vault()), fixture.second().await];
    let tasks = handles.map(|handle| {
        tokio::spawn(async move {
            let mut created = Vec::new();
            for _ in 0..8 {
                let name = hex::encode(&secret().as_bytes()[..8]);
                let secret = create(&handle, &name).await;
                must(handle.raise_anchor(&name, 1).await);
                created.push((name, secret));
            }
            created
        })
    });
    for task in tasks {
        for (name, secret) in task.await.expect("no task panics") {
            let rule = "it was created while another handle created others";
            assert_holds(fixture.vault(), &name, Some(&secret), rule).await;
            assert_stands(fixture.vault(), &name, 1, "it was raised meanwhile").await;
        }
    }
}

/// While many handles raise an anchor, in any order, nobody ever sees it fall.
pub async fn an_anchor_raised_through_many_handles_is_never_lowered(fixture: Fixture) {
    let done = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(fixture.second().await, Arc::clone(&done)));
    let mut tasks = Vec::new();
    for first in 1..=3 {
        let handle = fixture.second().await;
        tasks.push(tokio::spawn(async move {
            for value in (first..=30).step_by(3) {
                must(handle.raise_anchor("one", value).await);
                let found = must(handle.anchor("one").await);
                assert!(
                    found >= value,
                    "the anchor was raised to {value}, and stands at {found}"
                );
            }
        }));
    }
    for task in tasks {
        task.await.expect("no task panics");
    }
    done.store(true, Ordering::SeqCst);
    watcher.await.expect("no task panics");
    assert_stands(fixture.vault(), "one", 30, "it was the highest").await;
}

/// Looks at an anchor again and again until there is no need.
async fn watch(vault: Arc<dyn sprag::vault::Vault>, done: Arc<AtomicBool>) {
    let mut highest = 0;
    while !done.load(Ordering::SeqCst) {
        let found = must(vault.anchor("one").await);
        assert!(
            found >= highest,
            "the anchor stood at {highest}, and then at {found}"
        );
        highest = found;
        tokio::task::yield_now().await;
    }
}

/// A handle that is dropped takes nothing from the others.
pub async fn dropping_a_handle_leaves_the_others(fixture: Fixture) {
    let dropped = fixture.second().await;
    let secret = create(&dropped, "one").await;
    drop(dropped);
    let rule = "a handle that is gone created it";
    assert_holds(fixture.vault(), "one", Some(&secret), rule).await;
    create(fixture.vault(), "two").await;
}
