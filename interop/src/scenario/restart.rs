//! More than one session between the same two.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{Broken, BundleRequest, Conversation, FailureKind, Sent, Side, conversation::ensure};

/// A new session begins while messages of the old one are under way in both directions; each is read, whatever the order
/// in which they come, and the two agree on one session in the end.
pub fn under_way(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    settle(talk, BundleRequest::FULL)?;
    let old_left = [talk.send(Side::Left)?, talk.send(Side::Left)?];
    let old_right = [talk.send(Side::Right)?, talk.send(Side::Right)?];

    talk.start(
        Side::Left,
        BundleRequest {
            rotate: true,
            ..BundleRequest::FULL
        },
    )?;
    let new_left = [talk.send(Side::Left)?, talk.send(Side::Left)?];
    talk.deliver(&old_left[1])?;
    talk.deliver(&old_right[1])?;
    talk.deliver(&new_left[1])?;
    let new_right = talk.send(Side::Right)?;
    talk.deliver(&old_left[0])?;
    talk.deliver(&new_right)?;
    talk.deliver(&old_right[0])?;
    talk.deliver(&new_left[0])?;
    for sent in old_left.iter().chain(&old_right).chain(&new_left) {
        talk.refuse(sent, FailureKind::DuplicatedMessage)?;
    }
    agree(talk)
}

/// Both sides start a session with each other at once.
pub fn crossing(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    for request in [BundleRequest::FULL, BundleRequest::BARE] {
        talk.start(Side::Left, request)?;
        talk.start(Side::Right, request)?;
        let left = [talk.send(Side::Left)?, talk.send(Side::Left)?];
        let right = [talk.send(Side::Right)?, talk.send(Side::Right)?];
        talk.deliver(&left[0])?;
        talk.deliver(&right[1])?;
        let answers = [talk.send(Side::Left)?, talk.send(Side::Right)?];
        talk.deliver(&left[1])?;
        talk.deliver(&right[0])?;
        for answer in &answers {
            talk.deliver(answer)?;
        }
        agree(talk)?;
    }
    Ok(())
}

/// Forty archived sessions are kept; a message of the one before them cannot be read any more.
pub fn more_archived_than_kept(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    const SESSIONS: usize = 45;
    const KEPT: usize = 41;
    let mut late = Vec::new();
    for _ in 0..SESSIONS {
        talk.start(Side::Left, BundleRequest::BARE)?;
        talk.exchange(Side::Left)?;
        late.push(talk.send(Side::Right)?);
    }
    let (lost, kept) = late.split_at(SESSIONS - KEPT);
    for sent in lost {
        talk.refuse(sent, FailureKind::InvalidMessage)?;
    }
    for sent in kept {
        talk.deliver(sent)?;
    }
    agree(talk)
}

/// Anything in any order: both sides write, restart and archive at random while messages are under way and repeat.
pub fn turmoil(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    for seed in [1, 2] {
        let mut rng = StdRng::seed_from_u64(seed);
        settle(talk, BundleRequest::FULL)?;
        let mut under_way: Vec<Sent> = Vec::new();
        for _ in 0..150 {
            let side = Side::BOTH[rng.random_range(0..2)];
            match rng.random_range(0..100) {
                0..6 => talk.start(side, any_bundle(&mut rng))?,
                6..50 => under_way.push(talk.send(side)?),
                _ => {
                    let oldest = oldest_if_overdue(&under_way, talk.count());
                    if under_way.is_empty() {
                        continue;
                    }
                    let index = oldest.unwrap_or_else(|| rng.random_range(0..under_way.len()));
                    let sent = under_way.remove(index);
                    talk.deliver(&sent)?;
                    if rng.random_ratio(1, 5) {
                        talk.refuse(&sent, FailureKind::DuplicatedMessage)?;
                    }
                }
            }
        }
        for sent in under_way {
            talk.deliver(&sent)?;
        }
        agree(talk)?;
    }
    Ok(())
}

fn any_bundle(rng: &mut StdRng) -> BundleRequest {
    let mut request = if rng.random() {
        BundleRequest::FULL
    } else {
        BundleRequest::BARE
    };
    request.rotate = rng.random();
    request
}

/// No message may wait until its chain is dropped.
fn oldest_if_overdue(under_way: &[Sent], count: u64) -> Option<usize> {
    under_way.iter().position(|sent| sent.number + 8 <= count)
}

/// A session that both sides have used.
fn settle(talk: &mut Conversation<'_>, request: BundleRequest) -> Result<(), Broken> {
    talk.start(Side::Left, request)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    Ok(())
}

/// Both sides come to use one session, and then answer each other in it.
fn agree(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    for _ in 0..10 {
        talk.exchange(Side::Left)?;
        talk.exchange(Side::Right)?;
    }
    let last = talk.exchange(Side::Left)?;
    ensure(last.envelope.kind == crate::Envelope::PLAIN, || {
        format!("{last}: still unacknowledged")
    })
}
