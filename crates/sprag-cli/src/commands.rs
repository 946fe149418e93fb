//! What each command does.

mod account;
mod demo;
mod groups;
mod identities;
mod key_file;
mod mailbox;
mod messages;
mod place;
mod repair;
mod safety;
mod upkeep;
mod vault;

use std::io::{self, Read};

use crate::{
    arguments::{Arguments, Command, Group, Identity, Inbox, Outbox, Passphrase, Session},
    error::CliError,
};
use place::Place;
use vault::VaultPlace;

pub(crate) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let vault = VaultPlace::new(arguments.vault, &arguments.store)?;
    let place = Place::new(arguments.store, vault);
    let outcome = execute(arguments.command, &place).await;
    // What the command was asked for is done, or has failed, whatever becomes of the log.
    outcome.and(place.close().await)
}

async fn execute(command: Command, place: &Place) -> Result<(), CliError> {
    match command {
        Command::Init { address } => account::init(place, address.0).await,
        Command::Bundle { from: None } => account::bundle(place).await,
        Command::Bundle { from: Some(file) } => upkeep::hand_out(&file),
        Command::Status(format) => account::status(place, format).await,
        Command::Upkeep {
            server,
            dry_run,
            new_epoch,
            format,
        } => {
            let how = upkeep::How { dry_run, new_epoch };
            upkeep::upkeep(place, server, how, format).await
        }
        Command::Doctor { discard, format } => repair::doctor(place, discard, format).await,
        Command::Recover => repair::recover(place).await,
        Command::Session(Session::Start { peer }) => messages::start(place, &peer.0).await,
        Command::Session(Session::List { name }) => messages::list(place, &name).await,
        Command::Session(Session::Archive { peer }) => messages::archive(place, &peer.0).await,
        Command::Session(Session::Delete { peer }) => messages::delete(place, &peer.0).await,
        Command::Encrypt { peer, id } => messages::encrypt(place, &peer.0, id.as_deref()).await,
        Command::Decrypt { peer } => messages::decrypt(place, &peer.0).await,
        Command::Group(Group::Distribute { group }) => groups::distribute(place, group).await,
        Command::Group(Group::Renew { group }) => groups::renew(place, group).await,
        Command::Group(Group::Join { sender }) => groups::join(place, &sender.0).await,
        Command::Group(Group::Encrypt { group, id }) => {
            groups::encrypt(place, group, id.as_deref()).await
        }
        Command::Group(Group::Decrypt { sender }) => groups::decrypt(place, &sender.0).await,
        Command::Identity(Identity::List(format)) => identities::list(place, format).await,
        Command::Identity(Identity::Approve { peer, key }) => {
            identities::approve(place, &peer.0, &key.0).await
        }
        Command::Identity(Identity::Verify { peer, key }) => {
            identities::verify(place, &peer.0, &key.0).await
        }
        Command::Inbox(Inbox::List(format)) => mailbox::list_inbox(place, format).await,
        Command::Inbox(Inbox::Done { id }) => mailbox::done(place, id).await,
        Command::Outbox(Outbox::List(format)) => mailbox::list_outbox(place, format).await,
        Command::Outbox(Outbox::Sent { id }) => mailbox::sent(place, id).await,
        Command::Passphrase(Passphrase::Change {
            new_passphrase_file,
        }) => place.vault().change_passphrase(new_passphrase_file).await,
        Command::SafetyNumber { peer, look } => safety::show(place, &peer.0, look).await,
        Command::Demo => demo::run().await,
    }
}

fn input() -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}
