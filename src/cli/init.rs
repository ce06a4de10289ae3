//! `hushd init`: creates a vault.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::auth::ApiKey;
use crate::cli::{CliError, ErrorKind, Globals, passphrase};
use crate::config::VaultConfig;
use crate::crypto::{JwtSecret, Recipient};
use crate::daemon::{self, Created, Request};
use crate::paths::{Role, read_private};

/// Create a vault: its master key, its keyring and its first keys
///
/// Prints where they are and, once and on a terminal only, the API key. Never overwrites anything.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct InitArgs {
    /// Protect the master key with a passphrase, asked for twice
    #[arg(long, conflicts_with_all = ["passphrase_file", "identity"])]
    pub passphrase: bool,
    /// Protect the master key with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub passphrase_file: Option<PathBuf>,
    /// Encrypt the keyring to this recipient (age1… or an SSH public key) too; repeatable
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Vec<Recipient>,
    /// Take this age identity or SSH key as the master key
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Take over the secret in this file that administrators' tokens are signed with
    #[arg(long, value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,
    /// Take over the API key in this file
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
With --recipient alone no master key is made: the daemon then needs the identity of one of the
recipients, as vault.identity in the configuration. With --passphrase, --passphrase-file or
--identity the recipients are added to that key, for recovery.

With --json: {\"vaultId\", \"dataDirectory\", \"identity\", \"recipients\", \"apiKey\", \"anonKey\"};
the keys on a terminal only.";

/// Creates the vault.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] where there is one.
pub fn run(args: InitArgs, globals: &Globals) -> Result<(), CliError> {
    let config = globals.load(Role::Daemon)?.config.vault;
    let taken_over = args.api_key_file.is_some();
    let request = Request {
        passphrase: match (&args.passphrase_file, args.passphrase) {
            (Some(file), _) => Some(passphrase::from_file(file)?),
            (None, true) => Some(passphrase::ask_for_new()?),
            (None, false) => None,
        },
        identity: args.identity,
        recipients: args.recipient,
        jwt_secret: args.jwt_secret_file.as_deref().map(jwt_secret).transpose()?,
        api_key: args.api_key_file.as_deref().map(api_key).transpose()?,
    };
    create(&config, request, taken_over, globals)
}

/// Creates the vault and says what there is now.
pub(super) fn create(
    config: &VaultConfig,
    request: Request,
    taken_over: bool,
    globals: &Globals,
) -> Result<(), CliError> {
    let created = daemon::create(config, request, &mut passphrase::asker(config)?)?;
    show(&created, taken_over, globals)
}

fn show(created: &Created, taken_over: bool, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    // Where there is no terminal there may be a log, and a key does not belong into one.
    let to_a_person = io::stdout().is_terminal();
    let api_key = Some(created.api_key.text().expose_secret()).filter(|_| to_a_person && !taken_over);
    let anon_key = Some(created.anon_key.text().expose_secret()).filter(|_| to_a_person);
    let recipients: Vec<String> = created.recipients.iter().map(ToString::to_string).collect();
    if output.is_json() {
        return output.json(&json!({
            "vaultId": created.vault_id,
            "dataDirectory": created.data_directory,
            "identity": created.identity,
            "recipients": recipients,
            "apiKey": api_key,
            "anonKey": anon_key,
        }));
    }
    output.line(format_args!("vault:       {}", created.data_directory.display()))?;
    match &created.identity {
        Some(path) => output.line(format_args!("master key:  {}", path.display()))?,
        None => output.line("master key:  none was made; name its file as vault.identity in the configuration")?,
    }
    for recipient in recipients {
        output.line(format_args!("recipient:   {recipient}"))?;
    }
    match api_key {
        Some(key) => output.line(format_args!("API key:     {key}"))?,
        None if taken_over => output.line("API key:     the one that was given")?,
        None => output.line("API key:     not shown without a terminal; get one: hushd api-key rotate")?,
    }
    if let Some(key) = anon_key {
        output.line(format_args!("anon key:    {key}"))?;
    }
    if to_a_person {
        output.note(
            "the keys are not shown again; without the master key nobody can open the vault, so keep a copy of it",
        );
    }
    Ok(())
}

fn jwt_secret(path: &Path) -> Result<JwtSecret, CliError> {
    let text = read_private(path)?;
    JwtSecret::import(without_newline(&text)).map_err(|error| {
        CliError::from_error(ErrorKind::BadData, &error)
            .hint("make a new one: (umask 077; head -c 32 /dev/urandom | base64 -w0 > FILE)")
    })
}

fn api_key(path: &Path) -> Result<ApiKey, CliError> {
    let text = read_private(path)?;
    let text = std::str::from_utf8(without_newline(&text)).unwrap_or_default();
    ApiKey::import(text)
        .map_err(|error| CliError::new(ErrorKind::BadData, format!("{} is not an API key: {error}", path.display())))
}

/// What a file holds, without the newline that an editor or `echo` leaves at its end.
pub(super) fn without_newline(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
