//! `hushd identity`: the master key's file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::{CliError, Globals, passphrase};
use crate::daemon;
use crate::paths::Role;

/// Manage the file with the master key
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct IdentityArgs {
    #[command(subcommand)]
    verb: IdentityVerb,
}

#[derive(Debug, Subcommand)]
enum IdentityVerb {
    Show(ShowArgs),
    Passphrase(PassphraseArgs),
}

/// Show where the master key is, and its public half
#[derive(Debug, Args)]
#[command(after_long_help = "With --json: {\"identity\", \"encrypted\", \"recipients\": [TEXT…]}.")]
struct ShowArgs {}

/// Give the master key a passphrase, or another one
#[derive(Debug, Args)]
#[command(after_long_help = PASSPHRASE_HELP)]
struct PassphraseArgs {
    /// Read the new passphrase from this file instead of asking for it twice
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    new_passphrase_file: Option<PathBuf>,
    /// Leave the master key without a passphrase: whoever reads its file opens the vault
    #[arg(long)]
    remove: bool,
}

const PASSPHRASE_HELP: &str = "\
The old passphrase is asked for, or read from vault.passphrase-file. The key itself stays the same,
so that a running daemon goes on; a copy of the old file still opens with the old passphrase.
Interrupted at any point it leaves the old file or the new one. An SSH key is changed by ssh-keygen
-p.

With --json: {\"identity\", \"encrypted\"}.";

/// Runs the verb below `identity`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`](crate::cli::ErrorKind::NotPermitted) for a wrong passphrase.
pub fn run(args: IdentityArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let config = globals.load(Role::Daemon)?.config.vault;
    let mut ask = passphrase::asker(&config)?;
    match args.verb {
        IdentityVerb::Show(ShowArgs {}) => {
            let found = daemon::show_identity(&config, &mut ask)?;
            let recipients: Vec<String> = found.recipients.iter().map(ToString::to_string).collect();
            if output.is_json() {
                return output
                    .json(&json!({ "identity": found.path, "encrypted": found.encrypted, "recipients": recipients }));
            }
            output.line(format_args!("master key:  {}", found.path.display()))?;
            output.line(format_args!("passphrase:  {}", if found.encrypted { "yes" } else { "no" }))?;
            recipients.iter().try_for_each(|recipient| output.line(format_args!("recipient:   {recipient}")))
        }
        IdentityVerb::Passphrase(args) => {
            // The old one first, as people expect to be asked.
            let opened = daemon::open_identity(&config, &mut ask)?;
            let new = match (&args.new_passphrase_file, args.remove) {
                (_, true) => None,
                (Some(file), false) => Some(passphrase::from_file(file)?),
                (None, false) => Some(passphrase::ask_for_new()?),
            };
            let encrypted = new.is_some();
            let path = opened.rewrite(new.as_ref())?;
            if output.is_json() {
                return output.json(&json!({ "identity": path, "encrypted": encrypted }));
            }
            output.note(format_args!("wrote {}", path.display()));
            if let (true, Some(file)) = (encrypted, &config.passphrase_file) {
                output.note(format_args!("put the new passphrase into {} too", file.display()));
            }
            Ok(())
        }
    }
}
