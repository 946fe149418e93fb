//! Every scenario, in every casting of its two roles.
#![allow(clippy::panic)]

#[macro_use]
#[path = "live/cast.rs"]
mod cast;

use cast::{official, wandering};

play_all!(official_to_official: [official(), official()]);
play_all!(wandering_to_wandering: [wandering(1), wandering(2)]);
