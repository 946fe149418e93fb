//! Which session is current, and which are kept aside. Source: sheet 02 section 4.

use bytes::Bytes;
use prost::Message;
use subtle::ConstantTimeEq;

use super::{SessionRecord, state::SessionState};
use crate::{error::ProtocolError, record::secret_bytes};

/// How many archived sessions a record keeps.
const MAX_ARCHIVED_SESSIONS: usize = 40;

impl SessionRecord {
    /// Puts the current session aside: it still decrypts, but no longer sends. Does nothing without
    /// one.
    pub fn archive_current_state(&mut self) {
        let Some(mut state) = self.current.take() else {
            return;
        };
        state.clear_pending();
        self.previous.truncate(MAX_ARCHIVED_SESSIONS - 1);
        self.previous.insert(0, secret_bytes(state.encode_to_vec()));
    }

    /// [Archives](Self::archive_current_state) the current session, and puts the sending chains of all sessions at their
    /// end. For a record that may be older than what was sent since, such as one from a backup: to go on
    /// sending in it would use message keys twice.
    ///
    /// What the peer sends can still be read. A session that becomes current by that refuses to send
    /// ([`ProtocolError::InvalidSessionStructure`]) until the peer has begun a new chain, on which we then do the same.
    pub fn archive_and_end_sending(&mut self) {
        self.archive_current_state();
        for encoded in &mut self.previous {
            // One that is damaged never becomes current.
            if let Ok(mut state) = decode_archived(encoded) {
                state.end_sending();
                *encoded = secret_bytes(state.encode_to_vec());
            }
        }
    }

    /// Makes `state` current; the session that was is archived.
    pub(super) fn promote(&mut self, state: Box<SessionState>) {
        self.archive_current_state();
        self.current = Some(state);
    }

    /// Makes `state`, which was archived at `position`, current again.
    pub(super) fn promote_archived(&mut self, position: usize, state: Box<SessionState>) {
        self.previous.remove(position);
        self.promote(state);
    }

    /// Where the session that was started with this version and base key is.
    pub(super) fn find(
        &self,
        version: u32,
        base_key: &[u8],
    ) -> Result<Option<Found>, ProtocolError> {
        let matches = |state: &SessionState| {
            state.version() == version && bool::from(state.alice_base_key.ct_eq(base_key))
        };
        if self.current.as_deref().is_some_and(matches) {
            return Ok(Some(Found::Current));
        }
        for (position, encoded) in self.previous.iter().enumerate() {
            let state = decode_archived(encoded)?;
            if matches(&state) {
                return Ok(Some(Found::Archived(position, Box::new(state))));
            }
        }
        Ok(None)
    }
}

/// The result of looking for a session.
pub(super) enum Found {
    Current,
    Archived(usize, Box<SessionState>),
}

pub(super) fn decode_archived(encoded: &Bytes) -> Result<SessionState, ProtocolError> {
    SessionState::decode(encoded.clone())
        .map_err(|_| ProtocolError::InvalidSessionStructure("an archived session is damaged"))
}
