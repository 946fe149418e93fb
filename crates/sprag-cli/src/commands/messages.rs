//! Sessions and messages.

use sprag::{Account, Outgoing, ProtocolAddress, ProtocolError, backend::Backend};

use super::{identities::warn_of_change, input, place::Place};
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

pub(crate) async fn list(place: &Place, name: &str) -> Result<(), CliError> {
    let devices = place.account().await?.devices(name).await?;
    devices
        .iter()
        .try_for_each(|device| output::line(&device.to_string()))
}

pub(crate) async fn archive(place: &Place, peer: &ProtocolAddress) -> Result<(), CliError> {
    match place.account().await?.archive_session(peer).await? {
        true => Ok(()),
        false => Err(no_session(peer)),
    }
}

pub(crate) async fn delete(place: &Place, peer: &ProtocolAddress) -> Result<(), CliError> {
    match place.account().await?.delete_session(peer).await? {
        true => Ok(()),
        false => Err(no_session(peer)),
    }
}

fn no_session(peer: &ProtocolAddress) -> CliError {
    ProtocolError::SessionNotFound(Some(peer.clone())).into()
}

/// The envelope waits in the outbox until it is printed.
pub(crate) async fn encrypt(
    place: &Place,
    peer: &ProtocolAddress,
    id: Option<&str>,
) -> Result<(), CliError> {
    let account = place.account().await?;
    let text = input()?;
    let envelope = account.send(peer, outgoing(&text, id)).await?;
    hand_over(&account, envelope).await
}

pub(super) fn outgoing<'a>(text: &'a [u8], id: Option<&'a str>) -> Outgoing<'a> {
    let text = Outgoing::new(text);
    match id {
        Some(id) => text.key(id.as_bytes()),
        None => text,
    }
}

/// Prints an envelope, which leaves the outbox then.
pub(super) async fn hand_over<B: Backend>(
    account: &Account<B>,
    envelope: sprag::Envelope,
) -> Result<(), CliError> {
    output::json(&Envelope::new(
        envelope.message_type,
        envelope.bytes.to_vec(),
    ))?;
    account.sent(envelope.id).await?;
    Ok(())
}

/// The plaintext waits in the inbox until it is printed. A changed identity is told before, so that it is told again if the
/// command dies in between.
pub(crate) async fn decrypt(place: &Place, peer: &ProtocolAddress) -> Result<(), CliError> {
    let account = place.account().await?;
    let envelope: Envelope = parse("envelope", &input()?)?;
    let delivery = account
        .receive(peer, envelope.message_type()?, &envelope.body.0)
        .await?;
    warn_of_change(&delivery);
    output::bytes(&delivery.plaintext)?;
    account.done(delivery.id).await?;
    Ok(())
}
