//! `hushd token`: access tokens.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::api::CreateTokenRequest;
use crate::cli::{CliError, Globals, Session, parse};

/// Access tokens
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    Create(CreateArgs),
}

/// Mint a token, and print it
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
struct CreateArgs {
    /// Mint an administrator's token
    #[arg(long, required = true)]
    admin: bool,
    /// How long it is valid: 90m, 12h, 30d; up to a year
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// Whom it is for, as the trail will name them [default: who asks]
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
}

const AFTER_HELP: &str = "\
The token is shown once. To keep it for later commands: (umask 077; hushd token create --admin > FILE),
then --token-file FILE.

With --json: {\"token\", \"expiresAt\"}.";

/// Longest that a token is valid.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Runs the verb below `token`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`](crate::cli::ErrorKind::NotPermitted) for whoever is no administrator.
pub fn run(args: TokenArgs, globals: &Globals) -> Result<(), CliError> {
    match args.verb {
        TokenVerb::Create(args) => create(args, globals),
    }
}

fn create(args: CreateArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let ttl_seconds = i64::try_from(args.ttl.as_secs()).unwrap_or(i64::MAX);
    let request = CreateTokenRequest { admin: args.admin, ttl_seconds, subject: args.subject };
    let answer = session.client.create_token(&request).map_err(|error| session.explain(error))?;
    if output.is_json() {
        return output.json(&answer);
    }
    output.line(answer.token.expose_secret())?;
    output.note(format_args!("the token is valid until {}", answer.expires_at));
    Ok(())
}

fn ttl(text: &str) -> Result<Duration, String> {
    match parse::duration(text)? {
        ttl if ttl <= LONGEST => Ok(ttl),
        _ => Err("a token is valid for a year at most".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_a_year_at_most() {
        assert_eq!(ttl("365d"), Ok(LONGEST));
        assert!(ttl("366d").is_err() && ttl("0s").is_err());
    }
}
