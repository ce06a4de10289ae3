//! `hushd history` and `hushd rollback`: the revisions of a secret.

use clap::Args;

use crate::api::RevisionMetadata;
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, Globals, Session, Style, parse};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::model::Key;

/// List the revisions of a secret, without their values
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct HistoryArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key)]
    key: Key,
}

/// Make the value of an older revision the newest one
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_ROLLBACK)]
pub struct RollbackArgs {
    /// Name of the secret
    #[arg(value_parser = parse::key)]
    key: Key,
    /// The revision, as hushd history lists it
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    revision: u64,
}

const AFTER_HELP: &str = "\
With --json: {\"namespace\", \"key\", \"revisions\": [{\"revision\", \"createdAt\", \"createdBy\"}]}, newest
first.";

const AFTER_ROLLBACK: &str = "\
It becomes a new revision, so that what was there before can be rolled back to as well.

With --json: {\"namespace\", \"key\", \"from\", \"revision\"}.";

const COLUMNS: [Column; 3] =
    [Column { title: "REVISION", spare: 0 }, Column { title: "WRITTEN", spare: 0 }, Column { title: "BY", spare: 1 }];

/// Prints the table.
///
/// # Errors
///
/// [`ErrorKind::NotFound`](crate::cli::ErrorKind::NotFound).
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: HistoryArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let answer = session.client.list_revisions(&session.namespace, &args.key);
    let revisions = answer.map_err(|error| session.explain(error))?.revisions;
    if output.is_json() {
        let (namespace, key) = (session.namespace.as_str(), args.key.as_str());
        return output.json(&serde_json::json!({ "namespace": namespace, "key": key, "revisions": revisions }));
    }
    let now = SystemClock.now();
    let rows: Vec<Vec<Cell>> = revisions.iter().map(|revision| row(revision, now)).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())
}

fn row(revision: &RevisionMetadata, now: Timestamp) -> Vec<Cell> {
    let written = format!("{} ({})", parse::distance(now, revision.created_at), revision.created_at);
    vec![
        revision.revision.to_string().into(),
        written.into(),
        Cell { text: revision.created_by.clone(), style: Style::Plain },
    ]
}

/// Rolls back.
///
/// # Errors
///
/// [`ErrorKind::NotFound`](crate::cli::ErrorKind::NotFound) for the secret or its revision.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn roll_back(args: RollbackArgs, globals: &Globals) -> Result<(), CliError> {
    let mut session = Session::open(globals)?;
    let (key, namespace) = (&args.key, session.namespace.clone());
    let answer = session.client.roll_back(&namespace, key, args.revision).map_err(|error| {
        let error = session.explain(error);
        if error.kind() == crate::cli::ErrorKind::NotFound {
            error.hint(format!("see which revisions are kept: hushd history {key}"))
        } else {
            error
        }
    })?;
    if globals.output.is_json() {
        return globals.output.json(&serde_json::json!({
            "namespace": namespace.as_str(), "key": key.as_str(), "from": args.revision, "revision": answer.revision
        }));
    }
    let revision = answer.revision;
    globals
        .output
        .note(format_args!("{key} in {namespace} is as in revision {} again (revision {revision})", args.revision));
    Ok(())
}
