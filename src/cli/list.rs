//! `hushd list`: a table of names, never of values.

use clap::Args;

use crate::api::{ListSecretsResponse, SecretMetadata};
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, Globals, Session, Style, explain, parse};
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// List the secrets of the namespace, without their values
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ListArgs {
    /// List deleted and expired ones too
    #[arg(long)]
    all: bool,
    /// Show what a command of hushd run would get, and where each variable comes from
    #[arg(long, conflicts_with = "all")]
    explain: bool,
}

const AFTER_HELP: &str = "\
With -v times are told with their date too, in UTC.

With --json: {\"secrets\": [{\"id\", \"key\", \"namespace\", \"isActive\", \"isReserved\", \"lastUsedAt\",
\"expiresAt\", \"createdAt\", \"updatedAt\", \"revision\"}]}, in the order of their keys. With --explain:
{\"namespaces\", \"variables\": [{\"variable\", \"key\", \"namespace\", \"hides\", \"default\", \"required\",
\"description\", \"isTemplate\", \"file\"}]}; the namespace is null where there is no such secret.";

const COLUMNS: [Column; 6] = [
    Column { title: "KEY", spare: 0 },
    Column { title: "REVISION", spare: 2 },
    Column { title: "UPDATED", spare: 3 },
    Column { title: "EXPIRES", spare: 1 },
    Column { title: "LAST USED", spare: 4 },
    Column { title: "FLAGS", spare: 1 },
];

/// Prints the table.
///
/// # Errors
///
/// Those of every call to the daemon; an empty list is none.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: ListArgs, globals: &Globals) -> Result<(), CliError> {
    if args.explain {
        return explain::run(globals);
    }
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let answer = session.client.list_secrets(&session.namespace);
    let mut secrets = answer.map_err(|error| session.explain(error))?.secrets;
    let now = SystemClock.now();
    let found = secrets.len();
    secrets.retain(|secret| args.all || is_readable(secret, now));
    secrets.sort_by(|a, b| a.key.cmp(&b.key));
    if output.is_json() {
        return output.json(&ListSecretsResponse { secrets });
    }
    if secrets.is_empty() {
        let hidden = if found > 0 { "; deleted or expired ones: hushd list --all" } else { "" };
        output.note(format_args!("no secrets in the namespace {}{hidden}", session.namespace));
        return Ok(());
    }
    let told = if output.is_verbose() { parse::distance_and_moment } else { parse::distance };
    let rows: Vec<Vec<Cell>> = secrets.iter().map(|secret| row(secret, now, told)).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())
}

fn is_readable(secret: &SecretMetadata, now: Timestamp) -> bool {
    secret.is_active && !is_expired(secret, now)
}

fn is_expired(secret: &SecretMetadata, now: Timestamp) -> bool {
    secret.expires_at.is_some_and(|at| at <= now)
}

fn row(secret: &SecretMetadata, now: Timestamp, told: fn(Timestamp, Timestamp) -> String) -> Vec<Cell> {
    let distance = |moment: Option<Timestamp>| moment.map_or("never".to_owned(), |at| told(now, at));
    let expired = is_expired(secret, now);
    let gone = [("deleted", !secret.is_active), ("expired", expired)];
    let marks = [("reserved", secret.is_reserved), ("template", secret.is_template)];
    let flags: Vec<&str> = gone.into_iter().chain(marks).filter(|(_, set)| *set).map(|(name, _)| name).collect();
    let style = if is_readable(secret, now) { Style::Plain } else { Style::Warning };
    vec![
        secret.key.clone().into(),
        secret.revision.to_string().into(),
        told(now, secret.updated_at).into(),
        distance(secret.expires_at).into(),
        distance(secret.last_used_at).into(),
        Cell { text: flags.join(","), style },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretMetadata {
        SecretMetadata {
            id: uuid::Uuid::nil(),
            key: "STRIPE_KEY".to_owned(),
            namespace: "default".to_owned(),
            is_active: true,
            is_reserved: false,
            is_template: false,
            last_used_at: None,
            expires_at: None,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            revision: 3,
        }
    }

    fn texts(secret: &SecretMetadata) -> Vec<String> {
        row(secret, Timestamp::from_millis(120_000), parse::distance).into_iter().map(|cell| cell.text).collect()
    }

    #[test]
    fn a_row_tells_what_matters() {
        assert_eq!(texts(&secret()), ["STRIPE_KEY", "3", "2m ago", "never", "never", ""]);
        let at = |millis| Some(Timestamp::from_millis(millis));
        let other = SecretMetadata { expires_at: at(180_000), last_used_at: at(60_000), is_reserved: true, ..secret() };
        assert_eq!(texts(&other), ["STRIPE_KEY", "3", "2m ago", "in 1m", "1m ago", "reserved"]);
        let gone = SecretMetadata { expires_at: at(120_000), is_active: false, ..secret() };
        assert_eq!(texts(&gone)[5], "deleted,expired");
    }

    #[test]
    fn what_cannot_be_read_is_only_listed_with_all() {
        let now = Timestamp::from_millis(120_000);
        assert!(is_readable(&secret(), now));
        assert!(!is_readable(&SecretMetadata { is_active: false, ..secret() }, now));
        assert!(!is_readable(&SecretMetadata { expires_at: Some(now), ..secret() }, now));
    }
}
