//! `hushd compact`: gives back the space that deleted secrets leave.

use clap::Args;

use crate::cli::{CliError, Globals, passphrase};
use crate::daemon;

/// Rewrite the store of a vault that no daemon serves, without the space that deleted secrets left
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct CompactArgs {}

const AFTER_HELP: &str = "\
Needs room for the new store beside the old one. Interrupted at any point it leaves the old store or
the new one. The daemon does this by itself when it starts and more than half of a large store is
waste.

With --json: {\"before\": BYTES, \"after\": BYTES}.";

/// Rewrites the store.
///
/// # Errors
///
/// Whatever keeps the vault from being opened; [`crate::cli::ErrorKind::TryAgain`] while a daemon serves it.
pub fn run(_args: CompactArgs, globals: &Globals) -> Result<(), CliError> {
    let config = globals.load_daemon(Vec::new(), None)?.config;
    let done = daemon::compact(&config, &mut passphrase::asker(&config.vault)?)?;
    if globals.output.is_json() {
        return globals.output.json(&serde_json::json!({ "before": done.before, "after": done.after }));
    }
    globals.output.note(format_args!("the store took {} MiB and takes {} MiB", done.before >> 20, done.after >> 20));
    Ok(())
}
