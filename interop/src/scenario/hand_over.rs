//! Records that one implementation wrote and another goes on with.
//!
//! A side moves between the implementation of its own role and that of the other; run with the roles exchanged, this
//! covers every direction.

use crate::{Broken, BundleRequest, Conversation, FailureKind, Sent, Side, conversation::ensure};

/// The keys behind a bundle move before the first message comes.
pub fn before_the_first_message(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    for request in [BundleRequest::FULL, BundleRequest::BARE] {
        talk.start(Side::Left, request)?;
        let first = talk.send(Side::Left)?;
        talk.hand_over(Side::Right, Side::Left)?;
        talk.deliver(&first)?;
        talk.refuse(&first, FailureKind::DuplicatedMessage)?;
        talk.exchange(Side::Right)?;
        talk.exchange(Side::Left)?;
        talk.hand_over(Side::Right, Side::Right)?;
        talk.exchange(Side::Right)?;
    }
    Ok(())
}

/// The initiator moves while its session is unacknowledged: before the first message, after it, and on the answer.
pub fn while_pending(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    for request in [BundleRequest::FULL, BundleRequest::BARE] {
        talk.start(Side::Left, request)?;
        talk.hand_over(Side::Left, Side::Right)?;
        let first = talk.send(Side::Left)?;
        talk.hand_over(Side::Left, Side::Left)?;
        let second = talk.send(Side::Left)?;
        talk.deliver(&second)?;
        talk.deliver(&first)?;
        let answer = talk.send(Side::Right)?;
        talk.hand_over(Side::Left, Side::Right)?;
        talk.deliver(&answer)?;
        talk.exchange(Side::Left)?;
        talk.hand_over(Side::Left, Side::Left)?;
        talk.exchange(Side::Left)?;
        talk.exchange(Side::Right)?;
    }
    Ok(())
}

/// The recipient moves after it has read the first message and before it has answered.
pub fn before_the_first_answer(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    talk.hand_over(Side::Right, Side::Left)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    talk.hand_over(Side::Right, Side::Right)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    Ok(())
}

/// Both sides move all the time, at every state that the post-quantum ratchet goes through in its first epochs, with
/// skipped keys in every record.
pub fn all_the_time(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    let mut homes = Side::BOTH;
    let mut held: Vec<Sent> = Vec::new();
    let mut epoch = None;
    for round in 0..220 {
        for side in Side::BOTH {
            move_on(talk, &mut homes, Side::BOTH[round % 2])?;
            if round % 5 == 2 {
                held.push(talk.send(side)?);
            }
            epoch = talk.exchange(side)?.header()?.epoch;
        }
        if round % 5 == 4 {
            for sent in held.drain(..) {
                talk.deliver(&sent)?;
            }
        }
    }
    ensure(epoch >= Some(6), || {
        format!("the post-quantum ratchet is only at epoch {epoch:?}")
    })
}

/// Records with archived sessions move between sessions that cross.
pub fn with_archived_sessions(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let mut homes = Side::BOTH;
    for round in 0..6 {
        talk.start(Side::BOTH[round % 2], BundleRequest::FULL)?;
        talk.start(Side::BOTH[(round + 1) % 2], BundleRequest::BARE)?;
        let under_way = [talk.send(Side::Left)?, talk.send(Side::Right)?];
        for (sent, side) in under_way.iter().zip(Side::BOTH) {
            move_on(talk, &mut homes, side)?;
            talk.deliver(sent)?;
            talk.exchange(side)?;
        }
        for sent in &under_way {
            talk.refuse(sent, FailureKind::DuplicatedMessage)?;
        }
    }
    Ok(())
}

/// The left moves with all that a store can hold, and back again: skipped keys, an archived session, messages under way
/// in both directions, one-time keys handed out, a last-resort key that was used. Nothing that comes late is lost, and
/// nothing starts or is read again.
pub fn with_everything_under_way(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Right, BundleRequest::BARE)?;
    let first = talk.exchange(Side::Right)?;
    talk.exchange(Side::Left)?;
    let late_right = [talk.send(Side::Right)?, talk.send(Side::Right)?];
    talk.exchange(Side::Right)?;
    let late_left = [talk.send(Side::Left)?, talk.send(Side::Left)?];
    talk.exchange(Side::Left)?;
    talk.start(Side::Right, BundleRequest::FULL)?;
    let new = [talk.send(Side::Right)?, talk.send(Side::Right)?];

    talk.hand_over(Side::Left, Side::Right)?;
    for sent in [&late_right[1], &new[1], &late_left[1], &late_right[0]] {
        talk.deliver(sent)?;
        talk.refuse(sent, FailureKind::DuplicatedMessage)?;
    }
    talk.exchange(Side::Left)?;
    talk.hand_over(Side::Left, Side::Left)?;
    for sent in [&new[0], &late_left[0]] {
        talk.deliver(sent)?;
        talk.refuse(sent, FailureKind::DuplicatedMessage)?;
    }
    talk.exchange(Side::Right)?;
    talk.exchange(Side::Left)?;

    talk.hand_over(Side::Left, Side::Right)?;
    talk.try_at(Side::Left, "delete session", |party, remote| {
        party.delete_session(remote)
    })?;
    talk.refuse(&first, FailureKind::ReusedBaseKey)?;
    talk.refuse(&new[0], FailureKind::MissingPreKey)?;
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    Ok(())
}

fn move_on(talk: &mut Conversation<'_>, homes: &mut [Side; 2], side: Side) -> Result<(), Broken> {
    let home = &mut homes[side as usize];
    *home = home.other();
    talk.hand_over(side, *home)
}
