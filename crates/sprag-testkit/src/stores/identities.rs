//! Contracts of [`IdentityKeyStore`](sprag::IdentityKeyStore).

use sprag::{Direction, IdentityChange};

use super::{
    StoreSet,
    sample::{NAMES, address, identity_key, must},
};

const BOTH: [Direction; 2] = [Direction::Sending, Direction::Receiving];

/// Our identity is the same whenever it is asked for, and its halves belong together.
pub async fn our_identity_stays(stores: StoreSet) {
    let first = must(stores.identities.identity_key_pair().await);
    let second = must(stores.identities.identity_key_pair().await);
    assert!(
        first.serialize() == second.serialize(),
        "identity_key_pair must answer the same pair every time"
    );
    assert!(
        first.private_key().public_key() == *first.identity_key().public_key(),
        "the halves of identity_key_pair do not belong together"
    );
}

/// Our registration id is the same whenever it is asked for, and has at most 14 bits.
pub async fn our_registration_id_is_in_range(stores: StoreSet) {
    let first = must(stores.identities.local_registration_id().await);
    let second = must(stores.identities.local_registration_id().await);
    assert_eq!(first, second, "local_registration_id must not change");
    assert!(
        (1..=0x3fff).contains(&first),
        "registration ids run from 1 to 16383, {first} is none"
    );
}

/// The first use is trusted.
pub async fn an_unknown_identity_is_none_and_trusted(stores: StoreSet) {
    let (identities, bob) = (&stores.identities, address("bob", 1));
    assert_eq!(
        must(identities.load_identity(&bob).await),
        None,
        "load_identity of an address that was never saved must answer None"
    );
    for direction in BOTH {
        let trusted = identities
            .is_trusted_identity(&bob, &identity_key(), direction)
            .await;
        assert!(
            must(trusted),
            "an address without an identity must be trusted on first use ({direction:?}), \
             or no session can ever start"
        );
    }
}

/// A question has no effect.
pub async fn asking_for_trust_saves_nothing(stores: StoreSet) {
    let (identities, bob) = (&stores.identities, address("bob", 1));
    for direction in BOTH {
        let trusted = identities
            .is_trusted_identity(&bob, &identity_key(), direction)
            .await;
        must(trusted);
    }
    assert_eq!(
        must(identities.load_identity(&bob).await),
        None,
        "is_trusted_identity must not save: anybody may send a message, authentic or not"
    );
    let known = identity_key();
    must(identities.save_identity(&bob, &known).await);
    for direction in BOTH {
        let trusted = identities
            .is_trusted_identity(&bob, &identity_key(), direction)
            .await;
        must(trusted);
        assert_eq!(
            must(identities.load_identity(&bob).await),
            Some(known),
            "is_trusted_identity must not save another identity ({direction:?}): the user decides"
        );
    }
}

/// What was saved comes back and is trusted.
pub async fn a_saved_identity_comes_back_and_is_trusted(stores: StoreSet) {
    let (identities, bob, key) = (&stores.identities, address("bob", 1), identity_key());
    must(identities.save_identity(&bob, &key).await);
    assert_eq!(must(identities.load_identity(&bob).await), Some(key));
    for direction in BOTH {
        let trusted = identities.is_trusted_identity(&bob, &key, direction).await;
        assert!(
            must(trusted),
            "the saved identity must be trusted ({direction:?})"
        );
    }
}

/// A changed identity is not trusted for sending until it is saved.
pub async fn another_identity_is_not_trusted(stores: StoreSet) {
    let (identities, bob) = (&stores.identities, address("bob", 1));
    let (old, new) = (identity_key(), identity_key());
    must(identities.save_identity(&bob, &old).await);
    let trusted = |key| identities.is_trusted_identity(&bob, key, Direction::Sending);
    assert!(
        !must(trusted(&new).await),
        "a changed identity must not be trusted for sending: this is what stops somebody in between"
    );
    must(identities.save_identity(&bob, &new).await);
    assert!(
        must(trusted(&new).await),
        "a changed identity that was saved must be trusted"
    );
}

/// New, unchanged, replaced.
pub async fn saving_tells_what_changed(stores: StoreSet) {
    let (identities, bob) = (&stores.identities, address("bob", 1));
    let (old, new) = (identity_key(), identity_key());
    let cases = [
        ("the first", &old, IdentityChange::NewOrUnchanged),
        ("the same", &old, IdentityChange::NewOrUnchanged),
        ("another", &new, IdentityChange::ReplacedExisting),
        ("the same again", &new, IdentityChange::NewOrUnchanged),
    ];
    for (what, key, expected) in cases {
        let change = must(identities.save_identity(&bob, key).await);
        assert_eq!(change, expected, "save_identity of {what} key");
        assert_eq!(
            must(identities.load_identity(&bob).await).as_ref(),
            Some(key),
            "after save_identity of {what} key"
        );
    }
}

/// Addresses are names and devices, compared byte by byte.
pub async fn identities_of_addresses_are_apart(stores: StoreSet) {
    let identities = &stores.identities;
    let mut saved = Vec::new();
    for name in NAMES {
        let (address, key) = (address(name, 1), identity_key());
        must(identities.save_identity(&address, &key).await);
        saved.push((address, key));
    }
    for (address, key) in saved {
        assert_eq!(
            must(identities.load_identity(&address).await),
            Some(key),
            "{address:?} among similar ones"
        );
    }
}
