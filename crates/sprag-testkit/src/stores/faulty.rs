//! Stores that fail where a test wants it, and tell what was asked of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sprag::{
    DeviceId, Direction, IdentityChange, IdentityKeyStore, KyberPreKeyKind, KyberPreKeyStore,
    KyberPreKeyUse, PreKeyStore, ProtocolAddress, SenderKeyStore, SessionRecord, SessionStore,
    SignedPreKeyStore, StoreError,
    protocol::{
        curve::PublicKey,
        identity::{IdentityKey, IdentityKeyPair},
        pre_key::{
            KyberPreKeyId, KyberPreKeyRecord, PreKeyId, PreKeyRecord, SignedPreKeyId,
            SignedPreKeyRecord,
        },
        sender_key::SenderKeyRecord,
    },
};
use uuid::Uuid;

use super::StoreSet;

/// What happens to a chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It fails and has no effect.
    Before,
    /// It has its effect, and fails all the same.
    After,
}

/// Wraps six stores, writes down every call, and makes chosen ones fail with the code
/// `injected-fault`.
///
/// Clones share the wrapped stores, the faults and the log. Each call is written with its arguments: `load_session bob.1`,
/// `is_trusted_identity bob.1 sending`, `load_pre_key 5`.
#[derive(Clone)]
pub struct FaultyStores {
    inner: StoreSet,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    log: Vec<String>,
    /// The length of the log at which the fault strikes.
    fault: Option<(usize, StoreFault)>,
}

impl FaultyStores {
    /// Wraps `inner`, with no fault planned.
    #[must_use]
    pub fn new(inner: StoreSet) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// Plans a fault for the `nth` call from now: 1 is the next. To go through all places where an
    /// operation may break, raise `nth` until the operation passes.
    pub fn inject(&self, nth: usize, fault: StoreFault) {
        let mut plan = self.plan();
        plan.fault = Some((plan.log.len() + nth, fault));
    }

    /// Forgets the planned fault.
    pub fn heal(&self) {
        self.plan().fault = None;
    }

    /// All calls since this was last asked, failed ones included.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        let mut plan = self.plan();
        plan.fault = None;
        std::mem::take(&mut plan.log)
    }

    /// The wrapped stores, which know no faults.
    #[must_use]
    pub fn inner(&self) -> &StoreSet {
        &self.inner
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        arguments: String,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let injected = || StoreError::new(operation, "injected").with_code("injected-fault");
        match self.arrive(format!("{operation} {arguments}").trim_end().to_owned()) {
            None => effect.await,
            Some(StoreFault::Before) => Err(injected()),
            Some(StoreFault::After) => {
                effect.await?;
                Err(injected())
            }
        }
    }

    fn arrive(&self, call: String) -> Option<StoreFault> {
        let mut plan = self.plan();
        plan.log.push(call);
        let here = plan.log.len();
        plan.fault
            .take_if(|(place, _)| *place == here)
            .map(|(_, fault)| fault)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes each call on to one of the inner stores.
macro_rules! pass_on {
    ($trait:ident to $store:ident {
        $(async fn $method:ident(&self $(, $argument:ident: $type:ty)*) -> $output:ty, $($shown:expr)?;)*
    }) => {
        #[async_trait]
        impl $trait for FaultyStores {
            $(async fn $method(&self $(, $argument: $type)*) -> Result<$output, StoreError> {
                let arguments = String::new() $(+ &$shown)?;
                let effect = self.inner.$store.$method($($argument),*);
                self.call(stringify!($method), arguments, effect).await
            })*
        }
    };
}

pass_on!(SessionStore to sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Option<SessionRecord>, address.to_string();
    async fn store_session(&self, address: &ProtocolAddress, record: SessionRecord) -> (), address.to_string();
    async fn delete_session(&self, address: &ProtocolAddress) -> (), address.to_string();
    async fn delete_all_sessions(&self, name: &str) -> (), name;
    async fn sub_device_sessions(&self, name: &str) -> Vec<DeviceId>, name;
});

pass_on!(IdentityKeyStore to identities {
    async fn identity_key_pair(&self) -> IdentityKeyPair,;
    async fn local_registration_id(&self) -> u32,;
    async fn save_identity(&self, address: &ProtocolAddress, identity: &IdentityKey) -> IdentityChange, address.to_string();
    async fn is_trusted_identity(&self, address: &ProtocolAddress, identity: &IdentityKey, direction: Direction) -> bool, format!("{address} {}", shown(direction));
    async fn load_identity(&self, address: &ProtocolAddress) -> Option<IdentityKey>, address.to_string();
});

pass_on!(PreKeyStore to pre_keys {
    async fn load_pre_key(&self, id: PreKeyId) -> Option<PreKeyRecord>, id.to_string();
    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> (), id.to_string();
    async fn remove_pre_key(&self, id: PreKeyId) -> (), id.to_string();
    async fn pre_key_ids(&self) -> Vec<PreKeyId>,;
});

pass_on!(SignedPreKeyStore to signed_pre_keys {
    async fn load_signed_pre_key(&self, id: SignedPreKeyId) -> Option<SignedPreKeyRecord>, id.to_string();
    async fn store_signed_pre_key(&self, id: SignedPreKeyId, record: SignedPreKeyRecord) -> (), id.to_string();
    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> (), id.to_string();
    async fn signed_pre_key_ids(&self) -> Vec<SignedPreKeyId>,;
});

pass_on!(KyberPreKeyStore to kyber_pre_keys {
    async fn load_kyber_pre_key(&self, id: KyberPreKeyId) -> Option<KyberPreKeyRecord>, id.to_string();
    async fn store_kyber_pre_key(&self, id: KyberPreKeyId, record: KyberPreKeyRecord, kind: KyberPreKeyKind) -> (), id.to_string();
    async fn mark_kyber_pre_key_used(&self, id: KyberPreKeyId, signed_pre_key_id: SignedPreKeyId, base_key: &PublicKey) -> KyberPreKeyUse, format!("{id} {signed_pre_key_id}");
    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> (), id.to_string();
    async fn kyber_pre_key_ids(&self) -> Vec<KyberPreKeyId>,;
});

pass_on!(SenderKeyStore to sender_keys {
    async fn load_sender_key(&self, sender: &ProtocolAddress, distribution_id: Uuid) -> Option<SenderKeyRecord>, format!("{sender} {distribution_id}");
    async fn store_sender_key(&self, sender: &ProtocolAddress, distribution_id: Uuid, record: SenderKeyRecord) -> (), format!("{sender} {distribution_id}");
});

fn shown(direction: Direction) -> &'static str {
    match direction {
        Direction::Sending => "sending",
        Direction::Receiving => "receiving",
    }
}
