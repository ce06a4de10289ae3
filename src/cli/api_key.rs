//! `hushd api-key`: replaces the API key.

use clap::{Args, Subcommand};

use crate::cli::{CliError, Globals, Session};

/// Manage the API key
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ApiKeyArgs {
    #[command(subcommand)]
    verb: ApiKeyVerb,
}

#[derive(Debug, Subcommand)]
enum ApiKeyVerb {
    Rotate(RotateArgs),
}

/// Make a new key, and print it; the old one stays valid for a while
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
struct RotateArgs {
    /// How many hours the old key stays valid: 0 to 168
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(i64).range(0..=168))]
    grace_hours: i64,
}

const AFTER_HELP: &str = "\
The new key is shown once.

With --json: {\"apiKey\", \"oldKeyExpiresAt\"}.";

/// Runs the verb below `api-key`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`](crate::cli::ErrorKind::NotPermitted) for whoever is no administrator.
pub fn run(args: ApiKeyArgs, globals: &Globals) -> Result<(), CliError> {
    let ApiKeyVerb::Rotate(args) = args.verb;
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let answer = session.client.rotate_api_key(Some(args.grace_hours)).map_err(|error| session.explain(error))?;
    let key = answer.api_key.expose_secret();
    if output.is_json() {
        return output.json(&serde_json::json!({ "apiKey": key, "oldKeyExpiresAt": answer.old_key_expires_at }));
    }
    output.line(key)?;
    output.note(format_args!("the old key is valid until {}", answer.old_key_expires_at));
    Ok(())
}
