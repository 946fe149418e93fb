//! What the store traits do not tell about a party.

use sprag::{CiphertextMessage, KyberPreKeyKind};

use crate::{Address, Blob, Bundle, BundleRequest, KyberKind, KyberUse, PartyState};

/// In which order things came, which the stores do not keep, and what has become of Kyber pre-keys, which they do not
/// show. Whether something is still there is for the stores to say.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) peers: Vec<Address>,
    pub(super) pre_keys: Vec<u32>,
    pub(super) signed_pre_keys: Vec<u32>,
    pub(super) kyber_pre_keys: Vec<(u32, KyberPreKeyKind)>,
    pub(super) kyber_uses: Vec<KyberUse>,
}

impl Ledger {
    /// Notes that there is or may be something about `remote`.
    pub(super) fn meet(&mut self, remote: &Address) {
        if !self.peers.contains(remote) {
            self.peers.push(remote.clone());
        }
    }

    /// Notes the keys of a bundle that was made as `request` says.
    pub(super) fn hand_out(&mut self, bundle: &Bundle, request: BundleRequest) {
        self.pre_keys
            .extend(bundle.pre_key.as_ref().map(|key| key.id));
        if !self.signed_pre_keys.contains(&bundle.signed_pre_key.id) {
            self.signed_pre_keys.push(bundle.signed_pre_key.id);
        }
        let kyber = (bundle.kyber_pre_key.id, kind_of(request.kyber));
        if !self.kyber_pre_keys.contains(&kyber) {
            self.kyber_pre_keys.push(kyber);
        }
    }

    /// Notes what a message that was read has used up.
    pub(super) fn was_read(&mut self, message: &CiphertextMessage) {
        let CiphertextMessage::PreKey(message) = message else {
            return;
        };
        let Some(kyber_id) = message.kyber_pre_key_id().map(u32::from) else {
            return;
        };
        let this = KyberUse {
            kyber_id,
            signed_id: message.signed_pre_key_id().into(),
            base_key: Blob::from(&message.base_key().serialize()[..]),
        };
        if self.last_resort() == Some(kyber_id) && !self.kyber_uses.contains(&this) {
            self.kyber_uses.push(this);
        }
    }

    /// The last-resort Kyber pre-key, if there is one.
    pub(super) fn last_resort(&self) -> Option<u32> {
        let mut keys = self.kyber_pre_keys.iter();
        let found = keys.find(|(_, kind)| *kind == KyberPreKeyKind::LastResort);
        found.map(|(id, _)| *id)
    }

    /// Notes who stands in `state`. Its keys are noted as they are stored.
    pub(super) fn of(state: &PartyState) -> Self {
        let sessions = state.sessions.iter().map(|entry| &entry.remote);
        let identities = state.identities.iter().map(|entry| &entry.remote);
        let mut ledger = Self {
            kyber_uses: state.kyber_uses.clone(),
            ..Self::default()
        };
        sessions
            .chain(identities)
            .for_each(|peer| ledger.meet(peer));
        ledger
    }
}

/// The library's word for a kind of Kyber pre-key.
pub(super) fn kind_of(kind: KyberKind) -> KyberPreKeyKind {
    match kind {
        KyberKind::OneTime => KyberPreKeyKind::OneTime,
        KyberKind::LastResort => KyberPreKeyKind::LastResort,
    }
}
