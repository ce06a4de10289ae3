//! `hushd token`: access tokens.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::api::{CreateTokenRequest, ScopeText, TokenKind, TokenMetadata};
use crate::auth::Scope;
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, ErrorKind, Globals, Session, parse};
use crate::clock::{Clock as _, SystemClock, Timestamp};

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
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token, and print it
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
struct CreateArgs {
    /// Mint an administrator's token, a JWT
    #[arg(long, required_unless_present = "scope", conflicts_with_all = ["scope", "bind_uid", "bind_unit", "uses", "reason"])]
    admin: bool,
    /// A rule that the token is limited to, such as 'read shop/**'; repeatable
    #[arg(long, value_name = "RULE")]
    scope: Vec<String>,
    /// How long it is valid: 90m, 12h, 30d; up to a year
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// Whom an administrator's token is for, as the trail will name them [default: who asks]
    #[arg(long, value_name = "NAME", conflicts_with = "scope")]
    subject: Option<String>,
    /// Take it from processes of this user alone, over the Unix socket
    #[arg(long, value_name = "UID")]
    bind_uid: Option<u32>,
    /// Take it from processes of this systemd unit alone, over the Unix socket
    #[arg(long, value_name = "UNIT")]
    bind_unit: Option<String>,
    /// How many requests it is good for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    uses: Option<u32>,
    /// What it is for, as the list of tokens will say
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

const AFTER_HELP: &str = "\
A rule is read, write, list, verify or admin, and a pattern NAMESPACE/KEY in which * stands for
anything within a part and ** for any namespaces: 'read shop/prod/STRIPE_*', 'read,write shop/**'.
read comes with list and verify.

The token is shown once. To keep it for later commands: (umask 077; hushd token create --scope 'read
shop/**' > FILE), then --token-file FILE.

With --json: {\"token\", \"id\", \"expiresAt\"}.";

/// List the tokens that have not expired
#[derive(Debug, Args)]
#[command(after_long_help = "With --json: what GET /api/tokens answers.")]
struct ListArgs {}

/// Revoke a token: it is refused at once
#[derive(Debug, Args)]
#[command(after_long_help = "With --json: {\"id\", \"revoked\": true}.")]
struct RevokeArgs {
    /// Its identifier, as `hushd token list` shows it
    id: String,
}

/// Longest that a token is valid.
const LONGEST: Duration = Duration::from_hours(365 * 24);

const COLUMNS: [Column; 6] = [
    Column { title: "ID", spare: 0 },
    Column { title: "SCOPE", spare: 0 },
    Column { title: "EXPIRES", spare: 1 },
    Column { title: "USES LEFT", spare: 3 },
    Column { title: "BOUND TO", spare: 2 },
    Column { title: "REASON", spare: 4 },
];

/// Runs the verb below `token`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`] for whoever is no administrator; [`ErrorKind::NotFound`] for a token that is not there.
pub fn run(args: TokenArgs, globals: &Globals) -> Result<(), CliError> {
    match args.verb {
        TokenVerb::Create(args) => create(args, globals),
        TokenVerb::List(ListArgs {}) => list(globals),
        TokenVerb::Revoke(args) => revoke(&args, globals),
    }
}

fn create(args: CreateArgs, globals: &Globals) -> Result<(), CliError> {
    if let Err(error) = Scope::parse(&args.scope) {
        let nearest = error.nearest.map(|nearest| format!("did you mean --scope '{nearest}'?"));
        let text = args.scope.get(error.line - 1).cloned().unwrap_or_default();
        let message = format!("invalid scope {text:?}: column {}: {}", error.column, error.message);
        return Err(CliError::new(ErrorKind::Usage, message).maybe_hint(nearest));
    }
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let ttl_seconds = i64::try_from(args.ttl.as_secs()).unwrap_or(i64::MAX);
    let request = CreateTokenRequest {
        admin: args.admin.then_some(true),
        scope: (!args.admin).then_some(ScopeText::Rules(args.scope)),
        ttl_seconds,
        subject: args.subject,
        bind_uid: args.bind_uid,
        bind_unit: args.bind_unit,
        uses: args.uses,
        reason: args.reason,
    };
    let answer = session.client.create_token(&request).map_err(|error| session.explain(error))?;
    if output.is_json() {
        return output.json(&answer);
    }
    output.line(answer.token.expose_secret())?;
    output.note(format_args!("the token {} is valid until {}", answer.id, answer.expires_at));
    Ok(())
}

fn list(globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let answer = session.client.list_tokens().map_err(|error| session.explain(error))?;
    if output.is_json() {
        return output.json(&answer);
    }
    if answer.tokens.is_empty() {
        output.note("no tokens");
        return Ok(());
    }
    let now = SystemClock.now();
    let rows: Vec<Vec<Cell>> = answer.tokens.iter().map(|token| row(token, now)).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())
}

fn row(token: &TokenMetadata, now: Timestamp) -> Vec<Cell> {
    let scope = match (&token.scope, token.kind) {
        (Some(scope), _) => scope.join("; "),
        (None, TokenKind::Jwt | TokenKind::Scoped) => {
            format!("JWT of {}", token.subject.as_deref().unwrap_or("nobody"))
        }
    };
    let expires = if token.revoked { "revoked".to_owned() } else { parse::distance(now, token.expires_at) };
    let uid = token.bind_uid.map(|uid| format!("uid {uid}"));
    let bound: Vec<String> = uid.into_iter().chain(token.bind_unit.clone()).collect();
    vec![
        token.id.clone().into(),
        scope.into(),
        expires.into(),
        token.uses_left.map_or_else(|| "any".to_owned(), |left| left.to_string()).into(),
        bound.join(", ").into(),
        token.reason.clone().unwrap_or_default().into(),
    ]
}

fn revoke(args: &RevokeArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    session
        .client
        .revoke_token(&args.id)
        .map_err(|error| session.explain(error).only_hint("see the tokens: hushd token list"))?;
    if output.is_json() {
        return output.json(&json!({ "id": args.id, "revoked": true }));
    }
    output.note(format_args!("revoked {}", args.id));
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
