//! Contracts of [`SenderKeyStore`](sprag::SenderKeyStore).

use sprag::protocol::sender_key::SenderKeyRecord;
use uuid::Uuid;

use super::{
    StoreSet,
    sample::{NAMES, address, missing, must, sender_key},
};

const GROUP: Uuid = Uuid::from_u128(0xd1d1_d1d1_7000_11eb_b32a_33b8_a8a4_87a6);
const OTHER_GROUP: Uuid = Uuid::from_u128(1);

/// The same bytes must come back.
fn assert_same(stored: &SenderKeyRecord, loaded: Option<SenderKeyRecord>, what: &str) {
    let loaded = loaded.unwrap_or_else(|| missing(what));
    assert!(
        stored.serialize() == loaded.serialize(),
        "{what}: this is not the sender key that was stored here last, but an older one, that of another \
         sender or distribution, or one whose bytes were changed"
    );
}

/// There is nothing before something was stored.
pub async fn an_unknown_sender_key_is_none(stores: StoreSet) {
    let loaded = stores
        .sender_keys
        .load_sender_key(&address("bob", 1), GROUP)
        .await;
    assert!(
        must(loaded).is_none(),
        "load_sender_key of what was never stored must answer None"
    );
}

/// The last one stored comes back.
pub async fn a_sender_key_comes_back_and_is_replaced(stores: StoreSet) {
    let (sender_keys, bob) = (&stores.sender_keys, address("bob", 1));
    let stored = [
        ("the first", sender_key()),
        ("the second", sender_key()),
        ("an empty one", SenderKeyRecord::new_fresh()),
    ];
    for (which, record) in stored {
        let store = sender_keys.store_sender_key(&bob, GROUP, record.clone());
        must(store.await);
        let loaded = must(sender_keys.load_sender_key(&bob, GROUP).await);
        assert_same(&record, loaded, which);
    }
}

/// Each sender has a key in each distribution.
pub async fn sender_keys_are_apart_by_sender_and_distribution(stores: StoreSet) {
    let sender_keys = &stores.sender_keys;
    let mut stored = Vec::new();
    for name in NAMES {
        for device in [1, 2] {
            for group in [GROUP, OTHER_GROUP] {
                let sender = address(name, device);
                let key = sender_key();
                let store = sender_keys.store_sender_key(&sender, group, key.clone());
                must(store.await);
                stored.push((sender, group, key));
            }
        }
    }
    for (sender, group, key) in stored {
        let loaded = must(sender_keys.load_sender_key(&sender, group).await);
        assert_same(&key, loaded, &format!("{sender:?} in {group}"));
    }
}
