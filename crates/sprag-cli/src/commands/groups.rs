//! Groups.

use sprag::{ProtocolAddress, Uuid, protocol::message::SenderKeyDistributionMessage};

use super::{
    input,
    messages::{hand_over, outgoing},
    place::Place,
};
use crate::{
    error::CliError,
    formats::{Base64, Distribution, Envelope, parse},
    output,
};

pub(crate) async fn distribute(place: &Place, group: Uuid) -> Result<(), CliError> {
    let account = place.account().await?;
    print(&account.group_distribute(group).await?)
}

pub(crate) async fn renew(place: &Place, group: Uuid) -> Result<(), CliError> {
    let account = place.account().await?;
    print(&account.group_renew(group).await?)
}

fn print(message: &SenderKeyDistributionMessage) -> Result<(), CliError> {
    let distribution = Base64(message.serialized().to_vec());
    output::json(&Distribution { distribution })
}

pub(crate) async fn join(place: &Place, sender: &ProtocolAddress) -> Result<(), CliError> {
    let account = place.account().await?;
    let Distribution { distribution } = parse("sender key", &input()?)?;
    let message = SenderKeyDistributionMessage::deserialize(&distribution.0)?;
    account.group_join(sender, &message).await?;
    let group = message.distribution_id();
    output::line(&format!("{sender} can be read in {group}"))
}

/// The envelope waits in the outbox until it is printed.
pub(crate) async fn encrypt(place: &Place, group: Uuid, id: Option<&str>) -> Result<(), CliError> {
    let account = place.account().await?;
    let text = input()?;
    let envelope = account.group_send(group, outgoing(&text, id)).await?;
    hand_over(&account, envelope).await
}

/// The plaintext waits in the inbox until it is printed.
pub(crate) async fn decrypt(place: &Place, sender: &ProtocolAddress) -> Result<(), CliError> {
    let account = place.account().await?;
    let envelope: Envelope = parse("envelope", &input()?)?;
    let delivery = account.group_receive(sender, envelope.to_group()?).await?;
    output::bytes(&delivery.plaintext)?;
    account.done(delivery.id).await?;
    Ok(())
}
