//! Whom an account trusts: what is known of a peer's identity, and what that allows.
//!
//! An identity that was first seen is trusted, one that has changed is not until somebody says so. Receiving is never
//! refused for that, it is reported: what was received says who is there now. Sending is, since it gives
//! something away. Source: sheet 04 section 7, whose stores decide as they like.

use sprag_core::{
    address::{DeviceId, ProtocolAddress},
    identity::IdentityKey,
    time::Timestamp,
};

/// What an account asks of a peer's identity before it sends.
///
/// A message that arrives under another identity than the known one is decrypted and
/// [reported](crate::Delivery::changed_identity) under each of them, and its identity takes the place of the
/// known one as [changed](IdentityTrust::Changed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityPolicy {
    /// Nothing: whoever answers under the peer's address is sent to. For bots that would not ask anybody;
    /// the server can read along if it wants to.
    AlwaysTrust,
    /// That it is the one first seen, or was [approved](crate::Account::approve_identity) since.
    #[default]
    TrustOnFirstUse,
    /// That it was [verified](crate::Account::verify). A session can be started before, so that there is a
    /// [safety number](crate::Account::safety_number) to compare.
    VerifiedOnly,
}

/// Whose identity one is. Chosen when an account is made, and never changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityScope {
    /// Every device has an identity of its own.
    #[default]
    PerAddress,
    /// All devices of a name have one, as in Signal: a new device under another identity counts as a change, and what
    /// was approved or verified holds for all of them.
    PerName,
}

impl IdentityScope {
    /// Whether two addresses have one identity.
    pub(crate) fn joins(self, one: &ProtocolAddress, other: &ProtocolAddress) -> bool {
        match self {
            Self::PerAddress => one == other,
            Self::PerName => one.name() == other.name(),
        }
    }
}

/// How far an identity is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityTrust {
    /// It was seen first, or approved.
    Unverified,
    /// The user has compared [safety numbers](crate::Account::safety_number), or said so otherwise.
    Verified,
    /// It has taken the place of another one, and nobody has approved that.
    Changed,
}

impl IdentityTrust {
    /// The stable short name of this.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Changed => "changed",
        }
    }
}

/// What is known of a peer's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownIdentity {
    /// The peer's name.
    pub name: String,
    /// The device; `None` if the identity is [that of all devices](IdentityScope::PerName) of the name.
    pub device_id: Option<DeviceId>,
    /// The identity.
    pub key: IdentityKey,
    /// How far it is trusted.
    pub trust: IdentityTrust,
    /// When an identity of the peer was first seen.
    pub first_seen: Timestamp,
    /// When it last changed, if it ever did.
    pub changed: Option<Timestamp>,
}

/// What the store keeps of a peer's identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: IdentityKey,
    pub(crate) trust: IdentityTrust,
    pub(crate) first_seen: Timestamp,
    pub(crate) changed: Option<Timestamp>,
}

/// What an identity is about to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A session from a bundle: nothing is given away by that yet.
    Starting,
    Sending,
    Receiving,
}

/// On whose word an identity is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The peer's own: it was seen in a message or a bundle.
    Seen,
    /// That of whoever saves it through the store trait, and so has made up his mind about a new one.
    Saved,
    /// The user agrees with it.
    Approved,
    /// The user has compared it.
    Verified,
}

/// How an account deals with identities.
#[derive(Clone, Copy)]
pub(crate) struct Profile<'a> {
    pub(crate) address: &'a ProtocolAddress,
    pub(crate) policy: IdentityPolicy,
}

impl Profile<'_> {
    /// Whether `key` may be used for `purpose` as the identity of `peer`, of whom this is `known`.
    ///
    /// Nobody but the user can change an identity under our own name: whoever tries takes himself for us.
    pub(crate) fn allows(
        &self,
        peer: &ProtocolAddress,
        known: Option<&Known>,
        key: &IdentityKey,
        purpose: Purpose,
    ) -> bool {
        let is_our_name = peer.name() == self.address.name();
        if is_our_name && known.is_some_and(|known| known.key != *key) {
            return false;
        }
        allows(self.policy, known, key, purpose)
    }
}

/// What a policy says, whoever the peer is.
pub(crate) fn allows(
    policy: IdentityPolicy,
    known: Option<&Known>,
    key: &IdentityKey,
    purpose: Purpose,
) -> bool {
    let trust = known.map(|known| (known.key == *key, known.trust));
    match (policy, purpose, trust) {
        (IdentityPolicy::AlwaysTrust, _, _) | (_, Purpose::Receiving, _) => true,
        (IdentityPolicy::VerifiedOnly, Purpose::Sending, trust) => {
            trust == Some((true, IdentityTrust::Verified))
        }
        (_, _, None) => true,
        (_, _, Some((is_same, trust))) => is_same && trust != IdentityTrust::Changed,
    }
}

impl Known {
    /// What is known after `key` was kept on this `word`.
    pub(crate) fn after(
        before: Option<&Self>,
        key: &IdentityKey,
        word: Word,
        now: Timestamp,
    ) -> Self {
        let Some(before) = before else {
            return Self {
                key: *key,
                trust: word.trust(IdentityTrust::Unverified),
                first_seen: now,
                changed: None,
            };
        };
        if before.key != *key {
            let trust = match word {
                Word::Seen => IdentityTrust::Changed,
                word => word.trust(IdentityTrust::Unverified),
            };
            return Self {
                key: *key,
                trust,
                changed: Some(now),
                ..*before
            };
        }
        Self {
            trust: word.trust(before.trust),
            ..*before
        }
    }
}

impl Word {
    /// How far the same identity is trusted afterwards.
    fn trust(self, before: IdentityTrust) -> IdentityTrust {
        match (self, before) {
            (Self::Verified, _) => IdentityTrust::Verified,
            (Self::Approved, IdentityTrust::Changed) => IdentityTrust::Unverified,
            _ => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use sprag_core::identity::IdentityKeyPair;

    use super::*;
    use IdentityPolicy::{AlwaysTrust, TrustOnFirstUse, VerifiedOnly};
    use IdentityTrust::{Changed, Unverified, Verified};

    fn key() -> IdentityKey {
        *IdentityKeyPair::generate(&mut rand::rng()).identity_key()
    }

    fn known(key: IdentityKey, trust: IdentityTrust) -> Known {
        Known {
            key,
            trust,
            first_seen: Timestamp::from_millis(1),
            changed: None,
        }
    }

    /// The policies as a table: for starting and for sending, with nobody known, with the same identity known so far,
    /// and with another one.
    #[test]
    fn policies() {
        let (same, other) = (key(), key());
        let nobody = None;
        let columns = [
            nobody,
            Some(known(same, Unverified)),
            Some(known(same, Verified)),
            Some(known(same, Changed)),
            Some(known(other, Unverified)),
            Some(known(other, Verified)),
            Some(known(other, Changed)),
        ];
        let (yes, no) = (true, false);
        use Purpose::{Sending, Starting};
        #[rustfmt::skip]
        let table = [
            //                         nobody same: unv, ver, cha  other: unv, ver, cha
            (AlwaysTrust,     Starting, [yes,  yes, yes, yes,       yes, yes, yes]),
            (AlwaysTrust,     Sending,  [yes,  yes, yes, yes,       yes, yes, yes]),
            (TrustOnFirstUse, Starting, [yes,  yes, yes, no,        no,  no,  no]),
            (TrustOnFirstUse, Sending,  [yes,  yes, yes, no,        no,  no,  no]),
            (VerifiedOnly,    Starting, [yes,  yes, yes, no,        no,  no,  no]),
            (VerifiedOnly,    Sending,  [no,   no,  yes, no,        no,  no,  no]),
        ];
        for (policy, purpose, row) in table {
            for (column, (known, expected)) in columns.iter().zip(row).enumerate() {
                let allowed = allows(policy, known.as_ref(), &same, purpose);
                assert_eq!(allowed, expected, "{policy:?} {purpose:?} {column}");
                assert!(allows(policy, known.as_ref(), &same, Purpose::Receiving));
            }
        }
    }

    /// What becomes of an identity, by the word on which the same or another one is kept.
    #[test]
    fn words() {
        let (same, other) = (key(), key());
        #[rustfmt::skip]
        let table = [
            //               nobody      same: unv    ver         cha         other
            (Word::Seen,     Unverified, [Unverified, Verified,   Changed],   Changed),
            (Word::Saved,    Unverified, [Unverified, Verified,   Changed],   Unverified),
            (Word::Approved, Unverified, [Unverified, Verified,   Unverified], Unverified),
            (Word::Verified, Verified,   [Verified,   Verified,   Verified],  Verified),
        ];
        let now = Timestamp::from_millis(2);
        for (word, first, again, replaced) in table {
            let after = Known::after(None, &same, word, now);
            assert!(after.trust == first && after.first_seen == now && after.changed.is_none());
            for (before, expected) in [Unverified, Verified, Changed].into_iter().zip(again) {
                let after = Known::after(Some(&known(same, before)), &same, word, now);
                assert!(after == known(same, expected), "{word:?} {before:?}");
                let after = Known::after(Some(&known(other, before)), &same, word, now);
                let changed = Some(now);
                let expected = Known {
                    changed,
                    ..known(same, replaced)
                };
                assert!(after == expected, "{word:?} {before:?}");
            }
        }
    }

    /// Under our own name nothing changes, whatever the policy.
    #[test]
    fn our_own_name() {
        let address = |name, device| ProtocolAddress::new(name, device);
        let (one, two) = (address("we", 1), address("we", 2));
        let (one, two) = (one.expect("valid"), two.expect("valid"));
        let (same, other) = (key(), key());
        for policy in [AlwaysTrust, TrustOnFirstUse, VerifiedOnly] {
            let address = &one;
            let profile = Profile { address, policy };
            for purpose in [Purpose::Starting, Purpose::Sending, Purpose::Receiving] {
                let known = known(same, Verified);
                assert!(profile.allows(&two, Some(&known), &same, purpose));
                assert!(!profile.allows(&two, Some(&known), &other, purpose));
            }
        }
    }
}
