//! `hushd recipient`: who can open the vault's keyring.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::offline::{Place, reencrypt};
use crate::cli::{CliError, Globals};
use crate::crypto::Recipient;

/// Manage who can open the vault: its recipients
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct RecipientArgs {
    #[command(subcommand)]
    verb: RecipientVerb,
}

#[derive(Debug, Subcommand)]
enum RecipientVerb {
    List(ListArgs),
    Add(AddArgs),
    Remove(RemoveArgs),
}

/// List whom the keyring, and each backup that names no others, is encrypted to
#[derive(Debug, Args)]
#[command(after_long_help = "With --json: {\"recipients\": [TEXT…]}.")]
struct ListArgs {}

/// Let one more identity open the vault: another machine, a hardware key, a key in a safe
#[derive(Debug, Args)]
#[command(after_long_help = "With --json: {\"recipients\": [TEXT…]}.")]
struct AddArgs {
    /// Its public half: age1… or an SSH public key
    #[arg(value_name = "RECIPIENT")]
    recipient: Recipient,
}

/// Take a recipient away, and replace the keys that it may know
#[derive(Debug, Args)]
#[command(after_long_help = REMOVE_HELP)]
struct RemoveArgs {
    /// The recipient, as `hushd recipient list` shows it
    #[arg(value_name = "RECIPIENT")]
    recipient: Recipient,
    /// Do not wait until all records are re-encrypted; a daemon goes on with it
    #[arg(long)]
    no_wait: bool,
}

const REMOVE_HELP: &str = "\
The keyring is encrypted to the others, the data key and the secret that signs tokens are replaced
(all tokens until now are worthless), and all records are re-encrypted. Whoever holds the removed
identity opens nothing that is written from now on. A copy of the vault that he made before, and
backups to him, he can still open: rotate the secrets that he must not know.

The last recipient is not removed, nor the one whose identity the daemon itself uses.

With --json: {\"recipients\": [TEXT…], \"epoch\": N}.";

/// Runs the verb below `recipient`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`](crate::cli::ErrorKind::NotPermitted) for whoever is no administrator, and for a recipient
/// that cannot be removed.
pub fn run(args: RecipientArgs, globals: &Globals) -> Result<(), CliError> {
    let mut place = Place::find(globals)?;
    match args.verb {
        RecipientVerb::List(ListArgs {}) => {
            let recipients = match &mut place {
                Place::Here(vault) => texts(&vault.recipients()),
                Place::There(session) => {
                    session.client.recipients().map_err(|error| session.explain(error))?.recipients
                }
            };
            if globals.output.is_json() {
                return globals.output.json(&json!({ "recipients": recipients }));
            }
            recipients.iter().try_for_each(|recipient| globals.output.line(recipient))
        }
        RecipientVerb::Add(args) => {
            let recipients = match &mut place {
                Place::Here(vault) => texts(&vault.add_recipient(args.recipient.clone())?),
                Place::There(session) => {
                    let added = session.client.add_recipient(&args.recipient.to_string());
                    added.map_err(|error| session.explain(error))?.recipients
                }
            };
            if globals.output.is_json() {
                return globals.output.json(&json!({ "recipients": recipients }));
            }
            globals.output.note(format_args!("{} recipients can open the vault", recipients.len()));
            Ok(())
        }
        RecipientVerb::Remove(args) => remove(args, place, globals),
    }
}

fn remove(args: RemoveArgs, mut place: Place, globals: &Globals) -> Result<(), CliError> {
    let (recipients, epoch) = match &mut place {
        Place::Here(vault) => {
            let removal = vault.remove_recipient(args.recipient)?;
            (texts(&removal.recipients), removal.epoch)
        }
        Place::There(session) => {
            let removed = session.client.remove_recipient(&args.recipient.to_string());
            let removed = removed.map_err(|error| session.explain(error))?;
            (removed.recipients, removed.epoch)
        }
    };
    if !args.no_wait {
        reencrypt(&mut place, globals)?;
    }
    if globals.output.is_json() {
        return globals.output.json(&json!({ "recipients": recipients, "epoch": epoch }));
    }
    globals.output.note(format_args!("removed; {} can still open the vault", recipients.len()));
    globals.output.note("the data key and the secret that signs tokens were replaced: tokens until now are worthless");
    globals
        .output
        .note("copies of the vault and backups from before can still be opened: rotate what must not be known");
    Ok(())
}

fn texts(recipients: &[Recipient]) -> Vec<String> {
    recipients.iter().map(ToString::to_string).collect()
}
