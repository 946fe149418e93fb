//! Sessions and messages.

use sprag::ProtocolAddress;

use super::{input, place::Place};
use crate::{
    error::CliError,
    formats::{Bundle, Envelope, parse},
    output,
};

pub(crate) async fn start(place: &Place, peer: &ProtocolAddress) -> Result<(), CliError> {
    let account = place.account().await?;
    let bundle: Bundle = parse("bundle", &input()?)?;
    account
        .start_session(peer, &bundle.for_device(peer.device_id())?)
        .await?;
    output::line(&format!("session with {peer} started"))
}

/// The envelope waits in the outbox until it is printed.
pub(crate) async fn encrypt(place: &Place, peer: &ProtocolAddress) -> Result<(), CliError> {
    let account = place.account().await?;
    let envelope = account.send(peer, &input()?).await?;
    output::json(&Envelope::new(
        envelope.message_type,
        envelope.bytes.to_vec(),
    ))?;
    account.sent(envelope.id).await?;
    Ok(())
}

/// The plaintext waits in the inbox until it is printed.
pub(crate) async fn decrypt(place: &Place, peer: &ProtocolAddress) -> Result<(), CliError> {
    let account = place.account().await?;
    let envelope: Envelope = parse("envelope", &input()?)?;
    let delivery = account
        .receive(peer, envelope.message_type()?, &envelope.body.0)
        .await?;
    output::bytes(&delivery.plaintext)?;
    account.done(delivery.id).await?;
    Ok(())
}
