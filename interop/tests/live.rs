//! Every scenario, in every casting of its two roles.
#![allow(clippy::panic)]

#[macro_use]
#[path = "live/cast.rs"]
mod cast;

use cast::{account, ciphers, official, sprag, wandering};

// The control: what fails here says nothing about us.
play_all!(official_to_official: [official(), official()]);

play_all!(sprag_to_official: [sprag(), official()]);
play_all!(official_to_sprag: [official(), sprag()]);
play_all!(sprag_to_sprag: [sprag(), sprag()]);

play_all!(account_to_official: [account(), official()]);
play_all!(official_to_account: [official(), account()]);

play_all!(ciphers_to_official: [ciphers(), official()]);
play_all!(official_to_ciphers: [official(), ciphers()]);

// Every operation finds the state as the one or the other left it.
play_all!(wandering_to_wandering: [
    wandering([sprag(), official()], 1),
    wandering([official(), sprag()], 2),
]);

play_all!(@ alike [sprag(), official()]; damaged_messages Aci);
