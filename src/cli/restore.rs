//! `hushd restore`: makes a vault of a backup, or brings single secrets of one back into the running vault.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::{CliError, Globals, Unit, parse, passphrase, restore_keys};
use crate::crypto::Recipient;
use crate::daemon::{self, RestoreRequest};
use crate::model::Key;
use crate::paths::Role;

/// Restore a backup into a new vault, or single secrets of it into the running one
///
/// A new vault gets new data keys and a new identifier; secrets, revisions, API keys and tokens are those of the backup.
/// It never touches a vault that exists.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
    /// The age identity or SSH key that opens it, instead of the vault's master key
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Let the identity that opens the backup be the new vault's master key, and keep the old vault's recipients
    #[arg(long, conflicts_with = "keys")]
    pub same_identity: bool,
    /// Encrypt the new keyring to this recipient (age1… or an SSH public key) too; repeatable
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "keys")]
    pub recipient: Vec<Recipient>,
    /// Only these secrets of the namespace, into the running vault; divided by commas
    #[arg(long, value_name = "KEYS", value_delimiter = ',', value_parser = parse::key)]
    pub keys: Vec<Key>,
    /// Show what would change, without values, and change nothing
    #[arg(long, requires = "keys")]
    pub dry_run: bool,
}

const AFTER_HELP: &str = "\
Without --same-identity the new vault has the master key at vault.identity: the one that is there,
or a new one. The whole backup is read before anything is touched.

With --keys the secrets get the backup's newest value and flags as a new revision; what was written
since stays as older revisions. Secrets that are not named are left alone.

With --json: {\"vaultId\", \"dataDirectory\", \"identity\", \"recipients\", \"backup\": {\"vaultId\",
\"createdAt\"}, \"secrets\", \"revisions\", \"bytes\"}; with --keys: {\"namespace\", \"dryRun\", \"secrets\":
[{\"key\", \"action\": \"create\"|\"update\"|\"unchanged\", \"changes\": [\"value\"|\"isActive\"|\"isReserved\"|
\"expiresAt\"]}]}.";

/// Restores.
///
/// # Errors
///
/// [`ErrorKind::Conflict`](crate::cli::ErrorKind::Conflict) where there is a vault,
/// [`ErrorKind::BadData`](crate::cli::ErrorKind::BadData) for a backup that is damaged.
pub fn run(args: RestoreArgs, globals: &Globals) -> Result<(), CliError> {
    if !args.keys.is_empty() {
        return restore_keys::run(&args, globals);
    }
    let output = &globals.output;
    let config = globals.load(Role::Daemon)?.config.vault;
    let request = RestoreRequest {
        file: args.file,
        identity: args.identity,
        same_identity: args.same_identity,
        recipients: args.recipient,
    };
    let mut ask = passphrase::asker(&config)?;
    let bar = output.bar("restoring", Unit::Bytes);
    let progress = bar.progress(Unit::Bytes);
    let restored = daemon::restore(&config, request, &mut ask, &progress);
    drop(bar);
    let restored = restored?;
    let recipients: Vec<String> = restored.recipients.iter().map(ToString::to_string).collect();
    let (header, contents) = (restored.header, restored.contents);
    if output.is_json() {
        return output.json(&json!({
            "vaultId": restored.vault_id,
            "dataDirectory": restored.data_directory,
            "identity": restored.identity,
            "recipients": recipients,
            "backup": { "vaultId": header.vault_id, "createdAt": header.created_at },
            "secrets": contents.secrets,
            "revisions": contents.revisions,
            "bytes": contents.bytes,
        }));
    }
    output.line(format_args!("vault:       {}", restored.data_directory.display()))?;
    if let Some(path) = &restored.identity {
        output.line(format_args!("master key:  {}", path.display()))?;
    }
    for recipient in recipients {
        output.line(format_args!("recipient:   {recipient}"))?;
    }
    output.line(format_args!("secrets:     {} with {} revisions", contents.secrets, contents.revisions))?;
    output.line(format_args!("state of:    {}", header.created_at))?;
    output.note("API keys and tokens are those of the backup; start it: hushd serve");
    Ok(())
}
