//! The service that certifies senders, so that what is sealed is believed. Source: sheet 07 section 2.

use std::sync::LazyLock;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sprag::backend::Backend;
use sprag::protocol::curve::{KeyPair, PublicKey};
use sprag::protocol::sealed_sender::{SenderCertificate, SenderDetails, ServerCertificate};
use sprag::{Account, Error, SealedTrust, Timestamp};

/// There is one, the same in every run.
static SERVICE: LazyLock<Service> = LazyLock::new(Service::new);

struct Service {
    roots: [PublicKey; 1],
    server: ServerCertificate,
    server_key: KeyPair,
}

impl Service {
    fn new() -> Self {
        let mut rng = StdRng::from_seed([1; 32]);
        let root = KeyPair::generate(&mut rng);
        let server_key = KeyPair::generate(&mut rng);
        let server =
            ServerCertificate::issue(7, server_key.public_key, &root.private_key, &mut rng);
        Self {
            roots: [root.public_key],
            server,
            server_key,
        }
    }
}

/// A certificate of an account, for ever.
///
/// # Errors
/// What its store reports.
pub async fn certify<B: Backend>(account: &Account<B>) -> Result<SenderCertificate, Error> {
    let address = account.address();
    let details = SenderDetails {
        uuid: address.name(),
        e164: None,
        device_id: address.device_id(),
        identity_key: account.identity_key().await?,
        expiration: Timestamp::from_millis(u64::MAX),
    };
    let mut rng = StdRng::from_seed([2; 32]);
    let key = &SERVICE.server_key.private_key;
    Ok(SenderCertificate::issue(
        details,
        &SERVICE.server,
        key,
        &mut rng,
    ))
}

/// By which certificates are believed.
pub fn trust() -> SealedTrust<'static> {
    SealedTrust::new(&SERVICE.roots)
}
