//! A server for pre-keys, in memory.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sprag::{
    PreKeyBundle,
    protocol::bundle::{KyberPreKey, PreKey},
    upkeep::{Held, KeyCounts, KeyServer, KeyServerError, KeyUpload},
};

/// A [`KeyServer`] in memory that hands out bundles, fails where the test wants it, and can lose what it has. Clones are the
/// same server.
///
/// One-time keys take the place of those before, and are handed out in their order, each once.
#[derive(Clone, Default)]
pub struct MemoryKeyServer(Arc<Mutex<Shelf>>);

/// How the next call of a [`MemoryKeyServer`] fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It cannot be asked what it has.
    Counts,
    /// It takes nothing.
    BeforeUpload,
    /// It takes everything, and its answer is lost.
    AfterUpload,
}

#[derive(Default)]
struct Shelf {
    /// The last upload, for all that is not one-time.
    current: Option<KeyUpload>,
    pre_keys: VecDeque<PreKey>,
    kyber_pre_keys: VecDeque<KyberPreKey>,
    /// Ids of EC and of Kyber pre-keys.
    handed_out: (HashSet<u32>, HashSet<u32>),
    uploads: usize,
    fault: Option<ServerFault>,
}

impl MemoryKeyServer {
    /// An empty server.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next call that can fail like this do so.
    pub fn fail_next(&self, fault: ServerFault) {
        self.held().fault = Some(fault);
    }

    /// Hands out a bundle: a one-time key of each sort while there are some, then the last-resort key. `None` if nothing
    /// was uploaded.
    pub fn bundle(&self) -> Option<PreKeyBundle> {
        let mut held = self.held();
        let current = held.current.clone()?;
        let pre_key = held.pre_keys.pop_front();
        let kyber_pre_key = held.kyber_pre_keys.pop_front();
        let ids = pre_key.iter().map(|key| u32::from(key.id));
        held.handed_out.0.extend(ids);
        let ids = kyber_pre_key.iter().map(|key| u32::from(key.id));
        held.handed_out.1.extend(ids);
        Some(PreKeyBundle {
            registration_id: current.registration_id,
            device_id: current.device_id,
            pre_key,
            signed_pre_key: current.signed_pre_key,
            kyber_pre_key: kyber_pre_key.unwrap_or(current.last_resort),
            identity_key: current.identity_key,
        })
    }

    /// All that it has now, as if it were uploaded at once.
    pub fn published(&self) -> Option<KeyUpload> {
        let held = self.held();
        let mut all = held.current.clone()?;
        all.pre_keys = held.pre_keys.iter().cloned().collect();
        all.kyber_pre_keys = held.kyber_pre_keys.iter().cloned().collect();
        Some(all)
    }

    /// How many uploads it took.
    pub fn uploads(&self) -> usize {
        self.held().uploads
    }

    /// It loses all one-time keys.
    pub fn lose_one_time_keys(&self) {
        let mut held = self.held();
        held.pre_keys.clear();
        held.kyber_pre_keys.clear();
    }

    /// It loses everything.
    pub fn lose_all(&self) {
        self.lose_one_time_keys();
        self.held().current = None;
    }

    fn held(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn fails(&mut self, fault: ServerFault) -> Result<(), KeyServerError> {
        match self.fault.take_if(|planned| *planned == fault) {
            Some(_) => Err(KeyServerError::new("injected")),
            None => Ok(()),
        }
    }

    fn take(&mut self, upload: &KeyUpload) {
        self.uploads += 1;
        self.current = Some(upload.clone());
        if !upload.pre_keys.is_empty() {
            let mut keys = upload.pre_keys.clone();
            keys.retain(|key| !self.handed_out.0.contains(&key.id.into()));
            self.pre_keys = keys.into();
        }
        if !upload.kyber_pre_keys.is_empty() {
            let mut keys = upload.kyber_pre_keys.clone();
            keys.retain(|key| !self.handed_out.1.contains(&key.id.into()));
            self.kyber_pre_keys = keys.into();
        }
    }
}

#[async_trait]
impl KeyServer for MemoryKeyServer {
    async fn counts(&self) -> Result<KeyCounts, KeyServerError> {
        let mut held = self.held();
        held.fails(ServerFault::Counts)?;
        let current = held.current.as_ref();
        Ok(KeyCounts {
            pre_keys: held.pre_keys.len(),
            kyber_pre_keys: held.kyber_pre_keys.len(),
            signed_pre_key: current
                .map_or(Held::Nothing, |upload| Held::Key(upload.signed_pre_key.id)),
            last_resort: current.map_or(Held::Nothing, |upload| Held::Key(upload.last_resort.id)),
        })
    }

    async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError> {
        let mut held = self.held();
        held.fails(ServerFault::BeforeUpload)?;
        held.take(upload);
        held.fails(ServerFault::AfterUpload)
    }
}
