//! `hushd consumers`: who reads a secret, and who still holds an old revision of it.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::api::SecretConsumer;
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, Globals, Session, Style, complete, parse};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::model::Key;

/// List who read a secret, which revision and when
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ConsumersArgs {
    /// Name of the secret
    #[arg(value_name = "KEY", value_parser = parse::key, add = ArgValueCompleter::new(complete::keys))]
    key: Key,
    /// Only those who still hold an old revision
    #[arg(long)]
    stale: bool,
}

const AFTER_HELP: &str = "\
As far as the audit trail goes back. It takes an administrator.

With --json: {\"key\", \"namespace\", \"revision\", \"consumers\": [{\"principal\", \"uid\", \"unit\",
\"executable\", \"revision\", \"isCurrent\", \"lastReadAt\", \"reads\"}]}, who read it last first.";

const COLUMNS: [Column; 6] = [
    Column { title: "WHO", spare: 0 },
    Column { title: "THROUGH", spare: 2 },
    Column { title: "REVISION", spare: 0 },
    Column { title: "LAST READ", spare: 1 },
    Column { title: "READS", spare: 3 },
    Column { title: "STATE", spare: 0 },
];

/// Prints the table.
///
/// # Errors
///
/// [`ErrorKind::NotFound`](crate::cli::ErrorKind::NotFound), and those of every call to the daemon.
#[expect(clippy::needless_pass_by_value, reason = "every verb has this signature")]
pub fn run(args: ConsumersArgs, globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::open(globals)?;
    let answer = session.client.list_consumers(&session.namespace, &args.key);
    let mut answer = answer.map_err(|error| session.explain(error))?;
    answer.consumers.retain(|consumer| !args.stale || !consumer.is_current);
    if output.is_json() {
        return output.json(&answer);
    }
    if answer.consumers.is_empty() {
        let whom = if args.stale { "nobody holds an old revision of" } else { "nobody read" };
        output.note(format_args!("{whom} {} in {}, as far as the audit trail goes back", args.key, session.namespace));
        return Ok(());
    }
    let now = SystemClock.now();
    let rows: Vec<Vec<Cell>> = answer.consumers.iter().map(|consumer| row(consumer, now)).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())
}

fn row(consumer: &SecretConsumer, now: Timestamp) -> Vec<Cell> {
    let through = consumer.unit.as_deref().or(consumer.executable.as_deref()).unwrap_or_default();
    let (state, style) = if consumer.is_current { ("current", Style::Plain) } else { ("old", Style::Warning) };
    vec![
        consumer.principal.clone().into(),
        through.into(),
        consumer.revision.to_string().into(),
        parse::distance(now, consumer.last_read_at).into(),
        consumer.reads.to_string().into(),
        Cell { text: state.to_owned(), style },
    ]
}
