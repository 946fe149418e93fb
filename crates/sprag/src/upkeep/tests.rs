//! The planner, case by case.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use sprag_core::time::Timestamp;

use super::{
    Action, Batch, Held, Inventory, KeyCounts, KeyRange, KeySort, Policy, ServerView, advance,
    next, plan,
};
use KeySort::{KyberPreKey, LastResort, PreKey, SignedPreKey};

const FULL: KeyCounts = KeyCounts {
    pre_keys: 100,
    kyber_pre_keys: 100,
    signed_pre_key: Held::Unknown,
    last_resort: Held::Unknown,
};

/// So many hours after a start that leaves room for clocks that go back.
fn hours(hours: u64) -> Timestamp {
    Timestamp::from_millis((1000 + hours) * 60 * 60 * 1000)
}

fn days(days: u64) -> Timestamp {
    hours(24 * days)
}

fn range(sort: KeySort, first: u32) -> KeyRange {
    let count = if sort.is_one_time() { 100 } else { 1 };
    KeyRange { sort, first, count }
}

fn batch(sort: KeySort, first: u32, created: Timestamp) -> Batch {
    Batch {
        keys: range(sort, first),
        created,
        published: true,
        stale_since: None,
    }
}

/// All is published and was made at `created`.
fn supplied(created: Timestamp) -> Inventory {
    Inventory {
        batches: KeySort::ALL.map(|sort| batch(sort, 1, created)).into(),
        checked: Some(created),
    }
}

/// So many batches of a sort before the one of [`supplied`], each stale since one of these days.
fn with_stale(sort: KeySort, stale: &[u64]) -> Inventory {
    let mut inventory = supplied(days(100));
    for (number, since) in (0..).zip(stale) {
        let old = Batch {
            stale_since: Some(days(*since)),
            ..batch(sort, 1000 * (number + 1), days(since - 10))
        };
        inventory.batches.insert(number as usize, old);
    }
    inventory
}

fn planned(inventory: &Inventory, counts: KeyCounts, now: Timestamp) -> Vec<String> {
    let actions = plan(inventory, Some(&counts), now, &Policy::default());
    actions.iter().map(Action::to_string).collect()
}

fn deleted(inventory: &Inventory, now: Timestamp) -> Vec<u32> {
    let actions = plan(inventory, None, now, &Policy::default());
    let deleted = actions.iter().filter_map(|action| match action {
        Action::Delete(keys) => Some(keys.first / 1000),
        _ => None,
    });
    deleted.collect()
}

#[test]
fn a_new_account_gets_everything() {
    let actions = planned(&Inventory::default(), KeyCounts::default(), days(0));
    let all = "100 one-time EC pre-keys, WHAT 100 one-time Kyber pre-keys, WHAT 1 signed pre-key, WHAT 1 last-resort Kyber pre-key";
    let all = |what: &str| format!("{what} {}", all.replace("WHAT", what));
    assert_eq!(actions, [all("generate"), all("publish"), all("confirm")]);
}

#[test]
fn what_is_there_is_left_alone() {
    assert!(planned(&supplied(days(0)), FULL, hours(47)).is_empty());
    let counts = KeyCounts {
        pre_keys: 10,
        kyber_pre_keys: 10,
        signed_pre_key: Held::Key(1.into()),
        last_resort: Held::Key(1.into()),
    };
    assert!(planned(&supplied(days(0)), counts, days(1)).is_empty());
}

#[test]
fn few_one_time_keys_are_refilled_each_sort_by_itself() {
    let counts = KeyCounts {
        kyber_pre_keys: 9,
        ..FULL
    };
    let actions = planned(&supplied(days(0)), counts, days(1));
    let what = "100 one-time Kyber pre-keys";
    let expected = ["generate", "publish", "confirm", "mark stale"];
    assert_eq!(actions, expected.map(|step| format!("{step} {what}")));
}

#[test]
fn signed_keys_are_replaced_after_two_days_and_when_the_clock_went_back() {
    let what = |step| format!("{step} 1 signed pre-key, {step} 1 last-resort Kyber pre-key");
    let expected = ["generate", "publish", "confirm", "mark stale"].map(what);
    assert_eq!(planned(&supplied(days(5)), FULL, days(7)), expected);
    assert_eq!(planned(&supplied(days(5)), FULL, days(4)), expected);
    assert!(supplied(days(5)).check_is_due(days(4), &Policy::default()));
}

#[test]
fn a_server_that_lost_the_current_keys_gets_them_again() {
    for lost in [Held::Nothing, Held::Key(77.into())] {
        let counts = KeyCounts {
            signed_pre_key: lost,
            ..FULL
        };
        let actions = planned(&supplied(days(0)), counts, days(1));
        assert_eq!(actions, ["publish 1 signed pre-key"]);
    }
}

#[test]
fn after_a_crash_the_same_keys_are_published_again_unless_they_arrived() {
    let mut inventory = supplied(days(0));
    let pending = Batch {
        published: false,
        ..batch(PreKey, 500, days(1))
    };
    inventory.batches.push(pending);
    let few = KeyCounts {
        pre_keys: 3,
        ..FULL
    };
    let first =
        |counts| plan(&inventory, Some(&counts), days(1), &Policy::default()).swap_remove(0);
    assert_eq!(first(few), Action::Publish(vec![pending.keys]));
    assert_eq!(first(FULL), Action::Confirm(vec![pending.keys]));

    let signed = Batch {
        published: false,
        ..batch(SignedPreKey, 500, days(1))
    };
    inventory.batches = supplied(days(0)).batches;
    inventory.batches.push(signed);
    let arrived = KeyCounts {
        signed_pre_key: Held::Key(500.into()),
        ..FULL
    };
    let first =
        |counts| plan(&inventory, Some(&counts), days(1), &Policy::default()).swap_remove(0);
    assert_eq!(first(FULL), Action::Publish(vec![signed.keys]));
    assert_eq!(first(arrived), Action::Confirm(vec![signed.keys]));
}

#[test]
fn what_could_not_be_published_for_long_goes_first_and_is_then_replaced() {
    let mut inventory = supplied(days(0));
    for sort in [SignedPreKey, LastResort] {
        let pending = Batch {
            published: false,
            ..batch(sort, 500, days(2))
        };
        inventory.batches.push(pending);
    }
    let actions = planned(&inventory, FULL, days(30));
    let steps: Vec<_> = actions.iter().map(|step| &step[..7]).collect();
    let expected = [
        "publish", "confirm", "generat", "publish", "confirm", "mark st",
    ];
    assert_eq!(steps, expected);
}

#[test]
fn one_time_keys_go_after_ninety_days_beyond_the_newest_two_hundred() {
    let inventory = with_stale(PreKey, &[10, 20, 30]);
    assert_eq!(deleted(&inventory, days(99)), []);
    assert_eq!(deleted(&inventory, days(100)), [1]);
    assert_eq!(deleted(&inventory, days(110)), [1, 2]);
    // The third and the current one are the newest 200.
    assert_eq!(deleted(&inventory, days(1000)), [1, 2]);
}

#[test]
fn replaced_keys_go_after_forty_five_days_but_the_newest_five() {
    for sort in [SignedPreKey, LastResort] {
        let inventory = with_stale(sort, &[10, 12, 14, 16, 18, 20, 22]);
        assert_eq!(deleted(&inventory, days(54)), []);
        assert_eq!(deleted(&inventory, days(55)), [1]);
        assert_eq!(deleted(&inventory, days(1000)), [1, 2]);
    }
}

#[test]
fn what_the_server_hands_out_is_not_replaced_by_what_it_does_not_have() {
    let pending = Batch {
        published: false,
        ..batch(SignedPreKey, 500, days(3))
    };
    let mut inventory = supplied(days(0));
    inventory.batches.push(pending);
    assert_eq!(plan(&inventory, None, days(3), &Policy::default()), []);

    // Without a server there is nobody else who hands out the one before.
    let is_signed = |batch: &Batch| batch.keys.sort == SignedPreKey;
    inventory.batches.retain(is_signed);
    let replaced = Action::MarkStale(vec![range(SignedPreKey, 1)]);
    assert_eq!(
        plan(&inventory, None, days(3), &Policy::default()),
        [replaced]
    );
}

#[test]
fn what_turned_stale_in_a_time_to_come_is_stale_from_now() {
    let inventory = with_stale(PreKey, &[10, 20, 300]);
    let now = days(250);
    let actions = plan(&inventory, None, now, &Policy::default());
    let restamped = KeyRange {
        first: 3000,
        ..range(PreKey, 1)
    };
    assert_eq!(actions[0], Action::MarkStale(vec![restamped]));
    assert_eq!(deleted(&inventory, now), [1, 2]);
}

#[test]
fn a_server_that_is_drained_does_not_fill_our_disk() {
    let policy = Policy::default();
    let mut inventory = supplied(days(0));
    let mut drains = 0;
    loop {
        let server = ServerView::new(KeyCounts {
            signed_pre_key: Held::Key(1.into()),
            last_resort: Held::Key(1.into()),
            ..KeyCounts::default()
        });
        let Some(Action::Generate(made)) = next(&inventory, Some(&server), days(0), &policy) else {
            break;
        };
        for made in made {
            let keys = range(made.sort, 1000 * (drains + 1));
            inventory.add(keys, days(0));
            inventory.confirm(&[keys]);
        }
        drains += 1;
    }
    assert_eq!(inventory.of(PreKey).count(), policy.max_batches);
    assert_eq!(inventory.of(KyberPreKey).count(), policy.max_batches);
}

#[test]
fn a_batch_is_as_large_as_what_is_to_be_left() {
    let mut policy = Policy::default();
    for (batch, refill_below, count) in [(4, 10, 10), (0, 0, 1), (1000, 10, 200)] {
        (policy.batch, policy.refill_below) = (batch, refill_below);
        let actions = plan(
            &Inventory::default(),
            Some(&KeyCounts::default()),
            days(0),
            &policy,
        );
        assert_eq!(actions.len(), 3);
        assert_eq!(actions[0].rows()[0].2, count);
    }
}

#[test]
fn keys_of_the_server_that_are_not_known_here_count_for_nothing() {
    let mut inventory = with_stale(PreKey, &[10]);
    inventory.start_over(days(120));
    assert_eq!(inventory.of(PreKey).count(), 0);
    let actions = plan(&inventory, Some(&FULL), days(120), &Policy::default());
    let made: Vec<_> = actions[0].rows().iter().map(|row| row.1).collect();
    assert_eq!(made, KeySort::ALL);
    // Nor after a crash.
    for sort in KeySort::ALL {
        inventory.add(range(sort, 700), days(120));
    }
    let actions = plan(&inventory, Some(&FULL), days(120), &Policy::default());
    assert!(matches!(&actions[0], Action::Publish(keys) if keys.len() == 4));
}

#[test]
fn bundles_by_hand_in_succession_make_one_batch() {
    let policy = Policy::default();
    let mut inventory = Inventory::default();
    for (id, hour) in [(7, 0), (8, 1), (9, 47), (10, 48), (20, 49)] {
        inventory.hand_out(PreKey, id, hours(hour), &policy);
    }
    let batches: Vec<_> = inventory.of(PreKey).copied().collect();
    let runs = batches.iter().map(|run| (run.keys.first, run.keys.count));
    assert_eq!(runs.collect::<Vec<_>>(), [(7, 3), (10, 1), (20, 1)]);
    assert_eq!(batches[0].stale_since, Some(hours(47)));
    assert!(batches.iter().all(|run| run.published));
}

#[test]
fn ids_go_round_and_are_never_0() {
    assert_eq!(advance(0xff_fffe, 1), 0xff_ffff);
    assert_eq!(advance(0xff_ffff, 1), 1);
    let keys = KeyRange {
        first: 0xff_fffe,
        ..range(PreKey, 1)
    };
    assert_eq!(
        keys.ids().take(4).collect::<Vec<_>>(),
        [0xff_fffe, 0xff_ffff, 1, 2]
    );
    assert_eq!(keys.end(), 99);
    assert_eq!(keys.without_first(3).ids().next(), Some(2));
}

#[test]
fn nothing_is_sent_with_keys_of_a_fortnight() {
    let policy = Policy::default();
    assert_eq!(Inventory::default().good_until(&policy), None);
    let until = supplied(days(3)).good_until(&policy).unwrap();
    assert_eq!(
        until,
        days(3).saturating_add(Duration::from_secs(14 * 24 * 60 * 60))
    );
    let mut unpublished = supplied(days(3));
    for batch in &mut unpublished.batches {
        batch.published = false;
    }
    assert_eq!(unpublished.good_until(&policy), None);
}
