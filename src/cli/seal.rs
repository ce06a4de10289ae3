//! `hushd seal`: drops the vault's keys from the daemon's memory.

use clap::Args;
use serde_json::json;

use crate::cli::{CliError, Globals, Session};
use crate::client::ClientError;

/// Wipe the vault's keys from the daemon's memory, until hushd unseal
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct SealArgs {}

const AFTER_HELP: &str = "\
No value can be read until the vault is unsealed. Requests in flight finish first. SIGUSR1 does the
same, and so does [seal] in the configuration after some time without use.

With --json: {\"sealed\": true}.";

/// Seals the vault.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`](crate::cli::ErrorKind::NotPermitted) for whoever is no administrator.
pub fn run(_args: SealArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let message = match session.client.seal() {
        Ok(answer) => answer.message,
        Err(ClientError::Sealed { .. }) => "the vault was sealed already".to_owned(),
        Err(error) => return Err(session.explain(error)),
    };
    if globals.output.is_json() {
        return globals.output.json(&json!({ "sealed": true }));
    }
    globals.output.note(message);
    Ok(())
}
