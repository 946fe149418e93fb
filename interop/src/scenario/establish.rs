//! Starting a session.

use crate::{
    Broken, BundleRequest, Conversation, Envelope, FailureKind, KyberKind, Side,
    conversation::ensure,
};

const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60 * 1000;

/// A session from a bundle with one-time keys of both kinds.
pub fn with_one_time_keys(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    establish(talk, BundleRequest::FULL)
}

/// A session from a bundle without any one-time key.
pub fn without_one_time_keys(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    establish(talk, BundleRequest::BARE)
}

/// A session from a bundle with a one-time pre-key beside the last-resort Kyber pre-key.
pub fn with_last_resort_kyber(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let request = BundleRequest {
        kyber: KyberKind::LastResort,
        ..BundleRequest::FULL
    };
    establish(talk, request)
}

fn establish(talk: &mut Conversation<'_>, request: BundleRequest) -> Result<(), Broken> {
    ensure(!talk.can_send(Side::Left)?, || {
        "a stranger can be written to".into()
    })?;
    talk.start(Side::Left, request)?;
    ensure(talk.can_send(Side::Left)?, || {
        "a fresh session cannot send".into()
    })?;

    let first = unanswered_messages(talk)?;
    check_used_keys(talk, request)?;
    ensure(talk.can_send(Side::Right)?, || {
        "an accepted session cannot send".into()
    })?;

    let reply = talk.exchange(Side::Right)?;
    expect_type(&reply, Envelope::PLAIN)?;
    talk.refuse(&first, FailureKind::DuplicatedMessage)?;
    for _ in 0..10 {
        for side in Side::BOTH {
            expect_type(&talk.exchange(side)?, Envelope::PLAIN)?;
        }
    }
    // Its chain has been dropped, so that nothing can tell that it was read; it starts no new session all the same.
    talk.refuse(&first, FailureKind::InvalidMessage)
}

/// All messages before the first answer are pre-key messages; any of them can come first.
fn unanswered_messages(talk: &mut Conversation<'_>) -> Result<crate::Sent, Broken> {
    let messages = [
        talk.send(Side::Left)?,
        talk.send(Side::Left)?,
        talk.send(Side::Left)?,
    ];
    for index in [1, 0, 2] {
        expect_type(&messages[index], Envelope::PRE_KEY)?;
        talk.deliver(&messages[index])?;
    }
    let [first, ..] = messages;
    Ok(first)
}

/// One-time keys are gone after their use; the use of a last-resort key is on record.
fn check_used_keys(talk: &mut Conversation<'_>, request: BundleRequest) -> Result<(), Broken> {
    let state = talk.state(Side::Right)?;
    let last_resort = usize::from(request.kyber == KyberKind::LastResort);
    ensure(state.pre_keys.is_empty(), || {
        "a used one-time pre-key is still there".into()
    })?;
    ensure(state.kyber_pre_keys.len() == last_resort, || {
        format!("{} Kyber pre-keys are left", state.kyber_pre_keys.len())
    })?;
    ensure(state.kyber_uses.len() == last_resort, || {
        format!(
            "{} uses of Kyber pre-keys are on record",
            state.kyber_uses.len()
        )
    })
}

fn expect_type(sent: &crate::Sent, kind: u8) -> Result<(), Broken> {
    ensure(sent.envelope.kind == kind, || {
        format!("{sent}, not type {kind}")
    })
}

/// A session that nobody has answered can be used for thirty days, and not a millisecond longer.
pub fn stale_after_thirty_days(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    // The session remembers whole seconds.
    talk.wait(THIRTY_DAYS - crate::START % 1000);
    ensure(talk.can_send(Side::Left)?, || "stale too early".into())?;
    talk.exchange(Side::Left)?;
    talk.wait(1);
    ensure(!talk.can_send(Side::Left)?, || "stale too late".into())?;
    let now = crate::START - crate::START % 1000 + THIRTY_DAYS + 1;
    talk.refused_at(
        Side::Left,
        "encrypt in a stale session",
        &[FailureKind::SessionNotFound],
        |party, remote| party.encrypt(remote, b"", now).map(drop),
    )?;
    talk.exchange(Side::Right)?;
    ensure(talk.can_send(Side::Left)?, || {
        "stale although answered".into()
    })?;
    talk.exchange(Side::Left)?;
    Ok(())
}

/// Archiving ends sending but not receiving; a late message brings the session back.
pub fn archived_and_brought_back(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    let late = talk.send(Side::Right)?;
    talk.try_at(Side::Left, "archive", |party, remote| {
        party.archive_session(remote)
    })?;
    ensure(!talk.can_send(Side::Left)?, || {
        "an archived session can send".into()
    })?;
    talk.deliver(&late)?;
    ensure(talk.can_send(Side::Left)?, || {
        "the session was not brought back".into()
    })?;
    let next = talk.exchange(Side::Left)?;
    expect_type(&next, Envelope::PLAIN)?;
    talk.exchange(Side::Right)?;
    Ok(())
}

/// A session archived before any answer writes plain messages once it is back.
pub fn archived_unanswered(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    talk.try_at(Side::Left, "archive", |party, remote| {
        party.archive_session(remote)
    })?;
    talk.exchange(Side::Right)?;
    let next = talk.exchange(Side::Left)?;
    expect_type(&next, Envelope::PLAIN)
}
