//! Who plays, and the list of what is played.

use sprag_interop::{
    Broken, Conversation, Implementation, Names, Official, Sprag, SpragAccount, SpragCiphers,
    Wandering,
};

/// The official client.
pub(crate) fn official() -> Box<dyn Implementation> {
    match Official::start() {
        Ok(official) => Box::new(official),
        Err(error) => panic!("{error}"),
    }
}

/// Our own protocol core.
pub(crate) fn sprag() -> Box<dyn Implementation> {
    Box::new(Sprag)
}

/// Our ciphers over six stores in memory.
pub(crate) fn ciphers() -> Box<dyn Implementation> {
    Box::new(SpragCiphers)
}

/// Our account over SQLite.
pub(crate) fn account() -> Box<dyn Implementation> {
    Box::new(SpragAccount)
}

/// Parties that move between two implementations as they go.
pub(crate) fn wandering(homes: [Box<dyn Implementation>; 2], seed: u64) -> Box<dyn Implementation> {
    Box::new(Wandering::among(homes.into(), seed))
}

/// Plays one scenario.
pub(crate) fn play(
    cast: [Box<dyn Implementation>; 2],
    names: Names,
    scenario: fn(&mut Conversation<'_>) -> Result<(), Broken>,
) {
    let [left, right] = &cast;
    let outcome = Conversation::between([left.as_ref(), right.as_ref()], names)
        .and_then(|mut talk| scenario(&mut talk));
    if let Err(broken) = outcome {
        panic!("{} to {}: {broken}", left.name(), right.name());
    }
}

/// A module of tests, one for each scenario, in the given cast.
macro_rules! play_all {
    ($module:ident: $cast:expr) => {
        mod $module {
            use super::*;

            play_all!(@ establish $cast;
                with_one_time_keys Aci, without_one_time_keys Aci, with_last_resort_kyber Aci,
                stale_after_thirty_days Aci, archived_and_brought_back Aci, archived_unanswered Aci);
            mod pni {
                use super::*;
                play_all!(@ establish $cast; with_one_time_keys Pni, without_one_time_keys Pni);
            }
            mod plain {
                use super::*;
                play_all!(@ establish $cast; with_one_time_keys Plain, without_one_time_keys Plain);
            }
            mod own_devices {
                use super::*;
                play_all!(@ establish $cast; with_one_time_keys OwnDevices);
                play_all!(@ stream $cast; everything_twice OwnDevices);
            }
            play_all!(@ refuse $cast;
                replayed_first_message Aci, replayed_first_message_on_last_resort Plain, no_session Aci,
                tampered Aci, cut_short Plain, forged_bundle Plain, changed_identity Aci,
                bound_to_addresses Aci, not_bound_to_addresses Plain);
            play_all!(@ stream $cast;
                alternating Aci, one_way Plain, backwards Aci, more_skipped_than_kept Aci, everything_twice Aci,
                bad_network Plain);
            play_all!(@ restart $cast;
                under_way Aci, crossing Pni, more_archived_than_kept Plain, turmoil Aci);
            play_all!(@ hand_over $cast;
                before_the_first_message Aci, while_pending Aci, before_the_first_answer Plain,
                all_the_time Aci, with_archived_sessions Plain, with_everything_under_way Aci);
        }
    };
    (@ $group:ident $cast:expr; $($scenario:ident $names:ident),*) => {
        $(
            #[test]
            fn $scenario() {
                crate::cast::play($cast, sprag_interop::Names::$names, sprag_interop::scenario::$group::$scenario);
            }
        )*
    };
}
