//! The command line.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use sprag::{InboxId, OutboxId, ProtocolAddress, Uuid, protocol::identity::IdentityKey};

use crate::formats::Base64;

/// Signal Protocol sessions from the shell.
///
/// Messages, bundles and envelopes are read from standard input and written to standard output.
/// Nothing is shown before it is safely stored.
#[derive(Debug, Parser)]
#[command(name = "sprag", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Where the account is kept: sqlite:PATH.
    #[arg(
        long,
        global = true,
        env = "SPRAG_STORE",
        default_value = "sqlite:sprag.db",
        value_name = "URL"
    )]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) vault: Vault,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the account.
    Init {
        /// The account's address.
        #[arg(value_name = "NAME.DEVICE")]
        address: Address,
    },
    /// Print a fresh pre-key bundle, as JSON, for a peer to start a session with.
    ///
    /// No one-time key is in two bundles.
    Bundle {
        /// Hand it out from this key file, as a server does, instead of making one. No account is needed.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Sessions with peers.
    #[command(subcommand)]
    Session(Session),
    /// Encrypt standard input for a peer; prints the envelope, as JSON.
    ///
    /// If the command was killed before it printed the envelope, look into the outbox before giving it again: the
    /// envelope may wait there. Encrypting the same text again makes a second message of it, except with --id.
    Encrypt {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
        /// A name of your choice for this message: the same one prints the same envelope again, for 24 hours after it
        /// was printed, instead of encrypting once more.
        #[arg(long, value_name = "KEY")]
        id: Option<String>,
    },
    /// Decrypt the envelope on standard input from a peer; prints exactly the plaintext.
    ///
    /// If the command was killed, give it the same envelope again. It prints the same plaintext, or fails with
    /// duplicate-message if that had been printed.
    Decrypt {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
    },
    /// Groups: messages that are encrypted once for all members.
    #[command(subcommand)]
    Group(Group),
    /// The identities of peers, and how far they are trusted.
    #[command(subcommand)]
    Identity(Identity),
    /// Received messages that were not handed over yet.
    #[command(subcommand)]
    Inbox(Inbox),
    /// Envelopes that may not have been sent yet.
    #[command(subcommand)]
    Outbox(Outbox),
    /// Show the safety number with a peer: 60 digits that both people see alike.
    ///
    /// Compare them where nobody in between can change what is said: face to face, or on the telephone.
    SafetyNumber {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
        #[command(flatten)]
        look: Look,
    },
    /// The passphrase of the vault file.
    #[command(subcommand)]
    Passphrase(Passphrase),
    /// Show the account and what the store holds for it.
    Status(Format),
    /// Make, publish, replace and delete pre-keys as far as it is time to; once a week, seal the store anew, so that nobody
    /// can read what was deleted before.
    ///
    /// The key file takes the place of a server: it holds the public keys that are published, in the JSON that Signal's
    /// servers take. Whoever hands one out takes it out of the file, as bundle --from does. Killed at any moment, the command goes on
    /// where it stopped.
    Upkeep {
        /// The key file. It is made if there is none.
        #[arg(
            long,
            env = "SPRAG_SERVER",
            default_value = "sprag-keys.json",
            value_name = "FILE"
        )]
        server: PathBuf,
        /// Print what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Seal the store anew now, not only once a week.
        #[arg(long, conflicts_with = "dry_run")]
        new_epoch: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Look for records that were altered or are damaged, and say what to do about each.
    Doctor {
        /// Delete those that can be replaced. Ask whom they are about for new ones.
        #[arg(long)]
        discard: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Take up a store that was put back to an earlier state, such as a backup.
    ///
    /// Identity and trust stay. What may have been used since is dropped: one-time pre-keys, our own sender keys. Sessions
    /// are put aside: start new ones. Stop everything else that uses the store before.
    Recover,
    /// Show the main job: two accounts that exchange messages, each in a store of its own.
    Demo,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Start a session with a peer from the bundle on standard input.
    Start {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
    },
    /// List the devices of a name that there are sessions with, one address a line.
    List {
        /// The name.
        name: String,
    },
    /// Put the session with a peer aside: what was sent in it can be read, but nothing more is sent in it.
    Archive {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
    },
    /// Forget all sessions with a peer: nothing that was sent in them can be read any more.
    Delete {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Print our sender key for a new member, as JSON. It is secret: encrypt it for each member.
    Distribute {
        /// The group's distribution id.
        #[arg(value_name = "UUID")]
        group: Uuid,
    },
    /// Replace our sender key, since a member has left, and print the new one for those that stay.
    Renew {
        /// The group's distribution id.
        #[arg(value_name = "UUID")]
        group: Uuid,
    },
    /// Take the sender key on standard input, which was decrypted from a member.
    Join {
        /// The member.
        #[arg(value_name = "NAME.DEVICE")]
        sender: Address,
    },
    /// Encrypt standard input for all who have our sender key; prints the envelope, as JSON.
    ///
    /// If the command was killed before it printed the envelope, look into the outbox before giving it again, or give it
    /// with --id.
    Encrypt {
        /// The group's distribution id.
        #[arg(value_name = "UUID")]
        group: Uuid,
        /// A name of your choice for this message, as for encrypt.
        #[arg(long, value_name = "KEY")]
        id: Option<String>,
    },
    /// Decrypt the group envelope on standard input from a member; prints exactly the plaintext.
    ///
    /// If the command was killed, give it the same envelope again, as with decrypt.
    Decrypt {
        /// The member.
        #[arg(value_name = "NAME.DEVICE")]
        sender: Address,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// List the known identities: the peer, the identity key, and whether it is unverified, verified, or changed.
    List(Format),
    /// Trust an identity key that has changed, so that the peer can be sent to.
    ///
    /// Do this only if you know why it has changed, for instance because the peer has installed anew: otherwise somebody may
    /// have taken the peer's place.
    Approve {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
        /// The identity key, as the list or the peer's bundle shows it.
        #[arg(value_name = "IDENTITY_KEY")]
        key: Key,
    },
    /// Hold an identity key for verified, after the safety numbers were compared.
    Verify {
        /// The peer.
        #[arg(value_name = "NAME.DEVICE")]
        peer: Address,
        /// The identity key, as the list shows it.
        #[arg(value_name = "IDENTITY_KEY")]
        key: Key,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Inbox {
    /// List the messages.
    List(Format),
    /// Forget a message: it was handed over.
    Done {
        /// The message's id, as the list shows it.
        id: InboxId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Outbox {
    /// List the envelopes.
    List(Format),
    /// Forget an envelope: it was sent.
    Sent {
        /// The envelope's id, as the list shows it.
        id: OutboxId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Passphrase {
    /// Put the vault file under another passphrase.
    ///
    /// The new one is taken from SPRAG_NEW_PASSPHRASE, from --new-passphrase-file, or asked for. Commands that run meanwhile
    /// have to be given again. Older copies of the file keep the passphrase that they had.
    Change {
        /// A file whose first line is the new passphrase.
        #[arg(long, value_name = "PATH")]
        new_passphrase_file: Option<PathBuf>,
    },
}

/// Where the secrets lie that the store is sealed under.
#[derive(Debug, Args)]
pub(crate) struct Vault {
    /// What keeps the secrets that the store is sealed under. Without it: the vault file if there is one, otherwise the
    /// keychain.
    #[arg(long, global = true, env = "SPRAG_VAULT", value_name = "KIND")]
    pub(crate) vault: Option<VaultKind>,
    /// The vault file, for the passphrase. Without it: beside the store, as sprag.db.vault.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) vault_file: Option<PathBuf>,
    /// A file whose first line is the passphrase. Without it: SPRAG_PASSPHRASE, or it is asked for.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VaultKind {
    /// The operating system's keychain.
    Keychain,
    /// A file under a passphrase.
    Passphrase,
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Format {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to show a safety number.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Look {
    /// Draw the code for the peer to scan, too, for a terminal that writes light on dark.
    #[arg(long, conflicts_with = "json")]
    pub(crate) qr: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `NAME.DEVICE`: the last dot separates, so that names may hold dots.
#[derive(Clone, Debug)]
pub(crate) struct Address(pub(crate) ProtocolAddress);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, device) = text
            .rsplit_once('.')
            .ok_or("an address is written NAME.DEVICE, for example alice.1")?;
        let device = device
            .parse()
            .map_err(|_| "the device, after the last dot, is a number from 1 to 127")?;
        let address = ProtocolAddress::new(name, device);
        address.map(Self).map_err(|error| error.to_string())
    }
}

/// An identity key in base64.
#[derive(Clone, Debug)]
pub(crate) struct Key(pub(crate) IdentityKey);

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Base64 = text.parse()?;
        let key = IdentityKey::deserialize(&bytes.0);
        key.map(Self).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_last_dot_separates() {
        let address = |text: &str| Address::from_str(text).map(|address| address.0.to_string());
        assert_eq!(address("alice.1").as_deref(), Ok("alice.1"));
        assert_eq!(address("a.b.c.127").as_deref(), Ok("a.b.c.127"));
        assert_eq!(address(".5").as_deref(), Ok(".5"));
        for wrong in ["alice", "alice.", "alice.0", "alice.128", "alice.x", ""] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
