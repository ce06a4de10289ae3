//! `hushd init`: creates a vault.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{CliError, ErrorKind, Globals};

/// Create a vault: its master key, its keyring and its first keys
///
/// Prints where they are and, once and on a terminal only, the API key. Never overwrites anything.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Protect the master key with a passphrase, asked for twice
    #[arg(long, conflicts_with_all = ["passphrase_file", "recipient", "identity"])]
    pub passphrase: bool,
    /// Protect the master key with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recipient", "identity"])]
    pub passphrase_file: Option<PathBuf>,
    /// Encrypt the keyring to this recipient (age1… or an SSH public key) too; repeatable
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Vec<String>,
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

/// Creates the vault.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] where there is one.
pub fn run(_args: InitArgs, _globals: &Globals) -> Result<(), CliError> {
    Err(CliError::new(ErrorKind::Other, "init is not wired yet"))
}
