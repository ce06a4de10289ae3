//! `hushd unseal`: takes the vault's keys into the daemon's memory again.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::{CliError, ErrorKind, Globals, Session, passphrase};
use crate::client::ClientError;

/// Unseal the vault, with the passphrase of its master key where it has one
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct UnsealArgs {
    /// Read the passphrase from this file instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The daemon's own user needs no passphrase where the master key has none, or where its passphrase is
in a file that the daemon knows. Whoever knows the passphrase may unseal as well. After a wrong one
the next is taken after a while.

With --json: {\"sealed\": false}.";

/// Unseals the vault.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`] for a wrong passphrase, [`ErrorKind::TryAgain`] where another was wrong just now.
pub fn run(args: &UnsealArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let given = args.passphrase_file.as_deref().map(passphrase::text_from_file).transpose()?;
    let asked = given.is_some();
    let answer = match session.client.unseal(given) {
        // Either nobody is recognised without it, or the master key needs it.
        Err(ClientError::Api { status: 400 | 401, .. }) if !asked => {
            let typed = passphrase::ask_once().ok_or_else(|| {
                CliError::new(ErrorKind::NotPermitted, "the passphrase of the master key is needed")
                    .hint("run it on a terminal, or name a private file: hushd unseal --passphrase-file FILE")
            })?;
            session.client.unseal(Some(typed))
        }
        answer => answer,
    };
    let message = answer.map_err(|error| session.explain(error))?.message;
    if globals.output.is_json() {
        return globals.output.json(&json!({ "sealed": false }));
    }
    globals.output.note(message);
    Ok(())
}
