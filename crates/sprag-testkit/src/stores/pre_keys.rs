//! Contracts of [`PreKeyStore`](sprag::PreKeyStore), [`SignedPreKeyStore`](sprag::SignedPreKeyStore)
//! and [`KyberPreKeyStore`](sprag::KyberPreKeyStore).

use sprag::{
    KyberPreKeyKind, KyberPreKeyUse,
    protocol::pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
};

use super::{
    StoreSet,
    sample::{kyber_pre_key, missing, must, must_because, pre_key, public_key, signed_pre_key},
};

use KyberPreKeyKind::{LastResort, OneTime};

const AGAIN: &str =
    "to remove what is not there must be fine: when a message comes again, so does the call";
const AGREE: &str = "contains must agree with load, and load must not remove";
const ORDER: &str = "all ids, which are unsigned numbers, in ascending order";

/// Ids that stores are known to confuse: as text, and as signed numbers.
const IDS: [u32; 7] = [2, 10, 1, 0, 0x7fff_ffff, u32::MAX, 0x8000_0000];
const SORTED_IDS: [u32; 7] = [0, 1, 2, 10, 0x7fff_ffff, 0x8000_0000, u32::MAX];

fn assert_pre_key(stored: &PreKeyRecord, loaded: Option<PreKeyRecord>, what: &str) {
    let loaded = loaded.unwrap_or_else(|| missing(what));
    assert!(
        stored.serialize() == loaded.serialize(),
        "{what}: the pre-key came back changed"
    );
}

fn assert_signed(stored: &SignedPreKeyRecord, loaded: Option<SignedPreKeyRecord>, what: &str) {
    let loaded = loaded.unwrap_or_else(|| missing(what));
    assert!(
        stored.serialize() == loaded.serialize(),
        "{what}: the signed pre-key came back changed; time and signature belong to it"
    );
}

fn assert_kyber(stored: &KyberPreKeyRecord, loaded: Option<KyberPreKeyRecord>, what: &str) {
    let loaded = loaded.unwrap_or_else(|| missing(what));
    assert!(
        stored.serialize() == loaded.serialize(),
        "{what}: the Kyber pre-key came back changed; time and signature belong to it"
    );
}

/// There is nothing before something was stored, and removing it is fine.
pub async fn unknown_pre_keys_are_none(stores: StoreSet) {
    let none = "load of an id that was never stored must answer None";
    assert!(
        must(stores.pre_keys.load_pre_key(5.into()).await).is_none(),
        "{none}"
    );
    assert!(
        !must(stores.pre_keys.contains_pre_key(5.into()).await),
        "{AGREE}"
    );
    must_because(AGAIN, stores.pre_keys.remove_pre_key(5.into()).await);
    let signed = &stores.signed_pre_keys;
    assert!(
        must(signed.load_signed_pre_key(5.into()).await).is_none(),
        "{none}"
    );
    assert!(
        !must(signed.contains_signed_pre_key(5.into()).await),
        "{AGREE}"
    );
    must_because(AGAIN, signed.remove_signed_pre_key(5.into()).await);
    let kyber = &stores.kyber_pre_keys;
    assert!(
        must(kyber.load_kyber_pre_key(5.into()).await).is_none(),
        "{none}"
    );
    assert!(
        !must(kyber.contains_kyber_pre_key(5.into()).await),
        "{AGREE}"
    );
    must_because(AGAIN, kyber.remove_kyber_pre_key(5.into()).await);
    assert!(must(stores.pre_keys.pre_key_ids().await).is_empty());
    assert!(must(signed.signed_pre_key_ids().await).is_empty());
    assert!(must(kyber.kyber_pre_key_ids().await).is_empty());
}

/// What was stored comes back, under any id.
pub async fn a_pre_key_comes_back(stores: StoreSet) {
    let pre_keys = &stores.pre_keys;
    let stored = IDS.map(|id| (id, pre_key(id)));
    for (id, record) in &stored {
        must(pre_keys.store_pre_key((*id).into(), record.clone()).await);
    }
    for (id, record) in &stored {
        let loaded = must(pre_keys.load_pre_key((*id).into()).await);
        assert_pre_key(record, loaded, &format!("pre-key {id}"));
        assert!(
            must(pre_keys.contains_pre_key((*id).into()).await),
            "{AGREE}"
        );
    }
}

/// The last one stored counts.
pub async fn a_pre_key_is_replaced(stores: StoreSet) {
    let pre_keys = &stores.pre_keys;
    must(pre_keys.store_pre_key(5.into(), pre_key(5)).await);
    let second = pre_key(5);
    must(pre_keys.store_pre_key(5.into(), second.clone()).await);
    let loaded = must(pre_keys.load_pre_key(5.into()).await);
    assert_pre_key(&second, loaded, "a pre-key stored over another");
    assert_eq!(must(pre_keys.pre_key_ids().await), [5.into()]);
}

/// What was removed is gone, and removing it again is fine: a redelivery does.
pub async fn a_removed_pre_key_is_gone(stores: StoreSet) {
    let pre_keys = &stores.pre_keys;
    let other = pre_key(6);
    must(pre_keys.store_pre_key(5.into(), pre_key(5)).await);
    must(pre_keys.store_pre_key(6.into(), other.clone()).await);
    for _ in 0..2 {
        must_because(AGAIN, pre_keys.remove_pre_key(5.into()).await);
        assert!(
            must(pre_keys.load_pre_key(5.into()).await).is_none(),
            "a one-time pre-key must be gone after remove_pre_key: it may be used once"
        );
    }
    let loaded = must(pre_keys.load_pre_key(6.into()).await);
    assert_pre_key(&other, loaded, "another pre-key");
}

/// Ids are unsigned numbers.
pub async fn pre_key_ids_are_listed_in_order(stores: StoreSet) {
    let pre_keys = &stores.pre_keys;
    for id in IDS {
        must(pre_keys.store_pre_key(id.into(), pre_key(id)).await);
    }
    let ids = must(pre_keys.pre_key_ids().await);
    assert_eq!(ids, SORTED_IDS.map(Into::into), "pre_key_ids: {ORDER}");
    must(pre_keys.remove_pre_key(10.into()).await);
    let ids = must(pre_keys.pre_key_ids().await);
    assert!(!ids.contains(&10.into()), "pre_key_ids lists a removed one");
}

/// What was stored comes back, under any id.
pub async fn a_signed_pre_key_comes_back(stores: StoreSet) {
    let signed = &stores.signed_pre_keys;
    let stored = IDS.map(|id| (id, signed_pre_key(id)));
    for (id, record) in &stored {
        must(
            signed
                .store_signed_pre_key((*id).into(), record.clone())
                .await,
        );
    }
    for (id, record) in &stored {
        let loaded = must(signed.load_signed_pre_key((*id).into()).await);
        assert_signed(record, loaded, &format!("signed pre-key {id}"));
        assert!(
            must(signed.contains_signed_pre_key((*id).into()).await),
            "{AGREE}"
        );
    }
    let second = signed_pre_key(1);
    must(signed.store_signed_pre_key(1.into(), second.clone()).await);
    let loaded = must(signed.load_signed_pre_key(1.into()).await);
    assert_signed(&second, loaded, "a signed pre-key stored over another");
}

/// What was removed is gone, and removing it again is fine.
pub async fn a_removed_signed_pre_key_is_gone(stores: StoreSet) {
    let signed = &stores.signed_pre_keys;
    must(
        signed
            .store_signed_pre_key(5.into(), signed_pre_key(5))
            .await,
    );
    for _ in 0..2 {
        must_because(AGAIN, signed.remove_signed_pre_key(5.into()).await);
        assert!(
            must(signed.load_signed_pre_key(5.into()).await).is_none(),
            "load_signed_pre_key after remove_signed_pre_key must answer None"
        );
    }
}

/// Ids are unsigned numbers.
pub async fn signed_pre_key_ids_are_listed_in_order(stores: StoreSet) {
    let signed = &stores.signed_pre_keys;
    for id in IDS {
        must(
            signed
                .store_signed_pre_key(id.into(), signed_pre_key(id))
                .await,
        );
    }
    let ids = must(signed.signed_pre_key_ids().await);
    assert_eq!(
        ids,
        SORTED_IDS.map(Into::into),
        "signed_pre_key_ids: {ORDER}"
    );
    must(signed.remove_signed_pre_key(10.into()).await);
    let ids = must(signed.signed_pre_key_ids().await);
    assert!(
        !ids.contains(&10.into()),
        "signed_pre_key_ids lists a removed one"
    );
}

/// What was stored comes back, under any id and of either kind.
pub async fn a_kyber_pre_key_comes_back(stores: StoreSet) {
    let kyber = &stores.kyber_pre_keys;
    for kind in [OneTime, LastResort] {
        let stored = IDS.map(|id| (id, kyber_pre_key(id)));
        for (id, record) in &stored {
            let record = record.clone();
            must(kyber.store_kyber_pre_key((*id).into(), record, kind).await);
        }
        for (id, record) in &stored {
            let loaded = must(kyber.load_kyber_pre_key((*id).into()).await);
            assert_kyber(record, loaded, &format!("{kind:?} Kyber pre-key {id}"));
            assert!(
                must(kyber.contains_kyber_pre_key((*id).into()).await),
                "{AGREE}"
            );
        }
    }
}

/// Ids are unsigned numbers; both kinds share them.
pub async fn kyber_pre_key_ids_are_listed_in_order(stores: StoreSet) {
    let kyber = &stores.kyber_pre_keys;
    for (position, id) in IDS.into_iter().enumerate() {
        let kind = if position % 2 == 0 {
            OneTime
        } else {
            LastResort
        };
        let record = kyber_pre_key(id);
        must(kyber.store_kyber_pre_key(id.into(), record, kind).await);
    }
    let ids = must(kyber.kyber_pre_key_ids().await);
    assert_eq!(
        ids,
        SORTED_IDS.map(Into::into),
        "kyber_pre_key_ids: {ORDER}"
    );
}

/// The last one stored counts, and so does its kind.
pub async fn a_kyber_pre_key_is_replaced_with_its_kind(stores: StoreSet) {
    let kyber = &stores.kyber_pre_keys;
    for (id, before, after) in [(5, LastResort, OneTime), (6, OneTime, LastResort)] {
        let (first, second) = (kyber_pre_key(id), kyber_pre_key(id));
        must(kyber.store_kyber_pre_key(id.into(), first, before).await);
        let stored = kyber.store_kyber_pre_key(id.into(), second.clone(), after);
        must(stored.await);
        let loaded = must(kyber.load_kyber_pre_key(id.into()).await);
        assert_kyber(&second, loaded, "a Kyber pre-key stored over another");

        let base_key = public_key();
        let mark = kyber.mark_kyber_pre_key_used(id.into(), 1.into(), &base_key);
        must(mark.await);
        assert_eq!(
            must(kyber.contains_kyber_pre_key(id.into()).await),
            after == LastResort,
            "a {after:?} Kyber pre-key that was stored over a {before:?} one and marked used: \
             store_kyber_pre_key must keep the kind, too"
        );
    }
}

/// What was removed is gone, whichever kind it is.
pub async fn a_removed_kyber_pre_key_is_gone(stores: StoreSet) {
    let kyber = &stores.kyber_pre_keys;
    for kind in [OneTime, LastResort] {
        let record = kyber_pre_key(5);
        must(kyber.store_kyber_pre_key(5.into(), record, kind).await);
        for _ in 0..2 {
            must_because(AGAIN, kyber.remove_kyber_pre_key(5.into()).await);
            assert!(
                must(kyber.load_kyber_pre_key(5.into()).await).is_none(),
                "load_kyber_pre_key after remove_kyber_pre_key must answer None ({kind:?})"
            );
        }
    }
}

/// A one-time key may be used once.
pub async fn a_one_time_kyber_pre_key_goes_when_it_is_marked(stores: StoreSet) {
    let (kyber, base_key) = (&stores.kyber_pre_keys, public_key());
    let (used, other) = (kyber_pre_key(5), kyber_pre_key(6));
    must(kyber.store_kyber_pre_key(5.into(), used, OneTime).await);
    must(kyber.store_kyber_pre_key(6.into(), other, OneTime).await);
    let mark = || kyber.mark_kyber_pre_key_used(5.into(), 1.into(), &base_key);
    assert_eq!(
        must(mark().await),
        KyberPreKeyUse::First,
        "the first mark_kyber_pre_key_used of a one-time key"
    );
    assert!(
        must(kyber.load_kyber_pre_key(5.into()).await).is_none(),
        "a one-time Kyber pre-key must be gone once it is marked used"
    );
    assert_eq!(
        must(mark().await),
        KyberPreKeyUse::Repeated,
        "mark_kyber_pre_key_used of a key that is gone: the same message may come twice"
    );
    assert!(
        must(kyber.contains_kyber_pre_key(6.into()).await),
        "marking one key must not remove another"
    );
}

/// A key of last resort stays, and takes each first message once.
pub async fn a_last_resort_kyber_pre_key_remembers_each_base_key(stores: StoreSet) {
    let kyber = &stores.kyber_pre_keys;
    for id in [5, 6] {
        let record = kyber_pre_key(id);
        must(
            kyber
                .store_kyber_pre_key(id.into(), record, LastResort)
                .await,
        );
    }
    let (one, two) = (public_key(), public_key());
    let uses = [(5, 1, one), (5, 1, two), (5, 2, one), (6, 1, one)];
    for expected in [KyberPreKeyUse::First, KyberPreKeyUse::Repeated] {
        for (id, signed_id, base_key) in uses {
            let mark = kyber.mark_kyber_pre_key_used(id.into(), signed_id.into(), &base_key);
            assert_eq!(
                must(mark.await),
                expected,
                "a use is the triple of Kyber pre-key id, signed pre-key id and base key, all of which \
                 must be remembered"
            );
        }
    }
    assert!(
        must(kyber.contains_kyber_pre_key(5.into()).await),
        "a Kyber pre-key of last resort must stay when it is marked used"
    );
}

/// To store a key again, as a backup or an upgrade may do, is not to forget what it was used for.
pub async fn a_last_resort_kyber_pre_key_stored_again_remembers_its_uses(stores: StoreSet) {
    let (kyber, record, base_key) = (&stores.kyber_pre_keys, kyber_pre_key(5), public_key());
    for expected in [KyberPreKeyUse::First, KyberPreKeyUse::Repeated] {
        let stored = kyber.store_kyber_pre_key(5.into(), record.clone(), LastResort);
        must(stored.await);
        let mark = kyber.mark_kyber_pre_key_used(5.into(), 1.into(), &base_key);
        assert_eq!(
            must(mark.await),
            expected,
            "the uses of a Kyber pre-key of last resort must be remembered when the same key is stored again; \
             an SQL REPLACE deletes the row first, and what refers to it"
        );
    }
}

/// Looking and noting are one step, so that of many who mark a key at once one alone is the first.
pub async fn a_kyber_pre_key_is_marked_for_the_first_time_only_once(stores: StoreSet) {
    let (kyber, base_key) = (&stores.kyber_pre_keys, public_key());
    for (id, kind) in [(5, OneTime), (6, LastResort)] {
        let record = kyber_pre_key(id);
        must(kyber.store_kyber_pre_key(id.into(), record, kind).await);
        let mark = || {
            let kyber = kyber.clone();
            async move {
                kyber
                    .mark_kyber_pre_key_used(id.into(), 1.into(), &base_key)
                    .await
            }
        };
        // Four of a task take turns whenever they wait, and the tasks meet as it happens.
        let at_once = || {
            let [one, two, three, four] = [mark(), mark(), mark(), mark()];
            async move {
                let answers = tokio::join!(one, two, three, four);
                [answers.0, answers.1, answers.2, answers.3]
            }
        };
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(at_once())).collect();
        let mut first = 0;
        for task in tasks {
            let answers = task.await.expect("mark_kyber_pre_key_used must not panic");
            for answer in answers {
                first += usize::from(must(answer) == KyberPreKeyUse::First);
            }
        }
        assert_eq!(
            first, 1,
            "of 16 calls that mark one {kind:?} Kyber pre-key used at once, one must be the first: \
             mark_kyber_pre_key_used must look and note in one atomic step"
        );
    }
}

/// The three sorts of pre-keys have numbers of their own.
pub async fn pre_keys_of_three_sorts_may_share_an_id(stores: StoreSet) {
    let (one_time, signed, kyber) = (pre_key(5), signed_pre_key(5), kyber_pre_key(5));
    must(
        stores
            .pre_keys
            .store_pre_key(5.into(), one_time.clone())
            .await,
    );
    let signed_pre_keys = &stores.signed_pre_keys;
    must(
        signed_pre_keys
            .store_signed_pre_key(5.into(), signed.clone())
            .await,
    );
    let kyber_pre_keys = &stores.kyber_pre_keys;
    must(
        kyber_pre_keys
            .store_kyber_pre_key(5.into(), kyber.clone(), OneTime)
            .await,
    );
    let what = "pre-keys of three sorts under one id";
    let load_signed = || signed_pre_keys.load_signed_pre_key(5.into());
    let load_kyber = || kyber_pre_keys.load_kyber_pre_key(5.into());
    let loaded = must(stores.pre_keys.load_pre_key(5.into()).await);
    assert_pre_key(&one_time, loaded, what);
    assert_signed(&signed, must(load_signed().await), what);
    assert_kyber(&kyber, must(load_kyber().await), what);

    must(stores.pre_keys.remove_pre_key(5.into()).await);
    let what = "after remove_pre_key of the same id";
    assert_signed(&signed, must(load_signed().await), what);
    assert_kyber(&kyber, must(load_kyber().await), what);

    let store = stores.pre_keys.store_pre_key(5.into(), one_time.clone());
    must(store.await);
    let base_key = public_key();
    let mark = kyber_pre_keys.mark_kyber_pre_key_used(5.into(), 5.into(), &base_key);
    must(mark.await);
    let what = "after mark_kyber_pre_key_used of the same id";
    let loaded = must(stores.pre_keys.load_pre_key(5.into()).await);
    assert_pre_key(&one_time, loaded, what);
    assert_signed(&signed, must(load_signed().await), what);

    let store = kyber_pre_keys.store_kyber_pre_key(5.into(), kyber.clone(), OneTime);
    must(store.await);
    must(signed_pre_keys.remove_signed_pre_key(5.into()).await);
    let what = "after remove_signed_pre_key of the same id";
    let loaded = must(stores.pre_keys.load_pre_key(5.into()).await);
    assert_pre_key(&one_time, loaded, what);
    assert_kyber(&kyber, must(load_kyber().await), what);

    must(kyber_pre_keys.remove_kyber_pre_key(5.into()).await);
    let what = "after remove_kyber_pre_key of the same id";
    let loaded = must(stores.pre_keys.load_pre_key(5.into()).await);
    assert_pre_key(&one_time, loaded, what);
}
