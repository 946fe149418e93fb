//! What must be refused, without a trace.

use crate::{Blob, Broken, BundleRequest, Conversation, Envelope, FailureKind, KyberKind, Side};

/// A first message that comes again after its session was deleted starts nothing: its one-time keys are gone.
pub fn replayed_first_message(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    replay_after_delete(talk, BundleRequest::FULL, FailureKind::MissingPreKey)
}

/// The same without one-time keys: the last-resort key remembers its uses.
pub fn replayed_first_message_on_last_resort(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    replay_after_delete(talk, BundleRequest::BARE, FailureKind::ReusedBaseKey)
}

fn replay_after_delete(
    talk: &mut Conversation<'_>,
    request: BundleRequest,
    kind: FailureKind,
) -> Result<(), Broken> {
    talk.start(Side::Left, request)?;
    let first = talk.exchange(Side::Left)?;
    talk.refuse(&first, FailureKind::DuplicatedMessage)?;
    talk.try_at(Side::Right, "delete session", |party, remote| {
        party.delete_session(remote)
    })?;
    talk.refuse(&first, kind)
}

/// A message without a session.
pub fn no_session(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    let reply = talk.send(Side::Right)?;
    talk.try_at(Side::Left, "delete session", |party, remote| {
        party.delete_session(remote)
    })?;
    talk.refuse(&reply, FailureKind::SessionNotFound)?;
    talk.refused_at(
        Side::Left,
        "encrypt without a session",
        &[FailureKind::SessionNotFound],
        |party, remote| party.encrypt(remote, b"", crate::START).map(drop),
    )
}

/// Single bits changed anywhere in messages of both types. The untouched messages are read afterwards.
///
/// The bits that nothing authenticates, by design, are left out: the low half of an outer version byte, and what stands
/// between the inner message and the Kyber ciphertext, the registration id for one.
pub fn tampered(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    const REFUSALS: [FailureKind; 4] = [
        FailureKind::InvalidMessage,
        FailureKind::Malformed,
        FailureKind::MissingPreKey,
        FailureKind::UntrustedIdentity,
    ];
    talk.start(Side::Left, BundleRequest::FULL)?;
    let first = talk.send(Side::Left)?;
    let bits = first.envelope.body.len() * 8;
    let ciphertext = bits - 1568 * 8;
    let ids = ciphertext - 24 * 8;
    for position in (4..ids).step_by(97).chain((ciphertext..bits).step_by(1501)) {
        let changed = first.envelope.with_bit_flipped(position);
        talk.refuse_envelope(&first, &changed, &REFUSALS)?;
    }
    talk.deliver(&first)?;

    let reply = talk.send(Side::Right)?;
    for position in (4..reply.envelope.body.len() * 8).step_by(37) {
        let changed = reply.envelope.with_bit_flipped(position);
        let kinds = [FailureKind::InvalidMessage, FailureKind::Malformed];
        talk.refuse_envelope(&reply, &changed, &kinds)?;
    }
    talk.deliver(&reply)
}

/// Messages cut short anywhere.
pub fn cut_short(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    talk.start(Side::Left, BundleRequest::FULL)?;
    for side in Side::BOTH {
        let sent = talk.send(side)?;
        for length in (0..sent.envelope.body.len()).step_by(61) {
            let cut = Envelope {
                kind: sent.envelope.kind,
                body: Blob::from(&sent.envelope.body[..length]),
            };
            let kinds = [FailureKind::Malformed, FailureKind::InvalidMessage];
            talk.refuse_envelope(&sent, &cut, &kinds)?;
        }
        talk.deliver(&sent)?;
    }
    Ok(())
}

/// Bundles with a wrong signature, on either key.
pub fn forged_bundle(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let bundle = talk.try_at(Side::Right, "bundle", |party, _| {
        party.bundle(BundleRequest::FULL, crate::START)
    })?;
    let mut forged_signed = bundle.clone();
    forged_signed.signed_pre_key.signature.0[5] ^= 0x10;
    let mut forged_kyber = bundle.clone();
    forged_kyber.kyber_pre_key.signature.0[40] ^= 1;
    let mut swapped = bundle.clone();
    swapped.kyber_pre_key.signature = swapped.signed_pre_key.signature.clone();
    for forged in [forged_signed, forged_kyber, swapped] {
        talk.refused_at(
            Side::Left,
            "a forged bundle",
            &[FailureKind::InvalidSignature],
            |party, remote| party.process_bundle(remote, &forged, crate::START),
        )?;
    }
    talk.try_at(Side::Left, "the true bundle", |party, remote| {
        party.process_bundle(remote, &bundle, crate::START)
    })?;
    talk.exchange(Side::Left)?;
    Ok(())
}

/// Somebody else under a known address is refused in every direction until the new identity is accepted.
pub fn changed_identity(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let kinds = [FailureKind::UntrustedIdentity];
    talk.start(Side::Left, BundleRequest::FULL)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    let stranger = talk.third(Side::Right)?.identity_key_pair;

    talk.replace(Side::Right, Side::Right, |state| {
        state.identity_key_pair = stranger.clone();
        state.sessions.clear();
        state.signed_pre_keys.clear();
    })?;
    let bundle = talk.try_at(Side::Right, "bundle", |party, _| {
        party.bundle(BundleRequest::FULL, crate::START)
    })?;
    talk.refused_at(
        Side::Left,
        "a stranger's bundle",
        &kinds,
        |party, remote| party.process_bundle(remote, &bundle, crate::START),
    )?;
    talk.start(Side::Right, BundleRequest::FULL)?;
    let first = talk.send(Side::Right)?;
    talk.refuse(&first, FailureKind::UntrustedIdentity)?;

    talk.try_at(Side::Left, "trust", |party, remote| {
        party.trust(remote, &bundle.identity_key)
    })?;
    talk.deliver(&first)?;
    talk.exchange(Side::Left)?;
    talk.exchange(Side::Right)?;
    Ok(())
}

/// Between service ids, a pre-key message is bound to the addresses of its sender and its recipient.
pub fn bound_to_addresses(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let first = addressed_to_another_device(talk)?;
    talk.refuse(&first, FailureKind::InvalidMessage)?;
    talk.replace(Side::Right, Side::Right, |state| state.address.device -= 1)?;
    talk.deliver(&first)?;
    talk.exchange(Side::Right)?;
    talk.exchange(Side::Left)?;
    Ok(())
}

/// Between other names, nothing binds a message to an address.
pub fn not_bound_to_addresses(talk: &mut Conversation<'_>) -> Result<(), Broken> {
    let first = addressed_to_another_device(talk)?;
    talk.deliver(&first)
}

/// A first message, on its way to a party that now takes itself for another device.
fn addressed_to_another_device(talk: &mut Conversation<'_>) -> Result<crate::Sent, Broken> {
    let request = BundleRequest {
        kyber: KyberKind::LastResort,
        ..BundleRequest::FULL
    };
    talk.replace(Side::Right, Side::Right, |state| state.address.device = 9)?;
    talk.start(Side::Left, request)?;
    let first = talk.send(Side::Left)?;
    talk.replace(Side::Right, Side::Right, |state| state.address.device += 1)?;
    Ok(first)
}
