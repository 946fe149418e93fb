//! A durable store behind the six traits, each call in a commit of its own.

use async_trait::async_trait;
use sprag::{
    DeviceId, Direction, DurableStore, Error, IdentityChange, IdentityKeyStore, KyberPreKeyKind,
    KyberPreKeyStore, KyberPreKeyUse, PreKeyStore, ProtocolAddress, SenderKeyStore, SessionRecord,
    SessionStore, SignedPreKeyStore, StoreError,
    backend::Backend,
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

/// Each call of a store trait as one [`Transaction`](sprag::Transaction), so that everything goes
/// through the bytes in the backend.
///
/// It serves to run the contracts on stored records. An application must not do this: a crash between
/// two calls of one operation loses messages.
pub struct CommittedStores<B> {
    store: DurableStore<B>,
    local: ProtocolAddress,
}

impl<B: Backend> CommittedStores<B> {
    /// The stores of the account `local`.
    #[must_use]
    pub fn new(store: DurableStore<B>, local: ProtocolAddress) -> Self {
        Self { store, local }
    }
}

macro_rules! commit_each {
    ($trait:ident {
        $(async fn $method:ident(&self $(, $argument:ident: $type:ty)*) -> $output:ty;)*
    }) => {
        #[async_trait]
        impl<B: Backend> $trait for CommittedStores<B> {
            $(async fn $method(&self $(, $argument: $type)*) -> Result<$output, StoreError> {
                loop {
                    let transaction = self.store.begin(&self.local);
                    let output = transaction.$method($(Clone::clone(&$argument)),*).await;
                    let end = match &output {
                        Ok(_) => transaction.commit().await,
                        Err(_) => transaction.validate().await,
                    };
                    match end {
                        Ok(()) => return output,
                        Err(Error::Conflict) => {}
                        Err(error) => return Err(StoreError::new(stringify!($method), error)),
                    }
                }
            })*
        }
    };
}

commit_each!(SessionStore {
    async fn load_session(&self, address: &ProtocolAddress) -> Option<SessionRecord>;
    async fn store_session(&self, address: &ProtocolAddress, record: SessionRecord) -> ();
    async fn delete_session(&self, address: &ProtocolAddress) -> ();
    async fn delete_all_sessions(&self, name: &str) -> ();
    async fn sub_device_sessions(&self, name: &str) -> Vec<DeviceId>;
    async fn contains_session(&self, address: &ProtocolAddress) -> bool;
    async fn load_existing_sessions(&self, addresses: &[ProtocolAddress]) -> Vec<SessionRecord>;
});

commit_each!(IdentityKeyStore {
    async fn identity_key_pair(&self) -> IdentityKeyPair;
    async fn local_registration_id(&self) -> u32;
    async fn save_identity(&self, address: &ProtocolAddress, identity: &IdentityKey) -> IdentityChange;
    async fn is_trusted_identity(&self, address: &ProtocolAddress, identity: &IdentityKey, direction: Direction) -> bool;
    async fn load_identity(&self, address: &ProtocolAddress) -> Option<IdentityKey>;
});

commit_each!(PreKeyStore {
    async fn load_pre_key(&self, id: PreKeyId) -> Option<PreKeyRecord>;
    async fn store_pre_key(&self, id: PreKeyId, record: PreKeyRecord) -> ();
    async fn remove_pre_key(&self, id: PreKeyId) -> ();
    async fn pre_key_ids(&self) -> Vec<PreKeyId>;
    async fn contains_pre_key(&self, id: PreKeyId) -> bool;
});

commit_each!(SignedPreKeyStore {
    async fn load_signed_pre_key(&self, id: SignedPreKeyId) -> Option<SignedPreKeyRecord>;
    async fn store_signed_pre_key(&self, id: SignedPreKeyId, record: SignedPreKeyRecord) -> ();
    async fn remove_signed_pre_key(&self, id: SignedPreKeyId) -> ();
    async fn signed_pre_key_ids(&self) -> Vec<SignedPreKeyId>;
    async fn contains_signed_pre_key(&self, id: SignedPreKeyId) -> bool;
});

commit_each!(KyberPreKeyStore {
    async fn load_kyber_pre_key(&self, id: KyberPreKeyId) -> Option<KyberPreKeyRecord>;
    async fn store_kyber_pre_key(&self, id: KyberPreKeyId, record: KyberPreKeyRecord, kind: KyberPreKeyKind) -> ();
    async fn mark_kyber_pre_key_used(&self, id: KyberPreKeyId, signed_pre_key_id: SignedPreKeyId, base_key: &PublicKey) -> KyberPreKeyUse;
    async fn remove_kyber_pre_key(&self, id: KyberPreKeyId) -> ();
    async fn kyber_pre_key_ids(&self) -> Vec<KyberPreKeyId>;
    async fn contains_kyber_pre_key(&self, id: KyberPreKeyId) -> bool;
});

commit_each!(SenderKeyStore {
    async fn load_sender_key(&self, sender: &ProtocolAddress, distribution_id: Uuid) -> Option<SenderKeyRecord>;
    async fn store_sender_key(&self, sender: &ProtocolAddress, distribution_id: Uuid, record: SenderKeyRecord) -> ();
});
