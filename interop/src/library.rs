//! Our library above the core as [`Implementation`](crate::Implementation)s: accounts over a durable store, and the
//! ciphers over six stores of one's own.
//!
//! Scenarios hand whole states from one implementation to another. Here they come and go through the store traits alone,
//! as they would in an application that moves in from libsignal or back.

mod account;
mod bundle;
mod ciphers;
mod ledger;
mod stores;

pub use account::SpragAccount;
pub use ciphers::SpragCiphers;

use sprag::{CiphertextMessage, CiphertextMessageType, Error, ProtocolError, StoreError};
use tokio::runtime;

use crate::{Envelope, Failure, FailureKind};

/// Waits for what a store does.
fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
    runtime.block_on(work)
}

/// The message in an envelope.
fn parse_message(envelope: &Envelope) -> Result<CiphertextMessage, Failure> {
    let kind = CiphertextMessageType::from_number(envelope.kind)
        .ok_or(ProtocolError::InvalidArgument("not a 1:1 message type"))?;
    Ok(CiphertextMessage::deserialize(kind, &envelope.body)?)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(error) => error.into(),
            error => Self::new(FailureKind::Other, format!("{}: {error}", error.code())),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}
